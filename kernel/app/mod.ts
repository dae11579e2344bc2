/**
 * app: programs. A stable id with a name, immutable releases, a current one, environment and
 * sealed secrets.
 *
 *     const { app, release } = await apps.stage(caller, deploy); await apps.switchTo(release);
 *
 * Invariants
 * 1. Data is keyed by the id; a rename loses nothing, a new app of an old name finds nothing.
 * 2. The current release is always whole: it is switched in one transaction, after its proof.
 * 3. One deploy of an app at a time; a deploy that is cut leaves nothing after `gc`.
 * It never runs code and never listens.
 */
export type {
  App,
  AppEvent,
  Apps,
  Deploy,
  EnvEntry,
  EnvInfo,
  Release,
  Watcher,
} from "./app.ts";
export { type AppsOptions, createApps } from "./create.ts";
export * as limits from "./limits.ts";
export { Manifest } from "./manifest.ts";
export { migrations } from "./schema.ts";
