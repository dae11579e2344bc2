/**
 * The limits that a machine's owner may change. They are rows that say what differs from the standard,
 * put into the very object that everybody reads when a limit is applied, so that a change is live at
 * once and holds after a restart.
 *
 * Rules: only those named here, which nobody remembers and no format depends on; each within a
 * hundredth and a hundred times its standard, a share below 0.99; the change itself goes through on a
 * full disk, because the mark is one of them.
 */
import { SysError } from "../errno.ts";
import type { Machine } from "../machine.ts";
import { nearest } from "../nearest.ts";
import type { StorageLimits } from "./limits.ts";
import type { Reader, Storage } from "./storage.ts";

const names = [
  "diskUsedMax",
  "kvKeyBytesMax",
  "kvValueBytesMax",
  "docBytesMax",
  "docFindMsMax",
  "volumeBytesMax",
  "logBytesMax",
  "logRowsMax",
  "backupStallMs",
] as const satisfies readonly (keyof StorageLimits)[];

type Name = (typeof names)[number];

export interface AdjustableLimit {
  /** `storage.` and its name. */
  readonly name: string;
  readonly value: number;
  readonly standard: number;
  readonly least: number;
  readonly most: number;
}

export interface Adjustable {
  ls(): AdjustableLimit[];
  /** Changes one; null: back to the standard. ENOENT, ERANGE. */
  set(name: string, value: number | null): Promise<AdjustableLimit>;
}

export interface AdjustableOptions {
  readonly machine: Machine;
  /** The object that is read when a limit is applied; changed here and nowhere else. */
  readonly limits: StorageLimits;
  readonly read: Reader;
  readonly write: Storage["write"];
}

const prefix = "storage.";
const shareMost = 0.99;
const factor = 100;

/** Takes up what was changed before. */
export function createAdjustable({ machine, limits, read, write }: AdjustableOptions): Adjustable {
  const held = limits as { -readonly [K in keyof StorageLimits]: number };
  const standard = Object.fromEntries(names.map((name) => [name, limits[name]])) as Record<
    Name,
    number
  >;
  const isName = (name: string): name is Name => Object.hasOwn(standard, name);

  for (const row of read.all<{ name: string; value: number }>(
    "SELECT name, value FROM storage_limit",
  )) {
    // A newer binary may know more of them.
    if (isName(row.name)) held[row.name] = row.value;
  }

  const describe = (name: Name): AdjustableLimit => {
    const usual = standard[name];
    const share = usual < 1;
    return {
      name: prefix + name,
      value: held[name],
      standard: usual,
      least: share ? usual / factor : Math.ceil(usual / factor),
      most: share ? shareMost : usual * factor,
    };
  };

  return {
    ls: () => names.map(describe),
    async set(given, value) {
      const name = given.startsWith(prefix) ? given.slice(prefix.length) : given;
      if (!isName(name)) throw unknown(given);
      const { least, most, standard: usual } = describe(name);
      const whole = usual < 1 || Number.isInteger(value ?? 0);
      if (value !== null && (!whole || value < least || value > most)) {
        throw new SysError("ERANGE", `cannot set "${given}" to ${value}: out of range`, {
          hint: `give ${usual < 1 ? "a number" : "a whole number"} from ${least} to ${most}`,
        });
      }
      await write(
        (tx) => {
          tx.run("DELETE FROM storage_limit WHERE name = ?", name);
          if (value === null) return;
          tx.run("INSERT INTO storage_limit VALUES (?, ?, ?)", name, value, machine.now());
        },
        { essential: true },
      );
      held[name] = value ?? usual;
      return describe(name);
    },
  };
}

function unknown(name: string): SysError {
  const guess = nearest(
    name,
    names.map((each) => prefix + each),
  );
  return new SysError("ENOENT", `cannot set "${name}": no such limit, or one that is fixed`, {
    hint: guess === null ? "fazt storage limit ls" : `did you mean "${guess}"?`,
  });
}
