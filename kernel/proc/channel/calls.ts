/**
 * The calls of upgrading: `proc.upgrade.…`, `proc.slots`, `proc.rollback`, for the program and the
 * operating system alike.
 */
import { z } from "zod";
import { call } from "../../call.ts";
import { allows, type Caller } from "../../caller.ts";
import { SysError } from "../../errno.ts";
import type { SlotStatus } from "../system/mod.ts";
import { limits, slots as programs, type Upgrade } from "../upgrade/mod.ts";
import { choice } from "./calls-choice.ts";
import { manifestCharsMax, signatureCharsMax } from "./limits.ts";
import { changedLast, type Part as PartName, sentenceOf, type Tried } from "./way.ts";

const TrialMs = z
  .int()
  .min(limits.trialMsMin)
  .max(3_600_000)
  .optional()
  .describe("how long it must be well before it stays, milliseconds; a minute when left out");

const Part = z
  .enum(["program", "system"])
  .describe("what it is about: fazt itself, or the operating system below it");

const AttemptShape = z.object({
  id: z.string().describe("id of the attempt"),
  part: Part,
  kind: z
    .enum(["binary", "os", "rollback"])
    .describe("a new program, a new system, or the way back to what was before"),
  from: z.string().describe("version that ran"),
  to: z.string().describe("version that was to run; ? when nobody knew yet"),
  at: z.int().describe("when it began, Unix ms"),
  tookMs: z.int().nullable().describe("how long it took, milliseconds; null while it goes on"),
  outcome: z
    .enum(["under way", "committed", "reverted", "failed", "interrupted"])
    .describe("what became of it; failed: nothing had changed yet; reverted: it had taken over"),
  phase: z.string().describe("how far it came"),
  phases: z
    .array(z.object({ phase: z.string().describe("name"), at: z.int().describe("begin, Unix ms") }))
    .describe("the way it went"),
  reason: z.string().nullable().describe("why it did not stay, or null"),
  lastLines: z.array(z.string()).describe("the last lines that the new program or system said"),
  sentence: z.string().describe("all of this in one sentence"),
});

const slots = call({
  summary: "Show what is installed, what runs, and what became of the last upgrade",
  needs: "proc:read",
  errors: ["EIO"],
  effect: "read",
  input: z.object({}),
  output: z.object({
    running: z.string().describe("version that runs"),
    place: z.enum(["base", "a", "b"]).describe("where it is; base: as it was installed"),
    places: z
      .array(
        z.object({
          place: z.enum(["base", "a", "b"]).describe("where"),
          version: z.string().nullable().describe("version there, null: empty"),
          role: z.enum(["active", "previous", "idle"]).describe("previous: a rollback goes there"),
          installedAt: z.int().nullable().describe("Unix ms"),
        }),
      )
      .describe("the places a program can be in"),
    doneBytes: z.int().nullable().describe("bytes fetched of an upgrade under way, or null"),
    allBytes: z.int().nullable().describe("bytes to fetch, or null"),
    system: z
      .array(
        z.object({
          slot: z.enum(["a", "b"]).describe("name of the slot"),
          version: z.string().nullable().describe("version in it; null: empty, or not whole"),
          running: z.boolean().describe("whether this machine runs it now"),
          good: z.boolean().describe("whether it has proved itself: what starts by itself"),
          trial: z.boolean().describe("whether it is on trial, or will be at the next start"),
        }),
      )
      .nullable()
      .describe("the slots of the operating system; null: it is not ours to upgrade"),
    rollbackTo: z
      .object({ part: Part, version: z.string().describe("version it goes back to") })
      .nullable()
      .describe("what fazt proc rollback would do; null: there is nothing to go back to"),
    last: AttemptShape.nullable().describe("the newest attempt, or null"),
    blocked: z
      .array(
        z.object({
          version: z.string().describe("a version that failed"),
          reason: z.string().describe("why"),
        }),
      )
      .describe("versions that are not tried again by themselves"),
  }),
  examples: [{ say: "Did the upgrade stay?", input: {} }],
  run: async ({ upgrade, system, channel }) => {
    const state = upgrade.slots();
    const { running, place, blocked } = state;
    const progress = upgrade.progress();
    const tried = channel.tried();
    const systems = system.present() ? await system.slots() : null;
    const failed = Object.entries({ ...system.blocked(), ...blocked });
    return {
      ...{ running, place, places: placesOf(state), system: systems },
      rollbackTo: rollbackOf(state, systems, changedLast(tried)),
      doneBytes: progress?.doneBytes ?? null,
      allBytes: progress?.allBytes ?? null,
      last: tried[0] === undefined ? null : told(tried[0]),
      blocked: failed.map(([version, reason]) => ({ version, reason })),
    };
  },
});

const history = call({
  summary: "List the upgrades that were tried, newest first, each with how far it came and why",
  needs: "proc:read",
  errors: [],
  effect: "read",
  input: z.object({ limit: z.int().min(1).max(100).default(20).describe("at most so many") }),
  output: z.array(AttemptShape),
  examples: [{ say: "Why is it still the old version?", input: {} }],
  run: ({ channel }, _invocation, { limit }) => channel.tried().slice(0, limit).map(told),
});

const Begun = z.object({
  id: z.string().describe("id of the attempt; it goes on by itself"),
  part: Part,
  to: z.string().describe("version it goes to"),
});

const start = call({
  summary: "Upgrade this machine to a signed release",
  manual:
    "A new program is fetched into the idle slot and tried beside the one that runs; it takes over " +
    "the listeners, losing no request, and stays only when everything that answered before still " +
    "does, as fast and with no more errors; WebSockets are closed with 1012 and come again. On the " +
    "appliance a release with an operating system in it is written to the other slot instead, and " +
    "the machine starts again. Whatever is wrong with either, what ran before is back by itself, " +
    "and fazt proc upgrade --history says why.",
  needs: "proc:admin",
  errors: [
    ...(["ENOSYS", "EBUSY", "EINVAL", "ENOENT", "EBADMSG", "EKEYREJECTED", "ENOEXEC"] as const),
    ...(["ESTALE", "EEXIST", "EFBIG", "ETIMEDOUT", "EIO"] as const),
  ],
  effect: "write",
  input: z.object({
    from: z
      .string()
      .max(2000)
      .optional()
      .describe(
        "an https:// or file:// URL, or a directory of the machine; upload: what was sent; else the channel's",
      ),
    downgrade: z.boolean().default(false).describe("take an older version, or the same again"),
    retry: z.boolean().default(false).describe("take a version that failed here before"),
    trialMs: TrialMs,
  }),
  output: Begun,
  examples: [{ say: "From a directory", input: { from: "/mnt/release" } }],
  run: ({ channel }, _invocation, { from, downgrade, retry, trialMs }) =>
    channel.begin({ from: from ?? null, consent: { downgrade, blocked: retry }, trialMs }),
});

const check = call({
  summary: "Look whether there is a newer release, and install nothing",
  needs: "proc:read",
  errors: ["EINVAL", "ENOENT", "EBADMSG", "EKEYREJECTED", "EFBIG", "ETIMEDOUT", "EIO"],
  effect: "read",
  input: z.object({
    from: z
      .string()
      .max(2000)
      .optional()
      .describe("as with an upgrade; naming one needs proc:admin"),
  }),
  output: z.object({
    version: z.string().describe("version of the newest release"),
    part: Part,
    running: z.string().describe("version that runs"),
    suits: z.boolean().describe("whether it can be installed here"),
    reason: z.string().nullable().describe("why not, or null"),
    notes: z.string().describe("what its makers say"),
  }),
  examples: [{ say: "Is there something new?", input: { from: "/mnt/release" } }],
  run: async ({ channel }, { caller }, { from }) => {
    if (from !== undefined) mustBeAdmin(caller);
    const { manifest, refusal, part, running } = await channel.look(from ?? null);
    const { version, notes } = manifest;
    const reason = refusal?.message ?? null;
    return { version, part, running, suits: refusal === null, reason, notes };
  },
});

/** The machine goes wherever it is sent: to its own files and ports too. EACCES. */
function mustBeAdmin({ grants }: Caller): void {
  if (allows(grants, "proc:admin")) return;
  throw new SysError("EACCES", 'the caller lacks the capability "proc:admin" to say where', {
    hint: "leave out where: it is looked where the owner said (fazt proc channel)",
  });
}

const offer = call({
  summary: "Offer a release that is sent to this machine: its manifest, as it is signed",
  manual:
    "Answers which files of it are wanted; they are sent with proc.upgrade.put, and proc.upgrade." +
    "start from upload installs them. fazt proc upgrade --file DIR does all of that.",
  needs: "proc:admin",
  errors: ["EBUSY", "EBADMSG", "EKEYREJECTED", "ENOEXEC", "ESTALE", "EEXIST"],
  effect: "write",
  idempotent: true,
  input: z.object({
    manifest: z.string().max(manifestCharsMax).describe("the text of the manifest"),
    signature: z.string().max(signatureCharsMax).describe("the text of its .minisig file"),
    downgrade: z.boolean().default(false).describe("take an older version, or the same again"),
    retry: z.boolean().default(false).describe("take a version that failed here before"),
  }),
  output: z.object({
    version: z.string().describe("version of the release"),
    part: Part,
    files: z
      .array(
        z.object({
          name: z.string().describe("name of the file"),
          sizeBytes: z.int().describe("its size, bytes"),
          here: z.boolean().describe("whether it was sent already, whole"),
        }),
      )
      .describe("the files that are wanted"),
  }),
  examples: [{ say: "What is to be sent?", input: { manifest: "{…}", signature: "…" } }],
  run: ({ channel }, _invocation, { manifest, signature, downgrade, retry }) =>
    channel.offer(manifest, signature, { downgrade, blocked: retry }),
});

const put = call({
  summary: "Send one file of the release that was offered",
  needs: "proc:admin",
  errors: ["ENOENT", "EBUSY", "EFBIG", "EBADMSG"],
  effect: "write",
  idempotent: true,
  upload: true,
  uploadBytesMax: limits.artifactBytesMax,
  args: ["name"],
  input: z.object({ name: z.string().max(200).describe("its name in the manifest") }),
  output: z.object({ done: z.literal(true).describe("always true: it is here, whole") }),
  examples: [{ say: "The program", input: { name: "fazt-1.2.3-x64.zst" } }],
  run: async ({ channel }, { body }, { name }) => {
    await channel.put(name, body);
    return { done: true as const };
  },
});

const rollback = call({
  summary: "Go back to what ran before the last upgrade",
  manual:
    "What was changed last is taken back: the program, losing no request; or the operating system, " +
    "by one restart. What comes back is on trial as well.",
  needs: "proc:admin",
  errors: ["ENOSYS", "EBUSY", "ENOENT", "EIO"],
  effect: "write",
  input: z.object({ trialMs: TrialMs }),
  output: Begun,
  examples: [{ say: "It was better before", input: {} }],
  run: ({ channel }, _invocation, { trialMs }) => channel.rollback(trialMs),
});

export const channel = {
  upgrade: { start, check, history, offer, put },
  slots,
  rollback,
  channel: choice,
};

type State = ReturnType<Upgrade["slots"]>;

function placesOf(state: State) {
  return (["base", "a", "b"] as const).map((place) => {
    const role = place === state.active ? "active" : place === state.previous ? "previous" : "idle";
    const installedAt = place === "base" ? null : (state[place]?.installedAt ?? null);
    return { place, version: programs.versionIn(state, place), role, installedAt } as const;
  });
}

/** What going back would be. */
function rollbackOf(state: State, systems: SlotStatus[] | null, last: PartName | null) {
  if (last === "system") {
    const other = systems?.find(({ running }) => !running)?.version ?? null;
    return other === null ? null : { part: last, version: other };
  }
  const version = state.previous === null ? null : programs.versionIn(state, state.previous);
  return version === null ? null : { part: "program" as const, version };
}

function told(attempt: Tried) {
  const { endedAt, at, lastLines, phases, ...rest } = attempt;
  return {
    ...rest,
    at,
    tookMs: endedAt === null ? null : endedAt - at,
    phases: [...phases],
    lastLines: [...lastLines],
    sentence: sentenceOf(attempt),
  };
}
