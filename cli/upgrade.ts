/**
 * `fazt proc upgrade` and `fazt proc rollback`: begin it, and follow it until it is over. The kernel
 * that was asked is gone by then, so the next one is asked what became of it.
 */
import type { Client } from "./client.ts";
import type { LocalCommand } from "./command.ts";
import { answer, type Context, clientOf, lookOf } from "./context.ts";
import { parameter } from "./parameter.ts";
import { valueText } from "./render.ts";
import { bytesText, spanMs } from "./unit.ts";

interface Attempt {
  readonly id: string;
  readonly outcome: string;
  readonly phase: string;
  readonly sentence: string;
}

interface View {
  readonly doneBytes: number | null;
  readonly allBytes: number | null;
  readonly last: Attempt | null;
}

/** Milliseconds between two looks, and for how long nobody need answer while kernels change. */
const lookMs = 300;
const silenceMsMax = 60_000;

type At = Parameters<LocalCommand["run"]>[1];

/** What is asked while one kernel ends and the next begins may find neither. */
async function lookAt(client: Client, signal: AbortSignal): Promise<View | null> {
  try {
    return (await client.json("proc.slots", {}, { signal })) as View;
  } catch (error) {
    if (signal.aborted) throw error;
    return null;
  }
}

/** Follows an attempt to its end. */
async function follow(context: Context, at: At, id: string): Promise<Attempt> {
  const { terminal, signal } = context;
  const client = clientOf(context, at.globals);
  let told = "";
  let heardMs = performance.now();
  for (;;) {
    const view = await lookAt(client, signal);
    if (view !== null) heardMs = performance.now();
    const last = view?.last ?? null;
    if (last !== null && last.id === id && last.outcome !== "under way") return last;
    if (performance.now() - heardMs > silenceMsMax) {
      throw new Error("nobody answers any more; fazt proc slots will say what became of it");
    }
    const of = view?.allBytes == null ? "" : ` ${bytesText(view.allBytes)}`;
    const line = last === null ? "" : `${last.phase}${of}`;
    if (line !== "" && line !== told && !at.globals.json && terminal.isTty) {
      terminal.complain(`${line}\n`);
      told = line;
    }
    await Bun.sleep(lookMs);
  }
}

/** Makes the call that begins it, and tells what became of it. */
async function begun(
  context: Context,
  at: At,
  [call, input]: readonly [string, object],
): Promise<number> {
  const client = clientOf(context, at.globals);
  const { signal } = context;
  const { id } = (await client.json(call, input, { signal })) as { id: string };
  const attempt = await follow(context, at, id);
  await answer(context, at.globals, { json: attempt, text: attempt.sentence });
  return attempt.outcome === "committed" ? 0 : 1;
}

const trialOf = (input: At["input"]): object => {
  const span = input["trial"];
  return typeof span === "string" ? { trialMs: spanMs(span, "--trial") } : {};
};

const trial = parameter("trial", "how long it must be well before it stays, such as 5s", {
  default: "1m",
});

const upgrade: LocalCommand = {
  words: ["proc", "upgrade"],
  summary: "Upgrade this machine's program to a signed release, losing no request",
  manual:
    "The release is verified, fetched into the idle slot and tried beside the program that runs; " +
    "it takes over the listeners, and stays only when everything that answered before still does, " +
    "as fast and with no more errors. Otherwise the program from before is back by itself, and " +
    "fazt proc slots says why. Exit code 1 when it did not stay.",
  parameters: [
    parameter("from", "https:// or file:// URL, or a directory of the machine; else the channel's"),
    parameter("check", "only look whether there is a newer release", { kind: "boolean" }),
    parameter("downgrade", "take an older version, or the same again", { kind: "boolean" }),
    parameter("retry", "take a version that failed here before", { kind: "boolean" }),
    trial,
  ],
  examples: [
    { say: "To the newest", line: "proc upgrade" },
    { say: "Is there one?", line: "proc upgrade --check" },
    { say: "From a directory", line: "proc upgrade --from /mnt/release --trial 10s" },
  ],
  run: async (context, at) => {
    const { from, check, downgrade, retry } = at.input;
    const where = from === undefined ? {} : { from };
    if (check === true) {
      const client = clientOf(context, at.globals);
      const found = await client.json("proc.upgrade.check", where, { signal: context.signal });
      const text = valueText(found, null, lookOf(context.terminal)).join("\n");
      await answer(context, at.globals, { json: found, text });
      return 0;
    }
    const consent = { downgrade: downgrade === true, retry: retry === true };
    const input = { ...where, ...consent, ...trialOf(at.input) };
    return await begun(context, at, ["proc.upgrade.start", input]);
  },
};

const rollback: LocalCommand = {
  words: ["proc", "rollback"],
  summary: "Go back to the program that ran before the last upgrade, losing no request",
  parameters: [trial],
  examples: [{ say: "It was better before", line: "proc rollback" }],
  run: (context, at) => begun(context, at, ["proc.rollback", trialOf(at.input)]),
};

export const upgradeCommands: readonly LocalCommand[] = [upgrade, rollback];
