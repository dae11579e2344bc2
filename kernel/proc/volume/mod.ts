/**
 * volume: apps' SQL databases from outside. A statement of the owner's, and the migrations of a
 * release, each done by a process of its own in the sandbox the app would be in.
 *
 *     const rows = await volume.run(app, { sql: "SELECT 1 AS one", params: [], write: false });
 *
 * Where to read: `volume.ts` starts the process; `child.ts` is its other end, with `connection.ts`,
 * `statement.ts` and `apply.ts`; `task.ts` is what they say to each other.
 *
 * Invariants
 * 1. The kernel's own process never opens a volume: no statement holds up its event loop, and no
 *    close of a file drops SQLite's locks.
 * 2. What is killed or refused has changed nothing.
 * 3. A release's migrations are applied before traffic moves to it; when one fails, the data is as
 *    it was and the earlier release goes on.
 * It never touches `data.db`, and never runs an app's code.
 */
export type { Cell, Row } from "./task.ts";
export { createVolumes, type Statement, type VolumeOptions, type Volumes } from "./volume.ts";
