/**
 * What a neighbour notices of a hostile app: the 99th percentile of its answers at a steady, light
 * load (200 requests a second), quiet and while each deed goes on, in rounds that take turns.
 *
 * The client stands for another machine, so it runs at real-time priority where that may be had:
 * what it waits for is the server's delay and not its own. Compared is the median of the rounds.
 * The apps are those of tests/faults/hostile, which prove that no deed succeeds.
 */
import { copyFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Bench, takeTurns } from "./bench.ts";
import { watchStrangers } from "./family.ts";
import { fixture, hostileFixtures } from "./fixture.ts";
import { type BenchKernel, claimedDirectory, startKernel } from "./kernel.ts";
import { median, quantile, type Row, ratioRow, valueRow } from "./row.ts";

const rounds = 5;
const requests = 500;
const everyMs = 5;
/** After a deed: what it left behind is the machine's to clear away, not the next one's. */
const pauseMs = 500;

/** Processors that strangers may use during a measurement: above it, it is not counted. */
const strangersMax = 0.3;
/** How long the machine is waited for to be quiet, milliseconds, and in what steps. */
const quietMsMax = 10_000;
const quietStepMs = 250;

type Deeds = Readonly<Record<string, { readonly app: string; readonly path: string }>>;

/** Deeds that use up processors and memory. */
const processors: Deeds = {
  spin: { app: "spin", path: "/deed" },
  memory: { app: "memory", path: "/deed" },
  threads: { app: "threads", path: "/deed" },
  forks: { app: "forks", path: "/deed" },
  descriptors: { app: "descriptors", path: "/deed" },
  "giant reply": { app: "giant", path: "/stream" },
};

/** Deeds that use up the disk, and what is written to it. */
const disks: Deeds = {
  "full /tmp": { app: "disk", path: "/fill-memory" },
  inodes: { app: "disk", path: "/litter-memory" },
  logs: { app: "logs", path: "/deed" },
  rows: { app: "data", path: "/sql" },
  events: { app: "data", path: "/events" },
  exits: { app: "exits", path: "/deed" },
};

function folder(bench: Bench, name: string): string {
  const dir = bench.directory(name);
  for (const file of [`${name}.js`, "attempt.js", "raw.js"]) {
    copyFileSync(join(hostileFixtures(), file), join(dir, file));
  }
  writeFileSync(join(dir, "app.json"), JSON.stringify({ name, server: `${name}.js` }));
  return dir;
}

/** The 99th percentile of the neighbour's answers, ms, counted from when each was due. */
async function neighbourMs(kernel: BenchKernel): Promise<number> {
  const startMs = performance.now();
  const headers = { host: kernel.hostOf("neighbour") };
  const ask = async (i: number): Promise<number> => {
    const dueMs = startMs + i * everyMs;
    await Bun.sleep(dueMs - performance.now());
    // A timer may be early by less than it can count.
    const fromMs = Math.min(dueMs, performance.now());
    const response = await fetch(kernel.url, { headers });
    await response.arrayBuffer();
    if (response.status !== 200) throw new Error(`the neighbour answered ${response.status}`);
    return performance.now() - fromMs;
  };
  return quantile(await Promise.all(Array.from({ length: requests }, (_, i) => ask(i))), 0.99);
}

/** The same; NaN when somebody else used the machine meanwhile. */
async function undisturbedMs(bench: Bench, kernel: BenchKernel): Promise<number> {
  const strangers = watchStrangers();
  const figure = await neighbourMs(kernel);
  const share = strangers();
  bench.say(`    ${figure.toFixed(2)} ms, strangers ${(share * 100).toFixed(0)} %`);
  return share <= strangersMax ? figure : Number.NaN;
}

/** Waits, for a while, until nobody else uses the machine. */
async function quietMachine(): Promise<void> {
  for (let waitedMs = 0; waitedMs < quietMsMax; waitedMs += quietStepMs) {
    const strangers = watchStrangers();
    await Bun.sleep(quietStepMs);
    if (strangers() <= strangersMax) return;
  }
}

/** This process at real-time priority, all threads it has by now; what it starts is not. */
export function hurried(): Disposable {
  const set = (...words: string[]) => {
    const stdio = ["ignore", "ignore", "ignore"] as const;
    Bun.spawnSync(["chrt", "-a", ...words, String(process.pid)], { stdio: [...stdio] });
  };
  set("-f", "-R", "-p", "1");
  return { [Symbol.dispose]: () => set("-o", "-p", "0") };
}

/** Has a deed done again and again by visitors in processes of their own, until it is disposed. */
function doing(kernel: BenchKernel, app: string, path: string): AsyncDisposable {
  const over = new AbortController();
  const host = `Host: ${kernel.hostOf(app)}`;
  const visit = ["curl", "-s", "-o", "/dev/null", "-H", host, `${kernel.url}${path}`];
  // It stands for another machine too, and takes no processor that this one wants.
  const aside = 'echo 19 >"/proc/$$/autogroup"; exec nice -n 19 "$@"';
  const going = (async () => {
    while (!over.signal.aborted) {
      const stdio = ["ignore", "ignore", "ignore"] as const;
      const words = ["sh", "-c", aside, "visitor", ...visit];
      const options = { signal: over.signal, detached: true };
      const visitor = Bun.spawn(words, { ...options, stdio: [...stdio] });
      await visitor.exited;
      await Bun.sleep(250);
    }
  })();
  return {
    [Symbol.asyncDispose]: async () => {
      over.abort();
      await going;
      await kernel.fazt("proc", "stop", app);
      await Bun.sleep(pauseMs);
    },
  };
}

async function measure(bench: Bench, deeds: Deeds): Promise<Row[]> {
  await using kernel = await startKernel(bench, await claimedDirectory(bench));
  await kernel.fazt("app", "deploy", fixture("hello"), "--name", "neighbour");
  for (const app of new Set(Object.values(deeds).map(({ app }) => app))) {
    await kernel.fazt("app", "deploy", folder(bench, app));
    await kernel.fazt("proc", "stop", app);
  }
  // Its client's threads are there once it has been used.
  await neighbourMs(kernel);
  using _hurried = hurried();
  const sides: Record<string, () => Promise<number>> = {
    quiet: () => quietMachine().then(() => undisturbedMs(bench, kernel)),
  };
  for (const [name, { app, path }] of Object.entries(deeds)) {
    sides[name] = async () => {
      bench.say(`  ${name}`);
      await quietMachine();
      await kernel.fazt("proc", "start-app", app);
      await using _deed = doing(kernel, app, path);
      return await undisturbedMs(bench, kernel);
    };
  }
  const samples = await takeTurns<string>(rounds, sides);
  const of = (side: string) => (samples[side] ?? []).filter(Number.isFinite);
  const quiet = of("quiet");
  const usual = { name: "quiet", samples: Array.from({ length: rounds }, () => median(quiet)) };
  const unit = "ms";
  return [
    valueRow({ id: "neighbour", what: "neighbour's p99, quiet", unit, goal: null }, quiet),
    ...Object.keys(deeds).map((name) => {
      const row = { id: `hostile-${name}`, what: `  during ${name}`, unit, goal: { atMost: 2 } };
      return ratioRow(row, of(name), usual);
    }),
  ];
}

export const measureHostile = (bench: Bench): Promise<Row[]> => measure(bench, processors);
export const measureHostileDisk = (bench: Bench): Promise<Row[]> => measure(bench, disks);
