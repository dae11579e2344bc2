/**
 * SIGKILL at random moments under writes to pairs, documents, files and an app's own database, with
 * a replica on an S3 server that fails now and then: the kernel, the replicator alone, both at
 * once. After each: every acknowledged write is there and every page is right; and the replica gives
 * back a prefix that lacks a second at most.
 *
 * `FAZT_SEED=N` repeats a run's choices (not its timing); `FAZT_KILLS=500` kills more often than CI
 * has time for.
 */
import { expect, test } from "bun:test";
import { rmSync } from "node:fs";
import { join } from "node:path";
import { type KernelProcess, startProcess, until } from "../process.ts";
import { type Fault, type S3, startS3 } from "../s3.ts";
import { deployBook, emptyBooks, keep, lagMs, missing, readBooks } from "./books.ts";
import { chances } from "./ledger.ts";
import { isGone, kill, replicatorOf } from "./replicator.ts";
import { generationsOf, memoriesOf, Story } from "./story.ts";

const kills = Number(process.env["FAZT_KILLS"] ?? 40);
const faults: readonly Fault[] = [500, 403, 429, "reset", "repeat", "cut request", "late", "stall"];
/** Of the deaths that say something about the replica every n-th is followed by a restore. */
const restoreEvery = Number(process.env["FAZT_RESTORE_EVERY"] ?? 3);
/** The longest half of a kernel's life, milliseconds. */
const lifeMsMax = 1_500;
/**
 * A replicator that outlived its kernel and took so long was starved for all its time: it gives up
 * after ten seconds, and what it gave back until then is a prefix.
 */
const starvedMs = 9_000;

/** What a replica may lack, milliseconds, where the machine has time for it. */
const lagMsMeant = 1_000;

/** Restores the whole machine from the bucket, by the command. */
async function restore(machine: KernelProcess, s3: S3, into: string): Promise<void> {
  const { bucket, endpoint, keyId } = s3;
  const secretFile = join(machine.scratch("secrets"), "secret");
  const where = ["--from", `s3://${bucket}/home`, "--endpoint", endpoint, "--key-id", keyId];
  const { code, stderr } = await machine.fazt(
    ...["driver", "replica", "restore", ...where, "--secret-file", secretFile, "--data", into],
  );
  expect([code, stderr]).toEqual([0, ""]);
}

class Run {
  readonly story = new Story();
  readonly books = emptyBooks();
  readonly lags: number[] = [];
  kills = 0;
  due = 0;
  rounds = 0;
  restores = 0;
  livedMs = 0;
  roundMs = 0;
  killedMs = 0;
  acknowledged = 0;
  readonly machine: KernelProcess;
  readonly s3: S3;
  readonly appId: string;
  readonly chance: (below: number) => number;

  constructor(on: Pick<Run, "machine" | "s3" | "appId" | "chance">) {
    this.machine = on.machine;
    this.s3 = on.s3;
    this.appId = on.appId;
    this.chance = on.chance;
  }

  /** Writes, kills, looks what is left. */
  async round(): Promise<void> {
    const { machine, s3, chance } = this;
    const clean = chance(3) === 0;
    const fault = () => (chance(10) === 0 ? (faults[chance(faults.length)] ?? null) : null);
    s3.fault = clean ? () => null : fault;
    const startedMs = performance.now();
    this.roundMs = startedMs;
    this.story.note(`round ${this.rounds}, the store ${clean ? "answers" : "fails now and then"}`);
    const writing = this.books.map((book) => keep(machine, book, chance));
    const lifeMs = chance(3) === 0 ? lifeMsMax : lifeMsMax / 5;
    // tidy: allow banned-call: the moment of the kill is what varies
    await Bun.sleep(chance(lifeMs));
    // The replicator alone, and the kernel goes on.
    const alone = chance(2) === 0 ? kill(replicatorOf(machine.pid)) : 0;
    if (alone > 0) this.story.note("the replicator alone is killed");
    // tidy: allow banned-call: the moment of the kill is what varies
    await Bun.sleep(chance(lifeMs));
    const replicator = replicatorOf(machine.pid);
    const both = chance(2) === 0 ? kill(replicator) : 0;
    await machine.stop("SIGKILL");
    const killedMs = performance.now();
    this.killedMs = killedMs;
    const beside = replicator === null ? "there is no replicator" : `replicator ${replicator}`;
    this.story.note(`the kernel is killed; ${both > 0 ? "and the replicator" : beside}`);
    this.kills += alone + both + 1;
    this.rounds++;
    this.livedMs += killedMs - startedMs;
    s3.fault = () => null;
    await Promise.all(writing);
    if (replicator !== null) await until("the replicator is gone", () => isGone(replicator));
    const tookMs = performance.now() - killedMs;
    this.story.note("the replicator is gone");
    const kind = tookMs < starvedMs ? "whole" : "cut";
    if (kind === "cut") {
      console.log(`the last shipment took ${Math.round(tookMs)} ms:\n${this.near()}`);
    }
    if (replicator !== null && both === 0) await this.#restored(killedMs, kind);
    // It was there all the time, and the store too: how far behind was it?
    else if (clean && replicator !== null && alone === 0) await this.#restored(killedMs, "late");
    await machine.start();
    this.#held();
  }

  /** What outlived the kernel has shipped the rest; what died with it lacks a second at most. */
  async #restored(killedMs: number, kind: "whole" | "late" | "cut"): Promise<void> {
    const { machine, s3, appId, books } = this;
    if (this.due++ % restoreEvery !== 0) return;
    const into = join(machine.scratch("restored"), "data");
    await restore(machine, s3, into);
    const found = readBooks(into, appId, books);
    rmSync(into, { recursive: true });
    this.restores++;
    expect(found.problems).toEqual([]);
    if (kind === "late") this.#late(lagMs(found, books, killedMs));
    else if (kind === "whole") expect(missing(found, books, killedMs)).toEqual([]);
  }

  /** How far behind the replica was; more than is meant explains itself. */
  #late(ms: number): void {
    this.lags.push(ms);
    if (ms > lagMsMeant) console.log(`the replica lacks ${Math.round(ms)} ms:\n${this.near()}`);
  }

  /** What happened since shortly before the last kill. */
  near(): string {
    return this.story.tell(this.s3, this.killedMs - 4_000, this.killedMs);
  }

  /** What happened, for who has to understand a failure. */
  tell(): string {
    const { story, s3, machine, roundMs, killedMs, books } = this;
    const kept = books.map(({ kind, base, acknowledged }) => {
      const [first, last] = [acknowledged[0], acknowledged.at(-1)].map((each) =>
        each === undefined ? "none" : `${each.n} at ${Math.round(each.atMs - killedMs)} ms`,
      );
      return `${kind}: ${base}, then ${first} to ${last}`;
    });
    const told = story.tell(s3, roundMs - 20_000, killedMs);
    const rest = [kept, generationsOf(s3).slice(-40), memoriesOf(machine.dataDir)].flat();
    return [told, ...rest].join("\n");
  }

  /** Nobody writes and all is shipped: the replica has exactly what the machine has. */
  async compare(): Promise<void> {
    this.due = 0;
    await this.#restored(performance.now(), "whole");
  }

  /** What the machine itself has after a restart. */
  #held(): void {
    const { books } = this;
    const found = readBooks(this.machine.dataDir, this.appId, books);
    expect(found.problems).toEqual([]);
    expect(missing(found, books, Number.POSITIVE_INFINITY)).toEqual([]);
    for (const book of books) {
      this.acknowledged += book.acknowledged.length;
      book.base = found.last.get(book.kind) ?? 0;
      book.acknowledged = [];
    }
  }
}

test(`${kills} kills lose nothing, and the replica lacks a second at most`, async () => {
  const seed = Number(process.env["FAZT_SEED"] ?? Math.floor(Math.random() * 2 ** 31));
  console.log(`FAZT_SEED=${seed}`);
  const chance = chances(seed);
  await using s3 = await startS3();
  await using machine = await startProcess();
  const appId = await deployBook(machine);
  const { bucket, endpoint, keyId, secret } = s3;
  await Bun.write(join(machine.scratch("secrets"), "secret"), secret);
  await machine.call("driver.replica.set", { url: `s3://${bucket}/home`, endpoint, keyId, secret });
  expect(await (await machine.fetch("book", "/")).text()).toBe("open");
  await machine.call("driver.replica.flush");
  const run = new Run({ machine, s3, appId, chance });
  while (run.kills < kills) {
    try {
      await run.round();
      if (run.rounds % 50 === 0) console.log(`${run.kills} kills, ${run.acknowledged} writes`);
    } catch (error) {
      // At once, whatever the end of the machine may take.
      console.log(`seed ${seed}, after ${run.kills} kills:`, error);
      console.log(run.tell());
      throw error;
    }
  }
  // What the last replicator did not get to is shipped by the next.
  await machine.call("driver.replica.flush");
  await run.compare();
  const { lags, restores, acknowledged } = run;
  const perSecond = Math.round(acknowledged / (run.livedMs / 1000));
  const late = lags.toSorted((a, b) => a - b).map(Math.round);
  console.log(`${run.kills} kills, ${acknowledged} acknowledged writes (${perSecond} a second)`);
  console.log(`${restores} restores; lacking when both died, ms: ${late}`);
  console.log(generationsOf(s3).join("\n"));
  // A hundred a second and one second are what is meant; a machine that is busy has more time.
  expect(perSecond).toBeGreaterThan(33);
  expect(late[late.length >> 1] ?? 0).toBeLessThan(2_000);
}, 3_600_000);
