/**
 * A reply as text for people: lists as tables, objects as keys and values, lines as lines. Pure.
 *
 * Rules: columns come in the order of the schema and are aligned by what a terminal shows (wide
 * characters count two); a line is cut to the terminal's width and never without a terminal, but
 * what is to be done (`hint`) stands below its row, whole;
 * control characters of foreign text are made visible, so that an app's log cannot drive the
 * reader's terminal.
 */
import type { JsonSchema } from "../kernel/syscall/mod.ts";
import { heading, numberText, unitOf } from "./unit.ts";

export interface Look {
  /** Columns of the terminal; null: do not cut. */
  readonly columns: number | null;
  readonly color: boolean;
  /** Unix ms; what counts as today. */
  readonly now: number;
}

type Row = Readonly<Record<string, unknown>>;

const escapes: Readonly<Record<string, string>> = { "\n": "\\n", "\r": "\\r", "\t": "  " };

/** Text that a terminal takes as text. C0, DEL, C1 and the marks that turn text around. */
export function visible(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is looked for
  return text.replace(/[\u0000-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]/g, (sign) => {
    const code = sign.codePointAt(0) ?? 0;
    return escapes[sign] ?? `\\x${code.toString(16).padStart(2, "0")}`;
  });
}

const isRow = (value: unknown): value is Row =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** One value in one cell. */
function cell(field: string, value: unknown, now: number): string {
  if (value === null || value === undefined) return "-";
  if (typeof value === "number") return numberText(field, value, now);
  if (typeof value === "boolean") return value ? "yes" : "no";
  if (typeof value === "string") return visible(field === "hash" ? value.slice(0, 12) : value);
  if (Array.isArray(value)) {
    return value.length === 0 ? "-" : value.map((item) => part(field, item, now)).join(", ");
  }
  return visible(JSON.stringify(value));
}

/** One of several in a cell: what a flat object holds stands side by side. */
function part(field: string, item: unknown, now: number): string {
  if (!isRow(item)) return cell(field, item, now);
  const fields = Object.entries(item);
  const deep = fields.some(([, value]) => value !== null && typeof value === "object");
  if (deep) return visible(JSON.stringify(item));
  return fields.map(([name, value]) => cell(name, value, now)).join(" ");
}

function dim(text: string, look: Look): string {
  return look.color ? `\x1b[2m${text}\x1b[22m` : text;
}

function padded(text: string, width: number, right: boolean): string {
  const gap = " ".repeat(Math.max(0, width - Bun.stringWidth(text)));
  return right ? gap + text : text + gap;
}

function cut(line: string, columns: number | null): string {
  const bare = line.trimEnd();
  if (columns === null || Bun.stringWidth(bare) <= columns) return bare;
  return `${Bun.sliceAnsi(bare, 0, columns - 1).trimEnd()}…`;
}

/** The fields of rows: those of the schema in its order, then others as they come. */
function fieldsOf(rows: readonly Row[], schema: JsonSchema | null): string[] {
  const declared = Object.keys((schema?.["properties"] as Row | undefined) ?? {});
  const present = new Set(rows.flatMap((row) => Object.keys(row)));
  return [...new Set([...declared.filter((name) => present.has(name)), ...present])];
}

interface Column {
  readonly title: string;
  readonly cells: readonly string[];
  readonly width: number;
  /** Numbers stand to the right. */
  readonly right: boolean;
}

/** Whether a schema says nothing of an object's fields: they are somebody's own. */
function isForeign(schema: JsonSchema | null): boolean {
  return schema !== null && schema["type"] === "object" && schema["properties"] === undefined;
}

function columnOf(
  field: string,
  rows: readonly Row[],
  look: { now: number; raw: boolean },
): Column {
  // A column of an app's own table has its own name, and no unit that we know of.
  const title = look.raw ? visible(field) : heading(field).toUpperCase();
  const cells = rows.map((row) => cell(look.raw ? "" : field, row[field], look.now));
  const width = Math.max(...[title, ...cells].map((text) => Bun.stringWidth(text)));
  const values = rows.map((row) => row[field] ?? null).filter((value) => value !== null);
  const numeric = values.length > 0 && values.every((value) => typeof value === "number");
  return { title, cells, width, right: numeric && (look.raw || unitOf(field) !== "at") };
}

const id = /^([a-z]{3}_[0-9a-z]{20,}|-)$/;

/** Where a line is too narrow for all, ids go first, the last one first: names say the same. */
function fitting(columns: readonly Column[], widthMax: number | null): readonly Column[] {
  const total = columns.reduce((sum, { width }) => sum + width + 2, -2);
  if (widthMax === null || total <= widthMax) return columns;
  const last = columns.findLastIndex(
    ({ cells }, i) => i > 0 && cells.every((text) => id.test(text)),
  );
  return last < 0 ? columns : fitting(columns.toSpliced(last, 1), widthMax);
}

/** Rows as an aligned table. */
function tableText(rows: readonly Row[], schema: JsonSchema | null, look: Look): string[] {
  const raw = isForeign(schema);
  const fields = fieldsOf(rows, schema).filter((field) => raw || field !== "hint");
  const all = fields.map((field) => columnOf(field, rows, { now: look.now, raw }));
  const columns = fitting(all, look.columns);
  const line = (pick: (column: Column) => string) =>
    cut(columns.map((one) => padded(pick(one), one.width, one.right)).join("  "), look.columns);
  const head = dim(
    line(({ title }) => title),
    look,
  );
  const hintOf = ({ hint }: Row) =>
    typeof hint === "string" && !raw ? [`  hint: ${visible(hint)}`] : [];
  return [head, ...rows.flatMap((row, i) => [line(({ cells }) => cells[i] ?? ""), ...hintOf(row)])];
}

/** One object as aligned keys and values; what is nested stands below, indented. */
function recordText(row: Row, schema: JsonSchema | null, look: Look): string[] {
  const fields = fieldsOf([row], schema);
  const properties = (schema?.["properties"] as Record<string, JsonSchema> | undefined) ?? {};
  const nested = (field: string) => isNested(row[field]) && isDeclared(properties[field]);
  const flat = fields.filter((field) => !nested(field));
  const width = Math.max(0, ...flat.map((field) => heading(field).length));
  return fields.flatMap((field) => {
    const title = heading(field);
    if (!nested(field)) {
      return [`${dim(title.padEnd(width), look)}  ${cell(field, row[field], look.now)}`.trimEnd()];
    }
    const columns = look.columns === null ? null : look.columns - 2;
    const inner = valueText(row[field], innerSchema(properties[field]), { ...look, columns });
    return [dim(title, look), ...inner.map((line) => `  ${line}`)];
  });
}

/** A field of any value is somebody's own JSON and is shown as that. */
function isDeclared(schema: JsonSchema | undefined): boolean {
  return schema === undefined || "type" in schema || "anyOf" in schema || "oneOf" in schema;
}

/** Worth lines of its own: an object with fields, or a list of objects. */
function isNested(value: unknown): boolean {
  if (Array.isArray(value)) return value.length > 0 && value.every(isRow);
  return isRow(value) && Object.keys(value).length > 0;
}

/** A schema without its `null` alternative. */
function innerSchema(schema: JsonSchema | undefined): JsonSchema | null {
  const options = (schema?.["anyOf"] ?? schema?.["oneOf"]) as JsonSchema[] | undefined;
  return options?.find((option) => option["type"] !== "null") ?? schema ?? null;
}

/** A whole reply as lines. A list without entries and a bare `done` have their own words. */
export function valueText(value: unknown, schema: JsonSchema | null, look: Look): string[] {
  const inner = innerSchema(schema ?? undefined);
  if (Array.isArray(value)) {
    if (value.length === 0 || !value.every(isRow)) {
      return value.map((item) => cell("", item, look.now));
    }
    return tableText(value, (inner?.["items"] as JsonSchema | undefined) ?? null, look);
  }
  if (!isRow(value)) return value === null ? [] : [cell("", value, look.now)];
  const fields = Object.keys(value);
  if (fields.length === 1 && value["done"] === true) return ["done"];
  return recordText(value, inner, look);
}

/** A reply as lines; its only row, where a terminal is too narrow for it, as keys and values. */
export function replyText(value: unknown, schema: JsonSchema | null, look: Look): string[] {
  const lines = valueText(value, schema, look);
  const [only, ...others] = Array.isArray(value) ? value : [];
  const isCut = look.columns !== null && lines.some((line) => line.endsWith("…"));
  const items = (innerSchema(schema ?? undefined)?.["items"] as JsonSchema | undefined) ?? null;
  if (!isCut || others.length > 0 || !isRow(only) || isForeign(items)) return lines;
  return recordText(only, items, look);
}

const levelColors: Readonly<Record<string, number>> = { error: 31, warn: 33, debug: 2 };

/** A line of the access log, which is JSON, as a sentence; anything else as it is. */
function accessText(text: string): string {
  const known = parsed(text);
  if (!isRow(known)) return text;
  const { id, host, method, path, status, bytes, ms, client, n } = known;
  const times = typeof n === "number" ? ` × ${n}` : "";
  if (typeof status !== "number") return text;
  if (typeof method !== "string") return `${status}${times}, not listed one by one`;
  const size = typeof bytes === "number" ? [numberText("bytes", bytes, 0)] : [];
  const who = typeof client === "string" ? [`from ${client}`] : [];
  const facts = [`${status}${times}`, ...size, `${ms} ms`, ...who, String(id)];
  return `${method} ${host}${path} → ${facts.join(", ")}`;
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    // Not one of ours: shown as it is.
    return null;
  }
}

/** One line of a log: time, level, text. Several lines of text stay several. */
function logLine(row: Row, look: Look): string {
  const level = String(row["level"]);
  const color = levelColors[level];
  const shown = level.padEnd(5);
  const paint = look.color && color !== undefined ? `\x1b[${color}m${shown}\x1b[0m` : shown;
  const said = String(row["text"]);
  const shownText = row["app"] === "access" ? accessText(said) : said;
  const text = shownText.split("\n").map(visible).join("\n  ");
  return `${dim(numberText("at", Number(row["at"]), look.now), look)}  ${paint}  ${text}`;
}

/** One entry of a stream as a line. Not cut: a log line is read whole. */
export function lineText(value: unknown, schema: JsonSchema | null, look: Look): string {
  if (!isRow(value)) return cell("", value, look.now);
  if ("at" in value && "level" in value && "text" in value) return logLine(value, look);
  const fields = fieldsOf([value], schema);
  return fields.map((field) => cell(field, value[field], look.now)).join("  ");
}
