/** The states of an app's process; the transitions stand here too (pure, table-tested). */
export type State =
  | "stopped"
  | "starting"
  | "running"
  | "draining"
  | "sleeping"
  | "backoff"
  | "crashed";
