/**
 * Content coding by `Accept-Encoding` (RFC 9110 section 12.5.3), as pure functions.
 *
 * Rules: the highest q-value wins, then our own order (smallest first); identity is acceptable
 * unless it is excluded by name or by `*;q=0`; a malformed member is ignored.
 */

/** The codings we serve, in our order of preference; identity is the file itself. */
export const codings = ["br", "zstd", "gzip"] as const;
export type Coding = (typeof codings)[number];
export type Encoding = Coding | "identity";

/** The file name ending of a coding's sidecar in a release. */
export const sidecarEnding: Readonly<Record<Coding, string>> = {
  br: ".br",
  zstd: ".zst",
  gzip: ".gz",
};

/** Coding → q-value as the client gave it; names are lower case, `x-gzip` is gzip. */
export function parseAcceptEncoding(field: string): Map<string, number> {
  const weights = new Map<string, number>();
  for (const member of field.split(",")) {
    const [name = "", ...parameters] = member.split(";").map((part) => part.trim().toLowerCase());
    if (name === "") continue;
    const weight = parameters.find((parameter) => parameter.startsWith("q="));
    const q = weight === undefined ? 1 : qvalue(weight.slice(2));
    if (q !== null) weights.set(name === "x-gzip" ? "gzip" : name, q);
  }
  return weights;
}

function qvalue(text: string): number | null {
  return /^(0(\.\d{0,3})?|1(\.0{0,3})?)$/.test(text) ? Number(text) : null;
}

function weightOf(weights: Map<string, number>, encoding: Encoding): number {
  const own = weights.get(encoding);
  if (own !== undefined) return own;
  const any = weights.get("*");
  if (encoding === "identity") return any === 0 ? 0 : Number.MIN_VALUE;
  return any ?? 0;
}

/**
 * The encoding to send of those available (identity always is), or null when the client refuses
 * all of them. Without the field, identity: a client that says nothing may understand nothing.
 */
export function choose(field: string | null, available: readonly Coding[]): Encoding | null {
  if (field === null || field.trim() === "") return "identity";
  const weights = parseAcceptEncoding(field);
  let best: Encoding | null = null;
  let bestWeight = 0;
  for (const encoding of [...codings.filter((c) => available.includes(c)), "identity"] as const) {
    const weight = weightOf(weights, encoding);
    if (weight > bestWeight) [best, bestWeight] = [encoding, weight];
  }
  return best;
}
