/**
 * Slowing of guesses: by address (a window of failures) and by account (a doubling wait).
 *
 * Rules: a try from an address is counted before it is judged, so that many at once gain nothing,
 * and given back when it succeeds; a success never clears the failures of its address, so that an
 * account of one's own buys no further guesses. Memory is bounded: strangers' names and addresses
 * push out each other, never an account that exists.
 */
import { SysError } from "../errno.ts";
import type { Machine } from "../machine.ts";
import {
  accountPace,
  loginTriesMax,
  loginWindowMs,
  type Pace,
  setupPace,
  slowedKeysMax,
} from "./limits.ts";

/** Failures of one key and the time before which no further try is judged (Unix ms). */
export interface Failures {
  readonly count: number;
  readonly lastAt: number;
  readonly untilAt: number;
}

/** One more failure at `now`. Pure. */
export function failed(before: Failures | undefined, now: number, pace: Pace): Failures {
  const fresh = before === undefined || now - before.lastAt > pace.forgetMs;
  const count = fresh ? 1 : before.count + 1;
  if (count <= pace.free) return { count, lastAt: now, untilAt: now };
  const doublings = Math.min(30, count - pace.free - 1);
  return {
    count,
    lastAt: now,
    untilAt: now + Math.min(pace.mostMs, pace.firstMs * 2 ** doublings),
  };
}

/** How long a key has to wait at `now`, in milliseconds; 0 when it need not. Pure. */
export function waitMs(before: Failures | undefined, now: number, pace: Pace): number {
  if (before === undefined) return 0;
  // A clock set back must not lock anybody out for longer than the longest wait.
  return Math.max(0, Math.min(before.untilAt - now, pace.mostMs));
}

/** How long the oldest of too many tries still counts at `now`; 0 when there is room. Pure. */
export function windowWaitMs(tries: readonly number[], now: number): number {
  const recent = tries.filter((at) => Math.abs(now - at) < loginWindowMs);
  if (recent.length < loginTriesMax) return 0;
  return Math.min(...recent) + loginWindowMs - now;
}

/**
 * The key an address is counted under: an IPv4 address (also when it is written as IPv6), else the
 * /64 network, since whoever has one IPv6 address has 2^64 of them (RFC 6177).
 */
export function addressKey(address: string | null): string {
  if (address === null) return "local";
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address)?.[1];
  if (mapped !== undefined) return mapped;
  if (!address.includes(":")) return address;
  const [head = "", tail] = (address.split("%")[0] ?? "").toLowerCase().split("::");
  const left = head === "" ? [] : head.split(":");
  const right = tail === undefined || tail === "" ? [] : tail.split(":");
  const zeros = tail === undefined ? 0 : Math.max(0, 8 - left.length - right.length);
  const groups = [...left, ...Array<string>(zeros).fill("0"), ...right].slice(0, 4);
  return `${groups.map((group) => group.replace(/^0+(?=.)/, "")).join(":")}::/64`;
}

/** Puts a value last in a map of at most `max` entries; the entry untouched longest goes. */
export function remember<K, V>(map: Map<K, V>, entry: { key: K; value: V }, max: number): void {
  map.delete(entry.key);
  map.set(entry.key, entry.value);
  if (map.size <= max) return;
  const oldest = map.keys().next();
  if (!oldest.done) map.delete(oldest.value);
}

/** An account a login names; `id` is null when there is no such account. */
export interface Account {
  readonly id: string | null;
  readonly name: string;
}

export interface Slowing {
  /** Counts a try of this address. EAGAIN when it made too many. Give it back on success. */
  enter(address: string | null): { giveBack(): void };
  /** EAGAIN while this account, or name of no account, has to wait. */
  checkAccount(account: Account): void;
  failAccount(account: Account): void;
  clearAccount(account: Account): void;
  /** EAGAIN while this address has to wait after wrong setup codes. */
  checkSetup(address: string | null): void;
  /** How long the address now has to wait, in milliseconds. */
  failSetup(address: string | null): number;
}

export function createSlowing(machine: Machine): Slowing {
  const windows = new Map<string, number[]>();
  const setups = new Map<string, Failures>();
  const accounts = new Map<string, Failures>();
  const strangers = new Map<string, Failures>();

  const failuresOf = (account: Account): Failures | undefined =>
    account.id === null ? strangers.get(account.name) : accounts.get(account.id);

  return {
    enter(address) {
      const key = addressKey(address);
      const now = machine.now();
      const tries = windows.get(key) ?? [];
      refuse(windowWaitMs(tries, now), "too many failed logins from this address");
      remember(windows, { key, value: [...tries.slice(1 - loginTriesMax), now] }, slowedKeysMax);
      return {
        giveBack() {
          const left = windows.get(key) ?? [];
          const at = left.lastIndexOf(now);
          if (at >= 0) windows.set(key, left.toSpliced(at, 1));
        },
      };
    },
    checkAccount(account) {
      const wait = waitMs(failuresOf(account), machine.now(), accountPace);
      refuse(wait, "too many failed logins for this account");
    },
    failAccount(account) {
      const value = failed(failuresOf(account), machine.now(), accountPace);
      if (account.id === null) remember(strangers, { key: account.name, value }, slowedKeysMax);
      else accounts.set(account.id, value);
    },
    clearAccount(account) {
      if (account.id !== null) accounts.delete(account.id);
    },
    checkSetup(address) {
      const wait = waitMs(setups.get(addressKey(address)), machine.now(), setupPace);
      refuse(wait, "too many wrong setup codes");
    },
    failSetup(address) {
      const key = addressKey(address);
      const value = failed(setups.get(key), machine.now(), setupPace);
      remember(setups, { key, value }, slowedKeysMax);
      return waitMs(value, machine.now(), setupPace);
    },
  };
}

function refuse(retryAfterMs: number, why: string): void {
  if (retryAfterMs <= 0) return;
  throw new SysError("EAGAIN", `cannot try again yet: ${why}`, {
    hint: `wait ${Math.ceil(retryAfterMs / 1000)} s`,
    retryAfterMs: Math.ceil(retryAfterMs),
  });
}
