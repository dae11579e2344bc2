/** fs's calls through the dispatcher: what they answer, and every errno they declare. */
import { afterAll, beforeAll, beforeEach, expect, test } from "bun:test";
import { drain, noise, type TestFs, testFs } from "../../tests/fs.ts";
import { type Bytes, isCall } from "../call.ts";
import { anonymous, type Caller, localOwner } from "../caller.ts";
import { type Errno, SysError } from "../errno.ts";
import type { Kernel } from "../kernel.ts";
import { createSecurity, migrations as securityMigrations } from "../security/mod.ts";
import { createStorage } from "../storage/mod.ts";
import { createDispatcher, type Dispatcher } from "../syscall/mod.ts";
import { frameHead } from "./blob.ts";
import { hashOf } from "./body.ts";
import { fs as tree } from "./calls.ts";
import type { Stat } from "./fs.ts";
import { limits } from "./limits.ts";
import { createFs, migrations as fsMigrations, pseudo } from "./mod.ts";

const owner = localOwner("socket");
const app: Caller = {
  ...owner,
  kind: "app",
  via: "app",
  appId: "app_1",
  releaseId: "rel_1",
  grants: ["fs:read", "fs:write"],
};
const mb = 1024 * 1024;
const migrations = [...securityMigrations, ...fsMigrations];
const release = { "index.html": "<p>front</p>", "a/b.txt": "b" };

let at: TestFs;
let dispatcher: Dispatcher;

/** Everything a test may find: `/home/f`, `/home/d/x`, a small disk, a release, a made-up file. */
beforeAll(async () => {
  at = await testFs();
  const { machine, storage, fs, dataDir } = at;
  const security = createSecurity({ machine, storage, dataDir });
  const rootPass = "kettle moss violin nine";
  await security.claimLocally({ rootPass, domain: "localhost", email: "owner@example.com" });
  dispatcher = createDispatcher({ machine, storage, security, fs } as Kernel, { fs: tree });
  const files = await Promise.all(
    Object.entries(release).map(([path, text]) => at.store(path, text)),
  );
  await fs.manifests.put("rel_1", "app_1", files);
  const sealed = fs.manifests.filesystem("rel_1", 5);
  fs.mount("/apps/blog", sealed);
  fs.mount("/mnt/small", fs.tree("small", { appId: null }, 10));
  fs.mount("/proc", pseudo({ version: () => "1\n" }));
  fs.setAppView(() => ({ app: sealed, data: fs.tree("app_1", { appId: "app_1" }, 10) }));
});
afterAll(() => at[Symbol.asyncDispose]());
beforeEach(async () => {
  for (const { path } of await at.fs.ls(owner, "/home")) {
    await at.fs.rm(owner, path, { recursive: true });
  }
  await at.fs.mkdir(owner, "/home/d", { parents: false });
  for (const path of ["/home/f", "/home/d/x"]) await at.fs.write(owner, path, body("content"));
});

const body = (...parts: (string | Uint8Array)[]) => new Blob(parts).stream();

interface Made {
  readonly call: string;
  readonly input?: object;
  readonly body?: ReadableStream<Uint8Array>;
  readonly caller?: Caller;
  readonly signal?: AbortSignal;
}

async function make<T>(made: Made): Promise<T> {
  const request = { ...made, call: `fs.${made.call}`, caller: made.caller ?? owner };
  const reply = await dispatcher.dispatch(request);
  if (reply.kind === "json") return reply.value as T;
  return (reply.kind === "bytes" ? reply.bytes : reply.lines) as T;
}

const code = (made: Made): Promise<Errno | null> =>
  make(made).then(
    () => null,
    (error: unknown) => (error instanceof SysError ? error.code : "EIO"),
  );

const text = async (made: Made): Promise<string> =>
  new TextDecoder().decode(await drain((await make<Bytes>(made)).stream));

test("files: stat, ls, read, write, mkdir, mv, cp, rm", async () => {
  const path = "/home/n.txt";
  const stat = await make<Stat>({ call: "write", input: { path }, body: body("hello") });
  expect(stat).toMatchObject({
    path,
    kind: "file",
    sizeBytes: 5,
    hash: hashOf(Buffer.from("hello")),
  });
  expect(await make<Stat>({ call: "stat", input: { path } })).toEqual(stat);
  expect(await text({ call: "read", input: { path, offset: 1, length: 3 } })).toBe("ell");
  expect(await text({ call: "read", input: { path: "/proc/version" } })).toBe("1\n");
  await make({ call: "mkdir", input: { path: "/home/p/q", parents: true } });
  await make({ call: "mv", input: { from: path, to: "/home/p/q/m.txt" } });
  await make({ call: "cp", input: { from: "/apps/blog", to: "/home/p/blog" } });
  const du = { path: "/home/p", files: 3, directories: 3, sizeBytes: 18 };
  expect(await make<object>({ call: "du", input: { path: "/home/p/" } })).toEqual(du);
  const find = { call: "find", input: { path: "/home/p", name: "*.txt" } };
  const found = await Array.fromAsync(await make<AsyncIterable<Stat>>(find));
  expect(found.map((entry) => entry.path)).toEqual(["/home/p/blog/a/b.txt", "/home/p/q/m.txt"]);
  const rm = { call: "rm", input: { path: "/home/p", recursive: true } };
  expect(await make<object>(rm)).toEqual({ removed: 7 });
  const names = (await make<Stat[]>({ call: "ls", input: {} })).map((entry) => entry.path);
  expect(names).toEqual(["/apps", "/home", "/mnt", "/proc"]);
});

test("blobs: missing, put, putMany", async () => {
  const [a, b] = [noise(10, 71), noise(2 * mb, 72)];
  const hashes = [hashOf(a), hashOf(b)];
  const missing = { call: "blob.missing", input: { hashes } };
  expect(await make<object>(missing)).toEqual({ missing: hashes });
  const put = { call: "blob.put", input: { hash: hashes[0] }, body: body(a) };
  expect(await make<object>(put)).toEqual({ hash: hashOf(a), sizeBytes: 10, stored: true });
  const frames = body(frameHead(hashOf(a), 10), a, frameHead(hashOf(b), b.length), b);
  expect(await make<object>({ call: "blob.putMany", body: frames })).toEqual({
    stored: 1,
    known: 1,
    sizeBytes: 10 + 2 * mb,
  });
  expect(await make<object>(missing)).toEqual({ missing: [] });
});

test("an app has its own files and no more, and never the calls of others", async () => {
  const write = { call: "write", input: { path: "/data/x" }, caller: app };
  expect(await make<Stat>({ ...write, body: body("x") })).toMatchObject({ path: "/data/x" });
  expect(await text({ call: "read", input: { path: "/app/a/b.txt" }, caller: app })).toBe("b");
  expect(await code({ call: "ls", input: { path: "/home" }, caller: app })).toBe("EACCES");
  expect(await code({ ...write, input: { path: "/app/x" } })).toBe("EROFS");
  expect(await code({ ...write, body: body(noise(11, 1)) })).toBe("EDQUOT");
  for (const call of ["cp", "du", "find", "blob.put", "blob.missing", "blob.putMany"]) {
    expect(await code({ call, caller: app })).toBe("EPERM");
  }
});

const cut = AbortSignal.abort();
const endless = () => body(...Array.from({ length: 101 }, () => new Uint8Array(mb)));
const lie = () => body(frameHead("0".repeat(64), 1), "x");
const long = () => body(frameHead("0".repeat(64), 101 * mb), new Uint8Array(101 * mb));

/** Every refusal: errno, call, input, and its body when it has one. */
const refusals: [Errno, string, object, (() => ReadableStream<Uint8Array>)?][] = [
  ["ENOENT", "stat", { path: "/home/none" }],
  ["ENOENT", "ls", { path: "/home/none" }],
  ["ENOTDIR", "ls", { path: "/home/f" }],
  ["ENOENT", "read", { path: "/home/none" }],
  ["EISDIR", "read", { path: "/home/d" }],
  ["ENOENT", "write", { path: "/home/none/x" }],
  ["ENOTDIR", "write", { path: "/home/f/x" }],
  ["EISDIR", "write", { path: "/home/d" }],
  ["EROFS", "write", { path: "/apps/blog/x" }],
  ["EDQUOT", "write", { path: "/mnt/small/x" }, () => body(noise(11, 1))],
  ["EFBIG", "write", { path: "/home/large" }, endless],
  ["ENOENT", "mkdir", { path: "/home/none/x" }],
  ["ENOTDIR", "mkdir", { path: "/home/f/x" }],
  ["EEXIST", "mkdir", { path: "/home/d" }],
  ["EROFS", "mkdir", { path: "/apps/blog/x" }],
  ["ENOENT", "mv", { from: "/home/none", to: "/home/x" }],
  ["ENOTDIR", "mv", { from: "/home/d", to: "/home/f" }],
  ["EISDIR", "mv", { from: "/home/f", to: "/home/d" }],
  ["EBUSY", "mv", { from: "/home", to: "/mnt/small/x" }],
  ["EROFS", "mv", { from: "/apps/blog/index.html", to: "/home/x" }],
  ["EDQUOT", "mv", { from: "/home/fat", to: "/mnt/small/x" }],
  ["ENOTEMPTY", "mv", { from: "/home/e", to: "/home/d" }],
  ["EINVAL", "mv", { from: "/home/d", to: "/home/d/x" }],
  ["ENOENT", "cp", { from: "/home/none", to: "/home/x" }],
  ["ENOTDIR", "cp", { from: "/home/d", to: "/home/f" }],
  ["EISDIR", "cp", { from: "/home/f", to: "/home/d" }],
  ["EROFS", "cp", { from: "/home/f", to: "/apps/blog/x" }],
  ["EDQUOT", "cp", { from: "/home/fat", to: "/mnt/small/x" }],
  ["EINVAL", "cp", { from: "/home/d", to: "/home/d/x" }],
  ["ENOENT", "rm", { path: "/home/none" }],
  ["ENOTEMPTY", "rm", { path: "/home/d" }],
  ["EBUSY", "rm", { path: "/home", recursive: true }],
  ["EROFS", "rm", { path: "/apps/blog/index.html" }],
  ["ENOENT", "find", { path: "/home/none" }],
  ["ENOENT", "du", { path: "/home/none" }],
  ["EBADMSG", "blob.put", { hash: "0".repeat(64) }, () => body("x")],
  ["EFBIG", "blob.put", {}, endless],
  ["EBADMSG", "blob.putMany", {}, lie],
  ["EFBIG", "blob.putMany", {}, long],
  ["EINVAL", "stat", { path: "home" }],
  ["EINVAL", "stat", { path: "/home/../etc" }],
  ["EINVAL", "read", { path: "/home/f", offset: -1 }],
  ["EINVAL", "blob.missing", { hashes: ["x"] }],
];

test.each(refusals)("%s: %s %j", async (errno, call, ...[input, sent]) => {
  await at.fs.write(owner, "/home/fat", body("more than ten bytes"));
  await at.fs.mkdir(owner, "/home/e", { parents: false });
  expect(await code({ call, input, body: (sent ?? (() => body("x")))() })).toBe(errno);
});

test("a count whose caller went away is ECANCELED", async () => {
  expect(await code({ call: "du", input: { path: "/home" }, signal: cut })).toBe("ECANCELED");
});

test("a tree with as many inodes as it may have takes no more", async () => {
  await at.fs.write(owner, "/mnt/small/a", body(""));
  const set = "UPDATE fs_tree SET inodes = ? WHERE root = 'small'";
  await at.storage.write((tx) => tx.run(set, limits.treeInodesMax));
  expect(await code({ call: "mkdir", input: { path: "/mnt/small/d" } })).toBe("EDQUOT");
  const write = { call: "write", input: { path: "/mnt/small/b" } };
  expect(await code({ ...write, body: body("") })).toBe("EDQUOT");
  await at.storage.write((tx) => tx.run(set, 1));
  expect(await code({ ...write, body: body("") })).toBeNull();
});

test("every call needs a capability, and examples are valid input", async () => {
  const calls = [...dispatcher.calls];
  expect(calls.map(([name]) => name)).toContain("fs.blob.putMany");
  for (const [name, call] of calls) {
    expect(isCall(call) && call.needs).not.toBe("public");
    for (const { input } of call.examples) expect(call.input.safeParse(input).success).toBe(true);
    expect(await code({ call: name.slice(3), caller: anonymous(null) })).toBe("ENOKEY");
  }
});

test("a full disk refuses what would grow with ENOSPC; reads and removals go on", async () => {
  const before = await testFs();
  for (const path of ["/home/f", "/home/g"]) await before.fs.write(owner, path, body("content"));
  await before.storage.close();
  const [machine, dataDir] = [before.machine, before.dataDir];
  const storage = createStorage({ machine, dataDir, migrations, limits: { diskUsedMax: -1 } });
  const fs = createFs({ machine, storage });
  const security = createSecurity({ machine, storage, dataDir });
  const full = createDispatcher({ machine, storage, security, fs } as Kernel, { fs: tree });
  const caller = localOwner("boot");
  const on = (call: string, input: object, sent?: ReadableStream<Uint8Array>) =>
    full.dispatch({ caller, call: `fs.${call}`, input, body: sent }).then(
      () => "OK",
      (error: unknown) => (error instanceof SysError ? error.code : "EIO"),
    );
  for (const size of [10, 2 * mb]) {
    expect(await on("write", { path: "/home/x" }, body(noise(size, 1)))).toBe("ENOSPC");
    expect(await on("blob.put", {}, body(noise(size, 1)))).toBe("ENOSPC");
    const frame = body(frameHead(hashOf(noise(size, 1)), size), noise(size, 1));
    expect(await on("blob.putMany", {}, frame)).toBe("ENOSPC");
  }
  expect(await on("mkdir", { path: "/home/x" })).toBe("ENOSPC");
  expect(await on("mv", { from: "/home/f", to: "/home/x" })).toBe("ENOSPC");
  expect(await on("cp", { from: "/home/f", to: "/home/x" })).toBe("ENOSPC");
  expect(await on("read", { path: "/home/f" })).toBe("OK");
  expect(await on("rm", { path: "/home/f" })).toBe("OK");
  expect((await fs.ls(caller, "/home")).map((entry) => entry.path)).toEqual(["/home/g"]);
  await storage.close();
  await before[Symbol.asyncDispose]();
});
