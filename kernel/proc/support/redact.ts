/**
 * Takes secrets out of what is told. Pure.
 *
 * Two ways, both always: the secrets this machine knows by heart, wherever they stand; and what
 * looks like a secret: by the name it has, by the form it is in, by its randomness. Rather a word
 * too many is taken out than one too few.
 */

/** What stands where a secret was. */
const removed = "[removed]";

/** Secrets that are shorter are words of every text. */
const shortestKnown = 4;

/** Names of fields whose values are secrets, whatever they are. */
const secretName =
  /pass|secret|token|credential|cookie|authorization|private|api_?key|access_?key|key_?id|session|^key$/i;

/** Each form, with what is left of it. */
const forms: readonly (readonly [RegExp, string])[] = [
  [/-----BEGIN [A-Z0-9 ]+-----[\s\S]*?(-----END [A-Z0-9 ]+-----|$)/g, removed],
  [/AGE-SECRET-KEY-1[0-9A-Z]+/gi, removed],
  [/\bfazts?_[0-9a-z]{8,}/gi, removed],
  [/\b(bearer|basic|digest)\s+[^\s"',;]+/gi, `$1 ${removed}`],
  // user:password@ of a URL, and what is asked of it.
  [/(\b[a-z][a-z0-9+.-]*:\/\/)[^\s/?#@"']+@/gi, `$1${removed}@`],
  [/(\b[a-z][a-z0-9+.-]*:\/\/[^\s?"']*)\?[^\s"']+/gi, `$1?${removed}`],
  [/\b(set-)?cookie\b["']?\s*[:=]\s*[^\n]*/gi, `cookie: ${removed}`],
  [
    /([\w.-]*(?:pass(?:word|wd|phrase)?|pwd|secret|token|api[-_]?key|access[-_]?key|credential|authorization|session|private[-_]?key)[\w.-]*["']?\s*(?:[:=]|\bis\b)\s*)("[^"]*"|'[^']*'|[^\s,;&}]+)/gi,
    `$1${removed}`,
  ],
  [/\bA(?:KIA|SIA)[0-9A-Z]{12,}/g, removed],
  [/\beyJ[\w-]+\.[\w-]+(?:\.[\w-]*)?/g, removed],
  [/\b(?:gh[pousr]|sk|pk|rk|xox[abp]|glpat|whsec|npm)[-_][\w-]{10,}/g, removed],
  [/[\w.+-]+@[\w-]+(?:\.[\w-]+)+/g, "[mail]"],
];

/** Long words of three kinds of signs, which nobody writes: keys. Ids and hashes have two. */
const random = /[A-Za-z0-9+/_=-]{24,}/g;
const isRandom = (word: string): boolean =>
  /[a-z]/.test(word) && /[A-Z]/.test(word) && /\d/.test(word);

/** What takes secrets out of a value; `known` are those this machine has. */
export function redactor(known: readonly string[]): (value: unknown) => unknown {
  const sorted = [...new Set(known)]
    .filter((secret) => secret.length >= shortestKnown)
    .sort((a, b) => b.length - a.length);
  const ofText = (text: string): string => {
    let left = text;
    for (const secret of sorted) left = left.replaceAll(secret, removed);
    for (const [form, rest] of forms) left = left.replace(form, rest);
    return left.replace(random, (word) => (isRandom(word) ? removed : word));
  };
  const of = (value: unknown): unknown => {
    if (typeof value === "string") return ofText(value);
    if (Array.isArray(value)) return value.map(of);
    if (typeof value !== "object" || value === null) return value;
    const entries = Object.entries(value).map(([name, one]) => [name, named(name, one)]);
    return Object.fromEntries(entries);
  };
  const named = (name: string, value: unknown): unknown =>
    typeof value === "string" && secretName.test(name) ? removed : of(value);
  return of;
}
