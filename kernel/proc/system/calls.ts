/**
 * The calls of the operating system below fazt: `proc.system.…`. Upgrading to a release is
 * `proc.upgrade`, for the program and the system together.
 */
import { z } from "zod";
import { call } from "../../call.ts";

const SlotName = z.enum(["a", "b"]).describe("name of the slot");

const Tried = z.object({
  id: z.string().describe("id of the attempt"),
  kind: z
    .enum(["upgrade", "rollback"])
    .describe("a new version was written, or the other slot taken"),
  version: z.string().describe("the version that was tried"),
  from: z.string().describe("the version that ran before"),
  slot: SlotName,
  startedAt: z.int().describe("when it began, Unix ms"),
  endedAt: z.int().nullable().describe("when it was decided, Unix ms; null: under way"),
  outcome: z
    .enum(["committed", "reverted", "failed"])
    .nullable()
    .describe("what became of it: failed changed nothing; null: under way"),
  phase: z.string().describe("how far it came"),
  reason: z.string().nullable().describe("why it was not committed, or null"),
  lastLines: z
    .array(z.string())
    .describe("the last lines of its journal, when it did not start well"),
});

const ls = call({
  summary: "Show both slots of the operating system",
  manual:
    "One runs, the other is what an upgrade writes and a rollback goes to. After a power cut the " +
    "good one starts. Only the appliance.",
  needs: "proc:read",
  errors: ["ENOSYS"],
  effect: "read",
  input: z.object({}),
  output: z.array(
    z.object({
      slot: SlotName,
      version: z.string().nullable().describe("version in it; null: empty, or not wholly written"),
      running: z.boolean().describe("whether this machine runs it now"),
      good: z
        .boolean()
        .describe("whether it has proved itself and starts when nothing is on trial"),
      trial: z.boolean().describe("whether it is on trial, or will be at the next start"),
    }),
  ),
  examples: [{ say: "Which system runs?", input: {} }],
  run: ({ system }) => system.slots(),
});

const history = call({
  summary: "List what was tried with the operating system, and why what did not stay did not",
  needs: "proc:read",
  errors: [],
  effect: "read",
  input: z.object({}),
  output: z.array(Tried),
  examples: [{ say: "Why is the old version back?", input: {} }],
  run: ({ system }) => system.attempts().toReversed(),
});

const Begun = z.object({
  id: z.string().describe("id of the attempt; it goes on by itself"),
  version: z.string().describe("version it goes to"),
  slot: SlotName,
});

const upgrade = call({
  summary: "Upgrade the operating system below fazt to a signed release, by one restart",
  manual:
    "The release is verified, written to the other slot and read back, and the machine starts again. " +
    "The new system is on trial: it stays only when apps, network, units and database are as well as " +
    "before. Otherwise, whatever is wrong with it, the system from before runs again by itself, and " +
    "fazt proc system history says why. Only the appliance.",
  needs: "proc:admin",
  errors: [
    ...(["ENOSYS", "EBUSY", "EINVAL", "ENOENT", "EBADMSG", "EKEYREJECTED", "ENOEXEC"] as const),
    ...(["ESTALE", "EPERM", "EEXIST", "EFBIG", "ETIMEDOUT", "EIO"] as const),
  ],
  effect: "write",
  input: z.object({
    from: z
      .string()
      .max(2000)
      .describe("an https:// or file:// URL, or a directory of the machine, with releases in it"),
    downgrade: z.boolean().default(false).describe("take an older version, or the same again"),
    retry: z.boolean().default(false).describe("take a version that came back here before"),
  }),
  output: Begun,
  examples: [{ say: "From an update server", input: { from: "https://releases.example.com/" } }],
  run: async ({ system }, _invocation, { from, downgrade, retry }) => {
    const { id, version, slot } = await system.upgrade({
      from,
      consent: { downgrade, blocked: retry },
    });
    return { id, version, slot };
  },
});

const rollback = call({
  summary: "Go back to the operating system in the other slot",
  manual:
    "It is read and compared first, then the machine starts again; it is on trial like a new one, so " +
    "that the present system comes back when the other is not as good. The answer is that this has " +
    "begun; fazt proc system history says what became of it. Only the appliance.",
  needs: "proc:admin",
  errors: ["ENOSYS", "EBUSY", "ENOENT", "EIO"],
  effect: "write",
  input: z.object({}),
  output: Begun,
  examples: [{ say: "The new one does not suit", input: {} }],
  run: async ({ system }) => {
    const { id, version, slot } = await system.rollback();
    return { id, version, slot };
  },
});

export const system = { system: { ls, history, upgrade, rollback } };
