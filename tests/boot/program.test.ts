/**
 * The appliance's program is replaced under systemd: the service never restarts, the data partition
 * runs no program but those in the slots, and a kernel that hangs later is missed by the watchdog
 * although its process is no longer the service's own.
 */
import { expect, test } from "bun:test";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { testRootPass } from "../kernel.ts";
import { program, run, until } from "../process.ts";
import { versions, Works } from "../upgrade/machine.ts";
import { bootContainer } from "./container.ts";

type Box = Awaited<ReturnType<typeof bootContainer>>;

/** A property of the service, as systemd has it. */
async function property(box: Box, name: string): Promise<string> {
  const show = ["systemctl", "show", "fazt.service", "--value", "-p", name];
  return (await box.inside(...show)).stdout.trim();
}

/** What runs, or null while nobody answers. */
async function running(box: Box): Promise<unknown> {
  const { code, stdout } = await box.fazt("proc", "slots", "--json");
  if (code !== 0) return null;
  const { running: version, place } = JSON.parse(stdout);
  return { version, place };
}

/** The kernel that is not the service's own process, as this machine numbers it. */
function kernelBelow(pid: number): number | null {
  if (readFileSync(`/proc/${pid}/cmdline`, "utf8").includes("upgrade-child")) return pid;
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").trim().split(" ");
  const found = children.filter((word) => word !== "").map((word) => kernelBelow(Number(word)));
  return found.find((one) => one !== null) ?? null;
}

/** Mounts the data as the image does: no program runs from it, but those in the slots. */
async function mountData(box: Box): Promise<void> {
  const image = join(import.meta.dir, "../../image/root");
  const fstab = readFileSync(join(image, "etc/fstab"), "utf8");
  expect(fstab).toMatch(/^PARTLABEL=fazt-data\s+\/data\s.*noexec/m);
  const unit = join(image, "usr/lib/systemd/system/var-lib-fazt-slots.mount");
  const options = /^Options=(.*)$/m.exec(readFileSync(unit, "utf8"))?.[1] ?? "";
  const dir = "/var/lib/fazt";
  const mounts = [
    ["mount", "-o", "remount,bind,noexec,nodev,nosuid", dir],
    ["mount", "-o", options, `${dir}/slots`, `${dir}/slots`],
  ];
  for (const words of mounts) expect(await box.inside(...words)).toMatchObject({ code: 0 });
}

test("its program is replaced, and a kernel that hangs afterwards is started anew", async () => {
  using works = new Works();
  await works.build(versions.first);
  await works.build(versions.next);
  const release = works.release(versions.next);
  const dropIn = join(works.dir, "drop-in");
  mkdirSync(dropIn);
  writeFileSync(join(dropIn, "soon.conf"), "[Service]\nWatchdogSec=12\n");
  const data = join(works.dir, "data");
  mkdirSync(join(data, "slots"), { recursive: true });
  const words = [
    "proc",
    "init",
    "--data",
    data,
    "--domain",
    "localhost",
    "--email",
    "me@fazt.test",
  ];
  expect(await run([...program, ...words], { stdin: testRootPass })).toMatchObject({ code: 0 });
  await using box = await bootContainer({
    dataDir: data,
    binds: {
      [works.program(versions.first)]: "/usr/bin/fazt",
      [release]: "/data",
      [dropIn]: "/run/systemd/system/fazt.service.d",
    },
  });
  await box.up();
  expect(await running(box)).toEqual({ version: versions.first, place: "base" });
  await mountData(box);
  const service = await property(box, "MainPID");

  const upgrade = ["proc", "upgrade", "--from", "/data", "--trial", "5s", "--json"];
  const { code, stdout, stderr } = await box.fazt(...upgrade);
  expect([code, stderr, JSON.parse(stdout).sentence]).toEqual([
    0,
    "",
    "The upgrade to 1.1.0 is done.",
  ]);
  expect(JSON.parse(stdout)).toMatchObject({ outcome: "committed", reason: null });
  expect(await running(box)).toEqual({ version: versions.next, place: "a" });
  expect(await property(box, "MainPID")).toBe(service);
  const health = await box.run("curl", "-s", "http://127.0.0.1/sys/health");
  expect(JSON.parse(health.stdout)).toMatchObject({ status: "ok" });

  const kernel = kernelBelow(box.leader);
  expect(kernel).not.toBeNull();
  process.kill(kernel ?? 0, "SIGSTOP");
  await until(
    "systemd starts it anew",
    async () => !["0", "", service].includes(await property(box, "MainPID")),
    120_000,
  );
  await box.up(120_000);
  expect(await running(box)).toEqual({ version: versions.next, place: "a" });
}, 300_000);
