/**
 * `npm run boot [-- --uefi] [--memory MB] [--fresh]`: the image in QEMU, its serial console on this
 * terminal, HTTP on 127.0.0.1:8080 and HTTPS on 127.0.0.1:8443. What it writes is kept in
 * `dist/image/boot.qcow2` until `--fresh` or another image. End it with `proc poweroff` in the
 * machine, or Ctrl-A X.
 */
import { existsSync, rmSync } from "node:fs";
import { parseArgs } from "node:util";
import { firmwareVariables, probeWords, qemuWords } from "./image/qemu.ts";
import { imageDir, makeImage } from "./image.ts";
import { ensureSystem } from "./install.ts";

const { values } = parseArgs({
  options: {
    uefi: { type: "boolean", default: false },
    memory: { type: "string", default: "1024" },
    fresh: { type: "boolean", default: false },
  },
});
if (ensureSystem("image").length > 0) process.exit(1);
const { tools, raw } = await makeImage();
/** A device that is there need not work: that of a machine which is itself in a machine. */
const helped = async () =>
  await tools.run(probeWords(tools.architecture), { stdin: "quit\n" }).then(
    () => true,
    () => false,
  );
const kvm = existsSync("/dev/kvm") && (await helped());
if (!kvm) console.error("without hardware acceleration (/dev/kvm): it takes a minute to start");
const uefi = values.uefi || tools.architecture === "arm64";
const disk = `${imageDir}/boot.qcow2`;
const variables = `${imageDir}/boot.vars`;
const stale = existsSync(disk) && Bun.file(disk).lastModified < Bun.file(raw).lastModified;
// What it wrote is a layer over the image, and worth nothing over another one.
if (stale) console.error("the image is newer than this machine's disk: the machine begins anew");
if (values.fresh || stale) rmSync(disk, { force: true });
if (!existsSync(disk)) {
  const backing = ["-b", raw, "-F", "raw"];
  await tools.run(["qemu-img", "create", "-q", "-f", "qcow2", ...backing, disk, "8G"]);
  await tools.run(["cp", firmwareVariables(tools.architecture), variables]);
}
const words = qemuWords({
  architecture: tools.architecture,
  kvm,
  firmware: uefi ? "uefi" : "bios",
  disk: { path: disk, format: "qcow2", bus: "virtio" },
  memoryMb: Number(values.memory),
  ports: { 80: 8080, 443: 8443 },
  variables,
});
console.error(
  "HTTP is on http://127.0.0.1:8080/, HTTPS on https://127.0.0.1:8443/; Ctrl-A X cuts the power.",
);
// Ctrl-C belongs to the machine; Ctrl-A X ends QEMU.
const serial = words.indexOf("stdio");
words.splice(serial, 1, "mon:stdio");
const child = Bun.spawn(tools.command(words), {
  stdio: ["inherit", "inherit", "inherit"],
});
process.exit(await child.exited);
