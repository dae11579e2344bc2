/**
 * Texts of the command line as values of the call's input, and back. Pure.
 *
 * A field whose name ends in Ms takes a duration (`90s`, `1h30m`), one that ends in Bytes a size
 * (`10MB`), both beside the plain number that the call itself takes.
 */
import type { Parameter } from "./parameter.ts";
import { UsageError } from "./usage.ts";

const durationMs: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
  w: 604_800_000,
};

/** As app.json writes sizes: powers of 1024. */
const sizeBytes: Readonly<Record<string, number>> = {
  B: 1,
  K: 1024,
  KB: 1024,
  M: 1024 ** 2,
  MB: 1024 ** 2,
  G: 1024 ** 3,
  GB: 1024 ** 3,
};

function scaled(text: string, units: Readonly<Record<string, number>>): number | null {
  const parts = [...text.matchAll(/(\d+(?:\.\d+)?)([a-zA-Z]+)/g)];
  if (parts.length === 0 || parts.map(([whole]) => whole).join("") !== text) return null;
  const values = parts.map(
    ([, number, unit]) => Number(number) * (units[unit ?? ""] ?? Number.NaN),
  );
  const sum = values.reduce((total, value) => total + value, 0);
  return Number.isNaN(sum) ? null : Math.round(sum);
}

function numberOf(what: Parameter, text: string): number | null {
  if (/^-?\d+(\.\d+)?$/.test(text)) {
    const value = Number(text);
    return what.kind === "integer" && !Number.isSafeInteger(value) ? null : value;
  }
  if (/Ms$|^ms$/.test(what.name)) return scaled(text, durationMs);
  if (/Bytes$|^bytes$/.test(what.name)) return scaled(text, sizeBytes);
  return null;
}

/** What a value of this parameter looks like, for a complaint. */
function wanted({ kind, name }: Parameter): string {
  if (kind === "boolean") return "yes or no";
  if (kind === "json") return "JSON";
  if (/Ms$/.test(name)) return "a duration such as 90s or 1h, or milliseconds";
  if (/Bytes$/.test(name)) return "a size such as 10MB, or bytes";
  return kind === "integer" ? "a whole number" : "a number";
}

/** The name of a parameter as it was typed: `APP`, `--limit`. */
export function displayName({ positional, spelling, secret }: Parameter): string {
  if (positional) return spelling.toUpperCase();
  return secret ? `--${spelling}-file` : `--${spelling}`;
}

const booleans: Readonly<Record<string, boolean>> = {
  true: true,
  yes: true,
  on: true,
  false: false,
  no: false,
  off: false,
};

function parsed(text: string): { value: unknown } | null {
  try {
    return { value: JSON.parse(text) };
  } catch {
    // Not JSON: what that means is the caller's matter.
    return null;
  }
}

/** One text as one value; throws UsageError naming the parameter. */
export function parseValue(what: Parameter, text: string): unknown {
  if (what.choices !== null && !what.choices.includes(text)) {
    // An empty text takes a setting back; it is no word to choose.
    const list = what.choices.filter((choice) => choice !== "").join(", ");
    throw new UsageError(`bad value "${text}" for ${displayName(what)}`, `one of: ${list}`);
  }
  if (what.nullable && text === "null") return null;
  if (what.kind === "text") return text;
  if (what.kind === "any") return (parsed(text) ?? { value: text }).value;
  if (what.kind === "json") {
    const found = parsed(text);
    if (found !== null) return found.value;
  } else {
    const found = what.kind === "boolean" ? booleans[text] : numberOf(what, text);
    if (found !== undefined && found !== null) return found;
  }
  throw new UsageError(`bad value "${text}" for ${displayName(what)}: not ${wanted(what)}`);
}

/** A word as it is typed in a shell: quoted when it must be. */
export function quoted(word: string): string {
  return /^[\w@%+=:,./~-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}

/** A value as it is typed for its parameter. */
export function typed({ kind }: Parameter, value: unknown): string {
  const plain = typeof value === "string" && (kind !== "any" || parsed(value) === null);
  return quoted(plain ? value : JSON.stringify(value));
}
