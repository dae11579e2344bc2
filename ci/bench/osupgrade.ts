/**
 * An upgrade of the operating system: how long the machine does not serve, there and back, against
 * a plain restart of the same machine (QEMU without hardware acceleration takes twice as long for a
 * machine that it restarts as for one that it starts). What is downloaded and written before the
 * restart costs nobody a request and is not in it.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { call, claim } from "../../tests/boot/owner.ts";
import { attachReleases, releaseDisc } from "../../tests/boot/releases.ts";
import { bootVm, makeVmDisk, type Vm } from "../../tests/boot/vm.ts";
import type { Bench } from "./bench.ts";
import { type Row, ratioRow } from "./row.ts";

const rounds = 2;
const waitMsMax = 600_000;
const lookEveryMs = 50;
/** What the machine's first program says. */
const firstWords = "fazt: starting slot";

interface Owned {
  readonly vm: Vm;
  readonly token: string;
}

async function serves({ vm }: Owned): Promise<boolean> {
  const signal = AbortSignal.timeout(1000);
  const answer = await fetch(`${vm.http}/sys/health`, { signal }).catch(() => null);
  return answer?.ok === true;
}

async function until(what: string, look: () => Promise<boolean>): Promise<void> {
  const endMs = performance.now() + waitMsMax;
  while (!(await look())) {
    if (performance.now() > endMs) throw new Error(`never: ${what}`);
    await Bun.sleep(lookEveryMs);
  }
}

/** What was tried, the newest first; null while nobody answers. */
async function attempts({ vm, token }: Owned): Promise<{ outcome: string | null }[] | null> {
  const answer = await call(vm, "/sys/proc/system/history", { token }).catch(() => null);
  return answer?.ok === true ? ((await answer.json()) as { outcome: string | null }[]) : null;
}

/** Makes a call that starts the machine again; answers for how long nothing was served, ms. */
async function down(at: Owned, path: string, input: object): Promise<number> {
  const { vm, token } = at;
  const starts = () => vm.serial.text.split(firstWords).length;
  const begun = starts();
  const answer = await call(vm, path, { token, input });
  if (!answer.ok) throw new Error(`${path}: ${await answer.text()}`);
  // A slow machine may be late with one answer: it restarts when its firmware speaks again.
  let downMs = performance.now();
  const restarts = async () => {
    if (await serves(at)) downMs = performance.now();
    return starts() > begun;
  };
  await until("the restart", restarts);
  await until("the machine serves again", () => serves(at));
  return performance.now() - downMs;
}

/** The same for a change of the system, which is over when it is decided. */
async function changed(at: Owned, path: string, input: object): Promise<number> {
  const before = (await attempts(at))?.length ?? 0;
  const forMs = await down(at, path, input);
  const decided = async () => {
    const [newest, ...older] = (await attempts(at)) ?? [];
    return older.length === before && newest?.outcome === "committed";
  };
  await until("it stays", decided);
  return forMs;
}

export async function measureSystemUpgrade(bench: Bench): Promise<Row[]> {
  const dir = mkdtempSync(join(tmpdir(), "fazt-bench-upgrade-"));
  try {
    bench.say("  a release on a disc");
    const cdrom = await releaseDisc(dir, ["good"]);
    const disk = await makeVmDisk(join(dir, "disk.qcow2"));
    await using vm = await bootVm({ disk, cdrom, probe: attachReleases });
    await vm.up(waitMsMax);
    const at = { vm, token: await claim(vm) };
    const restarts: number[] = [];
    for (let round = 0; round < rounds; round++) {
      restarts.push(await down(at, "/sys/proc/reboot", {}));
    }
    // What brings the releases is started after fazt: until they are there, nothing suits.
    const from = "/run/releases/good/releases";
    const attached = async () => {
      const input = { from };
      return (await call(vm, "/sys/proc/upgrade/check", { token: at.token, input })).ok;
    };
    await until("the releases", attached);
    const upgrades = [
      await changed(at, "/sys/proc/system/upgrade", { from }),
      await changed(at, "/sys/proc/system/rollback", {}),
    ];
    await vm.powerOff();
    const named = { id: "osupgrade-down", what: "system upgrade: not serving", unit: "s" };
    const seconds = (samples: readonly number[]) => samples.map((ms) => ms / 1000);
    const theirs = { name: "a plain restart", samples: seconds(restarts) };
    return [ratioRow({ ...named, goal: { atMost: 1.2 } }, seconds(upgrades), theirs)];
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}
