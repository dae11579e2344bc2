/**
 * SQL as SQLite's own tokenizer sees it, as far as the linter needs it: words, quoted names,
 * strings, numbers, signs. What SQLite would read in a way of its own (NUL ends the text, an
 * unfinished comment swallows the rest) is refused rather than imitated.
 */
export interface Token {
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
