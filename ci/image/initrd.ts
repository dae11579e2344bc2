/**
 * The initrd: `image/boot/init`, a static busybox and the modules that reach a disk. Written here,
 * entry by entry (cpio's "newc" form, https://docs.kernel.org/driver-api/early-userspace/buffer-format.html),
 * so that it holds nothing by accident and the same inputs give the same bytes.
 */
import { existsSync, readFileSync } from "node:fs";
import { basename } from "node:path";
import { root } from "../with.mjs";
import type { System } from "./system.ts";
import type { Tools } from "./tools.ts";

interface Entry {
  readonly name: string;
  readonly mode: number;
  readonly bytes: Uint8Array;
}

/**
 * What the root's file system, disks and their buses need; those built in are passed over. The most
 * frequent first: loading ends when the disk is there.
 */
const wanted = [
  "erofs",
  "virtio_pci",
  "virtio_blk",
  "virtio_scsi",
  "sd_mod",
  "nvme",
  "ahci",
  "ata_piix",
  "hv_storvsc",
  "vmw_pvscsi",
  "mptspi",
  "xen-blkfront",
];

/**
 * The power button and what makes a device of it that can be listened to; loop devices, by which
 * systemd-repart makes a file system: to load it later would take a program of its own.
 */
const early = ["button", "evdev", "loop"];

/** Loaded for a slot on trial, until there is a watchdog: the machine's own, else the kernel's. */
const watchdogs = ["i6300esb", "iTCO_wdt", "softdog"];

const applets = [
  ...["sh", "mount", "cat", "insmod", "switch_root", "usleep", "sleep", "reboot"],
  ...["dd", "hexdump"],
];

const directory = 0o040755;
const program = 0o100755;
const file = 0o100644;
const link = 0o120777;

/** An archive of the entries, in their order. Pure. */
export function cpio(entries: readonly Entry[]): Uint8Array<ArrayBuffer> {
  const parts: Uint8Array[] = [];
  let length = 0;
  const put = (bytes: Uint8Array) => {
    const padded = new Uint8Array(Math.ceil(bytes.length / 4) * 4);
    padded.set(bytes);
    parts.push(padded);
    length += padded.length;
  };
  const hex = (n: number) => n.toString(16).padStart(8, "0");
  const add = ({ name, mode, bytes }: Entry, inode: number) => {
    const named = `${name}\0`;
    const fields = [inode, mode, 0, 0, 1, 0, bytes.length, 0, 0, 0, 0, named.length, 0];
    put(new TextEncoder().encode(`070701${fields.map(hex).join("")}${named}`));
    put(bytes);
  };
  entries.forEach((entry, i) => {
    add(entry, i + 1);
  });
  add({ name: "TRAILER!!!", mode: 0, bytes: new Uint8Array() }, 0);
  const archive = new Uint8Array(length);
  let at = 0;
  for (const part of parts) {
    archive.set(part, at);
    at += part.length;
  }
  return archive;
}

export interface Module {
  /** Below the folder of modules.dep. */
  readonly path: string;
  /** What must be loaded before, by the names of `/sys/module`. */
  readonly needs: readonly string[];
}

/** The modules and what they stand on, in the order of loading, from the text of modules.dep. Pure. */
export function loadOrder(dep: string, names: readonly string[]): Module[] {
  const needs = new Map<string, string[]>();
  for (const line of dep.split("\n")) {
    const [path, rest] = line.split(":");
    if (path) needs.set(path, rest?.trim().split(" ").filter(Boolean) ?? []);
  }
  const plain = (path: string) =>
    basename(path)
      .replace(/\.ko(\..+)?$/, "")
      .replaceAll("-", "_");
  const order: string[] = [];
  const visit = (path: string) => {
    if (order.includes(path)) return;
    // modules.dep lists what a module stands on with the nearest first.
    for (const need of (needs.get(path) ?? []).toReversed()) visit(need);
    order.push(path);
  };
  for (const name of names) {
    const path = [...needs.keys()].find((one) => plain(one) === name.replaceAll("-", "_"));
    if (path !== undefined) visit(path);
  }
  return order.map((path) => ({ path, needs: (needs.get(path) ?? []).map(plain) }));
}

async function moduleBytes(tools: Tools, path: string): Promise<Uint8Array> {
  const bytes = readFileSync(path);
  if (path.endsWith(".ko")) return bytes;
  if (path.endsWith(".zst")) return Bun.zstdDecompressSync(bytes);
  const child = Bun.spawn(tools.command(["xz", "-dc", path]), { stdout: "pipe" });
  return await child.stdout.bytes();
}

const firstProgram = () => readFileSync(`${root}image/boot/init`, "utf8");

/**
 * The initrd of a system, with a first program that is `image/boot/init` unless a test says
 * otherwise. Compressed by zstd, which the kernels of both distributions read.
 */
export async function makeInitrd(
  tools: Tools,
  system: Pick<System, "tree">,
  init: string = firstProgram(),
): Promise<Uint8Array> {
  const [version] = [...new Bun.Glob("*/modules.dep").scanSync(`${system.tree}/usr/lib/modules`)];
  const modules = `${system.tree}/usr/lib/modules/${version?.split("/")[0]}`;
  if (!existsSync(modules)) throw new Error(`no modules in "${system.tree}"`);
  const dep = readFileSync(`${modules}/modules.dep`, "utf8");
  const order = loadOrder(dep, wanted);
  const here = new Set(order.map(({ path }) => path));
  const others = (names: readonly string[]) =>
    loadOrder(dep, names).filter(({ path }) => !here.has(path));
  const [soon, watching] = [others(early), others(watchdogs)];
  const busybox = Bun.spawn(tools.command(["cat", "/usr/bin/busybox"]), { stdout: "pipe" });
  const text = (words: string) => new TextEncoder().encode(words);
  const nothing = new Uint8Array();
  const plain = ({ path }: Module) => basename(path).replace(/\.ko.*$/, ".ko");
  const list = (modules: readonly Module[]) =>
    text(modules.map((one) => `${[plain(one), ...one.needs].join(" ")}\n`).join(""));
  const folders = ["bin", "dev", "proc", "sys", "root", "modules"];
  const entries: Entry[] = [
    ...folders.map((name) => ({ name, mode: directory, bytes: nothing })),
    { name: "init", mode: program, bytes: text(init) },
    { name: "bin/busybox", mode: program, bytes: await busybox.stdout.bytes() },
    ...applets.map((name) => ({ name: `bin/${name}`, mode: link, bytes: text("busybox") })),
    { name: "modules/order", mode: file, bytes: list(order) },
    { name: "modules/early", mode: file, bytes: list(soon) },
    { name: "modules/watchdog", mode: file, bytes: list(watching) },
  ];
  for (const one of [...order, ...soon, ...watching]) {
    const bytes = await moduleBytes(tools, `${modules}/${one.path}`);
    entries.push({ name: `modules/${plain(one)}`, mode: file, bytes });
  }
  return Bun.zstdCompressSync(cpio(entries), { level: 19 });
}
