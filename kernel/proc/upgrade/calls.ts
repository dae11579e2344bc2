/**
 * The calls of upgrading: `proc.upgrade`, `proc.slots`, `proc.rollback`.
 */
import { z } from "zod";
import { call } from "../../call.ts";
import { trialMsMin } from "./limits.ts";
import { type Attempt, type Slots, versionIn } from "./slots.ts";

const TrialMs = z
  .int()
  .min(trialMsMin)
  .max(3_600_000)
  .optional()
  .describe("how long it must be well before it stays, milliseconds; a minute when left out");

const AttemptShape = z.object({
  id: z.string().describe("id of the attempt"),
  kind: z.enum(["binary", "os", "rollback"]).describe("what was tried: the program, or the system"),
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
  lastLines: z.array(z.string()).describe("the last lines that the new program said"),
  sentence: z.string().describe("all of this in one sentence"),
});

const slots = call({
  summary: "Show which programs are installed, which one runs, and what became of the last upgrade",
  needs: "proc:read",
  errors: [],
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
  run: ({ upgrade }) => {
    const state = upgrade.slots();
    const { running, place, blocked, history } = state;
    const progress = upgrade.progress();
    return {
      ...{ running, place, places: placesOf(state) },
      doneBytes: progress?.doneBytes ?? null,
      allBytes: progress?.allBytes ?? null,
      last: history[0] === undefined ? null : told(history[0]),
      blocked: Object.entries(blocked).map(([version, reason]) => ({ version, reason })),
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
  run: ({ upgrade }, _invocation, { limit }) => upgrade.slots().history.slice(0, limit).map(told),
});

const Begun = z.object({
  id: z.string().describe("id of the attempt; it goes on by itself"),
  to: z.string().describe("version it goes to"),
});

const start = call({
  summary: "Upgrade this machine's program to a signed release, losing no request",
  manual:
    "The release is verified, fetched into the idle slot and tried beside the program that runs; " +
    "it takes over the listeners, and stays only when everything that answered before still does, " +
    "as fast and with no more errors. Otherwise the program from before is back by itself, and " +
    "fazt proc slots says why. WebSockets are closed with 1012 and come again.",
  needs: "proc:admin",
  errors: [
    "ENOSYS",
    "EBUSY",
    "ENOENT",
    "EBADMSG",
    "EKEYREJECTED",
    "ENOEXEC",
    "ESTALE",
    "EEXIST",
    "EFBIG",
    "ETIMEDOUT",
    "EIO",
  ],
  effect: "write",
  input: z.object({
    from: z
      .string()
      .max(2000)
      .optional()
      .describe("an https:// or file:// URL, or a directory of the machine; else the channel's"),
    downgrade: z.boolean().default(false).describe("take an older version, or the same again"),
    retry: z.boolean().default(false).describe("take a version that failed here before"),
    trialMs: TrialMs,
  }),
  output: Begun,
  examples: [{ say: "From a directory", input: { from: "/mnt/release" } }],
  run: ({ upgrade }, _invocation, { from, downgrade, retry, trialMs }) =>
    upgrade.begin({ from: from ?? null, consent: { downgrade, blocked: retry }, trialMs }),
});

const check = call({
  summary: "Look whether there is a newer release, and install nothing",
  needs: "proc:read",
  errors: ["ENOENT", "EBADMSG", "EKEYREJECTED", "EFBIG", "ETIMEDOUT", "EIO"],
  effect: "read",
  input: z.object({
    from: z.string().max(2000).optional().describe("as with an upgrade"),
  }),
  output: z.object({
    version: z.string().describe("version of the newest release"),
    running: z.string().describe("version that runs"),
    suits: z.boolean().describe("whether it can be installed here"),
    reason: z.string().nullable().describe("why not, or null"),
    notes: z.string().describe("what its makers say"),
  }),
  examples: [{ say: "Is there something new?", input: { from: "/mnt/release" } }],
  run: async ({ upgrade }, _invocation, { from }) => {
    const consent = { downgrade: false, blocked: false };
    const { manifest, refusal } = await upgrade.check({ from: from ?? null, consent });
    const { version, notes } = manifest;
    const reason = refusal?.message ?? null;
    return { version, running: upgrade.slots().running, suits: refusal === null, reason, notes };
  },
});

const rollback = call({
  summary: "Go back to the program that ran before the last upgrade, losing no request",
  needs: "proc:admin",
  errors: ["ENOSYS", "EBUSY", "ENOENT"],
  effect: "write",
  input: z.object({ trialMs: TrialMs }),
  output: Begun,
  examples: [{ say: "It was better before", input: {} }],
  run: ({ upgrade }, _invocation, { trialMs }) => upgrade.rollback(trialMs),
});

export const upgrade = { upgrade: { start, check, history }, slots, rollback };

function placesOf(state: Slots) {
  return (["base", "a", "b"] as const).map((place) => {
    const role = place === state.active ? "active" : place === state.previous ? "previous" : "idle";
    const installedAt = place === "base" ? null : (state[place]?.installedAt ?? null);
    return { place, version: versionIn(state, place), role, installedAt } as const;
  });
}

function told(attempt: Attempt) {
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

/** What became of an attempt, for people. Pure. */
function sentenceOf({ kind, from, to, outcome, phase, reason }: Attempt): string {
  const what = kind === "rollback" ? `Going back from ${from} to ${to}` : `The upgrade to ${to}`;
  if (outcome === "under way") return `${what} is under way: ${phase}.`;
  if (outcome === "committed") return `${what} is done.`;
  const why = reason === null ? "" : `: ${reason}`;
  if (outcome === "reverted") return `${what} was taken back${why}; ${from} runs again.`;
  return `${what} did not happen${why}; ${from} runs.`;
}
