/**
 * What one app may use of the way out: requests at once, a second, and bytes a day.
 *
 * Rules: counted in memory, by app, bounded by the number of apps; a restart forgives.
 */
import { SysError } from "../../errno.ts";
import type { Machine } from "../../machine.ts";
import { egressBurst, egressDayBytesMax, egressInFlightMax, egressRatePerS } from "./limits.ts";

const dayMs = 86_400_000;

interface Account {
  inFlight: number;
  tokens: number;
  at: number;
  day: number;
  bytes: number;
  requests: number;
}

/** One request's place; `leave` gives it back, any number of times. */
export interface Ticket {
  /** Counts bytes of a body; false when the day's are used up. */
  spend(bytes: number): boolean;
  leave(): void;
}

export class Budgets {
  readonly #machine: Machine;
  readonly #accounts = new Map<string, Account>();

  constructor(machine: Machine) {
    this.#machine = machine;
  }

  /** Takes a place for a request. EAGAIN (too many at once, a second, or the day's bytes). */
  enter(appId: string): Ticket {
    const account = this.#account(appId);
    if (account.inFlight >= egressInFlightMax) {
      throw new SysError("EAGAIN", `cannot fetch: ${account.inFlight} requests under way`, {
        hint: "await earlier requests, and read or cancel their bodies",
        retryAfterMs: 100,
      });
    }
    if (account.tokens < 1) {
      throw new SysError("EAGAIN", `cannot fetch: more than ${egressRatePerS} requests a second`, {
        hint: "wait a moment between requests",
        retryAfterMs: Math.ceil(1000 / egressRatePerS),
      });
    }
    if (account.bytes >= egressDayBytesMax) throw this.#spent();
    account.tokens -= 1;
    account.inFlight += 1;
    account.requests += 1;
    let inside = true;
    return {
      spend: (bytes) => {
        account.bytes += bytes;
        return account.bytes <= egressDayBytesMax;
      },
      leave: () => {
        if (inside) account.inFlight -= 1;
        inside = false;
      },
    };
  }

  /** Requests since boot and bytes today. */
  used(appId: string): { requests: number; bytes: number } {
    const { requests, bytes } = this.#account(appId);
    return { requests, bytes };
  }

  forget(appId: string): void {
    this.#accounts.delete(appId);
  }

  #spent(): SysError {
    return new SysError("EAGAIN", "cannot fetch: the app's bytes of today are used up", {
      hint: "they begin anew at 00:00 UTC",
      retryAfterMs: dayMs - (this.#machine.now() % dayMs),
    });
  }

  #account(appId: string): Account {
    const now = this.#machine.monotonicMs();
    const day = Math.floor(this.#machine.now() / dayMs);
    const known = this.#accounts.get(appId);
    if (known === undefined) {
      const made = { inFlight: 0, tokens: egressBurst, at: now, day, bytes: 0, requests: 0 };
      this.#accounts.set(appId, made);
      return made;
    }
    const gained = ((now - known.at) / 1000) * egressRatePerS;
    known.tokens = Math.min(egressBurst, known.tokens + gained);
    known.at = now;
    if (known.day !== day) {
      known.day = day;
      known.bytes = 0;
    }
    return known;
  }
}
