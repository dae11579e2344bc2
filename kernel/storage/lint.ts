/**
 * The EDD linter: refuses every migration an older binary could not live with, before it is
 * applied. What it allows is a list; whatever is not on it is refused.
 *
 *     CREATE TABLE … STRICT · CREATE VIRTUAL TABLE · CREATE INDEX · CREATE VIEW
 *     CREATE TRIGGER that only inserts or reads · ALTER TABLE … ADD COLUMN · INSERT
 *
 * It reads tokens, never text, so that comments, strings and quoted names hide nothing.
 */
import type { Migration } from "./migrate.ts";

/** What is wrong with a migration, one sentence a fault; empty when it is EDD. Pure. */
export function lintMigration(migration: Migration): string[] {
  const { domain, sql } = migration;
  const tokens = tokenize(sql);
  if (typeof tokens === "string") return [tokens];
  const statements = splitStatements(tokens);
  const made = new Set<string>();
  return statements.flatMap((statement) => {
    const faults = lintStatement(new Words(statement), { domain, made });
    return faults.map((fault) => `${fault}: ${excerpt(statement)}`);
  });
}

interface Context {
  readonly domain: string;
  /** Tables this very migration makes: still empty, so more is allowed on them. */
  readonly made: Set<string>;
}

/** One statement as its keywords; quoted names and strings are never keywords. */
class Words {
  readonly tokens: readonly Token[];

  constructor(tokens: readonly Token[]) {
    this.tokens = tokens;
  }

  /** Whether the keywords stand one after the other from `at` on. */
  at(at: number, ...words: readonly string[]): boolean {
    return words.every((word, i) => this.#keyword(at + i) === word);
  }

  /** Position of the first such run of keywords, or -1. */
  find(...words: readonly string[]): number {
    return this.tokens.findIndex((_, i) => this.at(i, ...words));
  }

  has(...words: readonly string[]): boolean {
    return this.find(...words) >= 0;
  }

  /** Any token as a name: identifiers may be bare or quoted. */
  name(at: number): string {
    return (this.tokens[at]?.text ?? "").toLowerCase();
  }

  #keyword(at: number): string | null {
    const token = this.tokens[at];
    return token?.kind === "word" ? token.text.toUpperCase() : null;
  }
}

function lintStatement(words: Words, context: Context): string[] {
  if (words.tokens.some((token) => token.kind === "parameter")) return ["parameters have no value"];
  if (words.at(0, "ALTER")) return lintAlter(words, context);
  if (words.at(0, "INSERT")) return lintInsert(words, context);
  if (!words.at(0, "CREATE")) return ["only CREATE, ALTER TABLE ADD COLUMN and INSERT are allowed"];
  if (words.at(1, "TEMP") || words.at(1, "TEMPORARY")) return ["temporary things are not schema"];
  if (words.at(1, "TABLE")) return lintTable(words, context);
  if (words.at(1, "VIRTUAL", "TABLE")) return owned(words, afterIfNotExists(words, 3), context);
  if (words.at(1, "UNIQUE", "INDEX") || words.at(1, "INDEX")) return lintIndex(words, context);
  if (words.at(1, "VIEW")) return [];
  if (words.at(1, "TRIGGER")) return lintTrigger(words);
  return ["this kind of CREATE is not allowed"];
}

function lintTable(words: Words, context: Context): string[] {
  const at = afterIfNotExists(words, 2);
  const faults = owned(words, at, context);
  context.made.add(words.name(at));
  let close = words.tokens.length - 1;
  while (close >= 0 && words.tokens[close]?.text !== ")") close--;
  const options = new Words(words.tokens.slice(close + 1));
  if (words.at(at + 1, "AS")) faults.push("CREATE TABLE AS makes a table without types");
  else if (!options.has("STRICT")) faults.push("a table is STRICT");
  return [...faults, ...lintReferences(words)];
}

function lintIndex(words: Words, { made }: Context): string[] {
  const table = words.name(words.find("ON") + 1);
  if (!words.at(1, "UNIQUE") || made.has(table)) return [];
  return ["a UNIQUE index on a table that exists refuses rows an older binary writes"];
}

function lintTrigger(words: Words): string[] {
  const body = new Words(words.tokens.slice(words.find("BEGIN") + 1));
  const faults: string[] = [];
  for (const word of ["DELETE", "UPDATE", "REPLACE", "DROP", "RAISE"]) {
    if (!body.has(word)) continue;
    faults.push(`a trigger that does ${word} changes what an older binary means to do`);
  }
  if (words.has("INSTEAD", "OF")) faults.push("INSTEAD OF swallows what an older binary writes");
  return faults;
}

function lintInsert(words: Words, context: Context): string[] {
  const faults = owned(words, words.find("INTO") + 1, context);
  if (words.has("REPLACE")) faults.push("INSERT OR REPLACE deletes rows");
  if (words.has("DO", "UPDATE")) faults.push("ON CONFLICT DO UPDATE changes rows");
  return faults;
}

function lintAlter(words: Words, context: Context): string[] {
  if (!words.at(1, "TABLE")) return ["only ALTER TABLE … ADD COLUMN is allowed"];
  if (!words.at(3, "ADD")) return ["ALTER TABLE only adds columns"];
  const faults = owned(words, 2, context);
  const column = new Words(words.tokens.slice(4));
  if (column.has("CONSTRAINT") && !column.at(0, "COLUMN")) faults.push("only columns are added");
  if (column.has("NOT", "NULL") && !column.has("DEFAULT")) {
    faults.push("a column that is NOT NULL needs a DEFAULT");
  }
  for (const word of ["UNIQUE", "CHECK", "PRIMARY", "GENERATED"]) {
    if (column.has(word)) faults.push(`a column that is added with ${word} narrows the table`);
  }
  return [...faults, ...lintReferences(words)];
}

function lintReferences(words: Words): string[] {
  const at = words.find("REFERENCES");
  if (at < 0) return [];
  const after = new Words(words.tokens.slice(at));
  const acts = after.has("ON", "DELETE") || after.has("ON", "UPDATE");
  return acts ? ["a foreign key that acts (ON DELETE, ON UPDATE) changes rows by itself"] : [];
}

function afterIfNotExists(words: Words, at: number): number {
  return words.at(at, "IF", "NOT", "EXISTS") ? at + 3 : at;
}

/** A domain touches its own tables only: their names begin with its own. */
function owned(words: Words, at: number, { domain }: Context): string[] {
  if (words.tokens[at + 1]?.text === ".") return ["a name without its database is wanted"];
  return words.name(at).startsWith(`${domain}_`) ? [] : [`a table of ${domain} is "${domain}_…"`];
}

function excerpt(statement: readonly Token[]): string {
  const text = statement.map((token) => token.text).join(" ");
  return text.length > 80 ? `${text.slice(0, 80)}…` : text;
}

// SQL as SQLite's own tokenizer sees it, as far as the rules above need it. What SQLite would read
// in a way of its own (NUL ends the text, an unfinished comment swallows the rest) is refused
// rather than imitated.
interface Token {
  readonly kind: "word" | "quoted" | "string" | "number" | "parameter" | "sign";
  /** A word as it is written; a quoted name without its quotes. */
  readonly text: string;
}

type Kind = Token["kind"] | "space";

// Sticky and in order: the first that matches at a position is the token there. SQLite ends a
// line comment with a line feed only, and takes every character above ASCII for a letter.
const rules: readonly (readonly [Kind, RegExp])[] = [
  ["space", /[ \t\n\f\r]+/y],
  ["space", /--[^\n]*/y],
  ["space", /\/\*[\s\S]*?\*\//y],
  ["string", /[xX]?'(?:[^']|'')*'/y],
  ["quoted", /"(?:[^"]|"")*"/y],
  ["quoted", /`(?:[^`]|``)*`/y],
  ["quoted", /\[[^\]]*\]/y],
  ["number", /0[xX][\da-fA-F_]+|(?:\d[\d_]*\.?[\d_]*|\.\d[\d_]*)(?:[eE][+-]?\d+)?/y],
  ["word", /[A-Za-z_\u0080-\uFEFE\uFF00-\uFFFF][\w$\u0080-\uFEFE\uFF00-\uFFFF]*/y],
  ["parameter", /\?\d*|[:@$#][\w$]+/y],
  ["sign", /\|\||<<|>>|<=|>=|==|!=|<>|->>?|(?!\/\*|--)[-+*/%(),.;<>=&|~]/y],
];

/** The tokens of a text, or a sentence saying why it has none. Pure. */
export function tokenize(sql: string): Token[] | string {
  if (sql.includes("\0")) return "SQLite would stop reading at a NUL";
  const tokens: Token[] = [];
  for (let at = 0; at < sql.length; ) {
    const found = match(sql, at);
    if (found === null)
      return `character ${at} begins nothing: ${JSON.stringify(sql.slice(at, at + 20))}`;
    const [kind, text] = found;
    at += text.length;
    if (kind === "space") continue;
    tokens.push({ kind, text: kind === "quoted" ? unquote(text) : text });
  }
  return tokens;
}

function match(sql: string, at: number): [Kind, string] | null {
  for (const [kind, rule] of rules) {
    rule.lastIndex = at;
    const text = rule.exec(sql)?.[0];
    if (text !== undefined) return [kind, text];
  }
  return null;
}

function unquote(text: string): string {
  const quote = text[0] === "[" ? "]" : (text[0] ?? "");
  return text.slice(1, -1).replaceAll(quote + quote, quote);
}

/** Statements without their semicolons; the body of a trigger belongs to its CREATE. Pure. */
export function splitStatements(tokens: readonly Token[]): Token[][] {
  const statements: Token[][] = [];
  let current: Token[] = [];
  let depth = 0;
  for (const token of tokens) {
    const word = token.kind === "word" ? token.text.toUpperCase() : "";
    if (depth > 0 ? word === "CASE" : word === "BEGIN" && isTrigger(current)) depth++;
    if (word === "END" && depth > 0) depth--;
    if (token.kind === "sign" && token.text === ";" && depth === 0) {
      if (current.length > 0) statements.push(current);
      current = [];
    } else {
      current.push(token);
    }
  }
  if (current.length > 0) statements.push(current);
  return statements;
}

function isTrigger(tokens: readonly Token[]): boolean {
  const words = tokens.slice(0, 3).map((token) => (token.kind === "word" ? token.text : ""));
  const [create = "", second = "", third = ""] = words.map((word) => word.toUpperCase());
  const temporary = second === "TEMP" || second === "TEMPORARY";
  return create === "CREATE" && (second === "TRIGGER" || (temporary && third === "TRIGGER"));
}
