/**
 * What was tried with the slots, and how far it came: breadcrumbs that outlive a crash. Kept on the
 * data partition beside the owner's data, because it is about this machine's disk: no restore
 * brings it, no factory reset takes it, and it can be read while the database cannot.
 */
import { mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import { replaceFile } from "./boot-partition.ts";
import { attemptsMax } from "./limits.ts";

/**
 * How far it came: `check`, `canary`, `erase`, `root`, `boot`, `verify` prepare the other slot; `arm`
 * and `armed` tell the boot loader; `restart`: the old system ends; `kernel`: fazt runs in the new
 * one and reaches its boot targets; `gate`: it is compared with what was before.
 */
export type Phase = string;

/** How the machine was, for comparing. */
const Look = z.object({
  /** Names of the apps that answered. */
  apps: z.array(z.string()),
  /** Links with an address of a family that reaches further than the link: `eth0 ipv4`. */
  network: z.array(z.string()),
  /** Units of systemd that have failed. */
  failedUnits: z.array(z.string()),
  /** What is wrong with the database, in words. */
  database: z.array(z.string()),
});
export type Look = z.output<typeof Look>;

const SlotName = z.enum(["a", "b"]);

const Attempt = z.object({
  id: z.string(),
  kind: z.enum(["upgrade", "rollback"]),
  version: z.string(),
  from: z.string(),
  slot: SlotName,
  /** The start of the kernel in which it was begun. */
  bootId: z.string(),
  /** Unix ms. */
  startedAt: z.int(),
  phase: z.string(),
  /** Each phase with the time it was reached, Unix ms. */
  crumbs: z.array(z.object({ phase: z.string(), at: z.int() })),
  /** Starts the slot was given. */
  tries: z.int(),
  before: Look.nullable(),
  endedAt: z.int().nullable(),
  outcome: z.enum(["committed", "reverted", "failed"]).nullable(),
  /** Why it was not kept: one sentence. */
  reason: z.string().nullable(),
  /** What the machine said last. */
  lastLines: z.array(z.string()),
});
export type Attempt = z.output<typeof Attempt>;

const File = z.object({ format: z.literal(1), attempts: z.array(Attempt) });

export interface AttemptStore {
  /** All that are remembered, the oldest first. */
  all(): Attempt[];
  /** The one that has not ended, or null. */
  open(): Attempt | null;
  /** Writes one down, in the place of that with its id; on the disk when this returns. */
  put(attempt: Attempt): void;
}

/** The attempts kept in a directory, which is made when it is wanted. */
export function openAttempts(dir: string): AttemptStore {
  const path = join(dir, "attempts.json");
  const all = (): Attempt[] => {
    try {
      return File.parse(JSON.parse(readFileSync(path, "utf8"))).attempts;
    } catch {
      // None yet, or a later fazt's: what the boot loader says holds without them.
      return [];
    }
  };
  return {
    all,
    open: () => all().find(({ outcome }) => outcome === null) ?? null,
    put: (attempt) => {
      const others = all().filter(({ id }) => id !== attempt.id);
      const attempts = [...others, attempt].slice(-attemptsMax);
      mkdirSync(dir, { recursive: true, mode: 0o700 });
      replaceFile(path, `${JSON.stringify({ format: 1, attempts })}\n`);
    },
  };
}

/** An attempt that has come to a phase. Pure. */
export function at(attempt: Attempt, phase: Phase, now: number): Attempt {
  return { ...attempt, phase, crumbs: [...attempt.crumbs, { phase, at: now }] };
}

/** An attempt that is over. Pure. */
export function over(
  attempt: Attempt,
  now: number,
  end: {
    readonly outcome: Attempt["outcome"];
    readonly reason?: string;
    readonly lastLines?: readonly string[];
  },
): Attempt {
  const { outcome, reason = null, lastLines = [] } = end;
  return { ...attempt, outcome, reason, lastLines: [...lastLines], endedAt: now };
}

/** Versions that were tried here and came back, and have not been kept since; each with why. Pure. */
export function blockedVersions(attempts: readonly Attempt[]): Record<string, string> {
  const blocked: Record<string, string> = {};
  for (const { kind, version, outcome, reason } of attempts) {
    if (outcome === "committed") delete blocked[version];
    if (outcome === "reverted" && kind === "upgrade") blocked[version] = reason ?? "it came back";
  }
  return blocked;
}
