/**
 * How a kernel is: what it counts itself, and what is seen from outside by asking it and its apps
 * like a visitor. Two looks make a `Health` for the gate.
 */
import { readFileSync } from "node:fs";
import type { Kernel } from "../../kernel/kernel.ts";
import type { trial } from "../../kernel/proc/upgrade/mod.ts";
import { type Awake, awakeIn } from "./warm.ts";

/** An app as a visitor finds it. */
interface Door {
  readonly name: string;
  readonly path: string;
}

/** What a kernel counts since its boot. */
export interface Seen {
  readonly requests: number;
  readonly errors: number;
  /** Answers by time to their head. */
  readonly latency: readonly { readonly leMs: number | null; readonly count: number }[];
  /** Apps that a visitor gets an answer of without waking anybody. */
  readonly doors: readonly Door[];
  readonly domain: string | null;
  /** Apps with a process, for the next kernel to start; absent in a kernel from before this. */
  readonly awake?: readonly Awake[];
}

/** Apps that are asked on each look, at most. */
const doorsMax = 32;
/** Times the OS host is asked on each look: enough for a share and a quantile. */
const asksPerLook = 20;
/** Bytes of an answer after which it counts as one: many apps are asked at once. */
const heardBytesMax = 262_144;
/** Milliseconds after which a visitor of ours gives up. */
const askMsMax = 3_000;

/** What a kernel says of itself. */
export function seenBy(kernel: Kernel): Seen {
  const { requests, byClass, latency } = kernel.net.status();
  const awake = kernel.proc.ls().filter(({ state }) => ["running", "static"].includes(state));
  const doors = awake.slice(0, doorsMax).map(({ name, release }) => ({
    name,
    path: (release === null ? null : kernel.app.release(release).manifest.health) ?? "/",
  }));
  const domain = kernel.security.owner()?.domain ?? null;
  const errors = byClass["5xx"] ?? 0;
  return { requests, errors, latency, doors, domain, awake: awakeIn(kernel) };
}

/** Hears an answer to its end, or as much of it as shows that it comes: nothing of it is kept. */
async function listen({ body }: Response): Promise<void> {
  let left = heardBytesMax;
  for await (const piece of body ?? []) {
    left -= piece.length;
    if (left <= 0) return;
  }
}

/** Whether one answers, as a visitor sees it: anything but a failure of ours, in time. */
async function answers(url: string, host: string): Promise<boolean> {
  try {
    const response = await fetch(url, {
      headers: { host, connection: "close" },
      redirect: "manual",
      keepalive: false,
      signal: AbortSignal.timeout(askMsMax),
    });
    await listen(response);
    return response.status < 500;
  } catch {
    return false;
  }
}

/** What a visitor found. */
export interface Visit {
  /** Who answered; `os` is the OS host. */
  readonly apps: Readonly<Record<string, boolean>>;
  /** What half of the answers of the OS host took less than, ms. */
  readonly medianMs: number;
}

/** Asks the OS host and the apps like a visitor does. */
export async function visit(
  http: string,
  { doors, domain }: Pick<Seen, "doors" | "domain">,
): Promise<Visit> {
  const { port } = new URL(http);
  const at = (name: string) => `${name}.${domain ?? "localhost"}${port === "" ? "" : `:${port}`}`;
  const took: number[] = [];
  const ask = async (): Promise<boolean> => {
    const began = performance.now();
    const answered = await answers(`${http}/sys/health`, at("os"));
    took.push(performance.now() - began);
    return answered;
  };
  const os = Array.from({ length: asksPerLook }, ask);
  const apps = doors.map(async ({ name, path }) => {
    return [name, await answers(`${http}${path}`, at(name))] as const;
  });
  const healthy = (await Promise.all(os)).filter(Boolean).length > asksPerLook / 2;
  const medianMs = took.toSorted((a, b) => a - b)[Math.floor(took.length / 2)] ?? 0;
  return { apps: { os: healthy, ...Object.fromEntries(await Promise.all(apps)) }, medianMs };
}

/** Resident memory of a process, bytes; 0 when it is gone. */
export function residentBytes(pid: number): number {
  try {
    const found = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"));
    return Number(found?.[1] ?? 0) * 1024;
  } catch {
    return 0;
  }
}

/** The duration 99 of 100 answers between two looks were not longer than, ms; null: none. Pure. */
function p99Between(from: Seen["latency"], to: Seen["latency"]): number | null {
  const counts = to.map(({ count }, at) => count - (from[at]?.count ?? 0));
  const all = counts.reduce((sum, count) => sum + count, 0);
  if (all === 0) return null;
  let sum = 0;
  for (const [at, count] of counts.entries()) {
    sum += count;
    if (sum >= 0.99 * all) return to[at]?.leMs ?? 60_000;
  }
  return null;
}

/** How it is, of two looks and a visit. Pure. */
export function healthOf(
  from: Seen | null,
  to: Seen,
  { apps, medianMs, rssBytes }: Visit & { readonly rssBytes: number },
): trial.Health {
  // A kernel does not see what keeps its answers from their way.
  const inside = p99Between(from?.latency ?? [], to.latency);
  return {
    apps,
    rssBytes,
    requests: to.requests - (from?.requests ?? 0),
    errors: to.errors - (from?.errors ?? 0),
    p99Ms: Math.max(inside ?? 0, medianMs),
  };
}
