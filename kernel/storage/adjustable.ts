/**
 * The limits that a machine's owner may change, storage's own and those of domains above it. They are
 * rows that say what differs from the standard, put into the very object that everybody reads when a
 * limit is applied, so that a change is live at once and holds after a restart.
 *
 * Rules: only those a domain names, which nobody remembers and no format depends on; each within a
 * hundredth and a hundred times its standard, a share below 0.99; the change itself goes through on a
 * full disk, because the mark is one of them.
 */
import { SysError } from "../errno.ts";
import type { Machine } from "../machine.ts";
import { nearest } from "../nearest.ts";
import type { StorageLimits } from "./limits.ts";
import type { Reader, Storage } from "./storage.ts";

/** Those of storage. */
export const storageNames = [
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

export interface AdjustableLimit {
  /** The domain, a dot and its name. */
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

/** Whose limits they are. */
export interface AdjustableOf<N extends string> {
  readonly domain: string;
  /** The object that is read when a limit is applied; changed here and nowhere else. */
  readonly limits: Readonly<Record<N, number>>;
  readonly names: readonly N[];
}

export interface AdjustableOptions {
  readonly machine: Machine;
  readonly read: Reader;
  readonly write: Storage["write"];
}

const shareMost = 0.99;
const factor = 100;

/** Takes up what was changed before. */
export function createAdjustable<N extends string>(
  { domain, limits, names }: AdjustableOf<N>,
  { machine, read, write }: AdjustableOptions,
): Adjustable {
  const prefix = `${domain}.`;
  const held = limits as Record<N, number>;
  const standard = Object.fromEntries(names.map((name) => [name, limits[name]])) as Record<
    N,
    number
  >;
  const isName = (name: string): name is N => Object.hasOwn(standard, name);
  const bare = (name: string) => (name.startsWith(prefix) ? name.slice(prefix.length) : name);
  const kept = (name: N) => (domain === "storage" ? name : prefix + name);

  for (const row of read.all<{ name: string; value: number }>(
    "SELECT name, value FROM storage_limit",
  )) {
    // Another domain's, or one that a newer binary knows of.
    const name = names.find((each) => kept(each) === row.name);
    if (name !== undefined) held[name] = row.value;
  }

  const describe = (name: N): AdjustableLimit => {
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
      const name = bare(given);
      if (!isName(name)) throw unknown(given, domain, names);
      const { least, most, standard: usual } = describe(name);
      const whole = usual < 1 || Number.isInteger(value ?? 0);
      if (value !== null && (!whole || value < least || value > most)) {
        throw new SysError("ERANGE", `cannot set "${given}" to ${value}: out of range`, {
          hint: `give ${usual < 1 ? "a number" : "a whole number"} from ${least} to ${most}`,
        });
      }
      await write(
        (tx) => {
          tx.run("DELETE FROM storage_limit WHERE name = ?", kept(name));
          if (value === null) return;
          tx.run("INSERT INTO storage_limit VALUES (?, ?, ?)", kept(name), value, machine.now());
        },
        { essential: true },
      );
      held[name] = value ?? usual;
      return describe(name);
    },
  };
}

/** The limits of all domains as one: what each may have is its own. */
export class AllAdjustable implements Adjustable {
  readonly #domains = new Map<string, Adjustable>();

  add(domain: string, adjustable: Adjustable): Adjustable {
    // A domain that is made anew on the same storage takes its own over.
    this.#domains.set(domain, adjustable);
    return adjustable;
  }

  ls(): AdjustableLimit[] {
    return [...this.#domains.values()].flatMap((each) => each.ls());
  }

  /** A name without a domain is storage's. */
  set(name: string, value: number | null): Promise<AdjustableLimit> {
    const domain = name.includes(".") ? name.slice(0, name.indexOf(".")) : "storage";
    const of = this.#domains.get(domain);
    const known = this.ls().map((each) => each.name);
    const whole = name.includes(".") ? name : `storage.${name}`;
    if (of !== undefined && known.includes(whole)) return of.set(whole, value);
    const guess = nearest(whole, known);
    const hint = guess === null ? "fazt storage limit ls" : `did you mean "${guess}"?`;
    const message = `cannot set "${name}": no such limit, or one that is fixed`;
    return Promise.reject(new SysError("ENOENT", message, { hint }));
  }
}

function unknown(name: string, domain: string, names: readonly string[]): SysError {
  const guess = nearest(
    name,
    names.map((each) => `${domain}.${each}`),
  );
  return new SysError("ENOENT", `cannot set "${name}": no such limit, or one that is fixed`, {
    hint: guess === null ? `fazt ${domain} limit ls` : `did you mean "${guess}"?`,
  });
}
