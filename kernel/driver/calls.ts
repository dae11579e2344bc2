/**
 * driver's system calls: the devices there are, and the replica. A whole machine is restored where
 * no kernel runs (`fazt driver replica restore`); one app while the others go on.
 */
import { z } from "zod";
import { type CallTree, call } from "../call.ts";
import { SysError } from "../errno.ts";
import type { Plan } from "./replica-plan.ts";
import { timeOf } from "./replica-target.ts";

const FollowStatus = z.object({
  database: z.string().describe("data.db, or volumes/<app-id>.db"),
  generation: z.string().nullable().describe("generation it is shipped to, null before the first"),
  index: z.int().describe("number of the log within the generation"),
  offset: z.int().describe("bytes of that log that are shipped"),
  shippedAt: z.int().nullable().describe("Unix ms of the last shipment of this run"),
  snapshotAt: z.int().nullable().describe("Unix ms of the last snapshot"),
  waitingSince: z.int().nullable().describe("Unix ms since when something waits to be shipped"),
  error: z.string().nullable().describe("what went wrong last, null when nothing is wrong"),
});

const Drill = z.object({
  at: z.int().describe("Unix ms"),
  ok: z.boolean().describe("whether every database came back whole"),
  tookMs: z.int().describe("milliseconds"),
  databases: z
    .array(
      z.object({
        database: z.string().describe("data.db, or volumes/<app-id>.db"),
        sizeBytes: z.int().describe("bytes of what was made"),
        tables: z.int().describe("tables, indexes and views in it"),
        endsAt: z.int().nullable().describe("Unix ms of the last shipment in it"),
        problem: z.string().nullable().describe("what is wrong with it, null when it is whole"),
      }),
    )
    .describe("every database in the replica"),
});

const Status = z.object({
  state: z
    .enum(["off", "starting", "ok", "late", "away", "fenced"])
    .describe("away: the store does not answer; fenced: another machine writes there"),
  place: z.string().nullable().describe("where the replica is, null when none is set"),
  error: z.string().nullable().describe("what went wrong last, null when nothing is wrong"),
  databases: z.array(FollowStatus).describe("every database that is followed"),
  lastDrill: Drill.nullable().describe("the last restore that was tried out"),
});

const PlanReply = z.object({
  database: z.string().describe("what is restored"),
  generation: z.string().describe("generation it comes from"),
  snapshotAt: z.int().describe("Unix ms of the snapshot it begins with"),
  indexes: z.int().describe("logs applied to it"),
  endsAt: z.int().describe("Unix ms of the last shipment in it"),
  storedBytes: z.int().describe("bytes read from the store"),
});

const planReply = ({ snapshot, indexes, database, generation, endsAt, storedBytes }: Plan) => ({
  database,
  generation,
  snapshotAt: snapshot.at,
  indexes: indexes.length,
  endsAt,
  storedBytes,
});

/** A machine key as it travels. EINVAL. */
function keyOf(text: string): Uint8Array {
  const key = new Uint8Array(Buffer.from(text, "base64"));
  if (key.length === 32) return key;
  throw new SysError("EINVAL", `cannot use the machine key: ${key.length} bytes and not 32`, {
    hint: "give the machine.key of the old machine's data directory",
  });
}

/** What a store refuses with: nothing set or there, its credentials, anything on the way. */
const ofStore = ["ENOENT", "EACCES", "EIO"] as const;

const replica = {
  set: call({
    summary: "Replicate every database to an S3 bucket or a directory, from now on",
    manual:
      "Litestream v0.3 can restore what is written there. The secret is sealed with the machine " +
      "key; keep a copy of machine.key, because no replica holds it. The place is tried before " +
      "it is taken. A place that another machine writes to is refused until that one has been " +
      "silent for half a minute.",
    input: z.object({
      url: z.string().min(1).max(1_000).describe("s3://BUCKET/PREFIX or file:///DIRECTORY"),
      endpoint: z.string().max(1_000).optional().describe("address of an S3 server not Amazon's"),
      region: z.string().max(100).optional().describe("region; auto when an endpoint is named"),
      keyId: z.string().max(500).optional().describe("access key id"),
      secret: z.string().max(1_000).optional().describe("secret access key"),
    }),
    output: Status,
    args: ["url"],
    secrets: ["secret"],
    needs: "driver:admin",
    errors: ["EINVAL", "ENOSPC", ...ofStore],
    effect: "write",
    idempotent: true,
    examples: [
      {
        say: "To a bucket",
        input: { url: "s3://backups/home", region: "eu-central-1", keyId: "AKIA", secret: "…" },
      },
      { say: "To a disk", input: { url: "file:///mnt/disk/fazt" } },
    ],
    run: (kernel, { caller }, place) => kernel.driver.replica.set(caller, place),
  }),

  rm: call({
    summary: "Replicate no more; what is in the store stays there",
    input: z.object({}),
    output: z.object({ removed: z.boolean().describe("true: none is set any more") }),
    needs: "driver:admin",
    errors: ["ENOENT"],
    effect: "destroy",
    examples: [{ say: "Stop replicating", input: {} }],
    run: async (kernel) => {
      await kernel.driver.replica.rm();
      return { removed: true };
    },
  }),

  ls: call({
    summary: "List what the replica can restore, and from when until when",
    input: z.object({}),
    output: z.array(
      z.object({
        database: z.string().describe("data.db, or volumes/<app-id>.db"),
        generation: z.string().describe("an unbroken course of its log"),
        startedAt: z.int().describe("Unix ms when it began"),
        snapshots: z.int().describe("snapshots in it"),
        fromAt: z.int().describe("Unix ms of the first time that can be restored"),
        untilAt: z.int().describe("Unix ms of the last shipment"),
      }),
    ),
    needs: "driver:read",
    errors: [...ofStore, "EBADMSG"],
    effect: "read",
    examples: [{ say: "How far back can I go?", input: {} }],
    run: (kernel) => kernel.driver.replica.ls(),
  }),

  status: call({
    summary: "Show how the replica stands: lag, errors, the last restore that was tried out",
    input: z.object({}),
    output: Status,
    needs: "driver:read",
    errors: [],
    effect: "read",
    examples: [{ say: "Is everything shipped?", input: {} }],
    run: (kernel) => kernel.driver.replica.status(),
  }),

  flush: call({
    summary: "Ship everything committed until now, and answer when it is in the store",
    input: z.object({}),
    output: Status,
    needs: "driver:admin",
    errors: ["ENOENT", "EIO"],
    effect: "write",
    idempotent: true,
    examples: [{ say: "Before pulling the plug", input: {} }],
    run: (kernel) => kernel.driver.replica.flush(),
  }),

  snapshot: call({
    summary: "Take a snapshot of every database now",
    manual: "Snapshots are taken once a day by themselves; a restore begins with one.",
    input: z.object({}),
    output: Status,
    needs: "driver:admin",
    errors: ["ENOENT", "EIO"],
    effect: "write",
    examples: [{ say: "Make the next restore short", input: {} }],
    run: (kernel) => kernel.driver.replica.snapshot(),
  }),

  verify: call({
    summary: "Try a restore out: make every database from the replica, check it, throw it away",
    manual: "Done once a day by itself. Needs free space for the largest database.",
    input: z.object({}),
    output: Drill,
    needs: "driver:admin",
    errors: ofStore,
    effect: "write",
    idempotent: true,
    examples: [{ say: "Is the replica any good?", input: {} }],
    run: (kernel) => kernel.driver.replica.verify(),
  }),

  restoreMachine: call({
    summary: "Make this unclaimed machine an old one, from its replica",
    manual:
      "Only a machine that is not claimed, and only with its setup code. Everything is made and " +
      "verified before anything changes; then the machine starts afresh as the old one, with its " +
      "owner, apps and data, and begins a new generation. Without the machine.key of the old machine " +
      "what it sealed (secrets of apps, the replica's own) cannot be read. A claimed machine, or one " +
      "that is down: fazt driver replica restore.",
    input: z.object({
      code: z.string().max(64).optional().describe("the setup code; not asked for at the machine"),
      url: z.string().min(1).max(1_000).describe("s3://BUCKET/PREFIX or file:///DIRECTORY"),
      endpoint: z.string().max(1_000).optional().describe("address of an S3 server not Amazon's"),
      region: z.string().max(100).optional().describe("region; auto when an endpoint is named"),
      keyId: z.string().max(500).optional().describe("access key id"),
      secret: z.string().max(1_000).optional().describe("secret access key"),
      at: z.string().max(40).optional().describe("time, ISO 8601 or Unix ms; else the latest"),
      key: z.base64().max(64).optional().describe("the old machine.key, 32 bytes in base64"),
      dryRun: z.boolean().default(false).describe("only say what would be done"),
    }),
    output: z.object({
      step: z.enum(["planned", "made", "restored"]).describe("how far it is"),
      database: z.string().nullable().describe("what was made, or null"),
      sizeBytes: z.int().describe("bytes to be read of the store; of made: bytes of the database"),
      domain: z.string().nullable().describe("what the machine answers for, once restored"),
      endsAt: z.int().describe("Unix ms: the moment the machine goes back to"),
      done: z.int().describe("databases made"),
      of: z.int().describe("databases in all"),
    }),
    reply: "lines",
    args: ["url"],
    secrets: ["code", "secret", "key"],
    needs: "public",
    errors: ["EEXIST", "EBUSY", "EBADMSG", "ENOENT", "EIO"],
    effect: "destroy",
    examples: [
      {
        say: "What would come back?",
        input: { url: "s3://backups/home", region: "eu-central-1", keyId: "AKIA", dryRun: true },
      },
    ],
    run: (
      { driver: { replica: drive }, security },
      { caller },
      { code, at, key, dryRun, ...place },
    ) =>
      drive.adopt({
        // Whoever may open the control socket may read the console too.
        code: code ?? (caller.via === "socket" ? (security.setupCode() ?? "") : ""),
        address: caller.address,
        place,
        at: at === undefined ? null : timeOf(at),
        key: key === undefined ? null : keyOf(key),
        dryRun,
      }),
  }),

  restoreApp: call({
    summary: "Put the SQL volume of one app back as it was at a time",
    manual:
      "The app must be stopped. What was made is checked before it takes the place of what is " +
      "there; then a new generation begins. Files and key-value pairs of an app are in data.db " +
      "and come back with the whole machine only.",
    input: z.object({
      app: z.string().min(1).describe("app, by name or id"),
      at: z.string().max(40).optional().describe("time, ISO 8601 or Unix ms; else the latest"),
      dryRun: z.boolean().default(false).describe("only say what would be done"),
    }),
    output: PlanReply,
    args: ["app"],
    needs: "driver:admin",
    errors: ["EINVAL", "EBUSY", "EBADMSG", ...ofStore],
    effect: "destroy",
    examples: [
      { say: "What would come back?", input: { app: "blog", dryRun: true } },
      { say: "Go back to noon", input: { app: "blog", at: "2026-11-20T12:00:00Z" } },
    ],
    run: async (kernel, _invocation, { app, at, dryRun }) =>
      planReply(
        await kernel.driver.replica.restore({
          appId: kernel.app.get(app).id,
          at: at === undefined ? null : timeOf(at),
          dryRun,
        }),
      ),
  }),
};

export const driver = {
  ls: call({
    summary: "List the external devices",
    input: z.object({}),
    output: z.array(
      z.object({
        name: z.string().describe("device"),
        state: z.string().describe("how it stands"),
        place: z.string().nullable().describe("where it is"),
      }),
    ),
    needs: "driver:read",
    errors: [],
    effect: "read",
    examples: [{ say: "What is attached?", input: {} }],
    run: (kernel) => {
      const { state, place } = kernel.driver.replica.status();
      return [{ name: "replica", state, place }];
    },
  }),

  status: call({
    summary: "Show the state of every device in full",
    input: z.object({}),
    output: z.object({ replica: Status.describe("the replica") }),
    needs: "driver:read",
    errors: [],
    effect: "read",
    examples: [{ say: "Is everything replicated?", input: {} }],
    run: (kernel) => ({ replica: kernel.driver.replica.status() }),
  }),

  replica,
} satisfies CallTree;
