/**
 * net/client: who a client is, whether it may come, and how often.
 *
 *     const visitor = clients.visitor(peer, request.headers, false);
 *     if (visitor.denied || clients.refuses(visitor, "app") !== null) …
 *
 * Invariants
 * 1. A forwarded header is believed of a trusted proxy alone, and of what it says only what stands
 *    right-most.
 * 2. What is remembered of clients is bounded, whatever they do.
 * 3. This very machine is never denied.
 * It never answers: net does, with what this part says.
 */

export { type Clients, createClients, type Visitor } from "./client.ts";
export * as clientLimits from "./limits.ts";
export { addressText, bytesOf } from "./network.ts";
export { type Judgement, type Policy, policiesOf } from "./policy.ts";
export { clientSql } from "./schema.ts";
export type { ClientRule, ClientWish, Ranked, Verdicts } from "./verdict.ts";
