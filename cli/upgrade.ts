/**
 * `fazt proc upgrade` and `fazt proc rollback`: begin it, and follow it until it is over. The kernel
 * that was asked is gone by then, so the next one is asked what became of it. What a release is sent
 * with is in `release.ts`.
 */
import type { Client } from "./client.ts";
import type { LocalCommand } from "./command.ts";
import { answer, type Context, clientOf, lookOf } from "./context.ts";
import { parameter } from "./parameter.ts";
import { sendRelease } from "./release.ts";
import { valueText } from "./render.ts";
import { bytesText, spanMs } from "./unit.ts";
import { UsageError } from "./usage.ts";

interface Attempt {
  readonly id: string;
  readonly at: number;
  readonly outcome: string;
  readonly phase: string;
  readonly phases: readonly { readonly phase: string; readonly at: number }[];
  readonly sentence: string;
  readonly lastLines: readonly string[];
}

/** What was begun. */
interface Begun {
  readonly id: string;
  readonly part: "program" | "system";
}

interface View {
  readonly doneBytes: number | null;
  readonly allBytes: number | null;
  readonly last: Attempt | null;
}

/** Milliseconds between two looks, and for how long nobody need answer while kernels change. */
const lookMs = 300;
const silenceMsMax = { program: 60_000, system: 20 * 60_000 } as const;

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
async function follow(context: Context, at: At, { id, part }: Begun): Promise<Attempt> {
  const { terminal, signal } = context;
  const client = clientOf(context, at.globals);
  let told = "";
  let heardMs = performance.now();
  for (;;) {
    const view = await lookAt(client, signal);
    if (view !== null) heardMs = performance.now();
    const last = view?.last ?? null;
    if (last !== null && last.id === id && last.outcome !== "under way") return last;
    if (performance.now() - heardMs > silenceMsMax[part]) {
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
  const attempt = await follow(context, at, (await client.json(call, input, { signal })) as Begun);
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

/** Everything that was tried, for people: a sentence each, and how far what did not stay came. */
function historyText(tried: readonly Attempt[]): string {
  if (tried.length === 0) return "No upgrade was tried yet.";
  const paragraphs = tried.map((attempt) => {
    const when = new Date(attempt.at).toISOString().slice(0, 16).replace("T", " ");
    const head = `${when}  ${attempt.sentence}`;
    if (attempt.outcome === "committed") return head;
    const way = attempt.phases.map(({ phase }) => phase).join(" > ");
    const lines = attempt.lastLines.map((line) => `    ${line}`);
    return [head, `  came as far as: ${way}`, ...lines].join("\n");
  });
  return paragraphs.join("\n");
}

async function showHistory(context: Context, at: At): Promise<number> {
  const client = clientOf(context, at.globals);
  const tried = await client.json("proc.upgrade.history", {}, { signal: context.signal });
  const text = historyText(tried as Attempt[]);
  await answer(context, at.globals, { json: tried, text });
  return 0;
}

async function showNewest(context: Context, at: At, where: object): Promise<number> {
  const client = clientOf(context, at.globals);
  const found = await client.json("proc.upgrade.check", where, { signal: context.signal });
  const text = valueText(found, null, lookOf(context.terminal)).join("\n");
  await answer(context, at.globals, { json: found, text });
  return 0;
}

const upgrade: LocalCommand = {
  words: ["proc", "upgrade"],
  summary: "Upgrade this machine to a signed release",
  manual:
    "A new program is tried beside the one that runs and takes over from it, losing no request. On " +
    "the appliance a release with an operating system in it is written to the other slot, and the " +
    "machine starts again. Either stays only when everything that answered before still does; " +
    "otherwise what ran before is back by itself, and --history says why. Exit code 1 when it did " +
    "not stay.",
  parameters: [
    parameter("from", "https:// or file:// URL, or a directory of the machine; else the channel's"),
    parameter("file", "a release on this computer, which is sent: a directory, or its manifest"),
    parameter("check", "only look whether there is a newer release", { kind: "boolean" }),
    parameter("history", "only show what was tried, and why what did not stay did not", {
      kind: "boolean",
    }),
    parameter("downgrade", "take an older version, or the same again", { kind: "boolean" }),
    parameter("retry", "take a version that failed here before", { kind: "boolean" }),
    trial,
  ],
  examples: [
    { say: "To the newest", line: "proc upgrade" },
    { say: "Is there one?", line: "proc upgrade --check" },
    { say: "From a directory", line: "proc upgrade --from /mnt/release --trial 10s" },
    { say: "What I have here, to another machine", line: "proc upgrade --file ./release --host h" },
    { say: "Why is it still the old version?", line: "proc upgrade --history" },
  ],
  run: async (context, at) => {
    const { from, file, check, history, downgrade, retry } = at.input;
    if (history === true) return await showHistory(context, at);
    if (from !== undefined && file !== undefined) {
      throw new UsageError("--from and --file name two releases", "give one of them");
    }
    const where = from === undefined ? {} : { from };
    if (check === true) return await showNewest(context, at, where);
    const consent = { downgrade: downgrade === true, retry: retry === true };
    if (file !== undefined) await sendRelease(context, at.globals, { path: String(file), consent });
    const source = file === undefined ? where : { from: "upload" };
    const input = { ...source, ...consent, ...trialOf(at.input) };
    return await begun(context, at, ["proc.upgrade.start", input]);
  },
};

const rollback: LocalCommand = {
  words: ["proc", "rollback"],
  summary: "Go back to what ran before the last upgrade",
  manual:
    "The program goes back losing no request, the operating system by one restart: what was changed " +
    "last. What comes back is on trial as well.",
  parameters: [trial],
  examples: [{ say: "It was better before", line: "proc rollback" }],
  run: (context, at) => begun(context, at, ["proc.rollback", trialOf(at.input)]),
};

const channel: LocalCommand = {
  words: ["proc", "channel"],
  summary:
    "Show or choose which releases this machine takes, from where, and what it does by itself",
  manual:
    "Without anything it shows what holds. stable is what everybody gets, edge what is being tried. " +
    "It is looked for a newer release once a day unless --no-check; it is installed by itself only " +
    "with --automatic, and only in the window.",
  parameters: [
    parameter("channel", "stable or edge", { positional: true, choices: ["stable", "edge"] }),
    parameter("from", "https:// or file:// URL, or a directory of the machine; none: nowhere"),
    parameter("check", "look for a newer one once a day", { kind: "boolean" }),
    parameter("automatic", "install a newer one by itself", { kind: "boolean" }),
    parameter("window", "when that may begin, such as 02:00-05:00"),
    parameter("zone", "time zone of the window, such as Europe/Berlin"),
  ],
  examples: [
    { say: "What holds, and is there something new?", line: "proc channel" },
    {
      say: "From our own server",
      line: "proc channel stable --from https://releases.example.com/",
    },
    {
      say: "By itself, at night",
      line: "proc channel --automatic --window 02:00-05:00 --zone Europe/Berlin",
    },
  ],
  run: async (context, at) => {
    const { from, ...rest } = at.input;
    const where = from === undefined ? {} : { from: from === "none" ? null : from };
    const change = { ...rest, ...where };
    const call = Object.keys(change).length === 0 ? "proc.channel.show" : "proc.channel.set";
    const client = clientOf(context, at.globals);
    const found = await client.json(call, change, { signal: context.signal });
    const text = valueText(found, null, lookOf(context.terminal)).join("\n");
    await answer(context, at.globals, { json: found, text });
    return 0;
  },
};

export const upgradeCommands: readonly LocalCommand[] = [upgrade, rollback, channel];
