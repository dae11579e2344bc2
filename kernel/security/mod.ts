/**
 * security: who may do what. The setup code and the claim, root-pass, users, sessions, scoped
 * tokens, the machine key that seals secrets, and the audit log.
 *
 *     const caller = security.authenticate({ kind: "token", secret }, address);
 *
 * Invariants
 * 1. An unclaimed machine does nothing but be claimed, with the code its console shows.
 * 2. No secret is stored in the clear or returned twice; a refusal tells nothing by its time.
 * 3. Nobody gives rights they do not hold; what is removed proves nothing from then on.
 * 4. Every refusal and every change is in the audit log.
 * It never decides by address alone, and never logs a secret.
 */

export { parseDomain, parseEmail } from "./claim.ts";
export { keyCheckOf, machineOf } from "./key.ts";
export * as limits from "./limits.ts";
export { assertHash, hashPassword } from "./password.ts";
export { migrations } from "./schema.ts";
export type {
  AuditEntry,
  Claim,
  Identity,
  LocalClaim,
  Login,
  NewToken,
  Owner,
  Security,
  SecurityOptions,
  Session,
  TokenInfo,
  UserInfo,
} from "./security.ts";
export { createSecurity } from "./security.ts";
export type { SeedNote } from "./seed.ts";
