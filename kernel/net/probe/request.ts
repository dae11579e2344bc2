/**
 * A request to a URL and where it leads: each hop with its status and time, and what came at the
 * end, measured and thrown away.
 */
import { SysError } from "../../errno.ts";
import type { Machine } from "../../machine.ts";
import { bodyBytesMax, hopsMax, requestWaitMs } from "./limits.ts";

export interface Hop {
  readonly url: string;
  readonly status: number;
  /** Until the head of the answer was here, milliseconds. */
  readonly ms: number;
}

export interface Fetched {
  readonly hops: readonly Hop[];
  readonly status: number;
  readonly type: string | null;
  /** What the server calls itself. */
  readonly server: string | null;
  readonly bodyBytes: number;
  /** From the first request to the last byte, milliseconds. */
  readonly totalMs: number;
}

function refusal(url: URL, error: unknown, aborted: boolean): SysError {
  const { code, name, message } = error as { code?: string; name?: string; message?: string };
  const failed = `cannot reach "${url.origin}"`;
  if (aborted || name === "TimeoutError") {
    return new SysError("ETIMEDOUT", `${failed}: no answer in time`, { cause: error });
  }
  if (code === "ConnectionRefused" || code === "ECONNREFUSED") {
    return new SysError("EIO", `${failed}: nobody answers there, or the name is unknown`, {
      hint: `fazt net dns ${url.hostname}`,
      cause: error,
    });
  }
  return new SysError("EIO", `${failed}: ${code ?? message ?? "failed"}`, { cause: error });
}

async function sizeOf(response: Response): Promise<number> {
  let size = 0;
  if (response.body === null) return size;
  for await (const chunk of response.body) {
    size += chunk.byteLength;
    if (size >= bodyBytesMax) break;
  }
  return size;
}

/** Asks a URL. EINVAL (not one), ETIMEDOUT, EIO (no connection, a certificate nobody vouches for). */
export async function request(
  machine: Machine,
  text: string,
  signal: AbortSignal,
): Promise<Fetched> {
  const asked = /^[a-z]+:\/\//i.test(text) ? text : `https://${text}`;
  if (!URL.canParse(asked) || !/^https?:$/.test(new URL(asked).protocol)) {
    throw new SysError("EINVAL", `cannot ask "${text}": not a URL`, {
      hint: "give one such as https://example.com/",
    });
  }
  let url = new URL(asked);
  const hops: Hop[] = [];
  const startMs = machine.monotonicMs();
  const since = (fromMs: number) => Math.round((machine.monotonicMs() - fromMs) * 10) / 10;
  const limited = AbortSignal.any([signal, AbortSignal.timeout(requestWaitMs)]);
  for (;;) {
    const hopMs = machine.monotonicMs();
    try {
      const response = await fetch(url, { redirect: "manual", signal: limited, keepalive: false });
      hops.push({ url: url.href, status: response.status, ms: since(hopMs) });
      const location = response.headers.get("location");
      const leads = response.status >= 300 && response.status < 400 && location !== null;
      if (leads && hops.length <= hopsMax && URL.canParse(location, url.href)) {
        await response.body?.cancel();
        url = new URL(location, url);
        continue;
      }
      const bodyBytes = await sizeOf(response);
      const type = response.headers.get("content-type");
      const server = response.headers.get("server");
      return { hops, status: response.status, type, server, bodyBytes, totalMs: since(startMs) };
    } catch (error) {
      throw refusal(url, error, limited.aborted);
    }
  }
}
