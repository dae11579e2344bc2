/**
 * HTTP's fields as pure functions: byte ranges, content codings, conditions (RFC 9110), media types.
 *
 * Rules
 * 1. Range (section 14): malformed, of another unit, of too many parts, or asking for more bytes
 *    than there are: ignored, the whole file is sent. Well formed but satisfying nothing: 416.
 * 2. Accept-Encoding (12.5.3): the highest q-value wins, then our own order (smallest first);
 *    identity is acceptable unless excluded by name or by `*;q=0`; malformed members are ignored.
 * 3. Conditions in the order of 13.2.2: If-Match before If-Unmodified-Since, If-None-Match before
 *    If-Modified-Since, If-Range last; tags compare strongly but for If-None-Match, dates in whole
 *    seconds; a date that cannot be read is ignored.
 * 4. Media types by file name from our own table, since `nosniff` makes a wrong one visible.
 */
import { limits } from "./limits.ts";

/** A satisfied range: `start` inclusive, `end` exclusive, in bytes. */
export interface ByteRange {
  readonly start: number;
  readonly end: number;
}

export type RangeAnswer =
  | { readonly kind: "whole" }
  | { readonly kind: "unsatisfiable" }
  | { readonly kind: "parts"; readonly parts: readonly ByteRange[] };

const whole: RangeAnswer = { kind: "whole" };

/** `bytes=0-99,-5` against a size: what to send. */
export function parseRange(field: string, sizeBytes: number): RangeAnswer {
  const set = /^bytes=(.*)$/i.exec(field.trim())?.[1];
  // A suffix of an empty file is satisfiable by the letter but cannot be written as a range.
  if (set === undefined || sizeBytes === 0) return emptyAnswer(set, sizeBytes);
  const specs = set.split(",").map((spec) => spec.trim());
  const asked = specs.filter((spec) => spec !== "");
  if (asked.length === 0 || asked.length > limits.rangesMax) return whole;
  const parts: ByteRange[] = [];
  let total = 0;
  for (const spec of asked) {
    const range = parseOne(spec, sizeBytes);
    if (range === "malformed") return whole;
    if (range === "outside") continue;
    parts.push(range);
    total += range.end - range.start;
  }
  if (parts.length === 0) return { kind: "unsatisfiable" };
  if (parts.length > 1 && total > sizeBytes) return whole;
  return { kind: "parts", parts };
}

function emptyAnswer(set: string | undefined, sizeBytes: number): RangeAnswer {
  if (set === undefined || sizeBytes !== 0) return whole;
  return /^\s*\d+-\d*\s*$/.test(set) ? { kind: "unsatisfiable" } : whole;
}

function parseOne(spec: string, sizeBytes: number): ByteRange | "malformed" | "outside" {
  const match = /^(\d*)-(\d*)$/.exec(spec);
  if (match === null) return "malformed";
  const [, first = "", last = ""] = match;
  if (first === "" && last === "") return "malformed";
  if (first === "") {
    const suffix = Number(last);
    if (suffix === 0) return "outside";
    return { start: Math.max(0, sizeBytes - suffix), end: sizeBytes };
  }
  const start = Number(first);
  const end = last === "" ? sizeBytes : Math.min(sizeBytes, Number(last) + 1);
  if (last !== "" && Number(last) < start) return "malformed";
  return start >= sizeBytes ? "outside" : { start, end };
}

/** `bytes 0-99/1000`. */
export function contentRange(range: ByteRange, sizeBytes: number): string {
  return `bytes ${range.start}-${range.end - 1}/${sizeBytes}`;
}

/** What stands before a part of `multipart/byteranges` (RFC 9110 section 14.6). */
export function partHead(
  range: ByteRange,
  of: { sizeBytes: number; contentType: string; boundary: string },
): string {
  return (
    `\r\n--${of.boundary}\r\nContent-Type: ${of.contentType}\r\n` +
    `Content-Range: ${contentRange(range, of.sizeBytes)}\r\n\r\n`
  );
}

/** What ends a `multipart/byteranges` body. */
export function partsTail(boundary: string): string {
  return `\r\n--${boundary}--\r\n`;
}

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
function parseAcceptEncoding(field: string): Map<string, number> {
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
  // The form of asctime(3) names no zone and means UTC all the same.
  const zoned = /\d{4}$/.test(field.trim()) ? `${field} GMT` : field;
  const at = Date.parse(zoned);
  return Number.isNaN(at) ? null : at;
}

const text = {
  text: "text/plain",
  html: "text/html",
  css: "text/css",
  javascript: "text/javascript",
  csv: "text/csv",
  markdown: "text/markdown",
  xml: "application/xml",
} as const;

const endings: Readonly<Record<string, string>> = {
  html: text.html,
  htm: text.html,
  xhtml: "application/xhtml+xml",
  css: text.css,
  js: text.javascript,
  mjs: text.javascript,
  cjs: text.javascript,
  jsx: text.javascript,
  ts: text.text,
  tsx: text.text,
  txt: text.text,
  log: text.text,
  ini: text.text,
  conf: text.text,
  sh: text.text,
  sql: text.text,
  csv: text.csv,
  tsv: "text/tab-separated-values",
  md: text.markdown,
  ics: "text/calendar",
  vcf: "text/vcard",
  vtt: "text/vtt",
  yaml: "application/yaml",
  yml: "application/yaml",
  toml: "application/toml",
  json: "application/json",
  map: "application/json",
  json5: "application/json5",
  jsonld: "application/ld+json",
  geojson: "application/geo+json",
  ndjson: "application/x-ndjson",
  jsonl: "application/x-ndjson",
  webmanifest: "application/manifest+json",
  xml: text.xml,
  xsl: text.xml,
  rss: "application/rss+xml",
  atom: "application/atom+xml",
  svg: "image/svg+xml",
  wasm: "application/wasm",
  pdf: "application/pdf",
  rtf: "application/rtf",
  epub: "application/epub+zip",
  zip: "application/zip",
  gz: "application/gzip",
  tgz: "application/gzip",
  zst: "application/zstd",
  tar: "application/x-tar",
  "7z": "application/x-7z-compressed",
  doc: "application/msword",
  docx: "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
  xlsx: "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
  pptx: "application/vnd.openxmlformats-officedocument.presentationml.presentation",
  odt: "application/vnd.oasis.opendocument.text",
  png: "image/png",
  apng: "image/apng",
  jpg: "image/jpeg",
  jpeg: "image/jpeg",
  gif: "image/gif",
  webp: "image/webp",
  avif: "image/avif",
  heic: "image/heic",
  jxl: "image/jxl",
  bmp: "image/bmp",
  tif: "image/tiff",
  tiff: "image/tiff",
  ico: "image/x-icon",
  mp3: "audio/mpeg",
  m4a: "audio/mp4",
  aac: "audio/aac",
  ogg: "audio/ogg",
  oga: "audio/ogg",
  opus: "audio/ogg",
  flac: "audio/flac",
  wav: "audio/wav",
  weba: "audio/webm",
  mp4: "video/mp4",
  m4v: "video/mp4",
  mov: "video/quicktime",
  webm: "video/webm",
  ogv: "video/ogg",
  mkv: "video/x-matroska",
  mpd: "application/dash+xml",
  m3u8: "application/vnd.apple.mpegurl",
  woff: "font/woff",
  woff2: "font/woff2",
  ttf: "font/ttf",
  otf: "font/otf",
  eot: "application/vnd.ms-fontobject",
  glb: "model/gltf-binary",
  gltf: "model/gltf+json",
};

/** Names without an ending that are text by custom. */
const plainNames = /^(license|licence|copying|readme|changelog|notice|authors)$/i;

const textual =
  /^(text\/|application\/(json5?|xml|yaml|toml|x-ndjson|.*\+(json|xml)$)|image\/svg\+xml)/;
const compressibleToo =
  /^(application\/(wasm|x-tar|rtf|vnd\.ms-fontobject)|font\/[ot]tf|image\/(bmp|x-icon)|model\/gltf)/;

/** The media type of a file by its name; `application/octet-stream` when it says nothing. */
export function contentTypeOf(path: string): string {
  const name = path.slice(path.lastIndexOf("/") + 1);
  const dot = name.lastIndexOf(".");
  if (dot <= 0) return plainNames.test(name) ? withCharset(text.text) : "application/octet-stream";
  const ending = name.slice(dot + 1).toLowerCase();
  const type = Object.hasOwn(endings, ending) ? endings[ending] : undefined;
  return type === undefined ? "application/octet-stream" : withCharset(type);
}

function withCharset(type: string): string {
  return type.startsWith("text/") || type === "application/xhtml+xml"
    ? `${type}; charset=utf-8`
    : type;
}

/** Whether compression is worth trying for a media type. */
export function isCompressible(contentType: string): boolean {
  const [type = ""] = contentType.split(";");
  return textual.test(type) || compressibleToo.test(type);
}
