/** A time as a person writes it. */
import { SysError } from "../errno.ts";

/** Unix ms of an ISO 8601 time (UTC when it names no zone) or of Unix ms as text. EINVAL. */
export function timeOf(text: string): number {
  const bare = /^\d{4}-\d\d-\d\dT[\d:.]+$/.test(text) ? `${text}Z` : text;
  const ms = /^\d{12,14}$/.test(text) ? Number(text) : Date.parse(bare);
  const looksRight = /^\d{12,14}$/.test(text) || /^\d{4}-\d\d-\d\d(T|$)/.test(text);
  if (looksRight && Number.isFinite(ms)) return ms;
  throw new SysError("EINVAL", `cannot tell what time "${text.slice(0, 40)}" is`, {
    hint: "write it as 2026-11-20T12:00:00Z, or as Unix milliseconds",
  });
}
