/**
 * A visitor who asks at a steady, light pace whatever else goes on: 100 requests a second, each
 * counted from when it was due.
 */
import type { BenchKernel } from "./kernel.ts";
import { quantile } from "./row.ts";

const requests = 300;
const everyMs = 10;

/** The 99th percentile of an app's answers over three seconds, ms. */
export async function neighbourMs(kernel: BenchKernel, app: string): Promise<number> {
  const startMs = performance.now();
  const headers = { host: kernel.hostOf(app) };
  const ask = async (i: number): Promise<number> => {
    const dueMs = startMs + i * everyMs;
    await Bun.sleep(dueMs - performance.now());
    const response = await fetch(kernel.url, { headers });
    await response.arrayBuffer();
    if (response.status !== 200) throw new Error(`${app} answered ${response.status}`);
    return performance.now() - dueMs;
  };
  return quantile(await Promise.all(Array.from({ length: requests }, (_, i) => ask(i))), 0.99);
}
