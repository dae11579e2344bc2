/** Directories of the host in the tree: what is seen, what never is, and changes that are whole. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  realpathSync,
  renameSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { mayMount, smallDisk } from "../../../tests/disk.ts";
import { drain, noise } from "../../../tests/fs.ts";
import { type TestKernel, testKernel } from "../../../tests/kernel.ts";
import type { Bytes } from "../../call.ts";
import { type Caller, localOwner } from "../../caller.ts";
import type { Stat } from "../../fs/mod.ts";
import { leastNames } from "./directory.ts";

let k: TestKernel;
let host: string;
const outside = "what nobody mounted";

const body = (...parts: (string | Uint8Array<ArrayBuffer>)[]) => new Blob(parts).stream();
const text = async (path: string, range: object = {}): Promise<string> => {
  const { stream } = await k.call<Bytes>("fs.read", { path, ...range });
  return new TextDecoder().decode(await drain(stream));
};
const names = async (path: string, page: object = {}): Promise<string[]> => {
  const found = await k.call<Stat[]>("fs.ls", { path, ...page });
  return found.map((stat) => stat.path.slice(path.length + 1));
};
const fails = (code: string, made: Promise<unknown>) =>
  expect(made).rejects.toMatchObject({ code });
/** Descriptors of this process that are of what is mounted. */
const descriptors = () =>
  readdirSync("/proc/self/fd").filter((fd) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`).startsWith(host);
    } catch {
      return false;
    }
  }).length;

beforeAll(async () => {
  k = await testKernel();
  const dir = realpathSync(mkdtempSync(join(tmpdir(), "fazt-host-")));
  host = join(dir, "shown");
  mkdirSync(join(host, "sub/deep"), { recursive: true });
  writeFileSync(join(dir, "outside"), outside);
  writeFileSync(join(host, "a.txt"), "0123456789");
  writeFileSync(join(host, "sub/deep/b.txt"), "b");
  writeFileSync(join(host, "empty"), "");
  symlinkSync(join(dir, "outside"), join(host, "link"));
  symlinkSync(dir, join(host, "up"));
  symlinkSync("a.txt", join(host, "sub/near"));
  Bun.spawnSync(["mkfifo", join(host, "pipe")]);
  await k.call("fs.mount", { source: host, path: "/mnt/ro" });
  await k.call("fs.mount", { source: host, path: "/mnt/rw", writable: true });
});
afterAll(async () => {
  await k[Symbol.asyncDispose]();
  rmSync(join(host, ".."), { recursive: true, force: true });
});

describe("what is seen", () => {
  test("files and directories, and nothing else", async () => {
    expect(await names("/mnt/ro")).toEqual(["a.txt", "empty", "sub"]);
    expect(await names("/mnt/ro/sub")).toEqual(["deep"]);
    expect(await k.call<Stat>("fs.stat", { path: "/mnt/ro/a.txt" })).toMatchObject({
      path: "/mnt/ro/a.txt",
      kind: "file",
      sizeBytes: 10,
      hash: null,
    });
    expect(await text("/mnt/ro/sub/deep/b.txt")).toBe("b");
    expect(await text("/mnt/ro/empty")).toBe("");
  });

  test("a part of a file", async () => {
    expect(await text("/mnt/ro/a.txt", { offset: 3, length: 4 })).toBe("3456");
    expect(await text("/mnt/ro/a.txt", { offset: 8 })).toBe("89");
    expect(await text("/mnt/ro/a.txt", { offset: 100 })).toBe("");
  });

  for (const path of ["link", "up", "up/outside", "sub/near", "pipe", "up/shown/a.txt"]) {
    test(`never ${path}`, async () => {
      await fails("ENOENT", k.call("fs.stat", { path: `/mnt/ro/${path}` }));
      await fails("ENOENT", k.call("fs.read", { path: `/mnt/ro/${path}` }));
    });
  }

  test("a directory that becomes a link is no directory any more", async () => {
    mkdirSync(join(host, "swap"));
    writeFileSync(join(host, "swap/outside"), "inside");
    expect(await text("/mnt/ro/swap/outside")).toBe("inside");
    renameSync(join(host, "swap"), join(host, "swapped"));
    symlinkSync("..", join(host, "swap"));
    await fails("ENOENT", k.call("fs.read", { path: "/mnt/ro/swap/outside" }));
    await fails(
      "ENOENT",
      k.call("fs.write", { path: "/mnt/rw/swap/outside" }, { body: body("x") }),
    );
    rmSync(join(host, "swap"));
    rmSync(join(host, "swapped"), { recursive: true });
    expect(readFileSync(join(host, "../outside"), "utf8")).toBe(outside);
  });

  test("a source whose parent becomes a link is missing", async () => {
    const old = join(host, "../old");
    mkdirSync(join(old, "source"), { recursive: true });
    writeFileSync(join(old, "source/f"), "f");
    await k.call("fs.mount", { source: join(old, "source"), path: "/mnt/moved" });
    expect(await text("/mnt/moved/f")).toBe("f");
    renameSync(old, join(host, "../elsewhere"));
    symlinkSync("elsewhere", old);
    await fails("EIO", k.call("fs.read", { path: "/mnt/moved/f" }));
    await fails("EIO", k.call("fs.ls", { path: "/mnt/moved" }));
    await k.call("fs.umount", { path: "/mnt/moved" });
    rmSync(old);
    rmSync(join(host, "../elsewhere"), { recursive: true });
  });

  test.skipIf(!mayMount)("what else is mounted below is not entered", async () => {
    using disk = smallDisk(1);
    mkdirSync(join(disk.path, "inner"));
    await k.call("fs.mount", { source: disk.path, path: "/mnt/disk" });
    const inner = ["mount", "-t", "tmpfs", "fazt-test", join(disk.path, "inner")];
    expect(await names("/mnt/disk")).toEqual(["inner"]);
    expect(Bun.spawnSync(inner).success).toBe(true);
    try {
      expect(await names("/mnt/disk")).toEqual([]);
      await fails("ENOENT", k.call("fs.ls", { path: "/mnt/disk/inner" }));
    } finally {
      Bun.spawnSync(["umount", join(disk.path, "inner")]);
      await k.call("fs.umount", { path: "/mnt/disk" });
    }
  });

  test.skipIf(!mayMount)("the machine's own data, bound elsewhere, is not there", async () => {
    const bound = join(host, "bound");
    mkdirSync(bound);
    expect(Bun.spawnSync(["mount", "--bind", k.dataDir, bound]).success).toBe(true);
    try {
      await fails("ENOENT", k.call("fs.read", { path: "/mnt/ro/bound/machine.key" }));
      expect(await names("/mnt/ro")).not.toContain("bound");
      await fails("EIO", k.call("fs.mount", { source: bound, path: "/mnt/own" }));
    } finally {
      Bun.spawnSync(["umount", bound]);
      rmSync(bound, { recursive: true });
    }
  });

  test("names in the order of code points, a page at a time", () => {
    const wide = ["z", "\u{1f600}", "\uffee", "a", "aa", "Z"];
    const page = (after: string, limit: number) => leastNames(wide, { after, limit });
    expect(page("", 10)).toEqual(["Z", "a", "aa", "z", "\uffee", "\u{1f600}"]);
    expect(page("aa", 2)).toEqual(["z", "\uffee"]);
    const many = Array.from({ length: 5000 }, (_, i) => `n${(i * 7919) % 5000}`);
    expect(leastNames(many, { after: "n3", limit: 9 })).toEqual(
      [...many]
        .sort()
        .filter((name) => name > "n3")
        .slice(0, 9),
    );
  });

  test("a large directory, by pages that skip what is not seen", async () => {
    const large = join(host, "large");
    mkdirSync(large);
    for (let i = 0; i < 300; i++) {
      const name = join(large, String(1000 + i));
      if (i % 3 === 0) symlinkSync("x", name);
      else writeFileSync(name, "");
    }
    const all: string[] = [];
    for (let page = [""]; page.length > 0; all.push(...page)) {
      page = await names("/mnt/ro/large", { after: all.at(-1) ?? "", limit: 7 });
    }
    expect(all).toHaveLength(200);
    expect(all).toEqual([...all].sort());
    expect(await k.call<object>("fs.du", { path: "/mnt/ro/large" })).toMatchObject({ files: 200 });
    rmSync(large, { recursive: true });
  });
});

describe("streams", () => {
  test("a large file piece by piece, and no descriptor is left", async () => {
    const bytes = noise(5_000_000, 3);
    writeFileSync(join(host, "large.bin"), bytes);
    const { stream, sizeBytes } = await k.call<Bytes>("fs.read", { path: "/mnt/ro/large.bin" });
    expect(sizeBytes).toBe(bytes.length);
    expect(Bun.hash(await drain(stream))).toBe(Bun.hash(bytes));
    // One that is left half-way, and one that nobody ever looks at.
    const half = (await k.call<Bytes>("fs.read", { path: "/mnt/ro/large.bin" })).stream.getReader();
    await half.read();
    await half.cancel();
    await k.call("fs.read", { path: "/mnt/ro/large.bin" });
    while (descriptors() > 0) await new Promise((resolve) => setImmediate(resolve));
  });

  test("a file that gets shorter while it is read ends in an error", async () => {
    writeFileSync(join(host, "shrinks"), noise(2_000_000, 4));
    const { stream } = await k.call<Bytes>("fs.read", { path: "/mnt/ro/shrinks" });
    const reader = stream.getReader();
    await reader.read();
    truncateSync(join(host, "shrinks"), 10);
    const rest = (async () => {
      while (!(await reader.read()).done);
    })();
    await fails("EIO", rest);
  });

  test("umount lets readers read on", async () => {
    const bytes = noise(1_500_000, 5);
    writeFileSync(join(host, "open.bin"), bytes);
    await k.call("fs.mount", { source: host, path: "/mnt/short" });
    const { stream } = await k.call<Bytes>("fs.read", { path: "/mnt/short/open.bin" });
    await k.call("fs.umount", { path: "/mnt/short" });
    await fails("ENOENT", k.call("fs.stat", { path: "/mnt/short" }));
    expect((await drain(stream)).length).toBe(bytes.length);
  });
});

describe("changes", () => {
  test("a read-only mount takes none", async () => {
    const path = "/mnt/ro/new";
    await fails("EROFS", k.call("fs.write", { path }, { body: body("x") }));
    await fails("EROFS", k.call("fs.mkdir", { path }));
    await fails("EROFS", k.call("fs.rm", { path: "/mnt/ro/a.txt" }));
    await fails("EROFS", k.call("fs.mv", { from: "/mnt/ro/a.txt", to: path }));
  });

  test("a file is written whole, and a replaced one keeps its mode", async () => {
    const bytes = noise(2_500_000, 6);
    const made = await k.call<Stat>("fs.write", { path: "/mnt/rw/w" }, { body: body(bytes) });
    expect(made).toMatchObject({ path: "/mnt/rw/w", sizeBytes: bytes.length, mode: 0o644 });
    expect(Bun.hash(readFileSync(join(host, "w")))).toBe(Bun.hash(bytes));
    chmodSync(join(host, "w"), 0o600);
    await k.call("fs.write", { path: "/mnt/rw/w" }, { body: body("short") });
    expect(readFileSync(join(host, "w"), "utf8")).toBe("short");
    expect(lstatSync(join(host, "w")).mode & 0o777).toBe(0o600);
  });

  test("a body that is cut leaves the file as it was, and nothing beside it", async () => {
    writeFileSync(join(host, "kept"), "kept");
    const before = readdirSync(host);
    const cut = new ReadableStream<Uint8Array>({
      start: (controller) => controller.enqueue(new Uint8Array(10)),
      pull: () => Promise.reject(new Error("cut")),
    });
    const made = k.call("fs.write", { path: "/mnt/rw/kept" }, { body: cut });
    await expect(made).rejects.toThrow();
    expect(readFileSync(join(host, "kept"), "utf8")).toBe("kept");
    expect(readdirSync(host)).toEqual(before);
  });

  test("a link is neither written through nor replaced", async () => {
    await fails("EACCES", k.call("fs.write", { path: "/mnt/rw/link" }, { body: body("x") }));
    await fails("EACCES", k.call("fs.mv", { from: "/mnt/rw/a.txt", to: "/mnt/rw/link" }));
    await fails("ENOENT", k.call("fs.rm", { path: "/mnt/rw/link" }));
    expect(readFileSync(join(host, "../outside"), "utf8")).toBe(outside);
  });

  test("directories are made, moved, copied and removed", async () => {
    await k.call("fs.mkdir", { path: "/mnt/rw/x/y/z", parents: true });
    await k.call("fs.mkdir", { path: "/mnt/rw/x/y", parents: true });
    await fails("EEXIST", k.call("fs.mkdir", { path: "/mnt/rw/x" }));
    await fails("ENOENT", k.call("fs.mkdir", { path: "/mnt/rw/none/x" }));
    await fails("ENOTDIR", k.call("fs.mkdir", { path: "/mnt/rw/a.txt/x", parents: true }));
    await k.call("fs.write", { path: "/mnt/rw/x/y/f" }, { body: body("f") });
    await fails("ENOTEMPTY", k.call("fs.mv", { from: "/mnt/rw/sub", to: "/mnt/rw/x" }));
    await k.call("fs.mv", { from: "/mnt/rw/x/y", to: "/mnt/rw/moved" });
    expect(readFileSync(join(host, "moved/f"), "utf8")).toBe("f");
    await k.call("fs.cp", { from: "/mnt/rw/moved", to: "/home/copy" });
    expect(await text("/home/copy/f")).toBe("f");
    await k.call("fs.mv", { from: "/home/copy", to: "/mnt/rw/back" });
    expect(readFileSync(join(host, "back/f"), "utf8")).toBe("f");
    await fails("ENOTEMPTY", k.call("fs.rm", { path: "/mnt/rw/moved" }));
    for (const [path, removed] of [
      ["moved", 3],
      ["back", 3],
      ["x", 1],
    ] as const) {
      const input = { path: `/mnt/rw/${path}`, recursive: true };
      expect(await k.call<object>("fs.rm", input)).toEqual({ removed });
      expect(existsSync(join(host, path))).toBe(false);
    }
  });

  test("what is not seen is not removed with its directory", async () => {
    mkdirSync(join(host, "holds"));
    symlinkSync(join(host, ".."), join(host, "holds/up"));
    const rm = k.call("fs.rm", { path: "/mnt/rw/holds", recursive: true });
    await fails("ENOTEMPTY", rm);
    expect(lstatSync(join(host, "holds/up")).isSymbolicLink()).toBe(true);
    rmSync(join(host, "holds"), { recursive: true });
  });

  test.skipIf(!mayMount)("a full disk says so, and nothing is left on it", async () => {
    using disk = smallDisk(1);
    await k.call("fs.mount", { source: disk.path, path: "/mnt/full", writable: true });
    const big = body(noise(3_000_000, 7));
    await fails("ENOSPC", k.call("fs.write", { path: "/mnt/full/f" }, { body: big }));
    expect(readdirSync(disk.path)).toEqual([]);
    await k.call("fs.umount", { path: "/mnt/full" });
  });
});

describe("mounting", () => {
  const mount = (source: string, more: object = {}) =>
    k.call("fs.mount", { source, path: "/mnt/new", ...more });
  const scoped: Caller = {
    ...localOwner("socket"),
    kind: "user",
    via: "token",
    userId: "usr_1",
    grants: ["fs:*", "storage:*"],
  };

  test("needs a right that no file right brings", async () => {
    const input = { source: host, path: "/mnt/new" };
    await fails("EACCES", k.call("fs.mount", input, { from: scoped }));
    await fails("EACCES", k.call("fs.umount", { path: "/mnt/ro" }, { from: scoped }));
    const app: Caller = { ...scoped, kind: "app", via: "app", appId: "app_x", grants: ["*"] };
    await fails("EPERM", k.call("fs.mount", input, { from: app }));
    await fails("EPERM", k.call("fs.mounts", {}, { from: app }));
  });

  test("only below /mnt, and never over or below another", async () => {
    for (const path of ["/mnt", "/home/x", "/", "/mntx", "mnt/x", "/mnt/../home/x"]) {
      await fails("EINVAL", mount(host, { path }));
    }
    for (const path of ["/mnt/ro", "/mnt/ro/sub"]) await fails("EBUSY", mount(host, { path }));
    await k.call("fs.mount", { source: host, path: "/mnt/deep/er" });
    await fails("EBUSY", mount(host, { path: "/mnt/deep" }));
    expect(await names("/mnt/deep")).toEqual(["er"]);
    await k.call("fs.umount", { path: "/mnt/deep/er" });
    await fails("ENOENT", k.call("fs.stat", { path: "/mnt/deep" }));
  });

  test("never the machine's own data, nor what holds it, nor a file system that is no disk", async () => {
    const parent = join(k.dataDir, "..");
    for (const source of [k.dataDir, parent, "/", join(k.dataDir, "run"), "/proc", "/sys"]) {
      await fails("EINVAL", mount(source));
    }
    const link = join(host, "../to-data");
    symlinkSync(k.dataDir, link);
    await fails("EINVAL", mount(link));
    await fails("EINVAL", mount("relative/path"));
    await fails("EINVAL", mount(join(host, "pipe")));
    await fails("ENOENT", mount(join(host, "none")));
    await fails("ENOENT", mount(join(host, "a.txt/x")));
    await fails("EBADMSG", mount(join(host, "a.txt")));
  });

  test("umount is for what mount attached", async () => {
    for (const path of ["/home", "/mnt", "/apps", "/mnt/none", "/mnt/ro/sub"]) {
      await fails("EINVAL", k.call("fs.umount", { path }));
    }
    await fails("EBUSY", k.call("fs.rm", { path: "/mnt/rw", recursive: true }));
  });

  test("is listed with the parts of the system, audited, and there after a restart", async () => {
    const gone = join(host, "../gone");
    mkdirSync(gone);
    writeFileSync(join(gone, "f"), "f");
    await k.call("fs.mount", { source: gone, path: "/mnt/gone" });
    const audit = await k.call<{ call: string }[]>("security.audit", {});
    expect(audit.map((line) => line.call)).toContain("fs.mount");
    rmSync(gone, { recursive: true });
    k = await k.reboot();
    const mounts = await k.call<{ path: string; kind: string; state: string }[]>("fs.mounts");
    const line = (path: string) => mounts.find((one) => one.path === path);
    expect(line("/home")).toMatchObject({ kind: "built-in", state: "attached" });
    expect(line("/mnt/ro")).toMatchObject({ kind: "directory", source: host, writable: false });
    expect(line("/mnt/gone")).toMatchObject({ state: "missing", source: gone });
    expect(await text("/mnt/ro/a.txt")).toBe("0123456789");
    // It can be named, and keeps no search from ending; what is in it cannot be had.
    expect(await k.call<Stat>("fs.stat", { path: "/mnt/gone" })).toMatchObject({ kind: "dir" });
    await fails("EIO", k.call("fs.ls", { path: "/mnt/gone" }));
    await fails("EIO", k.call("fs.read", { path: "/mnt/gone/f" }));
    expect(await k.call<object>("fs.du", { path: "/mnt" })).toMatchObject({ path: "/mnt" });
    // Back again, without a restart.
    mkdirSync(gone);
    writeFileSync(join(gone, "f"), "again");
    expect(await text("/mnt/gone/f")).toBe("again");
    await k.call("fs.umount", { path: "/mnt/gone" });
    rmSync(gone, { recursive: true });
  });
});
