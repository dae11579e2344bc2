/**
 * What visitors notice of a backup of 1 GB: the 99th percentile of their requests while it is made,
 * against a quiet time of the same length.
 */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type Bench, takeTurns } from "./bench.ts";
import { fixture } from "./fixture.ts";
import { type BenchKernel, claimedDirectory, startKernel } from "./kernel.ts";
import { latency } from "./load.ts";
import { runProgram } from "./process.ts";
import { type Row, ratioRow, valueRow } from "./row.ts";

const totalBytes = 1024 ** 3;
const fileBytes = 64 * 1024 * 1024;
const rounds = 5;

async function fill(kernel: BenchKernel, directory: string): Promise<void> {
  for (let i = 0; i * fileBytes < totalBytes; i++) {
    const path = join(directory, `part-${i}`);
    const parts = Array.from({ length: fileBytes / 65_536 }, () =>
      crypto.getRandomValues(new Uint8Array(65_536)),
    );
    await writeFile(path, Buffer.concat(parts));
    await kernel.fazt("fs", "cp", path, `vfs:/home/part-${i}`);
  }
}

export async function measureBackup(bench: Bench): Promise<Row[]> {
  await using kernel = await startKernel(bench, await claimedDirectory(bench));
  await kernel.fazt("app", "deploy", fixture("hello"));
  await fill(kernel, bench.directory("fill"));
  const to = join(bench.directory("backup"), "machine.backup");
  const backup = async () => {
    const startedMs = performance.now();
    await runProgram([bench.fazt, "storage", "backup", to, "--data", kernel.dataDir]);
    return (performance.now() - startedMs) / 1000;
  };
  const tookS = await backup();
  const seconds = Math.max(1, Math.floor(tookS));
  const through = { url: `${kernel.url}/`, host: kernel.hostOf("hello") };
  const p99 = async () => (await latency(through, { seconds, connections: 4 })).p99Ms;
  const { during, quiet } = await takeTurns(rounds, {
    during: async () => {
      const running = backup();
      const sample = await p99();
      await running;
      return sample;
    },
    quiet: p99,
  });
  const what = "p99 of requests during a backup of 1 GB";
  return [
    ratioRow({ id: "backup-p99", what, unit: "ms", goal: { atMost: 2 } }, during, {
      name: "quiet",
      samples: quiet,
    }),
    valueRow({ id: "backup-time", what: "  the backup", unit: "s", goal: null }, [tookS]),
  ];
}
