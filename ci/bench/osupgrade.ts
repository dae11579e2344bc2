/**
 * An upgrade of the operating system: how long the machine does not serve, there and back, against
 * one normal boot of the same machine. What is downloaded and written before the restart costs
 * nobody a request and is not in it.
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

/** Asks for a change of the system; answers for how long nothing was served, ms. */
async function changed(at: Owned, path: string, input: object): Promise<number> {
  const { vm, token } = at;
  const asked = async () => (await call(vm, path, { token, input }).catch(() => null))?.ok === true;
  await until(`${path} is accepted`, asked);
  await until("the restart", async () => !(await serves(at)));
  const downMs = performance.now();
  await until("the new system", () => serves(at));
  const forMs = performance.now() - downMs;
  const decided = async () => {
    const answer = await call(vm, "/sys/proc/system/history", { token });
    const [newest] = (await answer.json()) as { outcome: string | null }[];
    return newest?.outcome === "committed";
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
    const boots: number[] = [];
    const upgrades: number[] = [];
    let token = "";
    for (let round = -1; round < rounds; round++) {
      const startedMs = performance.now();
      await using vm = await bootVm({ disk, cdrom, probe: attachReleases });
      await vm.up(waitMsMax);
      // The first boot makes partitions: it is no normal one.
      if (round >= 0) boots.push(performance.now() - startedMs);
      else token = await claim(vm);
      if (round === rounds - 1) {
        const from = "/run/releases/good/releases";
        upgrades.push(await changed({ vm, token }, "/sys/proc/system/upgrade", { from }));
        upgrades.push(await changed({ vm, token }, "/sys/proc/system/rollback", {}));
      }
      await vm.powerOff();
    }
    const named = { id: "osupgrade-down", what: "system upgrade: not serving", unit: "s" };
    const seconds = (samples: readonly number[]) => samples.map((ms) => ms / 1000);
    const theirs = { name: "a normal boot", samples: seconds(boots) };
    return [ratioRow({ ...named, goal: { atMost: 1.2 } }, seconds(upgrades), theirs)];
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}
