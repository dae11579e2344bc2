/**
 * How long the kernel takes to be ready: on an empty directory, and on one with much in it. `bootMs`
 * is the kernel's own word; beside it stands the time since its process was spawned.
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Bench, repeat } from "./bench.ts";
import { fixture } from "./fixture.ts";
import { claimedDirectory, startKernel } from "./kernel.ts";
import { type Row, valueRow } from "./row.ts";

const rounds = 9;
const apps = 100;
const filesAnApp = 100;

/** 100 apps of 100 files each, all different; every fourth has a server too. */
async function fill(bench: Bench, dataDir: string): Promise<void> {
  await using kernel = await startKernel(bench, dataDir);
  const server = await Bun.file(`${fixture("hello")}/server.js`).text();
  for (let app = 0; app < apps; app++) {
    const dir = bench.directory("app");
    mkdirSync(join(dir, "public"));
    for (let file = 0; file < filesAnApp; file++) {
      const text = `app ${app} file ${file}\n`.repeat(50);
      writeFileSync(join(dir, `public/page-${file}.html`), text);
    }
    if (app % 4 === 0) writeFileSync(join(dir, "server.js"), server);
    await kernel.fazt("app", "deploy", dir, "--name", `app-${app}`);
  }
}

interface Times {
  readonly boot: number[];
  readonly whole: number[];
}

/** Starts and stops a kernel, several times. */
async function starts(bench: Bench, dataDir: () => string): Promise<Times> {
  const whole: number[] = [];
  const boot = await repeat(rounds, async () => {
    await using kernel = await startKernel(bench, dataDir());
    whole.push(kernel.startMs);
    return kernel.bootMs;
  });
  return { boot, whole };
}

export async function measureStart(bench: Bench): Promise<Row[]> {
  const empty = await starts(bench, () => bench.directory("empty"));
  const dataDir = await claimedDirectory(bench);
  bench.say(`  deploying ${apps} apps`);
  await fill(bench, dataDir);
  const full = await starts(bench, () => dataDir);
  const unit = "ms";
  const what = "bootMs, 100 apps, 10,000 files";
  return [
    valueRow({ id: "boot-empty", what: "bootMs, empty", unit, goal: { atMost: 200 } }, empty.boot),
    valueRow({ id: "boot-full", what, unit, goal: { atMost: 300 } }, full.boot),
    valueRow({ id: "start-empty", what: "  spawn to ready, empty", unit, goal: null }, empty.whole),
    valueRow({ id: "start-full", what: "  spawn to ready, full", unit, goal: null }, full.whole),
  ];
}
