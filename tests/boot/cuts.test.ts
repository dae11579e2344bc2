/**
 * Power cuts in the middle of an upgrade of the operating system, and of the way back: whatever the
 * moment, the machine comes up on one of the two, with all that it has acknowledged.
 *
 * A machine makes the change once while its disk is copied at moments drawn by chance, each as the
 * power would leave it; then every copy is started with its firmware and judged, some of them after
 * they were cut again on their way up. `FAZT_UPGRADES=all` runs it; with `FAZT_KEPT=DIR` copies that
 * were not judged in `FAZT_MINUTES` wait there for the next run; `FAZT_CUTS` moments of each phase at
 * most (`restart`, which the new system's start is in: four times as many), `FAZT_CUT_SECONDS` apart in
 * the mean, `FAZT_FIRMWARE=uefi`.
 */
import { expect, test } from "bun:test";
import { appendFileSync, mkdirSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { version as shipped } from "../../package.json";
import { until } from "../process.ts";
import {
  type Attempt,
  ask,
  begin,
  bootMsMax,
  type Disk,
  newest,
  type Owned,
  owned,
  serves,
  slots,
  withDisk,
} from "./owned.ts";
import { call } from "./owner.ts";
import { versionOf } from "./releases.ts";
import { layVmDisk } from "./vm.ts";

const cutsOfPhaseMax = Number(process.env["FAZT_CUTS"] ?? 3);
const apartMs = Number(process.env["FAZT_CUT_SECONDS"] ?? 4) * 1000;
const endsMs = () => performance.now() + Number(process.env["FAZT_MINUTES"] ?? 90) * 60_000;
/** A copy that is started is cut once more so often, and so late at most, ms. */
const againShare = 0.3;
const againMsMax = 40_000;

/** A copy of the disk that waits to be judged. */
interface Cut {
  readonly change: "upgrade" | "rollback";
  /** How far the change had come, as it was last heard. */
  readonly phase: string;
  /** Files that were acknowledged before. */
  readonly kept: readonly string[];
}

/** Every gap is as likely as a short one after it: a moment knows nothing of the one before. */
const gapMs = () => -apartMs * Math.log(1 - Math.random());

/** Writes files one after the other until it is told to stop; `kept` are those acknowledged. */
function writing(at: Owned) {
  const kept: string[] = [];
  const ending = new AbortController();
  const write = async () => {
    for (let i = 0; !ending.signal.aborted; i++) {
      const path = `/home/${Date.now()}-${i}`;
      const asked = { token: at.token, input: { path }, body: path };
      const answer = await call(at.vm, "/sys/fs/write", asked).catch(() => null);
      if (answer?.ok === true) kept.push(path);
      // tidy: allow banned-call: a pace, nothing is awaited
      await Bun.sleep(500);
    }
  };
  const done = write();
  const stop = async () => {
    ending.abort();
    await done;
  };
  return { kept, stop };
}

/** Makes a change of the system, and copies the disk meanwhile; answers when it is decided. */
async function copyWhile(disk: Disk, at: Owned, change: Cut["change"], path: string) {
  const writer = writing(at);
  const before = (await newest(at))?.id ?? "";
  let heard = "asked";
  let over = false;
  const listen = async () => {
    while (!over) {
      const attempt = await newest(at).catch(() => null);
      if (attempt !== null && attempt.id !== before) {
        heard = attempt.outcome ?? attempt.phase;
        over = attempt.outcome !== null;
      }
      // tidy: allow banned-call: a pace, nothing is awaited
      await Bun.sleep(100);
    }
  };
  const asked =
    change === "upgrade"
      ? begin(at, "good")
      : ask(at, "/sys/proc/system/rollback").catch(() => null);
  const listening = listen();
  const counts = new Map<string, number>();
  const wanted = () => cutsOfPhaseMax * (heard === "restart" ? 4 : 1) - (counts.get(heard) ?? 0);
  for (let i = 0; !over || wanted() > 0; i++) {
    // tidy: allow banned-call: a moment by chance is what is wanted
    await Bun.sleep(gapMs());
    await until("a phase that is cut", () => over || wanted() > 0, 3 * bootMsMax);
    const cut: Cut = { change, phase: heard, kept: [...writer.kept] };
    counts.set(heard, (counts.get(heard) ?? 0) + 1);
    const name = join(disk.dir, "cuts", `${change}-${String(i).padStart(2, "0")}-${Date.now()}`);
    await at.vm.copyAsCut(path, `${name}.qcow2`);
    await Bun.write(`${name}.json`, JSON.stringify(cut));
    console.log(`copied ${name}: ${cut.phase}, ${cut.kept.length} files`);
  }
  await Promise.all([asked, until("the end", () => over, 3 * bootMsMax)]);
  await listening;
  await writer.stop();
}

/** Starts a copy, and asks all that must hold of it. */
async function judge(disk: Disk, token: string, name: string): Promise<string> {
  const copy = `${name}.qcow2`;
  const { change, phase, kept } = JSON.parse(readFileSync(`${name}.json`, "utf8")) as Cut;
  let again = "";
  if (Math.random() < againShare) {
    await using vm = await disk.start(copy);
    const lifeMs = againMsMax * Math.random();
    again = `, again after ${Math.round(lifeMs / 1000)} s`;
    await vm.cutAfter(lifeMs);
  }
  await using vm = await disk.boot(copy);
  const at = { vm, token };
  const early = await serves(at, [shipped, versionOf.good]);
  const found = await ask<{ path: string }[]>(at, "/sys/fs/ls", { path: "/home", limit: 1000 });
  const names = found.map(({ path }) => path);
  expect(kept.filter((path) => !names.includes(path))).toEqual([]);
  // What was on trial is decided; then what is good runs, and nothing is on trial any more.
  const end = await until(
    "every attempt has ended",
    async () => {
      const attempts = await ask<Attempt[]>(at, "/sys/proc/system/history").catch(() => null);
      return attempts?.every(({ outcome }) => outcome !== null) === true ? { attempts } : null;
    },
    2 * bootMsMax,
  );
  const [last] = end.attempts;
  if (last !== undefined && last.outcome !== "committed") expect(last.reason).not.toBeNull();
  const version = await serves(at, [shipped, versionOf.good]);
  const running = (await slots(at)).find((slot) => slot.running);
  expect(running).toMatchObject({ good: true, trial: false });
  await vm.cut();
  const what = `${change} cut in "${phase}" (on the disk: ${last?.phase ?? "-"})${again}`;
  return `${what}: came up on ${early}, ${last?.outcome ?? "nothing tried"}, runs ${version}, ${kept.length} files kept`;
}

const isAll = process.env["FAZT_UPGRADES"] === "all";

test.if(isAll)(
  "power cuts at random moments of an upgrade end on one of the two, whole",
  async () => {
    const ends = endsMs();
    await withDisk(["good"], async (disk) => {
      const folder = join(disk.dir, "cuts");
      mkdirSync(folder, { recursive: true });
      const waiting = () => readdirSync(folder).filter((name) => name.endsWith(".json"));
      const token = disk.known()?.token ?? (await claimed(disk));
      if (waiting().length === 0) await makeCuts(disk, token);
      for (const file of waiting().sort(() => Math.random() - 0.5)) {
        if (performance.now() > ends) break;
        const name = join(folder, file.slice(0, -".json".length));
        const line = await judge(disk, token, name);
        console.log(line);
        appendFileSync(join(disk.dir, "judged.txt"), `${line}\n`);
        rmSync(`${name}.json`);
        rmSync(`${name}.qcow2`);
      }
    });
  },
  7_200_000,
);

/** A machine with owner and app, switched off: what the layers lie over. */
async function claimed(disk: Disk): Promise<string> {
  await using vm = await disk.boot();
  const { token } = await owned(vm);
  disk.note({ token });
  await vm.powerOff();
  return token;
}

/** There and back, each copied at many moments. */
async function makeCuts(disk: Disk, token: string): Promise<void> {
  let below = disk.path;
  for (const change of ["upgrade", "rollback"] as const) {
    const path = join(disk.dir, `${change}-${Date.now()}.qcow2`);
    await layVmDisk(path, below);
    await using vm = await disk.boot(path);
    await copyWhile(disk, { vm, token }, change, path);
    await vm.powerOff();
    below = path;
  }
}
