/**
 * egress: the only way out for apps, a part of net. `fetch` inside an app is the call `net.fetch`.
 *
 * Where to read: `egress.ts` is the front, `chain.ts` one fetch with its redirects, `connect.ts`
 * one connection; `policy.ts`, `pattern.ts`, `address.ts`, `redirect.ts`, `secret.ts` decide.
 *
 * Invariants
 * 1. An app reaches hosts the owner agreed to, at addresses on the public internet, and no others;
 *    a redirect is judged like a first request.
 * 2. The address that was judged is the one connected to: names are resolved once a connection.
 * 3. A secret leaves only towards the host it was given for; the app never holds it.
 * It never decodes, rewrites or logs what is inside a request or an answer.
 */

export { groupsOf, standing } from "./address.ts";
export type { Resolve } from "./connect.ts";
export { createEgress, type Egress, type EgressInfo } from "./egress.ts";
export * as limits from "./limits.ts";
export { type Pattern, readPattern } from "./pattern.ts";
export { egressSql } from "./schema.ts";
