/**
 * A visitor who asks at a steady, light pace whatever else goes on: 100 requests a second, each
 * counted from when it was due.
 */
import { quantile } from "./row.ts";

const requests = 300;
const everyMs = 10;

/** What is asked: an address, and the Host header that goes with it. */
export interface Asked {
  readonly url: string;
  readonly host: string;
}

/** The 99th percentile of the answers over three seconds, ms. */
export async function neighbourMs({ url, host }: Asked): Promise<number> {
  const startMs = performance.now();
  const ask = async (i: number): Promise<number> => {
    const dueMs = startMs + i * everyMs;
    await Bun.sleep(dueMs - performance.now());
    // A timer may be early by less than it can count.
    const fromMs = Math.min(dueMs, performance.now());
    const response = await fetch(url, { headers: { host } });
    await response.arrayBuffer();
    if (response.status !== 200) throw new Error(`${host} answered ${response.status}`);
    return performance.now() - fromMs;
  };
  return quantile(await Promise.all(Array.from({ length: requests }, (_, i) => ask(i))), 0.99);
}
