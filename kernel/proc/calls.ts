/**
 * The system calls of proc: what runs, starting and ending it, and the log. The log of the system
 * itself has the names `kernel` and `access`.
 */
import { z } from "zod";
import { call } from "../call.ts";
import { SysError } from "../errno.ts";
import { quantileMs } from "../histogram.ts";
import type { Kernel } from "../kernel.ts";
import { passed } from "../machine.ts";
import type { LogLine, LogQuery } from "../storage/mod.ts";
import { durationMs } from "./limits.ts";
import { modes } from "./mode/mod.ts";
import type { AppUsage } from "./proc.ts";
import { type Usage, usageOf } from "./procfs.ts";
import { states } from "./state.ts";

const AppArg = z.string().min(1).max(100).describe("name or id of the app");

const Status = z.object({
  name: z.string().describe("name of the app"),
  id: z.string().describe("stable id of the app"),
  state: z.enum(["static", ...states]).describe("state of its process; static: it has none"),
  pid: z.int().nullable().describe("process id on the host, null when there is no process"),
  release: z.string().nullable().describe("id of the release that runs, or would"),
  restarts: z.int().describe("starts after a crash, since the kernel started"),
  rssBytes: z.int().describe("resident memory in bytes, shared pages included"),
  cpuMs: z.int().describe("processor time of the process, milliseconds"),
  requests: z.int().describe("requests since the kernel started"),
  uptimeMs: z.int().describe("age of the process, milliseconds"),
  reason: z.string().nullable().describe("why it is in this state, or null"),
});

const Described = Status.extend({
  lacks: z
    .array(z.string())
    .describe("what of the full sandbox this host lacks for its process; empty when nothing"),
});

const Line = z.object({
  id: z.int().describe("position of the line; later lines have higher ones"),
  at: z.int().describe("Unix ms"),
  app: z.string().describe("name of the app, kernel or access"),
  release: z.string().nullable().describe("id of the release that printed it, or null"),
  level: z.enum(["debug", "info", "warn", "error"]).describe("level"),
  text: z.string().describe("the line"),
});

const ls = call({
  summary: "List the processes of apps",
  needs: "proc:read",
  errors: [],
  effect: "read",
  input: z.object({}),
  output: z.array(Status),
  examples: [{ say: "What runs, and what is down?", input: {} }],
  run: (kernel) => kernel.proc.ls(),
});

const status = call({
  summary: "Describe the processes of all apps, or of one",
  needs: "proc:read",
  errors: ["ENOENT"],
  effect: "read",
  args: ["app"],
  input: z.object({ app: AppArg.optional() }),
  output: z.array(Described),
  examples: [{ say: "Why is the blog down?", input: { app: "blog" } }],
  run: ({ proc, app: apps }, _invocation, { app }) => {
    const found = app === undefined ? proc.ls() : [proc.status(apps.get(app))];
    const served = found.some(({ state }) => state !== "static");
    const lacks = served ? [...proc.sandbox().lacks] : [];
    return found.map((each) => ({ ...each, lacks: each.state === "static" ? [] : lacks }));
  },
});

const mode = call({
  summary: "Show what the machine can hold at this moment, and why",
  manual:
    "normal: everything. degraded: caches are dropped. read-only: the disk is at its mark, and only " +
    "what makes room is written. cockpit-only: apps sleep, and only the OS shell answers. emergency: " +
    "the kernel ends to be started afresh. Each ends by itself when its cause has.",
  needs: "proc:read",
  errors: [],
  effect: "read",
  input: z.object({}),
  output: z.object({
    mode: z.enum(modes).describe("the mode"),
    reason: z.string().nullable().describe("why it is not normal, or null"),
    enteredAt: z.int().describe("Unix ms of the change to this mode"),
  }),
  examples: [{ say: "Why do apps not answer?", input: {} }],
  run: (kernel) => kernel.mode.now(),
});

const startApp = call({
  summary: "Start an app that is stopped, asleep or crashed",
  manual: "Answers when it runs, or with the state and the reason when it does not come up.",
  needs: "proc:write",
  errors: ["ENOENT", "ENOEXEC"],
  effect: "write",
  idempotent: true,
  args: ["app"],
  input: z.object({ app: AppArg }),
  output: Status,
  examples: [{ say: "Start the blog again", input: { app: "blog" } }],
  run: (kernel, _invocation, { app }) => kernel.proc.startApp(kernel.app.get(app)),
});

const TopRow = z.object({
  at: z.int().describe("Unix ms"),
  app: z.string().describe("name of the app; kernel: the system itself"),
  state: z.string().describe("state of its process"),
  pid: z.int().nullable().describe("process id on the host"),
  cpuPercent: z.number().describe("processor time since the last look, 100 is one core"),
  memoryBytes: z.int().describe("memory the process holds alone, bytes"),
  rssBytes: z.int().describe("resident memory in bytes, shared pages included"),
  requestsPerS: z
    .number()
    .nullable()
    .describe("requests a second since the last look; null for the kernel"),
  p50Ms: z.number().nullable().describe("half of its replies began within this, milliseconds"),
  p99Ms: z.number().nullable().describe("99 of 100 replies began within this, milliseconds"),
  restarts: z.int().describe("starts after a crash, since the kernel started"),
});

const top = call({
  summary: "Show what the kernel and the processes of apps use, over a second or going on",
  manual:
    "One row an app and one of the kernel, the busiest first; with follow, the rows again after " +
    "each interval.",
  needs: "proc:read",
  errors: [],
  effect: "read",
  reply: "lines",
  input: z.object({
    follow: z.boolean().default(false).describe("go on (-f)"),
    everyMs: z.int().min(100).max(60_000).default(1000).describe("interval, milliseconds"),
  }),
  output: TopRow,
  examples: [{ say: "Who uses the processor?", input: { follow: true } }],
  run: (kernel, { signal }, input) => topRows(kernel, input, signal),
});

const stop = call({
  summary: "Stop an app until it is started again, also over reboots",
  manual: "Requests under way are finished first, at most 30 seconds long.",
  needs: "proc:write",
  errors: ["ENOENT", "ENOEXEC", "ENOSPC"],
  effect: "write",
  idempotent: true,
  args: ["app"],
  input: z.object({ app: AppArg }),
  output: Status,
  examples: [{ say: "Take the blog's server down", input: { app: "blog" } }],
  run: (kernel, _invocation, { app }) => kernel.proc.stop(kernel.app.get(app)),
});

const restart = call({
  summary: "Replace the process of an app by a fresh one, losing no request",
  needs: "proc:write",
  errors: ["ENOENT", "EBADMSG", "ENOEXEC"],
  effect: "write",
  args: ["app"],
  input: z.object({ app: AppArg }),
  output: Status,
  examples: [{ say: "Give the blog a fresh process", input: { app: "blog" } }],
  run: (kernel, _invocation, { app }) => kernel.proc.restart(kernel.app.get(app)),
});

const kill = call({
  summary: "End the process of an app at once, requests under way included",
  needs: "proc:write",
  errors: ["ENOENT", "ESRCH"],
  effect: "destroy",
  args: ["app"],
  input: z.object({ app: AppArg }),
  output: Status,
  examples: [{ say: "End a process that does not listen", input: { app: "blog" } }],
  run: (kernel, _invocation, { app }) => kernel.proc.kill(kernel.app.get(app)),
});

const logs = call({
  summary: "Show the log of an app, of the kernel, or of access",
  manual: "The newest lines, oldest first; with follow, what comes after them too.",
  needs: "proc:read",
  errors: ["ENOENT"],
  effect: "read",
  reply: "lines",
  args: ["app"],
  input: z.object({
    app: AppArg.describe("name or id of an app, or kernel, or access"),
    follow: z.boolean().default(false).describe("go on with new lines (-f)"),
    since: z
      .string()
      .regex(/^[1-9][0-9]*[smhd]$/, 'must be such as "1h"')
      .optional()
      .describe("only lines younger than this, such as 30s, 5m, 1h, 2d"),
    level: z.enum(["debug", "info", "warn", "error"]).optional().describe("this level and above"),
    grep: z.string().max(1000).optional().describe("only lines that contain this text"),
    limit: z.int().min(1).max(10_000).default(200).describe("at most so many earlier lines"),
  }),
  output: Line,
  examples: [
    {
      say: "What went wrong in the last hour?",
      input: { app: "blog", since: "1h", level: "warn" },
    },
  ],
  run: (kernel, { signal }, input) => logLines(kernel, input, signal),
});

const info = call({
  summary: "Describe the calling app's own process",
  needs: "proc:self",
  errors: [],
  effect: "read",
  surfaces: ["app"],
  input: z.object({}),
  output: Status,
  examples: [{ say: "How much memory do I use?", input: {} }],
  run: (kernel, { caller }) => kernel.proc.status(kernel.app.subject(caller, undefined)),
});

export const proc = { ls, top, status, mode, startApp, stop, restart, kill, logs, info };

/** Rows of what was used between two looks, until the reader goes. */
async function* topRows(
  kernel: Kernel,
  { follow, everyMs }: { follow: boolean; everyMs: number },
  signal: AbortSignal,
) {
  const { machine, proc: processes } = kernel;
  const look = () => ({
    atMs: machine.monotonicMs(),
    apps: processes.usage(),
    own: usageOf(process.pid),
  });
  let before = look();
  do {
    await passed(machine, everyMs, signal);
    if (signal.aborted) return;
    const now = look();
    const rows = now.apps.map((app) => {
      const earlier = before.apps.find(({ status: { id } }) => id === app.status.id);
      return topRow(app, earlier, { at: machine.now(), spanMs: now.atMs - before.atMs });
    });
    const cpuMs = now.own.cpuMs - before.own.cpuMs;
    rows.push(kernelRow(now.own, { at: machine.now(), cpuMs, spanMs: now.atMs - before.atMs }));
    yield* rows.sort((a, b) => b.cpuPercent - a.cpuPercent || b.memoryBytes - a.memoryBytes);
    before = now;
  } while (follow);
}

const rounded = (value: number): number => Math.round(value * 10) / 10;

/** The kernel itself; what it answers is counted by app and by route. */
function kernelRow(
  { ownBytes, rssBytes }: Usage,
  { at, cpuMs, spanMs }: { at: number; cpuMs: number; spanMs: number },
): z.input<typeof TopRow> {
  const used = { cpuPercent: rounded((cpuMs / spanMs) * 100), memoryBytes: ownBytes, rssBytes };
  const itself = { state: "running", pid: process.pid, restarts: 0 };
  return { at, app: "kernel", ...itself, ...used, requestsPerS: null, p50Ms: null, p99Ms: null };
}

function topRow(
  { status, ownBytes, totalCpuMs, latency }: AppUsage,
  before: AppUsage | undefined,
  { at, spanMs }: { at: number; spanMs: number },
): z.input<typeof TopRow> {
  const { name: app, state, pid, rssBytes, restarts, requests } = status;
  const requestsPerS = rounded(((requests - (before?.status.requests ?? 0)) / spanMs) * 1000);
  const cpuPercent = rounded(((totalCpuMs - (before?.totalCpuMs ?? 0)) / spanMs) * 100);
  const p50Ms = quantileMs(0.5, latency, before?.latency);
  const p99Ms = quantileMs(0.99, latency, before?.latency);
  const used = { cpuPercent, memoryBytes: ownBytes, rssBytes };
  return { at, app, state, pid, ...used, requestsPerS, p50Ms, p99Ms, restarts };
}

interface LogInput {
  readonly app: string;
  readonly follow: boolean;
  readonly since?: string | undefined;
  readonly level?: LogQuery["level"];
  readonly grep?: string | undefined;
  readonly limit: number;
}

/** The lines a reader asked for, and with `follow` those that come until it goes. */
async function* logLines(kernel: Kernel, input: LogInput, signal: AbortSignal) {
  const { since, level, grep, limit } = input;
  const sinceMs = since === undefined ? undefined : kernel.machine.now() - durationMs(since);
  const query: LogQuery = { ...source(kernel, input.app), sinceMs, level, grep, limit };
  const { lines, newest } = await kernel.storage.logs.search(query, signal);
  for (const line of lines) yield shown(line);
  if (!input.follow) return;
  const rest = kernel.storage.logs.follow({ ...query, limit: undefined, after: newest }, signal);
  for await (const line of rest) yield shown(line);
}

/** Whose lines are meant: the system's own by their name, an app's by its id, also after renames. */
function source(kernel: Kernel, name: string): LogQuery {
  if (name === "kernel" || name === "access") return { app: name };
  const app = kernel.app.find(name);
  if (app !== null) return { appId: app.id };
  throw new SysError("ENOENT", `cannot show the log of "${name}": no such app`, {
    hint: "fazt app ls lists the apps; the system's own are kernel and access",
  });
}

function shown({ id, at, app, releaseId, level, text }: LogLine) {
  return { id, at, app, release: releaseId, level, text };
}
