/**
 * What the owner chose, and what the last look found: one row.
 */
import { SysError } from "../../errno.ts";
import type { Reader, Storage } from "../../storage/mod.ts";
import type { Channel as Releases } from "../upgrade/mod.ts";

/** What the owner chose. */
export interface Setting {
  /** `stable`: what everybody gets; `edge`: what is being tried. */
  readonly channel: Releases;
  /** Where releases are; null: nobody said. */
  readonly from: string | null;
  /** Whether it is looked for newer ones once a day. */
  readonly checks: boolean;
  /** Whether a newer one is installed by itself. */
  readonly automatic: boolean;
  /** When that may begin, `HH:MM-HH:MM` in the zone; it may pass midnight. */
  readonly window: string;
  /** A name of the IANA time zone database. */
  readonly zone: string;
}

/** A release that was found. */
export interface FoundRelease {
  readonly version: string;
  readonly notes: string;
  /** Whether it can be installed here. */
  readonly suits: boolean;
  readonly reason: string | null;
}

/** What has been done by itself. */
export interface Course {
  /** When it is looked for a release next, Unix ms; null: not before somebody says where. */
  readonly nextAt: number | null;
  readonly checkedAt: number | null;
  readonly found: FoundRelease | null;
  /** Why the last look failed, or null. */
  readonly problem: string | null;
  /** When an installation began by itself last, Unix ms. */
  readonly begunAt: number | null;
}

interface Row {
  readonly channel: Releases;
  readonly source: string | null;
  readonly checks: number;
  readonly automatic: number;
  readonly window: string;
  readonly zone: string;
  readonly next_at: number | null;
  readonly checked_at: number | null;
  readonly found: string | null;
  readonly problem: string | null;
  readonly begun_at: number | null;
}

const usual: Setting & Course = {
  channel: "stable",
  from: null,
  checks: true,
  automatic: false,
  window: "02:00-05:00",
  zone: "UTC",
  nextAt: null,
  checkedAt: null,
  found: null,
  problem: null,
  begunAt: null,
};

/** What holds now. */
export function readSetting({ read }: { readonly read: Reader }): Setting & Course {
  const row = read.get<Row>("SELECT * FROM channel_setting WHERE id = 1");
  if (row === null) return usual;
  const { channel, source, window, zone, next_at, checked_at, found, problem, begun_at } = row;
  return {
    ...{ channel, window, zone, problem },
    from: source,
    checks: row.checks === 1,
    automatic: row.automatic === 1,
    nextAt: next_at,
    checkedAt: checked_at,
    found: found === null ? null : (JSON.parse(found) as FoundRelease),
    begunAt: begun_at,
  };
}

/** Changes some of it; on the disk when this resolves. */
export async function changeSetting(
  storage: Pick<Storage, "write">,
  change: Partial<Setting & Course>,
): Promise<Setting & Course> {
  return await storage.write((tx) => {
    const next = { ...readSetting({ read: tx }), ...change };
    const found = next.found === null ? null : JSON.stringify(next.found);
    tx.run(
      `INSERT OR REPLACE INTO channel_setting (id, channel, source, checks, automatic, window,
       zone, next_at, checked_at, found, problem, begun_at)
       VALUES (1, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
      ...[next.channel, next.from, next.checks ? 1 : 0, next.automatic ? 1 : 0, next.window],
      ...[next.zone, next.nextAt, next.checkedAt, found, next.problem, next.begunAt],
    );
    return next;
  });
}

/** The name of a zone, if there is such. EINVAL. */
export function zoneNamed(zone: string): string {
  try {
    new Intl.DateTimeFormat("en", { timeZone: zone });
    return zone;
  } catch {
    throw new SysError("EINVAL", `cannot use the time zone "${zone}": nobody knows it`, {
      hint: "such as Europe/Berlin or UTC",
    });
  }
}
