/**
 * The machine under the kernel: the only source of time and chance.
 *
 * Rules: nobody else in the kernel reads a clock, draws a random number or sets a timer, so that a
 * simulated machine (`tests/clock.ts`) can be put in its place. Times are integer Unix
 * milliseconds; `monotonicMs` only ever grows and is for durations.
 */

/** A timer that has been set; `cancel` may be called any number of times. */
export interface Timer {
  cancel(): void;
}

export interface Machine {
  /** Wall clock, integer Unix milliseconds. */
  now(): number;
  /** Milliseconds with a fraction since an arbitrary start; never goes back. */
  monotonicMs(): number;
  /** `n` unpredictable bytes. */
  random(n: number): Uint8Array<ArrayBuffer>;
  /** A number in [0, 1), for jitter only. */
  chance(): number;
  /** A sortable id: `prefix_` and a UUIDv7 (RFC 9562) in 26 characters of base32 (Crockford). */
  id(prefix: string): string;
  /** Calls `run` once after `delayMs`. Timers never keep the process alive. */
  after(delayMs: number, run: () => void): Timer;
  /** Calls `run` every `periodMs`. */
  every(periodMs: number, run: () => void): Timer;
}

const crockford = "0123456789abcdefghjkmnpqrstvwxyz";

/** 128 bits as 26 characters of lower-case Crockford base32; keeps the order of the bytes. */
export function base32(bytes: Uint8Array): string {
  let value = 0n;
  for (const byte of bytes) value = (value << 8n) | BigInt(byte);
  const length = Math.ceil((bytes.length * 8) / 5);
  let text = "";
  for (let i = 0; i < length; i++) {
    text = (crockford[Number(value & 31n)] ?? "") + text;
    value >>= 5n;
  }
  return text;
}

/** Resolves after `ms` milliseconds, or as soon as the signal says that nobody waits any more. */
export async function passed(machine: Machine, ms: number, signal: AbortSignal): Promise<void> {
  if (signal.aborted) return;
  const { promise, resolve } = Promise.withResolvers<void>();
  const timer = machine.after(ms, resolve);
  const gone = () => resolve();
  signal.addEventListener("abort", gone);
  await promise;
  signal.removeEventListener("abort", gone);
  timer.cancel();
}

/** The real machine. */
export function realMachine(): Machine {
  return {
    now: () => Date.now(),
    monotonicMs: () => performance.now(),
    random: (n) => crypto.getRandomValues(new Uint8Array(n)),
    chance: () => Math.random(),
    id: (prefix) => {
      const hex = Bun.randomUUIDv7("hex").replaceAll("-", "");
      return `${prefix}_${base32(Uint8Array.fromHex(hex))}`;
    },
    after: (delayMs, run) => {
      const timer = setTimeout(run, delayMs);
      timer.unref();
      return { cancel: () => clearTimeout(timer) };
    },
    every: (periodMs, run) => {
      const timer = setInterval(run, periodMs);
      timer.unref();
      return { cancel: () => clearInterval(timer) };
    },
  };
}
