/**
 * Conditional requests: the evaluation order of RFC 9110 section 13.2.2, as a pure function.
 *
 * Rules: If-Match before If-Unmodified-Since, If-None-Match before If-Modified-Since, If-Range
 * last; tags compare strongly but for If-None-Match; dates compare in whole seconds; a date that
 * cannot be read is ignored.
 */

/** The validators of the selected representation. */
export interface Validators {
  /** Strong, with its quotes. */
  readonly etag: string;
  /** Unix ms; compared in whole seconds. */
  readonly modifiedAt: number;
}

/** `send` the file, `not-modified` (304), or `failed` (412). */
export type Verdict = "send" | "not-modified" | "failed";

/** What the request's conditions come to, for GET and HEAD. */
export function evaluate(headers: Headers, validators: Validators): Verdict {
  const ifMatch = headers.get("if-match");
  if (ifMatch !== null) {
    if (!matches(ifMatch, validators.etag, "strong")) return "failed";
  } else {
    const since = httpDate(headers.get("if-unmodified-since"));
    if (since !== null && seconds(validators.modifiedAt) > seconds(since)) return "failed";
  }
  const ifNoneMatch = headers.get("if-none-match");
  if (ifNoneMatch !== null) {
    return matches(ifNoneMatch, validators.etag, "weak") ? "not-modified" : "send";
  }
  const since = httpDate(headers.get("if-modified-since"));
  if (since !== null && seconds(validators.modifiedAt) <= seconds(since)) return "not-modified";
  return "send";
}

/** Whether Range may be applied: If-Range is absent or names exactly this representation. */
export function rangeApplies(ifRange: string | null, validators: Validators): boolean {
  if (ifRange === null) return true;
  const value = ifRange.trim();
  if (value.startsWith('"') || value.startsWith("W/")) return value === validators.etag;
  const date = httpDate(value);
  return date !== null && seconds(date) === seconds(validators.modifiedAt);
}

function matches(field: string, etag: string, comparison: "strong" | "weak"): boolean {
  if (field.trim() === "*") return true;
  for (const [tag] of field.matchAll(/(?:W\/)?"[^"]*"/g)) {
    if (tag === etag) return true;
    if (comparison === "weak" && tag.startsWith("W/") && tag.slice(2) === etag) return true;
  }
  return false;
}

function seconds(ms: number): number {
  return Math.floor(ms / 1000);
}

/** Unix ms of an HTTP-date (RFC 9110 section 5.6.7), or null. */
function httpDate(field: string | null): number | null {
  if (field === null || !/^[A-Z][a-z]{2,8},? .*\d{2}:\d{2}:\d{2}/.test(field.trim())) return null;
  const at = Date.parse(field);
  return Number.isNaN(at) ? null : at;
}
