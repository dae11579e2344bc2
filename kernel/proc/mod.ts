/**
 * proc: apps are processes. Supervision as a pure state machine, the sandbox, the one socket
 * between a process and the kernel, on-demand start and sleep.
 *
 *     const response = await proc.fetch(app, request, meta);
 *
 * Invariants
 * 1. A process can say nothing about who it is: its socket is its identity.
 * 2. At most one process of a release runs; a crash loop ends in `crashed` with its reason.
 * 3. A request is answered once, whatever becomes of the process.
 * It never routes by host and never reads an app's files for itself.
 */
export type { AppCall, AppReply, Proc, ProcStatus, RequestMeta, SocketPipe } from "./proc.ts";
export type { State } from "./state.ts";
