/**
 * net/guard: what the listeners' runtime does not see: connections whose request is never whole,
 * clients that do not read, too many of one client, and networks that are denied.
 *
 *     const guard = createGuard({ machine, clients, ports, underWay });
 *
 * Invariants
 * 1. A request that is under way is never ended for its head, a WebSocket for nothing but its client
 *    being denied or not reading.
 * 2. A request costs nothing for being guarded.
 * It never reads what is sent.
 */

export { createGuard, type Guard, type GuardCounts, type UnderWay } from "./guard.ts";
