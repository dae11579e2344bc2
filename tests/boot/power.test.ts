/**
 * Power: a machine that loses it while it writes keeps every write that it has answered, and its
 * database is whole; the button is heard from the first moment of systemd on.
 */
import { expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { call, claim } from "./owner.ts";
import { bootVm, makeVmDisk, type Vm } from "./vm.ts";

const cuts = Number(process.env["FAZT_CUTS"] ?? 10);
/** Between the first write after a boot and the cut, ms. */
const lifeMsMax = 2_000;

/** Writes until the power is gone; answers the names of what was acknowledged. */
async function writeUntilCut(vm: Vm, token: string, round: number): Promise<string[]> {
  const kept: string[] = [];
  let cut = false;
  const acknowledged = Promise.withResolvers<void>();
  const writer = async (lane: number) => {
    for (let i = 0; !cut; i++) {
      const path = `/home/${round}-${lane}-${i}`;
      const asked = { token, input: { path }, body: path.repeat(20) };
      const answer = await call(vm, "/sys/fs/write", asked).catch(() => null);
      if (answer?.ok === true) {
        kept.push(path);
        acknowledged.resolve();
      } else if (answer !== null && !cut) throw new Error(await answer.text());
    }
  };
  const writers = [0, 1, 2, 3].map(writer);
  // A slow machine has something to lose too; one that refuses a write has failed here.
  await Promise.race([acknowledged.promise, Promise.all(writers)]);
  // The moment is by chance: every run cuts somewhere else.
  await vm.cutAfter(lifeMsMax * Math.random());
  cut = true;
  await Promise.allSettled(writers);
  return kept;
}

/**
 * Switches the machine off by a call, and hears its answer: networkd ends before the kernel does, and
 * must leave the addresses that the last answers go out by.
 */
async function endsAnswered(vm: Vm, token: string): Promise<void> {
  const off = await call(vm, "/sys/proc/poweroff", { token });
  expect(await off.json()).toEqual({ done: true });
  expect(await vm.exited).toBe(0);
}

test(`keeps what it has acknowledged through ${cuts} power cuts`, async () => {
  const dir = mkdtempSync(join(tmpdir(), "fazt-cuts-"));
  try {
    const disk = await makeVmDisk(join(dir, "disk.qcow2"));
    const kept: string[] = [];
    let token = "";
    for (let round = 0; round <= cuts; round++) {
      // One processor: a busy host's emulation of two has left a second one without its timer.
      await using vm = await bootVm({ disk, direct: true, processors: 1 });
      expect(await vm.up(300_000)).toMatchObject({ status: "ok" });
      if (token === "") token = await claim(vm);
      const found = await call(vm, "/sys/fs/ls", { token, input: { path: "/home" } });
      const names = ((await found.json()) as { path: string }[]).map(({ path }) => path);
      expect(kept.filter((path) => !names.includes(path))).toEqual([]);
      const check = await call(vm, "/sys/storage/check", { token });
      expect(check.status).toBe(200);
      expect(await check.json()).toMatchObject({ ok: true });
      if (round < cuts) kept.push(...(await writeUntilCut(vm, token, round)));
    }
    expect(kept.length).toBeGreaterThanOrEqual(cuts);
    await using vm = await bootVm({ disk, direct: true, processors: 1 });
    await vm.up(300_000);
    await endsAnswered(vm, token);
  } finally {
    rmSync(dir, { recursive: true });
  }
}, 1_500_000);

test("the power button, pressed before anybody listens, switches the machine off", async () => {
  await using vm = await bootVm({ direct: "loglevel=7", processors: 1 });
  await vm.serial.expect(/systemd\[1\]: systemd \d+\S* running in system mode/, 300_000);
  expect(vm.serial.text).not.toContain("waits for the disks");
  await vm.powerOff();
}, 600_000);
