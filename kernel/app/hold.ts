/**
 * Holds: one deploy of an app at a time. A hold is taken before anything is written and is let go
 * when its release is switched to or abandoned; it lives in memory, so a kernel that dies holds
 * nothing.
 */
import { SysError } from "../errno.ts";

export interface Hold {
  /** The app; for a new one, the id it will have. */
  appId: string;
  readonly name: string;
  readonly releaseId: string;
  readonly sinceMs: number;
}

export interface Holds {
  /** EBUSY, saying since when, while the app of this id or name is held. */
  take(hold: Hold): void;
  release(releaseId: string): void;
  has(releaseId: string): boolean;
  /** EBUSY when the app is held for any release but this one. */
  check(appId: string, action: string, releaseId: string): void;
}

export function createHolds(): Holds {
  const holds = new Map<string, Hold>();
  const refuse = (held: Hold, action: string): never => {
    const since = new Date(held.sinceMs).toISOString();
    throw new SysError("EBUSY", `cannot ${action} "${held.name}": a deploy is under way`, {
      hint: `it began at ${since}; try again when it has finished`,
      retryAfterMs: 1000,
    });
  };
  return {
    take(hold) {
      for (const held of holds.values()) {
        if (held.appId === hold.appId || held.name === hold.name) refuse(held, "deploy");
      }
      holds.set(hold.releaseId, hold);
    },
    release: (releaseId) => void holds.delete(releaseId),
    has: (releaseId) => holds.has(releaseId),
    check(appId, action, releaseId) {
      for (const held of holds.values()) {
        if (held.appId === appId && held.releaseId !== releaseId) refuse(held, action);
      }
    },
  };
}
