/**
 * The errnos of upgrading: a kernel whose releases are signed by a key of the test, and which writes
 * down what it is to be replaced by.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
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
const keys = () => [publicKeyOf(pair.publicKey)];
const base = { version: "0.0.0-test", sizeBytes: 1 };

const slots = (dataDir: string) => ({
  store: openSlots(dataDir, base),
  place: "base" as const,
  keys,
  order: () => undefined,
});

/** A release that suits, but for what is changed; answers the path of its manifest. */
function releaseIn(out: string, change: Partial<ReleaseOptions>): string {
  const program = join(out, "program");
  writeFileSync(program, "program");
  return makeRelease({
    ...{ out, key: pair.secretKey, version: "9.0.0", channel: "stable", level: 0 },
    arch: process.arch as Arch,
    ...{ minFrom: "0.0.0-0", notAfter: Date.now() + 60_000 },
    ingredients: [{ kind: "binary", path: program }],
    ...change,
  });
}

/** Makes a call on a kernel that can be replaced, about a release that is so. */
const about =
  (call: string, change: Partial<ReleaseOptions>, spoil?: (path: string) => void) => async () => {
    const out = mkdtempSync(join(tmpdir(), "fazt-release-"));
    const path = releaseIn(out, change);
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
const busy =
  (call: string, input: () => object = () => ({})) =>
  async () => {
    await using k = await testKernel({ slots });
    const store = openSlots(k.dataDir, base);
    store.change((state) => ({ ...state, attempt: "up_other" }));
    return await k.call(call, input());
  };

const large = (path: string) => writeFileSync(path, "x".repeat(100_000));
const damaged = (path: string) => writeFileSync(path, "{}");
const strange = keyFilesOf(new Uint8Array(40).fill(6)).secretKey;
/** Where no release could be. */
const senseless = (call: string) => async () => {
  await using k = await testKernel({ slots });
  return await k.call(call, { from: "nowhere" });
};

const found = (call: string): readonly Case[] => [
  [call, "EINVAL", senseless(call)],
  [call, "ENOENT", { from: "/nowhere" }],
  [call, "EBADMSG", about(call, {}, damaged)],
  [call, "EKEYREJECTED", about(call, { key: strange })],
  [call, "EFBIG", about(call, {}, large)],
  [call, "ETIMEDOUT", silent(call)],
  [call, "EIO", broken(call)],
];

const [start, back] = ["proc.upgrade.start", "proc.rollback"];

/** Offers a release to a machine. */
const offered =
  (change: Partial<ReleaseOptions>, spoil: (text: string) => string = (text) => text) =>
  async () => {
    await using k = await testKernel({ slots });
    return await k.call("proc.upgrade.offer", manifestOf(change, spoil));
  };

/** A manifest and its signature, as they are sent. */
function manifestOf(change: Partial<ReleaseOptions>, spoil = (text: string) => text) {
  const out = mkdtempSync(join(tmpdir(), "fazt-release-"));
  try {
    const path = releaseIn(out, change);
    const text = (name: string) => readFileSync(name, "utf8");
    return { manifest: spoil(text(path)), signature: text(`${path}.minisig`) };
  } finally {
    rmSync(out, { recursive: true });
  }
}

const file = `fazt-9.0.0-${process.arch}`;

/** Sends a file of an offered release. */
const sent = (name: string, content: string) => async () => {
  await using k = await testKernel({ slots });
  await k.call("proc.upgrade.offer", manifestOf({}));
  return await k.call("proc.upgrade.put", { name }, { body: new Blob([content]).stream() });
};

/** While another file is being sent. */
const crowded = async () => {
  await using k = await testKernel({ slots });
  await k.call("proc.upgrade.offer", manifestOf({}));
  const end = Promise.withResolvers<void>();
  const body = new ReadableStream<Uint8Array>({
    async pull(to) {
      await end.promise;
      to.close();
    },
  });
  const first = k.call("proc.upgrade.put", { name: file }, { body }).catch(() => undefined);
  try {
    return await k.call("proc.upgrade.put", { name: file });
  } finally {
    end.resolve();
    await first;
  }
};

const [offer, put] = ["proc.upgrade.offer", "proc.upgrade.put"];
const sendingCases: readonly Case[] = [
  [offer, "EBUSY", busy(offer, () => manifestOf({}))],
  [offer, "EBADMSG", offered({}, (text) => `${text} `)],
  [offer, "EKEYREJECTED", offered({ key: strange })],
  [offer, "ENOEXEC", offered({ minFrom: "8.0.0" })],
  [offer, "ESTALE", offered({ notAfter: 1 })],
  [offer, "EEXIST", offered({ version: "0.0.0-test" })],
  [put, "ENOENT", sent("other", "program")],
  [put, "EBUSY", crowded],
  [put, "EFBIG", sent(file, "a longer program")],
  [put, "EBADMSG", sent(file, "progran")],
];

export const upgradeCases: readonly Case[] = [
  ...sendingCases,
  ["proc.channel.set", "EINVAL", { zone: "Nowhere/Else" }],
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
