/**
 * Fields of documents in queries: a dotted name as a JSON path, the order of values, and a
 * condition as SQL.
 *
 * Rules
 * 1. Names and operands reach SQLite as bound values only; the text of SQL is ours alone.
 * 2. Values have a class, in this order: missing, null, false, true, numbers, strings, arrays and
 *    objects (which are equal to each other). Numbers compare by value, strings by code point; of
 *    a string its first 256 characters, up to a NUL, count in sorting.
 * 3. Both sides of a comparison of numbers are read by the same routine of SQLite, so that the
 *    same text is the same number.
 */
import { SysError } from "../../errno.ts";
import type { StorageLimits } from "../limits.ts";
import type { SqlValue } from "../storage.ts";

/** Values of one statement, bound by number. */
export class Binds {
  readonly values: SqlValue[] = [];

  add(value: SqlValue): string {
    this.values.push(value);
    return `?${this.values.length}`;
  }
}

/** What a value is, for sorting. */
const classes = { missing: 0, null: 1, false: 2, true: 3, number: 4, string: 5 } as const;

/** SQL for the class of a field; `json` and `path` are SQL. */
export const classSql = (json: string, path: string): string =>
  `CASE json_type(${json}, ${path})
    WHEN 'null' THEN 1 WHEN 'false' THEN 2 WHEN 'true' THEN 3
    WHEN 'integer' THEN 4 WHEN 'real' THEN 4 WHEN 'text' THEN 5
    WHEN 'array' THEN 6 WHEN 'object' THEN 6 ELSE 0 END`;

const prefixSql = (text: string, { docSortCharsMax }: StorageLimits): string =>
  `substr(${text}, 1, ${docSortCharsMax})`;

/**
 * SQL for the sort key of a field within its class. Whole numbers too as REAL, which is what they
 * are in JSON: 2^60 is written 1152921504606847000, and as INTEGER would not be itself again in a
 * cursor.
 */
export const keySql = (json: string, path: string, limits: StorageLimits): string =>
  `CASE json_type(${json}, ${path})
    WHEN 'integer' THEN CAST(json_extract(${json}, ${path}) AS REAL)
    WHEN 'real' THEN json_extract(${json}, ${path})
    WHEN 'text' THEN ${prefixSql(`json_extract(${json}, ${path})`, limits)} ELSE 0 END`;

const refuse = (state: string, hint: string): SysError =>
  new SysError("EINVAL", `cannot query documents: ${state}`, { hint });

/** `author.name` as SQLite's `$."author"."name"`. EINVAL. */
export function fieldPath(field: string, limits: StorageLimits): string {
  const shown = JSON.stringify(field.slice(0, 64).toWellFormed());
  const parts = field.split(".");
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is refused
  const odd = /["\\\u0000-\u001f]/.test(field) || !field.isWellFormed() || parts.includes("");
  if (odd) throw refuse(`bad field ${shown}`, "join names with dots: author.name");
  if (field.length > limits.docFieldCharsMax || parts.length > limits.docFieldPartsMax) {
    const most = `${limits.docFieldCharsMax} characters, ${limits.docFieldPartsMax} names`;
    throw refuse(`field ${shown} is too long`, `at most ${most}`);
  }
  return `$${parts.map((part) => `."${part}"`).join("")}`;
}

type Scalar = null | boolean | number | string;

const operators = [
  "$eq",
  "$ne",
  "$gt",
  "$gte",
  "$lt",
  "$lte",
  "$in",
  "$nin",
  "$contains",
  "$exists",
] as const;

type Operator = (typeof operators)[number];

/** One test of one field; all of a query must hold. */
export interface Condition {
  readonly field: string;
  readonly path: string;
  readonly operator: Operator;
  readonly operand: Scalar | readonly Scalar[];
}

const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

function isScalar(value: unknown): value is Scalar {
  if (typeof value === "string") return value.isWellFormed();
  if (typeof value === "number") return Number.isFinite(value);
  return value === null || typeof value === "boolean";
}

/** `{ field: value }` and `{ field: { $gte: value } }` as conditions. EINVAL naming the field. */
export function conditionsOf(where: unknown, limits: StorageLimits): Condition[] {
  if (!isObject(where)) throw refuse("where is no object", 'such as {"done": false}');
  const conditions = Object.entries(where).flatMap(([field, test]): Condition[] => {
    if (field.startsWith("$")) {
      throw refuse(`no such operator: ${field.slice(0, 20)}`, "name fields; all of them must hold");
    }
    const path = fieldPath(field, limits);
    if (!isObject(test)) {
      return [
        {
          field,
          path,
          operator: "$eq",
          operand: operandOf({ field, operator: "$eq" }, test, limits),
        },
      ];
    }
    return Object.entries(test).map(([name, operand]) => {
      const operator = operators.find((one) => one === name);
      if (operator === undefined) {
        const hint = `operators: ${operators.join(" ")}; a field within is "${field}.name"`;
        throw refuse(`no such operator: ${name.slice(0, 20).toWellFormed()}`, hint);
      }
      return { field, path, operator, operand: operandOf({ field, operator }, operand, limits) };
    });
  });
  if (conditions.length > limits.docConditionsMax) {
    throw refuse(`${conditions.length} conditions`, `at most ${limits.docConditionsMax}`);
  }
  return conditions;
}

interface Test {
  readonly field: string;
  readonly operator: Operator;
}

function operandOf(
  { field, operator }: Test,
  operand: unknown,
  limits: StorageLimits,
): Condition["operand"] {
  const bad = (hint: string) => refuse(`bad operand of ${operator} for "${field}"`, hint);
  if (operator === "$in" || operator === "$nin") {
    if (!Array.isArray(operand) || !operand.every(isScalar)) throw bad("a list of plain values");
    if (operand.length > limits.docOperandsMax) throw bad(`at most ${limits.docOperandsMax}`);
    return operand;
  }
  if (operator === "$exists") {
    if (typeof operand !== "boolean") throw bad("true or false");
    return operand;
  }
  if (!isScalar(operand)) throw bad("null, true, false, a number or a text");
  const ordered = operator === "$eq" || operator === "$ne" || operator === "$contains";
  if (ordered || typeof operand === "number" || typeof operand === "string") return operand;
  throw bad("a number or a text");
}

const isNumber = (type: string): string => `${type} IN ('integer', 'real')`;

/** An operand as SQL that SQLite compares as it is. */
function operandSql(operand: number | string, binds: Binds): string {
  return typeof operand === "string"
    ? binds.add(operand)
    : `json_extract(${binds.add(JSON.stringify(operand))}, '$')`;
}

/** A value, given as its JSON type and itself, compared with an operand. */
function comparedSql(
  value: { type: string; sql: string; sign: string },
  operand: Scalar,
  binds: Binds,
): string {
  const { type, sql, sign } = value;
  if (typeof operand === "number") {
    return `(${isNumber(type)} AND ${sql} ${sign} ${operandSql(operand, binds)})`;
  }
  if (typeof operand === "string") {
    return `(${type} = 'text' AND ${sql} ${sign} ${operandSql(operand, binds)})`;
  }
  return `${type} = '${operand}'`;
}

const signs: Partial<Record<Operator, string>> = {
  $eq: "=",
  $ne: "=",
  $gt: ">",
  $gte: ">=",
  $lt: "<",
  $lte: "<=",
};

/** A condition on the JSON text that `json` names, as SQL. `$ne` and `$nin` hold where missing. */
export function conditionSql(condition: Condition, json: string, binds: Binds): string {
  const { operator, operand } = condition;
  const path = binds.add(condition.path);
  const type = `json_type(${json}, ${path})`;
  const sql = `json_extract(${json}, ${path})`;
  if (operator === "$exists") return `${type} IS ${operand === true ? "NOT " : ""}NULL`;
  if (operator === "$in" || operator === "$nin") {
    const among = `EXISTS (SELECT 1 FROM json_each(${binds.add(JSON.stringify(operand))}) AS o
      WHERE CASE WHEN ${isNumber(type)} THEN ${isNumber("o.type")} AND o.atom = ${sql}
        WHEN ${type} = 'text' THEN o.type = 'text' AND o.atom = ${sql} ELSE o.type = ${type} END)`;
    return operator === "$in" ? among : `(${among}) IS NOT TRUE`;
  }
  const scalar = operand as Scalar;
  if (operator === "$contains") {
    const element = comparedSql({ type: "o.type", sql: "o.atom", sign: "=" }, scalar, binds);
    const within = typeof scalar === "string" ? `instr(${sql}, ${binds.add(scalar)}) > 0` : "0";
    return `CASE ${type} WHEN 'text' THEN ${within} WHEN 'array' THEN
      EXISTS (SELECT 1 FROM json_each(${json}, ${path}) AS o WHERE ${element}) ELSE 0 END`;
  }
  const holds = comparedSql({ type, sql, sign: signs[operator] ?? "=" }, scalar, binds);
  return operator === "$ne" ? `(${holds}) IS NOT TRUE` : holds;
}

/** What the conditions leave of an index: one class, and bounds within it that are inclusive. */
export interface Range {
  readonly valueClass: number;
  /** The only key there is, as an operand; then no bounds. */
  readonly point: number | string | null;
  readonly least: number | string | null;
  readonly most: number | string | null;
}

/** The part of a field's index that the conditions can hold in, or null: all of it. Pure. */
export function rangeOf(field: string, conditions: readonly Condition[]): Range | null {
  const found = conditions.filter((one) => one.field === field && one.operator in signs);
  const [first] = found.filter(({ operator }) => operator === "$eq");
  const range = { point: null, least: null, most: null };
  if (first !== undefined) {
    const { operand } = first;
    if (typeof operand === "number")
      return { ...range, valueClass: classes.number, point: operand };
    if (typeof operand === "string")
      return { ...range, valueClass: classes.string, point: operand };
    return { ...range, valueClass: classes[`${operand as null | boolean}`], point: 0 };
  }
  const bound = (names: readonly Operator[]) =>
    found.find(({ operator }) => names.includes(operator))?.operand as number | string | undefined;
  const least = bound(["$gt", "$gte"]) ?? null;
  const most = bound(["$lt", "$lte"]) ?? null;
  if (least === null && most === null) return null;
  const valueClass = typeof (least ?? most) === "number" ? classes.number : classes.string;
  return {
    valueClass,
    point: null,
    least,
    most: typeof (most ?? least) === typeof (least ?? most) ? most : null,
  };
}

/** An operand as the sort key it would have. */
export function operandKeySql(
  operand: number | string,
  binds: Binds,
  limits: StorageLimits,
): string {
  const sql = operandSql(operand, binds);
  return typeof operand === "string" ? prefixSql(sql, limits) : `CAST(${sql} AS REAL)`;
}
