/**
 * An app on its own SQL volume, over HTTP through the kernel: of ten requests three write, each
 * durable before its answer.
 */
import type { Bench } from "./bench.ts";
import { repeat } from "./bench.ts";
import { fixture } from "./fixture.ts";
import { claimedDirectory, startKernel } from "./kernel.ts";
import { load } from "./load.ts";
import { type Row, valueRow } from "./row.ts";

const roundSeconds = 3;
const rounds = 7;

export async function measureMixed(bench: Bench): Promise<Row[]> {
  await using kernel = await startKernel(bench, await claimedDirectory(bench));
  await kernel.fazt("app", "deploy", fixture("mixed"), "--name", "mixed");
  const through = { url: `${kernel.url}/`, host: kernel.hostOf("mixed") };
  await load(through, 1);
  const samples = await repeat(
    rounds,
    async () => (await load(through, roundSeconds)).requestsPerS,
  );
  const what = "30 % durable writes through an app";
  return [valueRow({ id: "mixed", what, unit: "req/s", goal: { atLeast: 5000 } }, samples)];
}
