/**
 * net/rule: what is answered before any app: hosts that lead elsewhere, apps that rest.
 *
 *     rules.redirect("www.example.org");  // { to: "https://example.org", permanent: true }
 *
 * It never answers itself: net does, with what this part says.
 */

export type { Redirect, Rest, Rules, Wish } from "./rule.ts";
export { createRules } from "./rule.ts";
export { ruleSql } from "./schema.ts";
export { betterHost, type Sibling, siblingsOf } from "./sibling.ts";
