/**
 * What a neighbour notices of a hostile app: the 99th percentile of its answers at a steady, light
 * load (100 requests a second), quiet and while each deed goes on, round by round.
 *
 * The apps are those of tests/faults/hostile, which prove that no deed succeeds.
 */
import { copyFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Bench, takeTurns } from "./bench.ts";
import { fixture, hostileFixtures } from "./fixture.ts";
import { type BenchKernel, claimedDirectory, startKernel } from "./kernel.ts";
import { quantile, type Row, ratioRow, valueRow } from "./row.ts";

const rounds = 5;
const requests = 300;
const everyMs = 10;

/** The deeds that use what the neighbour needs too: the app, and its path. */
const deeds = {
  spin: "/deed",
  memory: "/deed",
  threads: "/deed",
  forks: "/deed",
  logs: "/deed",
  disk: "/fill-memory",
  giant: "/stream",
} as const;

type Side = "quiet" | keyof typeof deeds;

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
    const response = await fetch(kernel.url, { headers });
    await response.arrayBuffer();
    if (response.status !== 200) throw new Error(`the neighbour answered ${response.status}`);
    return performance.now() - dueMs;
  };
  return quantile(await Promise.all(Array.from({ length: requests }, (_, i) => ask(i))), 0.99);
}

/** Has a deed done again and again by visitors in processes of their own, until it is disposed. */
function doing(kernel: BenchKernel, app: string, path: string): AsyncDisposable {
  const over = new AbortController();
  const host = `Host: ${kernel.hostOf(app)}`;
  const visit = ["curl", "-s", "-o", "/dev/null", "-H", host, `${kernel.url}${path}`];
  const going = (async () => {
    while (!over.signal.aborted) {
      const stdio = ["ignore", "ignore", "ignore"] as const;
      const visitor = Bun.spawn(visit, { stdio: [...stdio], signal: over.signal });
      await visitor.exited;
      await Bun.sleep(250);
    }
  })();
  return {
    [Symbol.asyncDispose]: async () => {
      over.abort();
      await going;
      await kernel.fazt("proc", "stop", app);
    },
  };
}

export async function measureHostile(bench: Bench): Promise<Row[]> {
  await using kernel = await startKernel(bench, await claimedDirectory(bench));
  await kernel.fazt("app", "deploy", fixture("hello"), "--name", "neighbour");
  for (const app of Object.keys(deeds)) await kernel.fazt("app", "deploy", folder(bench, app));
  const names = Object.keys(deeds) as (keyof typeof deeds)[];
  for (const app of names) await kernel.fazt("proc", "stop", app);
  const during = (app: keyof typeof deeds) => async (): Promise<number> => {
    bench.say(`  ${app}`);
    await kernel.fazt("proc", "start-app", app);
    await using _deed = doing(kernel, app, deeds[app]);
    return await neighbourMs(kernel);
  };
  const sides = { quiet: () => neighbourMs(kernel) } as Record<Side, () => Promise<number>>;
  for (const app of names) sides[app] = during(app);
  const samples = await takeTurns<Side>(rounds, sides);
  const { quiet } = samples;
  const unit = "ms";
  return [
    valueRow({ id: "neighbour", what: "neighbour's p99, quiet", unit, goal: null }, quiet),
    ...names.map((app) =>
      ratioRow(
        { id: `hostile-${app}`, what: `  during ${app}`, unit, goal: { atMost: 2 } },
        samples[app],
        { name: "quiet", samples: quiet },
      ),
    ),
  ];
}
