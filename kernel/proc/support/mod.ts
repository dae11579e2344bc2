/**
 * support: what somebody who helps must know of this machine, in one file without a secret.
 *
 * Invariants
 * 1. An app's log, files and data are never in it: they are its users'.
 * 2. What is in it went through `redact.ts`, every word of it, names of fields apart.
 * 3. A part that cannot be told says why; the rest is there.
 * It never sends anything anywhere: its owner reads it first.
 */
export { redactor } from "./redact.ts";
