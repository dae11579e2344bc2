/**
 * `fazt app deploy` of the full-stack app, as a person waits for it: from the command's start to its
 * end, with bundling, upload, and the new process proven healthy; first, and unchanged again.
 */
import type { Bench } from "./bench.ts";
import { notesApp } from "./fixture.ts";
import { claimedDirectory, type Deployed, startKernel } from "./kernel.ts";
import { type Row, valueRow } from "./row.ts";

const rounds = 5;

export async function measureDeploy(bench: Bench): Promise<Row[]> {
  const first: number[] = [];
  const again: number[] = [];
  const uploads: number[] = [];
  for (let round = 0; round < rounds; round++) {
    await using kernel = await startKernel(bench, await claimedDirectory(bench));
    const deploy = async (samples: number[]): Promise<Deployed> => {
      const startedMs = performance.now();
      const deployed = await kernel.fazt<Deployed>("app", "deploy", notesApp());
      samples.push(performance.now() - startedMs);
      return deployed;
    };
    await deploy(first);
    for (let i = 0; i < 3; i++) uploads.push((await deploy(again)).uploadedBytes);
  }
  const unit = "ms";
  return [
    valueRow({ id: "deploy-first", what: "deploy, first", unit, goal: { atMost: 2000 } }, first),
    valueRow({ id: "deploy-again", what: "deploy, unchanged", unit, goal: { atMost: 500 } }, again),
    valueRow(
      { id: "deploy-again-bytes", what: "  uploaded", unit: "bytes", goal: { atMost: 0 } },
      uploads,
      1,
    ),
  ];
}
