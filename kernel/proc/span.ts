/** Spans of time as people write them: `30s`, `5m`, `2h`, `1d`. */

const unitMs = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;

/** Milliseconds of a span; the text has been checked by the schema that read it. */
export function durationMs(span: string): number {
  const unit = span.at(-1);
  const factor = unit === "s" || unit === "m" || unit === "h" || unit === "d" ? unitMs[unit] : 1000;
  return Number.parseInt(span, 10) * factor;
}
