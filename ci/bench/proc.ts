/**
 * What apps cost that are there and do nothing, and how fast what happens by itself is begun:
 * memory of 50 apps awake and asleep, start and idling of a kernel with 500 asleep, and an event's
 * way from its emitter to a handler that is awake. The cold start is `wake.ts`.
 */
import { type Bench, repeat } from "./bench.ts";
import { cpuMs, familyOf, read } from "./family.ts";
import { fixture } from "./fixture.ts";
import { type BenchKernel, claimedDirectory, startKernel } from "./kernel.ts";
import { type Row, valueRow } from "./row.ts";

const few = 50;
const many = 500;
const bootRounds = 9;
/** For collections and writes that follow a start. */
const settleMs = 5_000;
const idleMs = 20_000;
const eventRounds = 5;
const eventsARound = 100;

/** Memory of a kernel and its apps in MB, what is shared with others counted in part (PSS). */
function pssMb(kernel: BenchKernel): number {
  const kb = (pid: number) =>
    Number(/^Pss:\s+(\d+) kB/m.exec(read(`/proc/${pid}/smaps_rollup`))?.[1] ?? 0);
  return familyOf(kernel.pid).reduce((sum, pid) => sum + kb(pid), 0) / 1000;
}

async function settled(bench: Bench, dataDir: string): Promise<number> {
  await using kernel = await startKernel(bench, dataDir);
  await Bun.sleep(settleMs);
  return pssMb(kernel);
}

async function deployAll(bench: Bench, dataDir: string, count: number): Promise<string[]> {
  await using kernel = await startKernel(bench, dataDir);
  const names = Array.from({ length: count }, (_, i) => `idle-${i}`);
  for (const name of names) {
    await kernel.fazt("app", "deploy", fixture("hello"), "--name", name);
  }
  return names;
}

async function memoryRows(bench: Bench): Promise<Row[]> {
  const dataDir = await claimedDirectory(bench);
  const alone = await settled(bench, dataDir);
  const names = await deployAll(bench, dataDir, few);
  const asleep = (await settled(bench, dataDir)) - alone;
  await using kernel = await startKernel(bench, dataDir);
  for (const name of names) {
    const response = await fetch(`${kernel.url}/`, { headers: { host: kernel.hostOf(name) } });
    if (!response.ok) throw new Error(`${name}: ${response.status}`);
  }
  await Bun.sleep(settleMs);
  const awake = pssMb(kernel) - alone;
  const unit = "MB";
  const row = (id: string, what: string, atMost: number) => ({ id, what, unit, goal: { atMost } });
  return [
    valueRow(row("proc-awake", `each of ${few} apps idle, PSS`, 6), [awake / few]),
    valueRow(row("proc-asleep", `each of ${few} apps asleep, PSS`, 0.1), [asleep / few]),
    valueRow({ id: "proc-alone", what: "  the kernel alone, PSS", unit, goal: null }, [alone]),
  ];
}

async function manyRows(bench: Bench): Promise<Row[]> {
  const dataDir = await claimedDirectory(bench);
  bench.say(`  deploying ${many} apps`);
  await deployAll(bench, dataDir, many);
  const boots = await repeat(bootRounds, async () => {
    await using kernel = await startKernel(bench, dataDir);
    return kernel.bootMs;
  });
  await using kernel = await startKernel(bench, dataDir);
  await Bun.sleep(settleMs);
  const shares = await repeat(3, async () => {
    const before = cpuMs(kernel.pid);
    await Bun.sleep(idleMs);
    return ((cpuMs(kernel.pid) - before) / idleMs) * 100;
  });
  const boot = { id: "proc-boot", what: `bootMs, ${many} apps asleep`, unit: "ms" };
  const idle = { id: "proc-idle", what: `kernel idle, ${many} apps asleep`, unit: "% of a core" };
  return [
    valueRow({ ...boot, goal: { atMost: 500 } }, boots),
    valueRow({ ...idle, goal: { atMost: 0.5 } }, shares),
  ];
}

async function eventRows(bench: Bench): Promise<Row[]> {
  await using kernel = await startKernel(bench, await claimedDirectory(bench));
  await kernel.fazt("app", "deploy", fixture("echo"));
  const samples: number[] = [];
  const writes: number[] = [];
  for (let round = -1; round < eventRounds; round++) {
    const headers = { host: kernel.hostOf("echo") };
    const reply = await fetch(`${kernel.url}/?count=${eventsARound}`, { headers });
    const { heard, written } = (await reply.json()) as Record<"heard" | "written", number[]>;
    if (round < 0) continue;
    samples.push(...heard);
    writes.push(...written);
  }
  const unit = "ms";
  const what = "event emit to handler, median";
  return [
    valueRow({ id: "proc-event", what, unit, goal: { atMost: 2 } }, samples),
    valueRow({ id: "proc-event-p99", what: "  p99", unit, goal: null }, samples, 0.99),
    valueRow({ id: "proc-write", what: "  one durable write beside it", unit, goal: null }, writes),
  ];
}

export async function measureProc(bench: Bench): Promise<Row[]> {
  return [...(await memoryRows(bench)), ...(await manyRows(bench)), ...(await eventRows(bench))];
}
