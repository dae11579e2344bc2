/** One way to upgrade both: to which of them a release goes, what going back means, what is sent. */
import { expect, test } from "bun:test";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { publish, releaseKey, testHost } from "../../../tests/appliance.ts";
import { type TestKernel, testKernel } from "../../../tests/kernel.ts";
import { until } from "../../../tests/process.ts";
import { type Machine, realMachine } from "../../machine.ts";
import { openSlots, publicKeyOf, sentDir, slots as states } from "../upgrade/mod.ts";
import { sentMsMax } from "./limits.ts";

const base = { version: "0.0.0-test", sizeBytes: 1 };
const ordered: string[] = [];

/** A program that can be replaced, by nobody who does it. */
const slots = (dataDir: string) => ({
  store: openSlots(dataDir, base),
  place: "base" as const,
  keys: () => [publicKeyOf(releaseKey)],
  order: ({ version }: { readonly version: string }) => void ordered.push(version),
});

const system = { root: "root", kernel: "kernel", initrd: "initrd" };
const program = { binary: "program" };
/** Whatever runs may go to it. */
const any = { minFrom: "0.0.0-0" };
const arch = process.arch;

interface View {
  readonly system: { readonly slot: string; readonly version: string | null }[] | null;
  readonly rollbackTo: { readonly part: string; readonly version: string } | null;
  readonly last: { readonly part: string; readonly outcome: string; readonly sentence: string };
}

const view = (k: TestKernel) => k.call<View>("proc.slots");
/** What a directory publishes, under a directory that goes with the test. */
function releases(): { readonly dir: string } & Disposable {
  const dir = mkdtempSync(join(tmpdir(), "fazt-channel-"));
  return { dir, [Symbol.dispose]: () => rmSync(dir, { recursive: true }) };
}

test("on the appliance a release with a system in it goes to the other slot, one without to the program", async () => {
  using host = testHost();
  using at = releases();
  await using k = await testKernel({ system: host, slots });
  const whole = publish(join(at.dir, "whole"), { ...program, ...system });
  const found = await k.call("proc.upgrade.check", { from: whole });
  expect(found).toMatchObject({ version: "2.0.0", part: "system", running: "1.0.0", suits: true });
  expect(await k.call("proc.upgrade.start", { from: whole })).toMatchObject({
    ...{ part: "system", to: "2.0.0" },
  });
  await expect(k.call("proc.upgrade.start", { from: whole })).rejects.toMatchObject({
    code: "EBUSY",
  });
  await until("it is armed", async () => host.told.includes("restart"), 20_000);
  expect((await view(k)).system).toMatchObject([
    { slot: "a", version: "1.0.0", running: true, good: true, trial: false },
    { slot: "b", version: "2.0.0", running: false, good: false, trial: true },
  ]);
  expect((await view(k)).last).toMatchObject({ part: "system", outcome: "under way" });

  host.start();
  const [armed] = k.kernel.system.attempts();
  if (armed !== undefined) {
    host.attempts.put({ ...armed, outcome: "committed", endedAt: Date.now() });
  }
  expect(await view(k)).toMatchObject({
    rollbackTo: { part: "system", version: "1.0.0" },
    last: { sentence: "The upgrade of the system to 2.0.0 is done." },
  });
  const small = publish(join(at.dir, "small"), program, { version: "3.0.0", ...any });
  expect(await k.call("proc.upgrade.start", { from: small })).toMatchObject({ part: "program" });
  await until("it is the conductor's turn", async () => ordered.includes("3.0.0"), 20_000);
}, 60_000);

test("elsewhere the same release is one of the program; going back is about what changed last", async () => {
  using at = releases();
  await using k = await testKernel({ slots });
  const whole = publish(at.dir, { ...program, ...system }, { version: "4.0.0", ...any });
  expect(await k.call("proc.upgrade.start", { from: whole })).toMatchObject({ part: "program" });
  await until("it is the conductor's turn", async () => ordered.includes("4.0.0"), 20_000);
  expect(await view(k)).toMatchObject({ system: null, rollbackTo: null });
  openSlots(k.dataDir, base).change((state) => states.commit(state, "a", Date.now()));
  expect(await view(k)).toMatchObject({
    rollbackTo: { part: "program", version: "0.0.0-test" },
    last: { part: "program", outcome: "committed", sentence: "The upgrade to 4.0.0 is done." },
  });
  expect(await k.call("proc.rollback")).toMatchObject({ part: "program", to: "0.0.0-test" });
  expect(await k.call("proc.upgrade.history", { limit: 1 })).toMatchObject([
    { kind: "rollback", from: "4.0.0", to: "0.0.0-test" },
  ]);
}, 60_000);

test("a system that came back says why, in the same history", async () => {
  using host = testHost();
  await using k = await testKernel({ system: host, slots });
  const reason = "2.0.0 was started twice and was never found well: so 1.0.0 runs again";
  host.attempts.put({
    ...{ id: "sys_1", kind: "upgrade", version: "2.0.0", from: "1.0.0", slot: "b", bootId: "x" },
    ...{ startedAt: 5, phase: "kernel", tries: 2, before: null, endedAt: 9, outcome: "reverted" },
    crumbs: [
      { phase: "armed", at: 6 },
      { phase: "kernel", at: 8 },
    ],
    reason,
    lastLines: ["kernel: it burns"],
  });
  expect(await k.call("proc.upgrade.history")).toMatchObject([
    {
      ...{ part: "system", kind: "os", outcome: "reverted", tookMs: 4, sentence: `${reason}.` },
      phases: [{ phase: "armed" }, { phase: "kernel" }],
      lastLines: ["kernel: it burns"],
    },
  ]);
  expect(await k.call("proc.slots")).toMatchObject({ blocked: [{ version: "2.0.0", reason }] });
});

test("a release is sent file by file, is not sent twice, and is gone when it is installed", async () => {
  using at = releases();
  await using k = await testKernel({ slots });
  const out = publish(at.dir, { ...program, ...system }, { version: "5.0.0", ...any });
  const text = (name: string) => readFileSync(join(out, `stable-${arch}.json${name}`), "utf8");
  const offer = { manifest: text(""), signature: text(".minisig") };
  const offered = await k.call<{ files: { name: string; here: boolean }[] }>(
    "proc.upgrade.offer",
    offer,
  );
  const files = offered.files;
  expect(files).toMatchObject([{ here: false }]);
  const name = files[0]?.name ?? "";
  const body = new Blob([readFileSync(join(out, name))]).stream();
  await k.call("proc.upgrade.put", { name }, { body });
  expect(await k.call("proc.upgrade.offer", offer)).toMatchObject({ files: [{ here: true }] });
  await k.call("proc.upgrade.start", { from: "upload" });
  await until("it is the conductor's turn", async () => ordered.includes("5.0.0"), 20_000);
  expect(existsSync(sentDir(k.dataDir))).toBe(false);
}, 60_000);

test("what was sent of a system is gone when that was tried, and what was forgotten after a day", async () => {
  using host = testHost();
  using at = releases();
  let nowMs = Date.now();
  const machine: Machine = { ...realMachine(), now: () => nowMs };
  await using k = await testKernel({ system: host, slots, machine });
  const late = Date.now() + 30 * 86_400_000;
  const out = publish(at.dir, system, { version: "5.0.0", notAfter: late, ...any });
  const text = (name: string) => readFileSync(join(out, `stable-${arch}.json${name}`), "utf8");
  const offer = { manifest: text(""), signature: text(".minisig") };
  const here = () => existsSync(sentDir(k.dataDir));
  const { files } = await k.call<{ files: { name: string }[] }>("proc.upgrade.offer", offer);
  for (const { name } of files) {
    await k.call(
      "proc.upgrade.put",
      { name },
      { body: new Blob([readFileSync(join(out, name))]).stream() },
    );
  }
  await k.kernel.channel.wake();
  expect(here()).toBe(true);
  await k.call("proc.upgrade.start", { from: "upload" });
  await until("it is armed", async () => host.told.includes("restart"), 20_000);
  await k.kernel.channel.wake();
  expect(here()).toBe(true);
  const [armed] = k.kernel.system.attempts();
  nowMs += 60_000;
  if (armed !== undefined) {
    host.attempts.put({ ...armed, outcome: "reverted", reason: "no", endedAt: nowMs });
  }
  await k.kernel.channel.wake();
  expect(here()).toBe(false);

  nowMs += 1;
  await k.call("proc.upgrade.offer", { ...offer, retry: true });
  await k.kernel.channel.wake();
  expect(here()).toBe(true);
  nowMs += sentMsMax + 1;
  await k.kernel.channel.wake();
  expect(here()).toBe(false);
}, 60_000);

test("a version that failed here meanwhile is not installed by itself, and that is told once", async () => {
  using at = releases();
  let nowMs = Date.parse("2030-01-01T12:00:00Z");
  const machine: Machine = { ...realMachine(), now: () => nowMs, chance: () => 0 };
  const notAfter = Date.parse("2031-01-01T00:00:00Z");
  const from = publish(at.dir, program, { version: "7.0.0", notAfter, ...any });
  await using k = await testKernel({ slots, machine });
  await k.call("proc.channel.set", { from, automatic: true, check: false });
  // A look by hand is one of the machine's: the OS shell tells what it found.
  await k.call("proc.upgrade.check");
  expect(await k.call("proc.channel.show")).toMatchObject({
    ...{ found: { version: "7.0.0", suits: true }, checkedAt: nowMs },
  });
  openSlots(k.dataDir, base).change((state) => ({ ...state, blocked: { "7.0.0": "it hung" } }));
  for (let night = 2; night < 6; night++) {
    nowMs = Date.parse(`2030-01-0${night}T03:30:00Z`);
    await k.kernel.channel.wake();
  }
  expect(ordered).not.toContain("7.0.0");
  expect(await k.call("proc.channel.show")).toMatchObject({
    found: { version: "7.0.0", suits: false, reason: expect.stringContaining("it hung") },
  });
  expect(await k.call("proc.upgrade.history")).toEqual([]);
  const told = k.kernel.storage.logs.query({ app: "kernel", limit: 100 });
  expect(
    told.filter(({ text }) => text.includes("7.0.0")).map(({ level, text }) => `${level} ${text}`),
  ).toEqual([
    'warn upgrade: nothing is installed by itself: cannot upgrade to "7.0.0": it failed here before: it hung',
  ]);
}, 60_000);

test("what is chosen holds; a look finds a release, tells it, and installs only what was asked for", async () => {
  using at = releases();
  const real = realMachine();
  let nowMs = Date.parse("2030-01-01T12:00:00Z");
  const machine: Machine = { ...real, now: () => nowMs, chance: () => 0 };
  const late = Date.parse("2031-01-01T00:00:00Z");
  const about = { version: "6.0.0", notes: "Better.", notAfter: late, ...any };
  const from = publish(at.dir, program, about);
  await using k = await testKernel({ slots, machine });
  const shown = () => k.call("proc.channel.show");
  expect(await shown()).toMatchObject({
    ...{ channel: "stable", from: null, check: true, automatic: false, nextAt: null, found: null },
  });
  await k.call("proc.channel.set", { from, automatic: true, zone: "Europe/Berlin" });
  expect(await shown()).toMatchObject({ from, automatic: true, nextAt: nowMs });
  await k.kernel.channel.wake();
  expect(await shown()).toMatchObject({
    ...{ found: { version: "6.0.0", notes: "Better.", suits: true }, problem: null },
    ...{ checkedAt: nowMs, nextAt: nowMs + 18 * 3_600_000 },
  });
  await k.kernel.channel.wake();
  expect(ordered).not.toContain("6.0.0");
  nowMs = Date.parse("2030-01-02T01:30:00Z");
  await k.kernel.channel.wake();
  await until("it is the conductor's turn", async () => ordered.includes("6.0.0"), 20_000);

  await k.call("proc.channel.set", { from: "/nowhere", check: true });
  expect(await shown()).toMatchObject({ found: null, checkedAt: null });
  await k.kernel.channel.wake();
  expect(await shown()).toMatchObject({
    problem: expect.stringContaining("it is not there"),
    nextAt: nowMs + 3_600_000,
  });
}, 60_000);
