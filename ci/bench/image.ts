/**
 * The appliance's figures: the download, the time from QEMU's start to the first answer against a
 * stock image's login prompt, memory in use once it is claimed, and how much is in it. Both images
 * are new disks under the same firmware and the same QEMU, which has no hardware acceleration.
 */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { hashPassword } from "../../kernel/security/mod.ts";
import { bootVm } from "../../tests/boot/vm.ts";
import { makeRelease } from "../image/release.ts";
import { enabledUnits } from "../image/root.ts";
import { type Image, makeImage } from "../image.ts";
import type { Bench } from "./bench.ts";
import { type Row, ratioRow, valueRow } from "./row.ts";
import { ensureStock } from "./stock.ts";

const rounds = 3;
const bootMsMax = 300_000;

/** Seconds from QEMU's start until a new machine of ours tells its health. */
async function ours(firmware: "bios" | "uefi"): Promise<number> {
  const startedMs = performance.now();
  await using vm = await bootVm({ firmware });
  await vm.up(bootMsMax);
  return (performance.now() - startedMs) / 1000;
}

/** Seconds until a new stock machine asks for a name on its serial line. */
async function theirs(image: Image, stock: string): Promise<number> {
  const dir = mkdtempSync(join(tmpdir(), "fazt-bench-vm-"));
  try {
    const disk = join(dir, "disk.qcow2");
    const backing = ["-b", stock, "-F", "raw"];
    await image.tools.run(["qemu-img", "create", "-q", "-f", "qcow2", ...backing, disk, "4G"]);
    const startedMs = performance.now();
    await using vm = await bootVm({ firmware: "uefi", disk });
    await vm.serial.expect(/stock login:/, bootMsMax);
    return (performance.now() - startedMs) / 1000;
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}

/** What it says once it has settled; the program that asks is counted too. */
const probe = `
const { readFileSync } = require("node:fs");
const kilobytes = (name) =>
  Number(new RegExp("^" + name + ":\\\\s+(\\\\d+)", "m").exec(readFileSync("/proc/meminfo", "utf8"))[1]);
await Bun.sleep(15_000);
// As text: a number would be in colour, for the line is a terminal.
console.log(String(kilobytes("MemTotal") - kilobytes("MemAvailable")));
`;

/** MB in use (MemTotal - MemAvailable) on a claimed machine of 1 GB without apps. */
async function memoryInUse(): Promise<number> {
  const passwordHash = await hashPassword("gravel otter lamp seven");
  const claim = { passwordHash, domain: "example.com", email: "me@example.com" };
  const document = Buffer.from(`#fazt\n${JSON.stringify({ claim })}`).toString("base64");
  const smbios = [`type=11,value=io.systemd.credential.binary:fazt.user-data=${document}`];
  await using vm = await bootVm({ probe, smbios });
  await vm.serial.expect(/claimed as example\.com/, bootMsMax);
  return (Number(await vm.probed()) * 1024) / 1e6;
}

/** What the download holds, and what a machine of it uses. */
export async function measureImage(bench: Bench): Promise<Row[]> {
  const image = await makeImage();
  const { tools, tree, raw, system, packages } = image;
  bench.say("  compressing");
  await makeRelease(tools, { raw, system, level: 19 });
  const sizeMb = Bun.file(`${raw}.zst`).size / 1e6;
  const count = readFileSync(packages, "utf8").trim().split("\n").length;
  const memory = await memoryInUse();
  const size = { id: "image-size", what: "download (.raw.zst)", unit: "MB", goal: { atMost: 105 } };
  const used = { id: "image-memory", what: "memory, claimed", unit: "MB", goal: { atMost: 150 } };
  const parts = { id: "image-packages", what: "packages", unit: "", goal: { atMost: 90 } };
  const units = { id: "image-units", what: "enabled units", unit: "", goal: { atMost: 25 } };
  return [
    valueRow(size, [sizeMb]),
    valueRow(used, [memory]),
    valueRow(parts, [count]),
    valueRow(units, [(await enabledUnits(tools, tree)).length]),
  ];
}

/** How long it takes to boot, next to a stock image. */
export async function measureImageBoot(bench: Bench): Promise<Row[]> {
  const image = await makeImage();
  const stock = await ensureStock(image.tools);
  const [boots, others, bios]: [number[], number[], number[]] = [[], [], []];
  for (let round = 0; round < rounds; round++) {
    bench.say(`  boot ${round + 1} of ${rounds}`);
    boots.push(await ours("uefi"));
    others.push(await theirs(image, stock));
    bios.push(await ours("bios"));
  }
  const what = "QEMU (UEFI) to health 200";
  const boot = { id: "image-boot", what, unit: "s", goal: { atMost: 0.45 } };
  const plain = { id: "image-boot-bios", what: "QEMU (BIOS) to health 200", unit: "s", goal: null };
  return [
    ratioRow(boot, boots, { name: "stock to login", samples: others }),
    valueRow(plain, bios),
  ];
}
