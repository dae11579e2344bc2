/**
 * Checks: whether the database is whole and its parts agree. `look.ts` is what is looked at,
 * `child.ts` the process that does it (a large table is read in one go, and nobody should wait for
 * that), `run.ts` the kernel's side of it.
 */
export type { Look } from "./look.ts";
export { type Checks, createChecks } from "./run.ts";
