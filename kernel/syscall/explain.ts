/**
 * Turns a schema's complaint into an EINVAL people can act on: the first thing wrong, the field it
 * is wrong in, what was expected, and the nearest right name for a key that does not exist.
 */
import type { z } from "zod";
import { SysError } from "../errno.ts";
import { nearest } from "../nearest.ts";

/**
 * What the complaint is about: the call, the names it would have taken, and whether it is a command
 * too: then it has a page in the manual.
 */
export interface Subject {
  readonly call: string;
  readonly fields: readonly string[];
  readonly command: boolean;
}

/** Where more is said of what the call takes. */
function manualOf({ call, fields, command }: Subject): string {
  if (command) return `fazt man ${call.replaceAll(".", " ")}`;
  return `kernel.${call} takes ${fields.join(", ") || "nothing"}`;
}

/** The first issue as an EINVAL. */
export function explain(error: z.ZodError, subject: Subject): SysError {
  const issue = error.issues[0];
  if (issue === undefined) return new SysError("EINVAL", "bad argument");
  const manual = manualOf(subject);
  const field = issue.path.map(String).join(".");
  if (issue.code === "unrecognized_keys") {
    const key = issue.keys[0] ?? "";
    const guess = field === "" ? nearest(key, subject.fields) : null;
    const place = field === "" ? "" : ` in "${field}"`;
    return new SysError("EINVAL", `unknown argument "${key}"${place}`, {
      hint: guess === null ? manual : `did you mean "${guess}"?`,
    });
  }
  const where = field === "" ? "bad argument" : `bad argument "${field}"`;
  const what = issue.message.charAt(0).toLowerCase() + issue.message.slice(1);
  return new SysError("EINVAL", `${where}: ${what}`, { hint: manual });
}
