/**
 * The errnos of the operating system's slots, on an appliance whose disk is a directory.
 */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import type { ReleaseOptions } from "../../ci/release.ts";
import { SysError } from "../../kernel/errno.ts";
import { type Machine, realMachine } from "../../kernel/machine.ts";
import { keyFilesOf } from "../../kernel/proc/upgrade/mod.ts";
import { brought, publish, testHost } from "../appliance.ts";
import { testKernel } from "../kernel.ts";
import type { Case } from "./errno-world.ts";

type Prepare = (about: {
  readonly dir: string;
  install(): Promise<unknown>;
}) => Promise<unknown> | unknown;

/** Asks to go back on an appliance that was prepared. */
const rollback = (prepare: Prepare) => async () => {
  using host = testHost();
  await using k = await testKernel({ system: host });
  const install = () => k.kernel.system.install(brought(host.dir, "2.0.0"));
  await prepare({ dir: host.dir, install });
  return await k.call("proc.system.rollback");
};

/** Asks to go back on a machine that was started from somewhere else. */
const astray = async () => {
  using host = testHost();
  const nowhere = { ...host, now: () => ({ ...host.now(), running: null }) };
  await using k = await testKernel({ system: nowhere });
  return await k.call("proc.system.rollback");
};

/** Asks for a release on an appliance; `prepare` answers where it is. */
const upgrade =
  (prepare: (dir: string) => string, machine: Machine = realMachine()) =>
  async () => {
    using host = testHost();
    await using k = await testKernel({ system: host, machine });
    return await k.call("proc.system.upgrade", { from: prepare(host.dir) });
  };

/** One that waits for nobody. */
const quick: Machine = {
  ...realMachine(),
  after: (_delayMs, run) => realMachine().after(1, run),
};

const files = { root: "root", kernel: "kernel", initrd: "initrd" };
const from = (change: Partial<ReleaseOptions>) => upgrade((dir) => publish(dir, files, change));

/** A release whose manifest is something else. */
const tampered = (text: string) =>
  upgrade((dir) => {
    const at = publish(dir, files);
    writeFileSync(join(at, `stable-${process.arch}.json`), text);
    return at;
  });

/** A server that accepts and says nothing. */
const silent = async () => {
  using server = Bun.serve({ port: 0, hostname: "127.0.0.1", fetch: () => new Promise(() => {}) });
  return await upgrade(() => `http://127.0.0.1:${server.port}/`, quick)();
};

const busy = async () => {
  using host = testHost();
  await using k = await testKernel({ system: host });
  await k.kernel.system.install(brought(host.dir, "2.0.0"));
  return await k.call("proc.system.upgrade", { from: publish(host.dir, files) });
};

const stranger = keyFilesOf(new Uint8Array(40).fill(9)).secretKey;

const upgradeCases: readonly Case[] = [
  ["proc.system.upgrade", "ENOSYS", { from: "/nowhere" }],
  ["proc.system.upgrade", "EBUSY", busy],
  ["proc.system.upgrade", "EINVAL", upgrade(() => "nowhere")],
  ["proc.system.upgrade", "ENOENT", upgrade((dir) => join(dir, "none"))],
  ["proc.system.upgrade", "EBADMSG", tampered("{}")],
  ["proc.system.upgrade", "EKEYREJECTED", from({ key: stranger })],
  ["proc.system.upgrade", "ENOEXEC", from({ minFrom: "1.5.0" })],
  ["proc.system.upgrade", "ESTALE", from({ notAfter: 1 })],
  ["proc.system.upgrade", "EPERM", from({ version: "0.9.0" })],
  ["proc.system.upgrade", "EEXIST", from({ version: "1.0.0" })],
  ["proc.system.upgrade", "EFBIG", tampered(" ".repeat(70_000))],
  ["proc.system.upgrade", "ETIMEDOUT", silent],
  ["proc.system.upgrade", "EIO", upgrade(() => "http://127.0.0.1:1/")],
];

/** Goes back on a system that was changed last, and was then started from somewhere else. */
const back = async () => {
  using host = testHost();
  let isAstray = false;
  const now = () => (isAstray ? { ...host.now(), running: null } : host.now());
  await using k = await testKernel({ system: { ...host, now } });
  await k.kernel.system.install(brought(host.dir, "2.0.0"));
  const [armed] = k.kernel.system.attempts();
  if (armed !== undefined) host.attempts.put({ ...armed, outcome: "committed", endedAt: 1 });
  isAstray = true;
  return await k.call("proc.rollback");
};

/** Looks at slots whose boot partition cannot be read. */
const unreadable = async () => {
  using host = testHost();
  const read = () => Promise.reject(new SysError("EIO", "cannot attach the boot partition"));
  await using k = await testKernel({ system: { ...host, boot: { ...host.boot, read } } });
  return await k.call("proc.slots");
};

export const systemCases: readonly Case[] = [
  ["proc.rollback", "EIO", back],
  ["proc.slots", "EIO", unreadable],
  ...upgradeCases,
  ["proc.system.ls", "ENOSYS", {}],
  ["proc.system.rollback", "ENOSYS", {}],
  ["proc.system.rollback", "ENOENT", rollback(() => undefined)],
  ["proc.system.rollback", "EBUSY", rollback(({ install }) => install())],
  ["proc.system.rollback", "EIO", astray],
];
