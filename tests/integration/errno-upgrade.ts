/**
 * The errnos of upgrading: a kernel whose releases are signed by a key of the test, and which writes
 * down what it is to be replaced by.
 */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { makeRelease, type ReleaseOptions } from "../../ci/release.ts";
import { realMachine } from "../../kernel/machine.ts";
import {
  type Arch,
  keyFilesOf,
  limits,
  openSlots,
  publicKeyOf,
} from "../../kernel/proc/upgrade/mod.ts";
import { testKernel } from "../kernel.ts";
import type { Case } from "./errno-world.ts";

const silenceMs = limits.sourceSilenceMsMax;
const pair = keyFilesOf(new Uint8Array(40).fill(5));
const keys = [publicKeyOf(pair.publicKey)];
const base = { version: "0.0.0-test", sizeBytes: 1 };

const slots = (dataDir: string) => ({
  store: openSlots(dataDir, base),
  place: "base" as const,
  keys,
  order: () => undefined,
});

/** Makes a call on a kernel that can be replaced, about a release that is so. */
const about =
  (call: string, change: Partial<ReleaseOptions>, spoil?: (path: string) => void) => async () => {
    const out = mkdtempSync(join(tmpdir(), "fazt-release-"));
    writeFileSync(join(out, "program"), "program");
    const path = makeRelease({
      ...{ out, key: pair.secretKey, version: "9.0.0", channel: "stable", level: 0 },
      arch: process.arch as Arch,
      ...{ minFrom: "0.0.0-0", notAfter: Date.now() + 60_000 },
      ingredients: [{ kind: "binary", path: join(out, "program") }],
      ...change,
    });
    spoil?.(path);
    await using k = await testKernel({ slots });
    try {
      return await k.call(call, { from: out });
    } finally {
      rmSync(out, { recursive: true });
    }
  };

/** An update server that fails. */
const broken = (call: string) => async () => {
  await using server = Bun.serve({
    port: 0,
    hostname: "127.0.0.1",
    fetch: () => new Response("sorry", { status: 500 }),
  });
  await using k = await testKernel({ slots });
  return await k.call(call, { from: server.url.href });
};

/** An update server that says nothing, for a machine that bears no silence. */
const silent = (call: string) => async () => {
  await using server = Bun.serve({
    port: 0,
    hostname: "127.0.0.1",
    fetch: () => new Promise<Response>(() => undefined),
  });
  const real = realMachine();
  const after = (ms: number, run: () => void) => real.after(ms === silenceMs ? 50 : ms, run);
  await using k = await testKernel({ slots, machine: { ...real, after } });
  return await k.call(call, { from: server.url.href });
};

/** While another one is under way. */
const busy = (call: string) => async () => {
  await using k = await testKernel({ slots });
  const store = openSlots(k.dataDir, base);
  store.change((state) => ({ ...state, attempt: "up_other" }));
  return await k.call(call, {});
};

const large = (path: string) => writeFileSync(path, "x".repeat(100_000));
const damaged = (path: string) => writeFileSync(path, "{}");
const strange = keyFilesOf(new Uint8Array(40).fill(6)).secretKey;
const found = (call: string): readonly Case[] => [
  [call, "ENOENT", { from: "/nowhere" }],
  [call, "EBADMSG", about(call, {}, damaged)],
  [call, "EKEYREJECTED", about(call, { key: strange })],
  [call, "EFBIG", about(call, {}, large)],
  [call, "ETIMEDOUT", silent(call)],
  [call, "EIO", broken(call)],
];

const [start, back] = ["proc.upgrade.start", "proc.rollback"];

export const upgradeCases: readonly Case[] = [
  ...found("proc.upgrade.check"),
  ...found(start).filter(([, errno]) => errno !== "ENOENT"),
  [start, "ENOENT", about(start, {}, (path) => rmSync(`${path}.minisig`))],
  [start, "ENOSYS", { from: "/nowhere" }],
  [start, "EBUSY", busy(start)],
  [start, "ENOEXEC", about(start, { minFrom: "8.0.0" })],
  [start, "ESTALE", about(start, { notAfter: 1 })],
  [start, "EEXIST", about(start, { version: "0.0.0-test" })],
  [back, "ENOSYS", {}],
  [back, "EBUSY", busy(back)],
  [
    back,
    "ENOENT",
    async () => {
      await using k = await testKernel({ slots });
      return await k.call(back, {});
    },
  ],
];
