/**
 * Requests to an app's process through the kernel, in its sandbox, against the same handler on a
 * server of its own with nothing in front.
 */
import { type Bench, takeTurns } from "./bench.ts";
import { fixture } from "./fixture.ts";
import { claimedDirectory, startKernel } from "./kernel.ts";
import { load } from "./load.ts";
import { startBare } from "./rival.ts";
import { type Row, ratioRow, valueRow } from "./row.ts";

const roundSeconds = 1;
const rounds = 21;

export async function measureApp(bench: Bench): Promise<Row[]> {
  await using kernel = await startKernel(bench, await claimedDirectory(bench));
  await kernel.fazt("app", "deploy", fixture("hello"));
  await using bare = await startBare(`${fixture("hello")}/server.js`);
  const through = { url: `${kernel.url}/`, host: kernel.hostOf("hello") };
  const { fazt, direct } = await takeTurns(rounds, {
    fazt: async () => (await load(through, roundSeconds)).requestsPerS,
    direct: async () => (await load({ url: `${bare.url}/` }, roundSeconds)).requestsPerS,
  });
  const what = "app hello, against a bare Bun.serve";
  return [
    ratioRow({ id: "app-hello", what, unit: "req/s", goal: { atLeast: 0.45 } }, fazt, {
      name: "bare",
      samples: direct,
    }),
    valueRow(
      { id: "app-hello-bare", what: "  Bun.serve itself", unit: "req/s", goal: null },
      direct,
    ),
  ];
}
