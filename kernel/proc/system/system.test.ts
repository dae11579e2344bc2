/** An upgrade of the operating system from its first write to its end, on a disk in a directory. */
import { expect, test } from "bun:test";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import {
  brought,
  publish,
  type TestHost,
  testHost,
  testRelease,
} from "../../../tests/appliance.ts";
import { until } from "../../../tests/process.ts";
import { SysError } from "../../errno.ts";
import { type Machine, realMachine } from "../../machine.ts";
import { readBootState } from "./boot-partition.ts";
import { createSystem, giveUp, settleBoot } from "./system.ts";

/** A clock that passes as fast as it is waited for. */
function quick(): Machine {
  let nowMs = 1_000_000;
  const after: Machine["after"] = (delayMs, run) => {
    nowMs += delayMs;
    queueMicrotask(run);
    return { cancel: () => {} };
  };
  return { ...realMachine(), now: () => nowMs, monotonicMs: () => nowMs, after };
}

function parts(host: TestHost, apps: () => string[] = () => ["blog"], machine = quick()) {
  const looker = {
    look: async () => ({
      apps: apps(),
      network: host.network(),
      failedUnits: await host.failedUnits(),
    }),
    database: async () => [],
  };
  return { machine, system: createSystem({ machine, host, looker }) };
}

const state = (host: TestHost) => readBootState(join(host.dir, "boot"));

test("a good one is written, armed, tried, compared and stays", async () => {
  using host = testHost();
  const { machine, system } = parts(host);
  const told: string[] = [];
  await system.install(brought(host.dir, "2.0.0"), (phase) => told.push(phase));
  expect(told).toEqual(["fetch", "canary", "erase", "root", "boot", "verify", "arm", "armed"]);
  expect(state(host)).toMatchObject({ good: "a", try: "b", left: 2 });
  expect(await settleBoot(machine, host)).toEqual({ trial: false, line: null });
  await expect(system.rollback()).rejects.toMatchObject({ code: "EBUSY" });
  system.restart();
  await until("the restart", () => host.told.includes("restart"));

  expect(host.start()).toBe("b");
  expect(await settleBoot(machine, host)).toMatchObject({ trial: true });
  expect(await system.judge()).toBe("2.0.0 has proved itself and stays");
  expect(host.told).toEqual(["restart", "over"]);
  expect(state(host)).toMatchObject({ good: "b", try: null });
  expect(system.attempts()).toMatchObject([{ outcome: "committed", from: "1.0.0", reason: null }]);
  expect(await system.slots()).toMatchObject([
    { slot: "a", version: "1.0.0", running: false, good: false },
    { slot: "b", version: "2.0.0", running: true, good: true, trial: false },
  ]);
  expect([host.start(), host.start()]).toEqual(["b", "b"]);
});

test("a signed release is fetched, written and started; what was fetched goes", async () => {
  using host = testHost();
  const { machine, system } = parts(host);
  const from = publish(host.dir, { root: "r".repeat(5000), kernel: "kernel", initrd: "initrd" });
  const consent = { downgrade: false, blocked: false };
  await system.upgrade({ from, consent });
  await until("the restart", () => host.told.includes("restart"));
  expect(host.start()).toBe("b");
  await settleBoot(machine, host);
  await system.judge();
  expect(host.version()).toBe("2.0.0");
  expect(existsSync(host.fetchDir)).toBe(false);
});

test("one that is worse than before gives itself up and says why, and is blocked", async () => {
  using host = testHost();
  let apps = ["blog"];
  const { machine, system } = parts(host, () => apps);
  await system.install(brought(host.dir, "2.0.0"));
  host.start();
  await settleBoot(machine, host);
  apps = [];
  host.failed = ["data.mount"];
  const reason = await system.judge();
  expect(reason).toBe(
    '2.0.0 started, but "blog" answered before and does not now; and "data.mount" failed to start, so 1.0.0 runs again',
  );
  expect(host.told).toEqual(["restart"]);
  expect(host.start()).toBe("a");
  expect(await settleBoot(machine, host)).toEqual({ trial: false, line: null });
  expect(system.blocked()).toEqual({ "2.0.0": reason as string });
});

test("one that never starts is counted out by the boot loader, with what it left behind", async () => {
  using host = testHost();
  const { machine, system } = parts(host);
  await system.install(brought(host.dir, "2.0.0"));
  expect([host.start(), host.start(), host.start()]).toEqual(["b", "b", "a"]);
  host.left = { journaled: 0, lastLines: [], panic: "Kernel panic - not syncing: no init" };
  const { line } = await settleBoot(machine, host);
  expect(line).toBe(
    "2.0.0 was started twice and was never found well: its kernel, its initrd or its root does not start (Kernel panic - not syncing: no init), so 1.0.0 runs again",
  );
  expect(state(host)).toMatchObject({ good: "a", try: null });
  expect(system.attempts()).toMatchObject([{ outcome: "reverted", reason: line }]);
});

test("one whose kernel cannot boot gives itself up at once", async () => {
  using host = testHost();
  const { machine, system } = parts(host);
  await system.install(brought(host.dir, "2.0.0"));
  host.start();
  await settleBoot(machine, host);
  await giveUp(machine, host, { target: "storage", message: "cannot open the database" });
  expect(host.start()).toBe("a");
  expect(system.attempts().at(-1)?.reason).toContain('could not reach "storage": cannot open');
});

test("a failure while writing ends the attempt and leaves the running slot and the state alone", async () => {
  using host = testHost();
  const { system } = parts(host);
  const before = readFileSync(join(host.dir, "boot/fazt/a/system.json"), "utf8");
  const release = testRelease(host.dir, "2.0.0");
  const bad = { ...release, root: { ...release.root, sha256: "0".repeat(64) } };
  await expect(system.install({ version: "2.0.0", bring: async () => bad })).rejects.toMatchObject({
    code: "EBADMSG",
  });
  expect(system.attempts()).toMatchObject([{ outcome: "failed", phase: "root" }]);
  expect(state(host)).toMatchObject({ good: "a", try: null });
  expect(readFileSync(join(host.dir, "boot/fazt/a/system.json"), "utf8")).toBe(before);
  await expect(system.rollback()).rejects.toMatchObject({ code: "ENOENT" });
  // It is no version's fault: it may be tried again.
  expect(system.blocked()).toEqual({});
  await system.install(brought(host.dir, "2.0.0"));
});

test("a power cut at any phase ends on one of the two, whole, with an outcome", async () => {
  const cuts = ["fetch", "canary", "erase", "root", "boot", "verify", "arm", "armed"];
  for (const cut of cuts) {
    using host = testHost();
    const { machine, system } = parts(host);
    const dying = system.install(brought(host.dir, "2.0.0"), (phase) => {
      // The power goes before the next write: this attempt is never ended by its own code.
      if (phase === cut) throw new Error("the power is cut");
    });
    await expect(dying).rejects.toThrow("the power is cut");
    const attempt = host.attempts.all()[0];
    if (attempt !== undefined) host.attempts.put({ ...attempt, outcome: null, endedAt: null });
    const slot = host.start();
    const { trial } = await settleBoot(machine, host);
    if (trial) await system.judge();
    const good = state(host).good;
    expect([cut, state(host).try]).toEqual([cut, null]);
    expect([cut, good]).toEqual([cut, slot]);
    expect(host.attempts.open()).toBeNull();
  }
});

/** A machine whose timers wait until the test says so. */
function patient(): { machine: Machine; pass: () => void } {
  const due: (() => void)[] = [];
  const after: Machine["after"] = (_delayMs, run) => {
    due.push(run);
    return { cancel: () => {} };
  };
  const pass = () => {
    for (const run of due.splice(0)) run();
  };
  return { machine: { ...quick(), after }, pass };
}

test("the machine starts again after whoever asked was answered, not before", async () => {
  using host = testHost();
  const { machine, pass } = patient();
  const { system } = parts(host, undefined, machine);
  await system.install(brought(host.dir, "2.0.0"));
  system.restart();
  expect(host.told).toEqual([]);
  expect(system.attempts()).toMatchObject([{ phase: "restart", outcome: null }]);
  pass();
  expect(host.told).toEqual(["restart"]);
});

test("a machine that does not start again is not on trial, and the history says so", async () => {
  using host = testHost();
  const { machine, pass } = patient();
  const refusal = new SysError("EIO", "cannot restart the machine: no answer");
  const deaf = { ...host, restart: () => Promise.reject(refusal) };
  const { system } = parts(deaf, undefined, machine);
  await system.install(brought(host.dir, "2.0.0"));
  system.restart();
  pass();
  await until("the end", () => system.attempts()[0]?.outcome === "failed");
  expect(system.attempts()).toMatchObject([{ reason: "cannot restart the machine: no answer" }]);
  expect(state(host)).toMatchObject({ good: "a", try: null });
});

/** Brings a release to the other slot and lets it prove itself. */
async function upgraded(host: TestHost, to: string): Promise<ReturnType<typeof parts>> {
  const made = parts(host);
  await made.system.install(brought(host.dir, to));
  host.start();
  await settleBoot(made.machine, host);
  await made.system.judge();
  return made;
}

test("goes back to the other slot when asked, on trial as well", async () => {
  using host = testHost();
  await upgraded(host, "2.0.0");
  const { machine, system } = await upgraded(host, "3.0.0");
  host.told.length = 0;
  expect(await system.rollback()).toMatchObject({ kind: "rollback", version: "2.0.0", slot: "b" });
  await until("the restart", () => host.told.includes("restart"));
  expect(state(host)).toMatchObject({ good: "a", try: "b" });
  expect(host.start()).toBe("b");
  await settleBoot(machine, host);
  await system.judge();
  expect(state(host)).toMatchObject({ good: "b", try: null });
});

test("a slot that does not hold what it should is not gone back to, and the history says so", async () => {
  using host = testHost();
  const { system } = await upgraded(host, "2.0.0");
  host.told.length = 0;
  writeFileSync(join(host.dir, "root-a"), "other");
  await system.rollback();
  await until("the end", () => system.attempts().at(-1)?.outcome === "failed");
  expect(system.attempts().at(-1)).toMatchObject({ kind: "rollback", phase: "verify" });
  expect(system.attempts().at(-1)?.reason).toContain("root-a");
  expect(state(host)).toMatchObject({ good: "b", try: null });
  expect(host.told).toEqual([]);
});
