/**
 * net: the listeners, certificates, host routing, the streaming proxy to app processes, limits and access log.
 *
 *     const { url } = net.listen("127.0.0.1:8080", osHandler);
 *
 * Invariants
 * 1. The Host alone picks the app; unknown hosts get 421 and learn no name.
 * 2. Files never wake a process; what is no file goes to the app's `fetch`.
 * 3. Nothing is buffered whole: bodies flow with back-pressure, within their limits.
 * It never authenticates (the syscall bridge does) and never trusts a forwarded header.
 */

export type { CertInfo } from "./cert/mod.ts";
export { clientLimits } from "./client/mod.ts";
export { limits as egressLimits, type Resolve } from "./egress/mod.ts";
export * as limits from "./limits.ts";
export type { Listening, Net, NetOptions, NetStatus, OsHandler, RouteInfo } from "./net.ts";
export { createNet } from "./net.ts";
export { migrations } from "./schema.ts";
export type { RouteUsage } from "./traffic/mod.ts";
