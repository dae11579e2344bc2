/**
 * The calls of security. Secrets are inputs that the command line reads from a file or standard
 * input, and that no log ever holds. Over HTTP the bridge turns a login's session into a cookie.
 */
import { z } from "zod";
import { type CallTree, call } from "../call.ts";
import { auditPageMax, passwordBytesMax, tokenLifeDefaultMs, tokenLifeMaxMs } from "./limits.ts";
import { SeedNote } from "./seed.ts";
import { secret, sign, userOf, verify } from "./signing/calls.ts";

const At = z.number().int().describe("Unix milliseconds");
const Capabilities = z
  .array(z.string().max(64))
  .min(1)
  .max(64)
  .describe('what it may do: "domain:verb", "domain:*" or "*"');
const Password = z.string().max(passwordBytesMax);
const Done = z.object({ done: z.literal(true).describe("always true: a refusal is an error") });

const done = { done: true } as const;

const User = z.object({
  id: z.string().describe("id of the user"),
  name: z.string().describe("name to log in with"),
  capabilities: Capabilities,
  createdAt: At.describe("when it was made, Unix milliseconds"),
});

const Token = z.object({
  id: z.string().describe("id of the token, which is not its secret"),
  name: z.string().describe("what it is for"),
  userId: z.string().describe("whose rights it carries"),
  capabilities: Capabilities,
  createdAt: At.describe("when it was made, Unix milliseconds"),
  expiresAt: At.nullable().describe("when it ends, Unix milliseconds; null: never"),
  lastUsedAt: At.nullable().describe("when it was last used, to the minute, Unix milliseconds"),
});

const NewToken = Token.extend({ token: z.string().describe("the secret, shown this once") });

const claim = call({
  summary: "Make this machine yours, with the setup code its console shows",
  manual:
    "Only an unclaimed machine can be claimed, and only once. The fifth wrong code makes a new " +
    "one. The answer holds a token with every right, valid for 30 days: use it to set up.",
  needs: "public",
  effect: "write",
  errors: ["EACCES", "EAGAIN", "EEXIST", "EINVAL", "ENOSPC"],
  secrets: ["code", "rootPass"],
  input: z.object({
    code: z
      .string()
      .max(64)
      .optional()
      .describe("the setup code; case and hyphens do not matter; not asked for at the machine"),
    rootPass: Password.describe("the new root password, at least 10 characters"),
    domain: z.string().max(300).describe('the machine\'s DNS name, or "localhost"'),
    email: z.string().max(300).describe("the owner's mail address, also for certificates"),
  }),
  output: NewToken,
  examples: [
    {
      say: "Claim a machine for a domain",
      input: {
        code: "K7QW-M3XP-9TRA",
        rootPass: "gravel otter lamp seven",
        domain: "example.com",
        email: "me@example.com",
      },
    },
  ],
  run: ({ security }, { caller }, input) => {
    // Whoever may open the control socket may read the console too.
    const own = caller.via === "socket" ? security.setupCode() : null;
    return security.claim({ ...input, code: input.code ?? own ?? "" }, caller.address);
  },
});

const login = call({
  summary: "Begin a session with a password or a token",
  manual:
    "Give a user's name and password, or a token. Over HTTP the session travels as a cookie and " +
    "is not in the reply. Five failures a minute from one address are answered EAGAIN.",
  needs: "public",
  effect: "write",
  errors: ["EAGAIN", "EINVAL", "EKEYREJECTED", "ENOSPC"],
  secrets: ["password", "token"],
  input: z.object({
    user: z.string().max(64).default("root").describe("name of the user"),
    password: Password.optional().describe("the user's password"),
    token: z.string().max(128).optional().describe("a token, in place of name and password"),
  }),
  output: z.object({
    session: z.string().describe("the secret of the session, shown this once"),
    user: User.describe("who is logged in"),
    expiresAt: At.describe("when the session ends at the latest, Unix milliseconds"),
  }),
  examples: [{ say: "Log in as root", input: { password: "gravel otter lamp seven" } }],
  run: ({ security }, { caller }, input) => security.login(input, caller.address),
});

const logout = call({
  summary: "End a session",
  manual: "Over HTTP the session is the one of the cookie. A session that is over already is fine.",
  needs: "public",
  effect: "write",
  idempotent: true,
  errors: ["ENOSPC"],
  secrets: ["session"],
  input: z.object({ session: z.string().max(128).default("").describe("the session's secret") }),
  output: Done,
  examples: [{ say: "Log out of this browser", input: {} }],
  run: ({ security }, _, { session }) => security.logout(session).then(() => done),
});

const whoami = call({
  summary: "Tell who is calling and what they may do",
  needs: "public",
  effect: "read",
  errors: ["ENOKEY"],
  input: z.object({}),
  output: z.object({
    kind: z.enum(["owner", "user", "app"]).describe("what the caller is"),
    via: z
      .enum(["socket", "token", "session", "app", "boot", "none"])
      .describe("the channel that proved it"),
    userId: z.string().nullable().describe("id of the user, if there is one"),
    appId: z.string().nullable().describe("id of the app, if it is one"),
    capabilities: z.array(z.string()).describe("what the caller may do"),
  }),
  examples: [{ say: "Which rights does my token have?", input: {} }],
  run: ({ security }, { caller }) => security.whoami(caller),
});

const rootPass = call({
  summary: "Change the root password",
  manual:
    "Root's other sessions end; tokens stay. At the machine itself the current password is not " +
    "asked for, so that a forgotten one can be replaced.",
  needs: "security:write",
  effect: "write",
  errors: ["EAGAIN", "EINVAL", "EKEYREJECTED", "ENOSPC", "EPERM"],
  secrets: ["password", "current"],
  input: z.object({
    password: Password.describe("the new password, at least 10 characters"),
    current: Password.optional().describe("the current password; needed away from the machine"),
  }),
  output: Done,
  examples: [{ say: "Set a new root password", input: { password: "seven lamps otter gravel" } }],
  run: ({ security }, { caller }, { password, current }) =>
    security.rootPass(caller, { password, current: current ?? null }).then(() => done),
});

const recover = call({
  summary: "Replace a forgotten root password, at the machine itself",
  manual:
    "Every session and every token of the machine ends: whoever held one has to log in again. The " +
    "OS shell and the console tell that it happened until it is acknowledged.",
  needs: "security:write",
  effect: "write",
  errors: ["EINVAL", "ENOSPC", "EPERM"],
  secrets: ["password"],
  input: z.object({ password: Password.describe("the new password, at least 10 characters") }),
  output: Done,
  examples: [{ say: "Nobody knows it any more", input: { password: "seven lamps otter gravel" } }],
  run: ({ security }, { caller }, { password }) =>
    security.recover(caller, password).then(() => done),
});

const acknowledge = call({
  summary: "Say that you have seen that the root password was replaced at the machine",
  needs: "security:write",
  effect: "write",
  idempotent: true,
  errors: ["ENOSPC"],
  input: z.object({}),
  output: Done,
  examples: [{ say: "That was me", input: {} }],
  run: ({ security }) => security.acknowledge().then(() => done),
});

const owner = call({
  summary: "Tell whose machine this is and, at the machine, the code that claims it",
  needs: "security:read",
  effect: "read",
  errors: [],
  input: z.object({}),
  output: z.object({
    claimed: z.boolean().describe("whether it has an owner"),
    domain: z.string().nullable().describe("the machine's DNS name, null when unclaimed"),
    email: z.string().nullable().describe("the owner's mail address, null when unclaimed"),
    claimedAt: At.nullable().describe("when it was claimed, Unix milliseconds"),
    setupCode: z.string().nullable().describe("the setup code; null once claimed, or from afar"),
    recoveredAt: At.nullable().describe(
      "when the root password was replaced at the machine, until acknowledged, Unix milliseconds",
    ),
  }),
  examples: [{ say: "Is it claimed, and for which domain?", input: {} }],
  run: ({ security }, { caller }) => {
    const known = security.owner();
    return {
      claimed: known !== null,
      domain: known?.domain ?? null,
      email: known?.email ?? null,
      claimedAt: known?.claimedAt ?? null,
      setupCode: caller.via === "socket" ? security.setupCode() : null,
      recoveredAt: security.recoveredAt(),
    };
  },
});

const seed = call({
  summary: "Tell what first boot has found and done on this machine",
  manual:
    "Whoever makes a machine can leave configuration for it: a user-data document in a cloud's " +
    "form, on a volume labelled CIDATA, or as a system credential. It is applied once. What was " +
    "wrong with it is told here, with its line.",
  needs: "security:read",
  effect: "read",
  errors: [],
  input: z.object({}),
  output: SeedNote.nullable(),
  examples: [{ say: "Why is it not claimed?", input: {} }],
  run: ({ security }) => security.seed(),
});

const tokenAdd = call({
  summary: "Make a token for a program, with the rights it needs and no more",
  needs: "security:write",
  effect: "write",
  errors: ["EDQUOT", "EINVAL", "ENOSPC", "EPERM"],
  args: ["name"],
  input: z.object({
    name: z.string().max(64).describe("what it is for"),
    capabilities: Capabilities,
    ttlMs: z
      .number()
      .int()
      .positive()
      .max(tokenLifeMaxMs)
      .nullable()
      .default(tokenLifeDefaultMs)
      .describe("how long it lives, milliseconds; null: for ever; 90 days when absent"),
  }),
  output: NewToken,
  examples: [
    { say: "Let CI deploy", input: { name: "ci", capabilities: ["app:deploy", "app:read"] } },
  ],
  run: ({ security }, { caller }, input) => security.tokens.add(caller, input),
});

const tokenLs = call({
  summary: "List the tokens that are valid, without their secrets",
  needs: "security:read",
  effect: "read",
  errors: [],
  input: z.object({}),
  output: z.array(Token),
  examples: [{ say: "Which tokens are there?", input: {} }],
  run: ({ security }) => security.tokens.ls(),
});

const tokenRm = call({
  summary: "End a token and its sessions at once",
  needs: "security:write",
  effect: "destroy",
  errors: ["ENOENT", "ENOSPC", "EPERM"],
  args: ["id"],
  input: z.object({ id: z.string().max(64).describe("id of the token") }),
  output: Done,
  examples: [{ say: "End a leaked token", input: { id: "tok_01kq3v8w5t9xg2m4n6p8r0s2t4" } }],
  run: ({ security }, { caller }, { id }) => security.tokens.rm(caller, id).then(() => done),
});

const userAdd = call({
  summary: "Add a user with a password and some rights",
  needs: "security:write",
  effect: "write",
  errors: ["EAGAIN", "EDQUOT", "EEXIST", "EINVAL", "ENOSPC", "EPERM"],
  args: ["name"],
  secrets: ["password"],
  input: z.object({
    name: z.string().max(64).describe("2 to 32 of a-z, 0-9 and -, a letter first"),
    password: Password.describe("the user's password, at least 10 characters"),
    capabilities: Capabilities,
  }),
  output: User,
  examples: [
    {
      say: "Let ada see and deploy apps",
      input: {
        name: "ada",
        password: "kettle moss violin nine",
        capabilities: ["app:read", "app:deploy"],
      },
    },
  ],
  run: ({ security }, { caller }, input) => security.users.add(caller, input),
});

const userLs = call({
  summary: "List the users",
  needs: "security:read",
  effect: "read",
  errors: [],
  input: z.object({}),
  output: z.array(User),
  examples: [{ say: "Who has an account here?", input: {} }],
  run: ({ security }) => security.users.ls(),
});

const userRm = call({
  summary: "Remove a user with all tokens and sessions",
  needs: "security:write",
  effect: "destroy",
  errors: ["ENOENT", "ENOSPC", "EPERM"],
  args: ["name"],
  input: z.object({ name: z.string().max(64).describe("name of the user") }),
  output: Done,
  examples: [{ say: "Remove ada", input: { name: "ada" } }],
  run: ({ security }, { caller }, { name }) => security.users.rm(caller, name).then(() => done),
});

async function* lines<T>(values: Iterable<T>): AsyncGenerator<T> {
  yield* values;
}

const userErase = call({
  summary: "Remove a user and what they wrote",
  manual:
    "The account, its tokens and sessions, and the keys, documents and files they wrote last. " +
    "What others stand on stays and forgets who it was: apps, releases, routes, the audit log. " +
    "What apps keep of them in SQL volumes is the apps' own matter. A backup still knows them.",
  needs: "security:write",
  effect: "destroy",
  errors: ["ENOENT", "EPERM"],
  args: ["name"],
  input: z.object({ name: z.string().max(64).describe("name of the user") }),
  output: z.object({
    removed: z.number().int().describe("keys, documents and files removed"),
    forgotten: z.number().int().describe("rows that stay and forgot who it was"),
  }),
  examples: [{ say: "Leave nothing of ada", input: { name: "ada" } }],
  run: ({ security }, { caller }, { name }) => security.users.erase(caller, name),
});

const userExport = call({
  summary: "Tell everything that carries a user's id, row by row",
  manual:
    "One line a row: the account, tokens, what they wrote, deployed and did. Secrets and bytes " +
    "are not told; the files listed are read with fs read.",
  needs: "security:write",
  effect: "read",
  audited: true,
  errors: ["ENOENT", "EPERM"],
  args: ["name"],
  reply: "lines",
  input: z.object({ name: z.string().max(64).describe("name of the user") }),
  output: z.object({
    table: z.string().describe("where it is kept"),
    row: z.record(z.string(), z.unknown()).describe("its columns"),
  }),
  examples: [{ say: "What is known of ada?", input: { name: "ada" } }],
  run: ({ security }, { caller }, { name }) => lines(security.users.left(caller, name)),
});

const audit = call({
  summary: "Show who changed what and who was refused, newest first",
  needs: "security:read",
  effect: "read",
  errors: [],
  input: z.object({
    limit: z.number().int().min(1).max(auditPageMax).default(100).describe("entries, at most"),
    before: z.number().int().optional().describe("only entries older than this id"),
    call: z.string().max(64).optional().describe('only this call, such as "security.login"'),
  }),
  output: z.array(
    z.object({
      id: z.number().int().describe("grows with each entry"),
      at: At.describe("when it happened, Unix milliseconds"),
      call: z.string().describe("dotted name of the call"),
      outcome: z.enum(["ok", "refused", "failed"]).describe("what became of it"),
      code: z.string().nullable().describe("errno of a refusal or failure"),
      callerKind: z.string().describe("owner, user, app or anonymous"),
      via: z.string().describe("the channel that proved the caller"),
      userId: z.string().nullable().describe("id of the user"),
      appId: z.string().nullable().describe("id of the app"),
      address: z.string().nullable().describe("the caller's address; null: the machine itself"),
      subject: z.string().describe("the input as JSON without secrets, at most 1 KB"),
    }),
  ),
  examples: [{ say: "Who failed to log in?", input: { call: "security.login", limit: 20 } }],
  run: ({ security }, _, { limit, before, call: name }) =>
    security.audit.ls({ limit, before: before ?? null, call: name ?? null }),
});

const keyStatus = call({
  summary: "Tell whether the machine key is the one that sealed this machine's secrets",
  needs: "security:read",
  effect: "read",
  errors: [],
  input: z.object({}),
  output: z.object({
    held: z.boolean().describe("false: secrets can be neither read nor set until it is put back"),
  }),
  examples: [{ say: "Did the key come along?", input: {} }],
  run: ({ security }) => ({ held: security.key.held() }),
});

const keyShow = call({
  summary: "Show the machine key, to keep a copy of it elsewhere",
  manual:
    "A replica and a plain backup hold no machine key: without a copy of it elsewhere, what it " +
    "sealed (secrets of apps, keys of certificates, the replica's own) is lost with this machine. " +
    "A restore takes it: driver replica restore --key-file, storage restore --key-file, or security " +
    "key set afterwards. Whoever has it and a backup reads the secrets: keep them apart. It is " +
    "written down that it was shown. Away from the machine the root password is asked for.",
  needs: "security:admin",
  effect: "write",
  idempotent: true,
  errors: ["EAGAIN", "EKEYREJECTED", "ENOENT", "EPERM"],
  secrets: ["current"],
  input: z.object({
    current: Password.optional().describe("the root password; needed away from the machine"),
  }),
  output: z.object({
    key: z.base64().describe("machine.key, 32 bytes in base64"),
  }),
  examples: [{ say: "Keep it where the backups are not", input: {} }],
  run: async ({ security }, { caller }, { current }) => {
    const key = await security.key.show(caller, current ?? null);
    return { key: Buffer.from(key).toString("base64") };
  },
});

const keySet = call({
  summary: "Put the machine key back, after a restore without it",
  manual:
    "A replica and a plain backup hold no machine key: what it sealed (secrets of apps, keys of " +
    "certificates, the replica's own) waits for it. Give the machine.key of the old data directory; " +
    "the machine then starts afresh and reads them.",
  needs: "security:admin",
  effect: "write",
  errors: ["EINVAL", "EKEYREJECTED"],
  secrets: ["key"],
  input: z.object({ key: z.base64().max(64).describe("machine.key, 32 bytes in base64") }),
  output: Done,
  examples: [
    {
      say: "Read the secrets again",
      input: { key: "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=" },
    },
  ],
  run: ({ security }, _, { key }) => {
    security.key.set(new Uint8Array(Buffer.from(key, "base64")));
    return done;
  },
});

const keyRenew = call({
  summary: "Make a new machine key when the old one is lost for ever",
  manual:
    "Only while the key is lost. What the old one sealed stays unreadable: set the secrets of apps " +
    "and the replica again; certificates are ordered anew. The machine then starts afresh.",
  needs: "security:admin",
  effect: "destroy",
  errors: ["EEXIST"],
  input: z.object({}),
  output: Done,
  examples: [{ say: "Give the old secrets up", input: {} }],
  run: ({ security }) => security.key.renew().then(() => done),
});

export const security = {
  claim,
  login,
  logout,
  whoami,
  owner,
  seed,
  rootPass,
  recover,
  acknowledge,
  token: { add: tokenAdd, ls: tokenLs, rm: tokenRm },
  user: { add: userAdd, ls: userLs, rm: userRm, erase: userErase, export: userExport, of: userOf },
  key: { status: keyStatus, show: keyShow, set: keySet, renew: keyRenew },
  audit,
  sign,
  verify,
  secret,
} satisfies CallTree;
