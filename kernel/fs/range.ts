/**
 * Byte ranges of RFC 9110 section 14, as pure functions.
 *
 * Rules: a field that is malformed, of another unit, of too many ranges, or that asks for more
 * bytes than the file has (overlaps) is ignored and the whole file is sent; one that is well
 * formed but satisfies nothing is refused with 416. Order is the client's.
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
