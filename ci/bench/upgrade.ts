/**
 * An upgrade of the program while visitors come at a constant rate: what they notice, how long it
 * takes from the verified file to the commit, and how long the way back is once the gate has spoken.
 *
 * Each visitor asks at its hour, whether the answer before was late or not, so that a stall is felt
 * by everybody who would have come in it; one on a connection of its own that stays, as browsers do.
 */
import { type Box, startBox, type Told, versions, Works } from "../../tests/upgrade/machine.ts";
import type { Bench } from "./bench.ts";
import { quantile, type Row, ratioRow, valueRow } from "./row.ts";
import { type Answered, constantVisitors } from "./visitors.ts";

const rounds = 4;
const quietMs = 6_000;
const reverts = 3;
/** Visitors, and how often each of them comes: 400 requests a second. */
const visitors = 16;
const everyMs = 40;

const phaseAt = (told: Told, phase: string): number =>
  told.phases.find((one) => one.phase === phase)?.at ?? Number.NaN;
const endOf = (told: Told): number => (told.phases[0]?.at ?? 0) + (told.tookMs ?? Number.NaN);

/** Milliseconds that 99 of 100 of those who came between two moments waited less than. */
function p99(answered: readonly Answered[], from: number, to: number): number {
  const took = answered.filter(({ at }) => at >= from && at < to).map(({ ms }) => ms);
  return quantile(took, 0.99);
}

interface Round {
  readonly quiet: number;
  readonly swap: number;
  readonly failed: number;
  readonly commitS: number;
}

async function upgradeOnce(box: Box, release: string): Promise<Round> {
  const visit = constantVisitors(box, { visitors, everyMs });
  const from = Date.now();
  await Bun.sleep(quietMs);
  const began = Date.now();
  const { told } = await box.upgrade(release, "--downgrade", "--retry");
  const { answered, failures } = await visit.end();
  if (told.outcome !== "committed") throw new Error(`upgrade: ${told.reason}`);
  const [proving, trial] = [phaseAt(told, "proving"), phaseAt(told, "trial")];
  // The old one answers whom it has for a moment after the new one listens.
  const swap = p99(answered, proving, trial + 2_000);
  timeline(answered, proving, told);
  return {
    ...{ quiet: p99(answered, from + 1_000, began), swap, failed: failures.length },
    commitS: (endOf(told) - proving) / 1000,
  };
}

/** For whoever looks for a stall: FAZT_TIMELINE=1 tells what was waited in each tenth of a second. */
function timeline(answered: readonly Answered[], proving: number, told: Told): void {
  if (process.env["FAZT_TIMELINE"] === undefined) return;
  for (const { phase, at } of told.phases) console.error(`  ${at - proving} ms: ${phase}`);
  for (let at = -500; at < 6_000; at += 100) {
    const here = answered.filter((one) => one.at >= proving + at && one.at < proving + at + 100);
    const took = here.map(({ ms }) => ms);
    const [half, most] = [quantile(took, 0.5), Math.max(0, ...took)];
    console.error(`  ${at} ms: ${took.length} median ${half.toFixed(1)} max ${most.toFixed(0)}`);
  }
}

export async function measureUpgrade(bench: Bench): Promise<Row[]> {
  using works = new Works();
  bench.say("  three programs");
  await works.buildAll();
  await using box = await startBox(works);
  const releases = [works.release(versions.next), works.release(versions.first)];
  const found: Round[] = [];
  for (let round = 0; round < rounds; round++) {
    found.push(await upgradeOnce(box, releases[round % 2] ?? ""));
    bench.say(`  ${JSON.stringify(found.at(-1))}`);
  }
  const back: number[] = [];
  box.fault("errors");
  for (let round = 0; round < reverts; round++) {
    const { told } = await box.upgrade(works.release(versions.faulty), "--retry");
    if (told.outcome !== "reverted") throw new Error(`a faulty program was ${told.outcome}`);
    back.push((endOf(told) - phaseAt(told, "going back")) / 1000);
  }
  const of = (pick: (round: Round) => number) => found.map(pick);
  const swap = { id: "upgrade-p99", what: "upgrade: p99 while it is replaced", unit: "ms" };
  const failed = { id: "upgrade-failed", what: "upgrade: failed requests", unit: "requests" };
  const commit = { id: "upgrade-commit", what: "upgrade: verified to committed", unit: "s" };
  const revert = { id: "upgrade-revert", what: "upgrade: way back", unit: "s" };
  const quiet = { name: "quiet", samples: of((round) => round.quiet) };
  return [
    valueRow(
      { ...failed, goal: { atMost: 0 } },
      of((round) => round.failed),
      1,
    ),
    ratioRow(
      { ...swap, goal: { atMost: 3 } },
      of((round) => round.swap),
      quiet,
    ),
    valueRow(
      { ...commit, goal: { atMost: 15 } },
      of((round) => round.commitS),
      1,
    ),
    valueRow({ ...revert, goal: { atMost: 5 } }, back, 1),
  ];
}
