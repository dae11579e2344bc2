/**
 * The operating system below fazt is upgraded, and comes back by itself from what is wrong with the
 * new one, in a machine with firmware, boot loader and disk.
 *
 * Every start takes most of a minute without acceleration, so what CI runs is one story: up, not up,
 * and power cuts that change nothing. `FAZT_UPGRADES=all` runs the rest; by choice, so that it can be
 * run in parts: `FAZT_KINDS=hang` one of a kind, `FAZT_CYCLES` and `FAZT_CUTS` how many, `FAZT_MINUTES`
 * for how long they go on at most, `FAZT_CUT_SECONDS` within what time cuts fall, `FAZT_FIRMWARE=uefi`;
 * with `FAZT_KEPT=DIR` the machine stays in that directory, and the next run goes on with it.
 */
import { describe, expect, test } from "bun:test";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { version as shipped } from "../../package.json";
import { until } from "../process.ts";
import { call, claim, deploy, visit } from "./owner.ts";
import { attachReleases, type Kind, releaseDisc, versionOf } from "./releases.ts";
import { bootVm, makeVmDisk, type Vm } from "./vm.ts";

const bootMsMax = 400_000;
const server = 'export default { fetch: () => new Response("here") };\n';

interface Slot {
  readonly slot: string;
  readonly version: string | null;
  readonly running: boolean;
  readonly good: boolean;
  readonly trial: boolean;
}

interface Attempt {
  readonly version: string;
  readonly outcome: string | null;
  readonly phase: string;
  readonly reason: string | null;
  readonly lastLines: readonly string[];
}

/** Tells whoever reads the log that an answer was missing; it is asked for again. */
function unanswered(error: unknown): null {
  console.warn(String(error));
  return null;
}

/** A machine with its owner. */
interface Owned {
  readonly vm: Vm;
  readonly token: string;
}

async function ask<T>({ vm, token }: Owned, path: string, input: object = {}): Promise<T> {
  const answer = await call(vm, path, { token, input });
  const text = await answer.text();
  if (!answer.ok) throw new Error(text);
  return JSON.parse(text) as T;
}

/** A machine that has just come up, or is about to go, may leave a connection that was kept. */
const slots = (at: Owned) =>
  until("the slots", () => ask<Slot[]>(at, "/sys/proc/system/ls").catch(unanswered), bootMsMax);
const newest = async (at: Owned) =>
  (await ask<Attempt[]>(at, "/sys/proc/system/history"))[0] ?? null;

/**
 * Begins an upgrade, as soon as the probe has attached the releases. A slow machine may have begun
 * when the client has given up waiting for its answer.
 */
async function begin(at: Owned, kind: Kind): Promise<void> {
  const asked = { token: at.token, input: { from: `/run/releases/${kind}/releases` } };
  const begun = async () => {
    const answer = await call(at.vm, "/sys/proc/upgrade/start", asked).catch(() => null);
    return answer?.ok === true || (await newest(at).catch(() => null))?.version === versionOf[kind];
  };
  await until("the releases", begun, bootMsMax);
}

/** Awaits what becomes of the newest attempt, through every restart that takes. */
function decided(at: Owned, kind: Kind): Promise<Attempt> {
  return until(
    `the end of ${kind}`,
    async () => {
      const attempt = await newest(at).catch(() => null);
      return attempt?.version === versionOf[kind] && attempt.outcome !== null ? attempt : null;
    },
    3 * bootMsMax,
  );
}

/** What must hold of a machine that serves, whatever was done to it: its version is one of these. */
async function serves(at: Owned, versions: readonly string[]): Promise<string> {
  const known = await slots(at);
  const running = known.find((slot) => slot.running);
  expect(versions).toContain(running?.version ?? "none");
  // A listener that has just changed its certificates may close a connection that was kept.
  const checked = await until(
    "the check of the database",
    () => ask<{ ok: boolean }>(at, "/sys/storage/check").catch(unanswered),
    bootMsMax,
  );
  expect(checked).toMatchObject({ ok: true });
  // A machine that has just started says so until its app runs.
  const answers = async () => (await (await visit(at.vm, "one")).text()) === "here";
  await until("the app", () => answers().catch(unanswered), bootMsMax);
  return running?.version ?? "";
}

/** What a run knows of its machine that goes on with it. */
interface Known {
  readonly token: string;
  readonly slots?: string;
}

/** A machine's disk, and what is known of it from one start to the next. */
interface Disk {
  boot(): Promise<Vm>;
  known(): Known | null;
  note(known: Known): void;
}

const keptDir = process.env["FAZT_KEPT"] ?? null;

async function withDisk(kinds: readonly Kind[], work: (disk: Disk) => Promise<void>) {
  const dir = keptDir ?? mkdtempSync(join(tmpdir(), "fazt-upgrade-"));
  const path = join(dir, "disk.qcow2");
  const notes = join(dir, "known.json");
  try {
    const cdrom = await releaseDisc(dir, kinds);
    const disk = existsSync(path) ? path : await makeVmDisk(path);
    const known = () =>
      existsSync(notes) ? (JSON.parse(readFileSync(notes, "utf8")) as Known) : null;
    const note = (what: Known) => writeFileSync(notes, JSON.stringify(what));
    const boot = async () => {
      const firmware = process.env["FAZT_FIRMWARE"] === "uefi" ? "uefi" : "bios";
      const vm = await bootVm({ disk, cdrom, firmware, probe: attachReleases, watchdog: true });
      await vm.up(bootMsMax);
      return vm;
    };
    await work({ boot, known, note });
  } finally {
    if (keptDir === null) rmSync(dir, { recursive: true, force: true });
  }
}

/** Until when another round may begin, by the clock of `performance`. */
const endsMs = () => performance.now() + Number(process.env["FAZT_MINUTES"] ?? 90) * 60_000;

async function owned(vm: Vm): Promise<Owned> {
  const at = { vm, token: await claim(vm) };
  await deploy(vm, at.token, { name: "one", server });
  await visit(vm, "one");
  return at;
}

test("a good system stays, one that panics comes back and says why, power cuts change nothing", async () => {
  await withDisk(["good", "panic"], async ({ boot }) => {
    let token = "";
    {
      await using vm = await boot();
      const at = await owned(vm);
      token = at.token;
      const before = (await slots(at)).find(({ running }) => running)?.version ?? "";
      await begin(at, "good");
      expect(await decided(at, "good")).toMatchObject({ outcome: "committed", reason: null });
      expect(await slots(at)).toMatchObject([
        { slot: "a", version: before, running: false, good: false, trial: false },
        { slot: "b", version: "9.0.0", running: true, good: true, trial: false },
      ]);
      if (isAsked("panic")) {
        await begin(at, "panic");
        const end = await decided(at, "panic");
        expect(end.outcome).toBe("reverted");
        expect(end.reason).toMatch(
          /^9\.0\.1 was started twice and was never found well: .* so 9\.0\.0 runs again$/,
        );
        expect(vm.serial.text).toContain(`[ slot ] ${end.reason}`);
      }
      expect(await serves(at, ["9.0.0"])).toBe("9.0.0");
      await vm.cut();
    }
    const state = async (at: Owned) => JSON.stringify(await slots(at));
    let known = "";
    for (let round = 0; round < Number(process.env["FAZT_CYCLES"] ?? 2); round++) {
      await using vm = await boot();
      const at = { vm, token };
      await serves(at, ["9.0.0"]);
      if (known !== "") expect(await state(at)).toBe(known);
      known = await state(at);
      await vm.cut();
    }
  });
}, 1_800_000);

describe.if(process.env["FAZT_UPGRADES"] === "all")("what must not stay", () => {
  const reasons: Readonly<Record<"corrupt" | "hang" | "gate", RegExp>> = {
    corrupt: /^9\.0\.2 was started twice and was never found well: .* does not start/,
    hang: /^9\.0\.3 was started twice and was never found well: .* does not start/,
    gate: /^9\.0\.4 started, but "broken\.service" failed to start, so .* runs again$/,
  };

  test("a root that is none, a start that hangs, a unit that fails", async () => {
    const all = ["corrupt", "hang", "gate"] as const;
    const kinds = all.filter(isAsked);
    await withDisk(kinds, async ({ boot }) => {
      await using vm = await boot();
      const at = await owned(vm);
      for (const kind of kinds) {
        await begin(at, kind);
        const end = await decided(at, kind);
        console.log(end.reason);
        expect(end.outcome).toBe("reverted");
        expect(end.reason).toMatch(reasons[kind]);
        await serves(at, [shipped]);
      }
    });
  }, 3_600_000);

  test("power-cycling a healthy machine changes nothing", async () => {
    const ends = endsMs();
    await withDisk([], async ({ boot, known, note }) => {
      for (let round = 0; round < Number(process.env["FAZT_CYCLES"] ?? 20); round++) {
        if (performance.now() > ends) break;
        await using vm = await boot();
        const before = known();
        const at: Owned = before === null ? await owned(vm) : { vm, token: before.token };
        await serves(at, [shipped]);
        const now = JSON.stringify(await slots(at));
        if (before !== null) expect(now).toBe(before.slots ?? "");
        note({ token: at.token, slots: now });
        console.log(`${round}: ${now}`);
        await vm.cut();
      }
    });
  }, 3_600_000);

  test("power cuts at random moments of an upgrade end on one of the two, whole", async () => {
    const cuts = Number(process.env["FAZT_CUTS"] ?? 10);
    const ends = endsMs();
    await withDisk(["good"], async ({ boot, known, note }) => {
      for (let round = 0; round <= cuts; round++) {
        await using vm = await boot();
        const before = known();
        const at = before === null ? await owned(vm) : { vm, token: before.token };
        note({ token: at.token });
        const version = await serves(at, [shipped, versionOf.good]);
        const last = await newest(at);
        // What a person who runs this wants to know: where the cuts fell.
        console.log(`${round}: ${last?.phase ?? "-"}, ${last?.outcome ?? "-"}, runs ${version}`);
        if (round === cuts || performance.now() > ends) break;
        // A trial that is under way is cut as it is; else there, or back.
        const isOver = last?.outcome !== null;
        if (isOver && version === shipped) await begin(at, "good");
        else if (isOver) await ask(at, "/sys/proc/system/rollback").catch(() => null);
        await vm.cutAfter(cutWithinMs * Math.random());
      }
    });
  }, 6_000_000);
});

/** Whether a kind of release is tried in this run. */
const isAsked = (kind: Kind): boolean =>
  process.env["FAZT_KINDS"]?.split(" ").includes(kind) ?? true;

/** An upgrade takes about so long, its restart and trial included, ms. */
const cutWithinMs = Number(process.env["FAZT_CUT_SECONDS"] ?? 120) * 1000;
