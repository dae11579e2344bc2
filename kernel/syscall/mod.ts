/**
 * syscall: the one table of calls, the one dispatcher, and the bridges derived from them.
 *
 *     await dispatcher.dispatch(caller, "fs.stat", { path: "/apps/blog/index.html" });
 *
 * Invariants
 * 1. Every operation of the system is declared once, and every way to it is derived.
 * 2. Every call is parsed, authorised, limited and audited in one place, the dispatcher.
 * 3. A caller is who its channel says; an argument never says who is calling.
 * It never holds logic of a domain, and no stack trace crosses a bridge.
 */
export { renderDeclarations } from "./declarations.ts";
export { type CallDescription, describe, type JsonSchema } from "./describe.ts";
export {
  type CallRequest,
  createDispatcher,
  type Dispatcher,
  flatten,
  type Reply,
} from "./dispatch.ts";
export type { Health } from "./health.ts";
export type { Channel } from "./http.ts";
export { type ControlSocket, openControlSocket } from "./socket.ts";
export { createSys, isSys, type Sys } from "./sys.ts";
export { mountSysfs } from "./sysfs.ts";
export { type KernelClient, table } from "./table.ts";
