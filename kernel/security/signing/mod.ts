/**
 * Tokens that an app signs for its own users, so that it knows them again: JWT (RFC 7519) with
 * Ed25519 (RFC 8037), one row of keys an app, sealed with the machine key. A part of security.
 *
 * Invariants
 * 1. What an app has signed is good for that app alone, whatever the token says.
 * 2. A key never leaves the kernel; it signs for 30 days and is then followed by another one.
 * 3. A token is refused for one reason in one way: nobody learns which part of it was wrong.
 */
export { createSigning, type Signed, type Signing, type Verified } from "./signer.ts";
