/**
 * proc: apps are processes. Supervision as a pure state machine, the sandbox, the one socket
 * between a process and the kernel, on-demand start and sleep.
 *
 *     const response = await proc.fetch(app, request, meta);
 *
 * Where to read: `state.ts` decides, `supervisor.ts` performs, `process.ts` is one process,
 * `wire.ts` and `stream.ts` the protocol of its socket, `exchange.ts` and `answer.ts` the two
 * conversations on it; `child*.ts` is the other end, in the app's process.
 *
 * Invariants
 * 1. A process can say nothing about who it is: its socket is its identity.
 * 2. At most one process of an app gets requests; a crash loop ends in `crashed` with its reason.
 * 3. A request is answered once, whatever becomes of the process.
 * It never routes by host and never reads an app's files for itself.
 */
export { createProc, type ProcOptions } from "./create.ts";
export type { ProcLimits } from "./limits.ts";
export * as limits from "./limits.ts";
export type {
  AppCall,
  AppReply,
  AppUsage,
  Proc,
  ProcEvent,
  ProcStatus,
  RequestMeta,
  SocketPipe,
} from "./proc.ts";
export type { Launcher } from "./sandbox/mod.ts";
export { migrations } from "./schema.ts";
export { type State, states } from "./state.ts";
export { NotRunning } from "./supervisor.ts";
