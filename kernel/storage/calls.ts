/**
 * storage's system calls: its state, its schema, and key-value pairs. An app leaves `app` out and
 * means its own data; everybody else names one.
 */
import { z } from "zod";
import { type CallTree, call, type Invocation } from "../call.ts";
import type { Kernel } from "../kernel.ts";
import { doc, transact } from "./doc/calls.ts";
import type { KvScope } from "./kv.ts";
import { limits } from "./limits.ts";

const App = z
  .string()
  .min(1)
  .optional()
  .describe("app, by name or id; an app itself leaves it out and means its own data");
const Key = z.string().describe(`key, 1 to ${limits.kvKeyBytesMax} bytes of UTF-8`);

const Entry = z
  .object({
    key: z.string().describe("key"),
    value: z.unknown().describe("any JSON value"),
    version: z.int().describe("grows with each change and never repeats, from 1"),
    expiresAt: z.int().nullable().describe("Unix ms when the key is gone, or null"),
    updatedAt: z.int().describe("Unix ms of the last change"),
  })
  .describe("one key and what it holds");

function scope(kernel: Kernel, { caller }: Invocation, app: string | undefined): KvScope {
  return { appId: kernel.app.subject(caller, app).id, userId: caller.userId };
}

const everywhere = ["app", "http", "cli"] as const;

const kv = {
  get: call({
    summary: "Read one key of an app",
    manual: "The reply is null when there is no such key, or when it has expired.",
    input: z.object({ app: App, key: Key }),
    output: Entry.nullable(),
    args: ["app", "key"],
    surfaces: everywhere,
    needs: "storage:read",
    errors: ["ENOENT"],
    effect: "read",
    examples: [{ say: "What is the theme?", input: { app: "blog", key: "theme" } }],
    run: (kernel, at, { app, key }) => kernel.storage.kv.get(scope(kernel, at, app), key),
  }),

  set: call({
    summary: "Write one key of an app; answers when it is on the disk",
    manual:
      "With ifVersion nothing changes unless the stored version is that one (0: the key is " +
      "absent), else ESTALE. Without ttlMs the key does not expire any more.",
    input: z.object({
      app: App,
      key: Key,
      value: z.unknown().describe(`any JSON value of at most ${limits.kvValueBytesMax} bytes`),
      ttlMs: z.int().min(1).max(limits.kvTtlMsMax).optional().describe("ms until the key expires"),
      ifVersion: z.int().min(0).optional().describe("only when the stored version is this one"),
    }),
    output: Entry,
    args: ["app", "key", "value"],
    surfaces: everywhere,
    secrets: ["value"],
    needs: "storage:write",
    errors: ["ENOENT", "ESTALE", "EFBIG", "EDQUOT", "ENOSPC"],
    effect: "write",
    idempotent: true,
    examples: [
      { say: "Remember the theme", input: { app: "blog", key: "theme", value: "dark" } },
      {
        say: "Keep a session for an hour",
        input: { app: "blog", key: "session/7", value: { user: 7 }, ttlMs: 3_600_000 },
      },
    ],
    run: (kernel, at, { app, key, value, ttlMs, ifVersion }) =>
      kernel.storage.kv.set(scope(kernel, at, app), { key, value }, { ttlMs, ifVersion }),
  }),

  rm: call({
    summary: "Remove one key of an app",
    input: z.object({ app: App, key: Key }),
    output: z.object({ removed: z.boolean().describe("whether the key was there") }),
    args: ["app", "key"],
    surfaces: everywhere,
    needs: "storage:write",
    errors: ["ENOENT", "ENOSPC"],
    effect: "destroy",
    idempotent: true,
    examples: [{ say: "Forget the theme", input: { app: "blog", key: "theme" } }],
    run: async (kernel, at, { app, key }) => ({
      removed: await kernel.storage.kv.rm(scope(kernel, at, app), key),
    }),
  }),

  ls: call({
    summary: "List keys of an app in order, a page at a time",
    manual:
      "A page may hold fewer entries than asked for (values are bounded by bytes too): go on " +
      "with after = the last key until a page is empty.",
    input: z.object({
      app: App,
      prefix: z.string().optional().describe("only keys that begin with this"),
      after: z
        .string()
        .optional()
        .describe("only keys after this one: the last of the page before"),
      limit: z
        .int()
        .min(1)
        .max(limits.kvPageMax)
        .default(limits.kvPage)
        .describe("entries at most"),
    }),
    output: z.array(Entry),
    args: ["app", "prefix"],
    surfaces: everywhere,
    needs: "storage:read",
    errors: ["ENOENT"],
    effect: "read",
    examples: [{ say: "Which sessions are open?", input: { app: "blog", prefix: "session/" } }],
    run: (kernel, at, { app, ...list }) => kernel.storage.kv.ls(scope(kernel, at, app), list),
  }),

  incr: call({
    summary: "Add to the integer a key holds, atomically",
    manual: "A key that is absent counts as 0. A key that expires expires when it would have.",
    input: z.object({
      app: App,
      key: Key,
      by: z.int().default(1).describe("how much; negative subtracts"),
    }),
    output: Entry,
    args: ["app", "key", "by"],
    surfaces: everywhere,
    needs: "storage:write",
    errors: ["ENOENT", "ERANGE", "EDQUOT", "ENOSPC"],
    effect: "write",
    examples: [{ say: "Count a visit", input: { app: "blog", key: "visits" } }],
    run: (kernel, at, { app, key, by }) => kernel.storage.kv.incr(scope(kernel, at, app), key, by),
  }),
};

const Limit = z.object({
  name: z.string().describe("name, with its unit at the end"),
  value: z.number().describe("what holds now"),
  standard: z.number().describe("what holds unless it is changed"),
  least: z.number().describe("the least it may be"),
  most: z.number().describe("the most it may be"),
});

const limit = {
  ls: call({
    summary: "List the limits that may be changed, with their standard values",
    manual:
      "Of every domain; a change holds at once and for good. The same by files: fazt fs cat /sys/limits " +
      "(every limit there is, changeable or not), and fs write /sys/limits/NAME.",
    input: z.object({}),
    output: z.array(Limit),
    needs: "storage:read",
    errors: [],
    effect: "read",
    examples: [{ say: "What may I change?", input: {} }],
    run: (kernel) => kernel.storage.limits.ls(),
  }),

  set: call({
    summary: "Change a limit, at once and for good; without a value, back to the standard",
    input: z.object({
      name: z.string().max(100).describe("name of the limit"),
      value: z.number().optional().describe("what is to hold, in the unit of its name"),
    }),
    output: Limit,
    args: ["name", "value"],
    needs: "storage:admin",
    errors: ["ENOENT", "ERANGE"],
    effect: "write",
    idempotent: true,
    examples: [
      { say: "Write until 90 % are full", input: { name: "storage.diskUsedMax", value: 0.9 } },
    ],
    run: (kernel, _invocation, { name, value }) => kernel.storage.limits.set(name, value ?? null),
  }),
};

export const storage = {
  limit,

  status: call({
    summary: "Show the state of the database and its disk",
    input: z.object({}),
    output: z.object({
      mode: z
        .enum(["normal", "degraded", "read-only", "cockpit-only", "emergency"])
        .describe(
          "what the machine can hold; degraded: memory is short; read-only: the disk is nearly full",
        ),
      reason: z.string().nullable().describe("why it is not normal, or null"),
      dataDir: z.string().describe("path of the data directory on the machine"),
      schemaVersion: z.int().describe("highest migration applied"),
      databaseBytes: z.int().describe("bytes of data.db"),
      walBytes: z.int().describe("bytes of its write-ahead log"),
      diskFreeBytes: z.int().describe("bytes free on the data partition"),
      diskTotalBytes: z.int().describe("bytes of the data partition"),
      writes: z.int().describe("writes acknowledged since start"),
      commits: z.int().describe("transactions that carried them"),
    }),
    needs: "storage:read",
    errors: [],
    effect: "read",
    examples: [{ say: "How much room is left?", input: {} }],
    run: (kernel) => {
      const { mode, reason } = kernel.mode.now();
      return { ...kernel.storage.status(), mode, reason };
    },
  }),

  migrate: call({
    summary: "List the steps of the schema, applied and pending",
    manual:
      "The kernel applies what is pending when it starts. A step that is not known was applied " +
      "by a newer fazt; this one runs on it all the same, because schemas only grow.",
    input: z.object({}),
    output: z.array(
      z.object({
        version: z.int().describe("number of the step"),
        domain: z.string().describe("whose tables it makes"),
        appliedAt: z.int().nullable().describe("Unix ms, or null while it is pending"),
        known: z.boolean().describe("false: a newer fazt applied it"),
      }),
    ),
    needs: "storage:admin",
    errors: [],
    effect: "read",
    examples: [{ say: "Is the schema up to date?", input: {} }],
    run: (kernel) => kernel.storage.migrations(),
  }),

  check: call({
    summary: "Check that the database is whole, table by table, and that its parts agree",
    manual:
      "A process of its own reads all of it, so that nobody waits; asked for again meanwhile, it answers " +
      "both. What belongs to nobody, and what is referred to but not stored, is named.",
    input: z.object({}),
    output: z.object({
      ok: z.boolean().describe("whether no problem was found"),
      problems: z.array(z.string()).describe("what was found"),
      tables: z
        .array(z.object({ name: z.string().describe("table"), rows: z.int().describe("rows") }))
        .describe("every table that was read"),
    }),
    needs: "storage:admin",
    errors: [],
    effect: "read",
    examples: [{ say: "Is everything in order?", input: {} }],
    run: (kernel) => kernel.storage.check(),
  }),

  gc: call({
    summary: "Remove what nothing refers to any more, and give the space back",
    manual:
      "Old releases, files written over, apps removed long enough ago. It happens by itself every hour, " +
      "and every few minutes while the disk is at its mark.",
    input: z.object({}),
    output: z.array(
      z.object({
        name: z.string().describe("what was collected"),
        rows: z.int().describe("rows removed"),
        bytes: z.int().describe("bytes freed"),
      }),
    ),
    needs: "storage:admin",
    errors: ["ENOSPC"],
    effect: "write",
    idempotent: true,
    examples: [{ say: "Make room", input: {} }],
    run: (kernel) => kernel.storage.gc(),
  }),

  backup: call({
    summary: "Write everything into one file, as it is at this moment",
    manual:
      "data.db and every volume, while everything goes on; nobody waits for it. With age " +
      "recipients or a passphrase the file is encrypted and holds the machine key, so that it " +
      "restores everything; without, the key is left out, and so the secrets it seals cannot be " +
      "read until machine.key is put back. The log ring is left out. The fazt command writes it " +
      "to a file: fazt storage backup FILE.",
    input: z.object({
      recipients: z
        .array(z.string().max(4096))
        .max(limits.backupRecipientsMax)
        .default([])
        .describe("age recipients (age1…) who can open it"),
      passphrase: z.string().min(1).max(1024).optional().describe("what opens it"),
    }),
    output: z.void(),
    reply: "bytes",
    secrets: ["passphrase"],
    surfaces: ["http"],
    // Not storage's own: whoever reads a backup reads every app, user and hash of the machine.
    needs: "machine:backup",
    errors: ["EBUSY"],
    effect: "read",
    audited: true,
    examples: [{ say: "A backup anybody can read who has it", input: {} }],
    run: async (kernel, _invocation, { recipients, passphrase }) => ({
      stream: await kernel.storage.backup({
        fazt: kernel.version,
        recipients,
        passphrase: passphrase ?? null,
      }),
      sizeBytes: null,
      contentType: "application/octet-stream",
    }),
  }),

  kv,
  doc,
  transact,
} satisfies CallTree;
