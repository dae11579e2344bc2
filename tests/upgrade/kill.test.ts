/**
 * kill -9 in the middle of upgrades: of whoever holds the process, of the old kernel, of the new
 * one, in every phase. Afterwards the machine serves (started again where the process itself is
 * gone, as systemd does), on one of the two versions, and every write it acknowledged is there.
 *
 * One of each, six in all; sixty with `FAZT_UPGRADES=all`, or as many as FAZT_KILLS says.
 * `FAZT_SEED=N` repeats a run's choices, not its timing; the seed is printed.
 */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { basename, join } from "node:path";
import type { slots } from "../../kernel/proc/upgrade/mod.ts";
import { chances, Ledger } from "../faults/ledger.ts";
import { until } from "../process.ts";
import { type Box, startBox, versions, Works } from "./machine.ts";

const all = process.env["FAZT_UPGRADES"] === "all";
const kills = Number(process.env["FAZT_KILLS"] ?? (all ? 60 : 6));
/** Milliseconds after a phase's beginning within which somebody is killed: most take less. */
const withinMs = {
  ...{ "handing over": 600, trial: 600, checking: 200, downloading: 300, verifying: 80 },
  proving: 600,
} as const;
const phases = Object.keys(withinMs) as (keyof typeof withinMs)[];
const roles = ["conductor", "old", "new"] as const;
/** Milliseconds that the manifest takes, and each part of a file: the first phases are soon over. */
const slowMs = 150;
const servesMsMax = 60_000;
const writers = 3;

const works = new Works();
let box: Box;

beforeAll(async () => {
  await works.build(versions.first);
  await works.build(versions.next);
  box = await startBox(works);
}, 120_000);
afterAll(async () => {
  await box[Symbol.asyncDispose]();
  works[Symbol.dispose]();
});

/** The attempts as they are on the disk, which is there whoever lives. */
function history(): readonly slots.Attempt[] {
  try {
    const text = readFileSync(join(box.dataDir, "slots", "slots.json"), "utf8");
    return (JSON.parse(text) as slots.Slots).history;
  } catch {
    return [];
  }
}

/** Whom to kill: where there is no such process it is whoever has that duty at the moment. */
function victim(role: (typeof roles)[number]): number {
  const [first, ...rest] = box.successors();
  if (role === "conductor" || first === undefined) return box.pid;
  return role === "old" ? first : (rest.at(-1) ?? first);
}

/** Writes to one name after another until it is told to stop; what is answered is acknowledged. */
async function write(writer: number, ledger: Ledger, goesOn: () => boolean): Promise<void> {
  for (let n = 0; goesOn(); n++) {
    const name = `${writer}-${n % 20}`;
    const value = `${n}-${Math.random()}`;
    ledger.sent(name, value);
    const asked = { method: "POST", body: JSON.stringify({ name, value }), keepalive: false };
    const answer = await box.get("blog", "/write", asked).catch(() => null);
    if (answer?.status === 200 && (await answer.text().catch(() => "")) === value) {
      ledger.answered(name);
    } else {
      // Nobody knows whether it was done, so that this name has to wait for the reckoning.
      await until("the end of the round", () => !goesOn(), 2 * servesMsMax);
    }
  }
}

/** What is there, as a visitor reads it. */
async function written(): Promise<Map<string, string>> {
  const answer = await box.get("blog", "/written");
  return new Map(Object.entries((await answer.json()) as Record<string, string>));
}

/** Starts that were refused, for somebody else was still there. */
let refused = 0;

/** Waits until it serves again, whoever has to see to that. */
async function servesAgain(): Promise<void> {
  await until(
    "it serves",
    async () => {
      if (box.ended) await box.start().catch(() => void refused++);
      // One that has just lost who started it answers while it ends.
      return !box.ended && (await box.whole().catch(() => false));
    },
    servesMsMax,
  );
}

/** Nothing is under way any more; answers what the newest attempt has become. */
function decided(): Promise<slots.Attempt> {
  return until(
    "the attempt is over",
    async () => {
      if (box.ended) await box.start().catch(() => undefined);
      const [newest] = history();
      return newest !== undefined && newest.outcome !== "under way" ? newest : null;
    },
    servesMsMax,
  );
}

/** A release's directory, given as a slow server gives it. */
function slowly(dir: string) {
  return Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    async fetch({ url }) {
      const file = Bun.file(join(dir, basename(new URL(url).pathname)));
      if (!(await file.exists())) return new Response(null, { status: 404 });
      const parts = 4;
      const body = new ReadableStream<Uint8Array>({
        async start(controller) {
          for (let part = 0; part < parts; part++) {
            // tidy: allow banned-call: it is to be slow
            await Bun.sleep(slowMs / parts);
            const ends = [part, part + 1].map((at) => Math.round((file.size * at) / parts));
            controller.enqueue(await file.slice(...ends).bytes());
          }
          controller.close();
        },
      });
      return new Response(body);
    },
  });
}

test(
  `${kills} kills in the middle of upgrades`,
  async () => {
    const seed = Number(process.env["FAZT_SEED"] ?? Math.floor(Math.random() * 2 ** 31));
    console.log(`FAZT_SEED=${seed}`);
    const chance = chances(seed);
    const ledger = new Ledger();
    using next = slowly(works.release(versions.next));
    using first = slowly(works.release(versions.first));
    const told: string[] = [];
    for (let kill = 0; kill < kills; kill++) {
      const phase = phases[kill % phases.length] ?? "trial";
      const role = roles[chance(roles.length)] ?? "new";
      const known = history().length;
      let on = true;
      const writing = Array.from({ length: writers }, (_, at) => write(at, ledger, () => on));
      const { running } = await box.view();
      const release = (running === versions.first ? next : first).url.href;
      let servesMs = 0;
      refused = 0;
      let attempt: slots.Attempt;
      try {
        // Its end tells nothing: whom it asks may be killed.
        writing.push(
          box.upgrade(release, "--downgrade", "--retry").then(
            () => undefined,
            () => undefined,
          ),
        );
        await until(`it comes to "${phase}"`, () => {
          const [newest] = history();
          const mine = history().length > known || known > 50;
          return mine && newest?.phases.some((one) => one.phase === phase) ? true : null;
        });
        // tidy: allow banned-call: any moment is what is wanted
        await Bun.sleep(chance(withinMs[phase]));
        const pid = victim(role);
        process.kill(pid, "SIGKILL");
        const killedAt = performance.now();
        // Orphans answer until they know: what counts is who is started in its place.
        if (pid === box.pid) await until("it is gone", () => box.ended);
        await servesAgain();
        servesMs = Math.round(performance.now() - killedAt);
        attempt = await decided();
        await servesAgain();
      } finally {
        on = false;
        await Promise.all(writing);
      }
      const view = await box.view();
      const end = `${attempt.outcome} at ${attempt.phase}, ${view.running} runs`;
      told.push(`${phase}/${role}: ${end}, serves after ${servesMs} ms, ${refused} starts refused`);
      const lost = ledger.reconcile(await written());
      expect({ kill, seed, lost }).toEqual({ kill, seed, lost: [] });
      expect([versions.first, versions.next] as string[]).toContain(view.running);
    }
    if (kills > 6) console.log(told.join("\n"));
    expect(ledger.acknowledgements).toBeGreaterThan(kills);
    const check = JSON.parse(await box.must("storage", "check", "--json"));
    expect(check).toMatchObject({ ok: true, problems: [] });
  },
  60_000 + kills * 30_000,
);
