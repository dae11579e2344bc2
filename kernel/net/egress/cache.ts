/**
 * A private cache of answers, by app (RFC 9111, the part that needs no second request): what a
 * server calls fresh for some seconds is not asked for again in that time.
 *
 * Rules: only whole, small, successful answers to plain GETs without credentials; one app never
 * sees what another fetched; bounded by bytes, the oldest goes first.
 */
import { cacheBytesMax } from "./limits.ts";
import type { HeaderLines } from "./secret.ts";

export interface Kept {
  readonly status: number;
  readonly statusText: string;
  readonly headers: readonly (readonly [string, string])[];
  readonly body: Uint8Array<ArrayBuffer>;
}

interface Entry extends Kept {
  readonly vary: readonly (readonly [name: string, value: string | null])[];
  readonly at: number;
  readonly freshMs: number;
  /** What it takes of the cache: body, head and key, and what holds them together. */
  readonly sizeBytes: number;
}

/** Bytes that an entry takes beyond its texts and its body. */
const entryBytes = 512;

/** How long an answer is fresh, in milliseconds; 0 when it must not be kept. Pure. */
export function freshMs(status: number, headers: Headers): number {
  if (status !== 200 || headers.has("set-cookie") || headers.get("vary")?.includes("*")) return 0;
  const control = headers.get("cache-control")?.toLowerCase() ?? "";
  if (/\b(no-store|no-cache|must-understand)\b/.test(control)) return 0;
  const age = /\bmax-age="?(\d{1,9})/.exec(control)?.[1];
  if (age === undefined) return 0;
  const spent = Number(headers.get("age") ?? "0");
  return Math.max(0, Number(age) - (Number.isFinite(spent) ? spent : 0)) * 1000;
}

/** Whether a request may be answered from the cache at all. Pure. */
export function isPlain(method: string, lines: HeaderLines): boolean {
  const special = /^(authorization|cookie|range|if-.*|pragma)$/i;
  const fresh = (name: string, value: string) =>
    /^cache-control$/i.test(name) && /no-store|no-cache|max-age=0/i.test(value);
  return (
    method === "GET" && !lines.some(([name, value]) => special.test(name) || fresh(name, value))
  );
}

export class AnswerCache {
  readonly #entries = new Map<string, Entry>();
  #bytes = 0;

  get(key: string, asked: Headers, now: number): Kept | null {
    const entry = this.#entries.get(key);
    if (entry === undefined) return null;
    if (now - entry.at >= entry.freshMs || now < entry.at) {
      this.#drop(key, entry);
      return null;
    }
    return entry.vary.every(([name, value]) => asked.get(name) === value) ? entry : null;
  }

  put(key: string, kept: Kept, about: { asked: Headers; now: number; freshMs: number }): void {
    const before = this.#entries.get(key);
    if (before !== undefined) this.#drop(key, before);
    const names = new Headers(kept.headers as [string, string][]).get("vary")?.split(",") ?? [];
    const vary = names.map((name) => {
      const plain = name.trim().toLowerCase();
      return [plain, about.asked.get(plain)] as const;
    });
    const { now: at, freshMs } = about;
    const sizeBytes = sizeOf(key, [...kept.headers, ...vary]) + kept.body.byteLength;
    this.#entries.set(key, { ...kept, vary, at, freshMs, sizeBytes });
    this.#bytes += sizeBytes;
    for (const [oldest, entry] of this.#entries) {
      if (this.#bytes <= cacheBytesMax) break;
      this.#drop(oldest, entry);
    }
  }

  #drop(key: string, entry: Entry): void {
    if (this.#entries.delete(key)) this.#bytes -= entry.sizeBytes;
  }
}

function sizeOf(key: string, lines: readonly (readonly [string, string | null])[]): number {
  const chars = lines.reduce((sum, [name, value]) => sum + name.length + (value?.length ?? 0), 0);
  return entryBytes + key.length + chars;
}
