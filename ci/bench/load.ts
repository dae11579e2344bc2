/**
 * Load by `wrk`: one thread, 32 connections that stay open. An answer that is not 200 or a broken
 * connection makes the measurement void.
 */
import { runProgram } from "./process.ts";

export interface Load {
  readonly url: string;
  /** The Host header, when it is not the URL's. */
  readonly host?: string;
}

export interface Throughput {
  readonly requestsPerS: number;
  readonly bytesPerS: number;
}

const units: Readonly<Record<string, number>> = { B: 1, KB: 2 ** 10, MB: 2 ** 20, GB: 2 ** 30 };

/** Reads what wrk prints; throws when there were errors. Pure. */
export function readReport(text: string): Throughput {
  const bad = /Non-2xx.*|Socket errors: .*/.exec(text)?.[0];
  if (bad !== undefined) throw new Error(`wrk: ${bad}`);
  const requests = /Requests\/sec:\s+([\d.]+)/.exec(text)?.[1];
  const [, size, unit = ""] = /Transfer\/sec:\s+([\d.]+)([KMG]?B)/.exec(text) ?? [];
  if (requests === undefined || size === undefined) throw new Error(`wrk: ${text}`);
  return { requestsPerS: Number(requests), bytesPerS: Number(size) * (units[unit] ?? 1) };
}

/** Loads a URL for so many seconds. */
export async function load({ url, host }: Load, seconds: number): Promise<Throughput> {
  const header = host === undefined ? [] : ["-H", `Host: ${host}`];
  return readReport(await runProgram(["wrk", "-t1", "-c32", `-d${seconds}s`, ...header, url]));
}

/** Latency of requests at a few connections, in milliseconds. */
export async function latency(
  { url, host }: Load,
  { seconds, connections }: { seconds: number; connections: number },
): Promise<{ p99Ms: number }> {
  const header = host === undefined ? [] : ["-H", `Host: ${host}`];
  const about = ["-t1", `-c${connections}`, `-d${seconds}s`, "--latency"];
  const text = await runProgram(["wrk", ...about, ...header, url]);
  readReport(text);
  const [, figure, unit = "ms"] = /99%\s+([\d.]+)(us|ms|s)\b/.exec(text) ?? [];
  const scale: Readonly<Record<string, number>> = { us: 0.001, ms: 1, s: 1000 };
  return { p99Ms: Number(figure) * (scale[unit] ?? 1) };
}
