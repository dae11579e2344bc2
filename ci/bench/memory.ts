/**
 * What an idle machine's processes hold in anonymous memory: the rest of their resident size is the
 * executable, shared by all of them.
 */
import type { Bench } from "./bench.ts";
import { fixture } from "./fixture.ts";
import { anonymousMb, type BenchKernel, claimedDirectory, startKernel } from "./kernel.ts";
import { runProgram } from "./process.ts";
import { type Row, valueRow } from "./row.ts";

const apps = Array.from({ length: 5 }, (_, i) => `idle-${i}`);
const rounds = 5;
/** For collections and writes that follow a start. */
const settleMs = 3000;

interface Process {
  readonly pid: number | null;
}

async function wake(kernel: BenchKernel, app: string): Promise<void> {
  const response = await fetch(`${kernel.url}/`, { headers: { host: kernel.hostOf(app) } });
  if (!response.ok) throw new Error(`${app}: ${response.status} ${await response.text()}`);
}

export async function measureMemory(bench: Bench): Promise<Row[]> {
  const dataDir = await claimedDirectory(bench);
  {
    await using kernel = await startKernel(bench, dataDir);
    for (const app of apps) await kernel.fazt("app", "deploy", fixture("hello"), "--name", app);
  }
  const fresh: number[] = [];
  const kernels: number[] = [];
  const children: number[] = [];
  for (let round = 0; round < rounds; round++) {
    await using kernel = await startKernel(bench, dataDir);
    await Bun.sleep(settleMs);
    await runProgram(["sync"]);
    fresh.push(anonymousMb(kernel.pid));
    for (const app of apps) await wake(kernel, app);
    await Bun.sleep(settleMs);
    kernels.push(anonymousMb(kernel.pid));
    const list = await kernel.fazt<Process[]>("proc", "ls");
    for (const { pid } of list) if (pid !== null) children.push(anonymousMb(pid));
  }
  const unit = "MB";
  return [
    valueRow({ id: "memory-kernel", what: "kernel idle", unit, goal: { atMost: 30 } }, fresh),
    valueRow({ id: "memory-kernel-5", what: "  with 5 apps awake", unit, goal: null }, kernels),
    valueRow({ id: "memory-app", what: "app idle", unit, goal: { atMost: 6 } }, children),
  ];
}
