/**
 * What apps ask of security: tokens for their own users, and secrets that are not in their
 * environment. Only apps make these calls; each means its own keys and secrets.
 */
import { z } from "zod";
import { call, type Invocation } from "../../call.ts";
import { SysError } from "../../errno.ts";
import type { Kernel } from "../../kernel.ts";
import { claimsBytesMax, tokenCharactersMax, ttlMsDefault, ttlMsMax } from "./limits.ts";

const Token = z.string().max(tokenCharactersMax).describe("a token of security.sign");
const Claims = z.record(z.string(), z.unknown());
const At = z.int();

const self = ({ app }: Kernel, { caller }: Invocation): string => app.subject(caller, undefined).id;

export const sign = call({
  summary: "Sign a token for one of the calling app's own users",
  manual:
    "A JWT (RFC 7519) signed with Ed25519 by a key of the app's own, which the kernel keeps and " +
    "changes every 30 days. sub says who it is about; iss, iat and exp are set by the kernel. Put it " +
    "into a cookie, and ask security.user who comes with it.",
  needs: "security:app",
  errors: ["EBADMSG", "EFBIG"],
  effect: "write",
  surfaces: ["app"],
  input: z.object({
    claims: Claims.describe(`what the token says, at most ${claimsBytesMax} bytes as JSON`),
    ttlMs: z
      .int()
      .min(1000)
      .max(ttlMsMax)
      .default(ttlMsDefault)
      .describe("how long it is good for, milliseconds"),
  }),
  output: z.object({
    token: Token,
    expiresAt: At.describe("when it ends, Unix milliseconds"),
  }),
  examples: [
    { say: "Know ada again for a day", input: { claims: { sub: "ada" }, ttlMs: 86_400_000 } },
  ],
  run: (kernel, at, what) => kernel.security.signing.sign(self(kernel, at), what),
});

export const verify = call({
  summary: "Tell what a token says that the calling app has signed",
  manual: "One that another app signed, that has ended, or that was changed is EKEYREJECTED.",
  needs: "security:app",
  errors: ["EBADMSG", "EKEYREJECTED"],
  effect: "read",
  surfaces: ["app"],
  input: z.object({ token: Token }),
  output: z.object({
    claims: Claims.describe("what was signed"),
    issuedAt: At.describe("when it was signed, Unix milliseconds"),
    expiresAt: At.describe("when it ends, Unix milliseconds"),
  }),
  secrets: ["token"],
  examples: [{ say: "Is this invitation ours?", input: { token: "eyJhbGciOiJFZERTQSJ9.e30.AA" } }],
  run: (kernel, at, { token }) => {
    const verified = kernel.security.signing.verify(self(kernel, at), token);
    if (verified !== null) return verified;
    throw new SysError("EKEYREJECTED", "the token is not one of this app that is valid now", {
      hint: "sign a new one with kernel.security.sign",
    });
  },
});

export const userOf = call({
  summary: "Tell which of the calling app's users a token is about",
  manual:
    "In an app: kernel.security.user({ token }). The id is the token's sub; null when the token is " +
    "not one that this app signed and that is valid now, so that nobody has to catch anything.",
  needs: "security:app",
  errors: ["EBADMSG"],
  effect: "read",
  surfaces: ["app"],
  input: z.object({ token: Token.nullable().describe("a token, or null for a visitor without") }),
  output: z
    .object({
      id: z.string().describe("who it is: sub of the token"),
      claims: Claims.describe("what was signed"),
    })
    .nullable(),
  secrets: ["token"],
  examples: [{ say: "Who is this visitor?", input: { token: "eyJhbGciOiJFZERTQSJ9.e30.AA" } }],
  run: (kernel, at, { token }) => {
    const appId = self(kernel, at);
    const claims = token === null ? null : kernel.security.signing.verify(appId, token)?.claims;
    const id = claims?.["sub"];
    return typeof id === "string" && claims ? { id, claims } : null;
  },
});

export const secret = call({
  summary: "Read one secret of the calling app, as it is now",
  manual:
    'Only what app.json names under "permissions" as secret:<NAME>. Such a secret (set with app env ' +
    "set --secret-file) is not in the app's environment, so nothing that prints that prints it, and " +
    "a new value is read without a restart.",
  needs: "security:app",
  errors: ["EACCES", "EBADMSG", "ENOENT"],
  effect: "read",
  surfaces: ["app"],
  input: z.object({ name: z.string().max(100).describe("name of the secret") }),
  output: z.object({ value: z.string().describe("the secret") }),
  examples: [{ say: "What opens the mail account?", input: { name: "MAIL_PASSWORD" } }],
  run: (kernel, { caller }, { name }) => {
    const app = kernel.app.subject(caller, undefined);
    const release = kernel.app.release(caller.releaseId ?? app.releaseId ?? "");
    return { value: kernel.app.env.secret(release, name) };
  },
});
