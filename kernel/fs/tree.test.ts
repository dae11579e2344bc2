/** The tree: inodes, mounts, views, quotas, and refusals that name the caller's own path. */
import { describe, expect, test } from "bun:test";
import { drain, noise, type TestFs, testFs } from "../../tests/fs.ts";
import { type Caller, localOwner } from "../caller.ts";
import { type Errno, SysError } from "../errno.ts";
import { limits } from "./limits.ts";
import { pseudo } from "./mod.ts";

const owner = localOwner("boot");
const app: Caller = { ...owner, kind: "app", via: "app", appId: "app_1", releaseId: "rel_1" };
const whole = { offset: 0, length: null };
const body = (content: string | Uint8Array) => new Blob([content]).stream();
const refusedWith = (code: Errno, message: string) =>
  expect.objectContaining({ code, message: expect.stringContaining(message) });

const read = async (at: TestFs, path: string, from = owner): Promise<string> =>
  new TextDecoder().decode(await drain((await at.fs.read(from, path, whole)).stream));

const paths = async (at: TestFs, path: string, from = owner): Promise<string[]> =>
  (await at.fs.ls(from, path)).map((entry) => entry.path);

const walked = async (at: TestFs, path: string): Promise<string[]> =>
  (await Array.fromAsync(at.fs.walk(owner, path, new AbortController().signal))).map(
    (entry) => entry.path,
  );

/** Inodes and bytes as counted, and as they are. */
function counted(at: TestFs, root: string): { said: unknown; real: unknown } {
  const { read } = at.storage;
  return {
    said: read.get("SELECT used_bytes AS bytes, inodes FROM fs_tree WHERE root = ?", root),
    real: read.get(
      "SELECT coalesce(sum(size_bytes), 0) AS bytes, count(*) AS inodes FROM fs_inode WHERE root = ?",
      root,
    ),
  };
}

describe("a directory a page at a time", () => {
  /** Every page of a directory, until one is shorter than asked for. */
  const pages = async (at: TestFs, path: string, limit: number): Promise<string[][]> => {
    const all: string[][] = [];
    for (let after = ""; ; after = all.at(-1)?.at(-1) ?? "") {
      const page = await at.fs.ls(owner, path, { after, limit });
      all.push(page.map((entry) => entry.path.slice(path.length + 1)));
      if (page.length < limit) return all;
    }
  };

  test("gives every name once, by code point, whatever the tree", async () => {
    await using at = await testFs();
    // By UTF-16 the last two would change places.
    const names = ["a", "a-b", "a.txt", "é", "\uff61", "\u{1f600}"];
    for (const name of names.toReversed()) await at.fs.write(owner, `/home/${name}`, body(name));
    expect(await pages(at, "/home", 4)).toEqual([names.slice(0, 4), names.slice(4)]);
    expect(await pages(at, "/home", 3)).toEqual([names.slice(0, 3), names.slice(3), []]);
    const files = [await at.store("a/x", "x"), await at.store("a/y/z", "z")];
    for (const name of names.slice(1)) files.push(await at.store(name, name));
    await at.fs.manifests.put("rel_1", "app_1", files);
    at.fs.mount("/apps/blog", at.fs.manifests.filesystem("rel_1", 5));
    expect(await pages(at, "/apps/blog", 4)).toEqual([names.slice(0, 4), names.slice(4)]);
    expect(await pages(at, "/apps/blog/a", 1)).toEqual([["x"], ["y"], []]);
    at.fs.mount("/sys", pseudo(Object.fromEntries(names.map((name) => [name, () => ""]))));
    expect(await pages(at, "/sys", 4)).toEqual([names.slice(0, 4), names.slice(4)]);
  });

  test("what is mounted there is among the names", async () => {
    await using at = await testFs();
    for (const name of ["a", "c", "e"]) await at.fs.write(owner, `/home/${name}`, body(name));
    for (const name of ["b", "c", "f"]) at.fs.mount(`/home/${name}`, pseudo({}));
    expect(await pages(at, "/home", 2)).toEqual([["a", "b"], ["c", "e"], ["f"]]);
  });

  test("a walk goes through all of them", async () => {
    await using at = await testFs();
    const count = limits.walkEntries + 2;
    const made = Array.from({ length: count }, (_, i) => `/home/d/${String(i).padStart(5, "0")}`);
    await at.fs.mkdir(owner, "/home/d", { parents: false });
    await Promise.all(made.map((path) => at.fs.write(owner, path, body("x"))));
    expect(await walked(at, "/home/d")).toEqual(made);
  });
});

describe("files and directories", () => {
  test("a file is written, replaced whole, described and read by parts", async () => {
    await using at = await testFs();
    const first = await at.fs.write(owner, "/home//a.txt", body("hello"));
    expect(first).toMatchObject({ path: "/home/a.txt", kind: "file", sizeBytes: 5, mode: 0o644 });
    await at.fs.write(owner, "/home/a.txt", body("hello, world"));
    expect(await read(at, "/home/a.txt")).toBe("hello, world");
    const part = await at.fs.read(owner, "/home/a.txt", { offset: 7, length: 3 });
    expect(part.sizeBytes).toBe(3);
    expect(part.contentType).toBe("text/plain; charset=utf-8");
    expect(new TextDecoder().decode(await drain(part.stream))).toBe("wor");
    expect(await paths(at, "/home")).toEqual(["/home/a.txt"]);
    const { said, real } = counted(at, "home");
    expect(said).toEqual(real);
  });

  test("a cut write leaves the file as it was", async () => {
    await using at = await testFs();
    await at.fs.write(owner, "/home/a.txt", body("before"));
    let sent = 0;
    const cut = new ReadableStream<Uint8Array>({
      pull(controller) {
        if (sent++ === 3) controller.error(new Error("connection lost"));
        else controller.enqueue(noise(1024 * 1024, sent));
      },
    });
    await expect(at.fs.write(owner, "/home/a.txt", cut)).rejects.toThrow("connection lost");
    await at.fs.settled();
    expect(await read(at, "/home/a.txt")).toBe("before");
  });

  test("directories with parents; removal with and without recursive", async () => {
    await using at = await testFs();
    await at.fs.mkdir(owner, "/home/a/b/c", { parents: true });
    await at.fs.mkdir(owner, "/home/a/b/c", { parents: true });
    await at.fs.write(owner, "/home/a/b/x.txt", body("x"));
    await at.fs.write(owner, "/home/a/b/c/y.txt", body("y"));
    expect(await walked(at, "/home")).toEqual([
      "/home/a",
      "/home/a/b",
      "/home/a/b/c",
      "/home/a/b/c/y.txt",
      "/home/a/b/x.txt",
    ]);
    const rm = at.fs.rm(owner, "/home/a", { recursive: false });
    await expect(rm).rejects.toEqual(refusedWith("ENOTEMPTY", '"/home/a"'));
    expect(await at.fs.rm(owner, "/home/a/b/x.txt", { recursive: false })).toEqual({ removed: 1 });
    expect(await at.fs.rm(owner, "/home/a", { recursive: true })).toEqual({ removed: 4 });
    expect(await paths(at, "/home")).toEqual([]);
    expect(counted(at, "home").said).toEqual({ bytes: 0, inodes: 0 });
  });

  test("moving follows rename(2)", async () => {
    await using at = await testFs();
    await at.fs.mkdir(owner, "/home/d/e", { parents: true });
    await at.fs.mkdir(owner, "/home/empty", { parents: false });
    await at.fs.write(owner, "/home/f", body("f"));
    await at.fs.write(owner, "/home/g", body("gg"));
    const mv = (from: string, to: string) => at.fs.mv(owner, from, to);
    expect(await mv("/home/f", "/home/g")).toMatchObject({ path: "/home/g", sizeBytes: 1 });
    expect(await read(at, "/home/g")).toBe("f");
    await mv("/home/g", "/home/g");
    await mv("/home/d", "/home/empty");
    expect(await walked(at, "/home")).toEqual(["/home/empty", "/home/empty/e", "/home/g"]);
    await expect(mv("/home/empty", "/home/empty/e/x")).rejects.toEqual(
      refusedWith("EINVAL", "itself"),
    );
    await expect(mv("/home/g", "/home/empty")).rejects.toEqual(
      refusedWith("EISDIR", "/home/empty"),
    );
    await expect(mv("/home/empty", "/home/g")).rejects.toEqual(refusedWith("ENOTDIR", "/home/g"));
    await expect(mv("/home/empty/e", "/home/empty")).rejects.toEqual(
      refusedWith("ENOTEMPTY", "empty"),
    );
    await expect(mv("/home/none", "/home/x")).rejects.toEqual(refusedWith("ENOENT", "/home/none"));
    await expect(mv("/home/g", "/home/none/x")).rejects.toEqual(
      refusedWith("ENOENT", "/home/none/x"),
    );
    await expect(mv("/home", "/home/x")).rejects.toEqual(refusedWith("EBUSY", "/home"));
    const { said, real } = counted(at, "home");
    expect(said).toEqual(real);
  });

  test("refusals name the path and leave things as they are", async () => {
    await using at = await testFs();
    await at.fs.write(owner, "/home/f", body("f"));
    await at.fs.mkdir(owner, "/home/d", { parents: false });
    const { fs } = at;
    const parents = { parents: false };
    await expect(fs.stat(owner, "/home/x")).rejects.toEqual(refusedWith("ENOENT", '"/home/x"'));
    await expect(fs.stat(owner, "/nowhere")).rejects.toEqual(refusedWith("ENOENT", '"/nowhere"'));
    await expect(fs.stat(owner, "/home/f/x")).rejects.toEqual(refusedWith("ENOENT", "/home/f/x"));
    await expect(fs.read(owner, "/home/d", whole)).rejects.toEqual(
      refusedWith("EISDIR", "/home/d"),
    );
    await expect(fs.read(owner, "/", whole)).rejects.toEqual(refusedWith("EISDIR", '"/"'));
    await expect(fs.write(owner, "/home/d", body("x"))).rejects.toEqual(
      refusedWith("EISDIR", "/home/d"),
    );
    await expect(fs.write(owner, "/home", body("x"))).rejects.toEqual(
      refusedWith("EISDIR", "/home"),
    );
    await expect(fs.write(owner, "/x", body("x"))).rejects.toEqual(refusedWith("ENOENT", '"/x"'));
    await expect(fs.write(owner, "/", body("x"))).rejects.toEqual(refusedWith("EROFS", '"/"'));
    const below = fs.write(owner, "/home/f/x", body("x"));
    await expect(below).rejects.toEqual(refusedWith("ENOTDIR", "/home/f"));
    const apart = fs.write(owner, "/home/no/x", body("x"));
    await expect(apart).rejects.toEqual(refusedWith("ENOENT", "/home/no/x"));
    await expect(fs.mkdir(owner, "/home/f", parents)).rejects.toEqual(
      refusedWith("EEXIST", "/home/f"),
    );
    await expect(fs.mkdir(owner, "/home", parents)).rejects.toEqual(refusedWith("EEXIST", "/home"));
    await expect(fs.mkdir(owner, "/", parents)).rejects.toEqual(refusedWith("EEXIST", '"/"'));
    await expect(fs.mkdir(owner, "/x", parents)).rejects.toEqual(refusedWith("EROFS", '"/x"'));
    await expect(fs.mkdir(owner, "/home/f/x", { parents: true })).rejects.toEqual(
      refusedWith("ENOTDIR", "/home/f"),
    );
    await expect(fs.ls(owner, "/home/f")).rejects.toEqual(refusedWith("ENOTDIR", "/home/f"));
    const rm = fs.rm(owner, "/home", { recursive: true });
    await expect(rm).rejects.toEqual(refusedWith("EBUSY", "/home"));
    await expect(fs.stat(owner, "/home/../x")).rejects.toEqual(refusedWith("EINVAL", ".."));
    await Promise.allSettled([below, apart, rm]);
    expect(await paths(at, "/home")).toEqual(["/home/d", "/home/f"]);
  });

  test("a quota holds for bytes, also for a replaced file, and counts what is removed", async () => {
    await using at = await testFs();
    at.fs.mount("/mnt/q", at.fs.tree("q", { appId: "app_1" }, 1000));
    await at.fs.write(owner, "/mnt/q/a", body(noise(600, 1)));
    const over = refusedWith("EDQUOT", "/mnt/q/b");
    expect(at.fs.write(owner, "/mnt/q/b", body(noise(401, 2)))).rejects.toEqual(over);
    await at.fs.write(owner, "/mnt/q/b", body(noise(400, 2)));
    await at.fs.write(owner, "/mnt/q/a", body(noise(600, 3)));
    expect(at.fs.write(owner, "/mnt/q/a", body(noise(601, 3)))).rejects.toEqual(
      refusedWith("EDQUOT", "/mnt/q/a"),
    );
    await at.fs.rm(owner, "/mnt/q/a", { recursive: false });
    await at.fs.write(owner, "/mnt/q/c", body(noise(600, 4)));
    const { said, real } = counted(at, "q");
    expect(said).toEqual(real);
    const racing = ["d", "e", "f"].map((name) =>
      at.fs
        .rm(owner, "/mnt/q/c", { recursive: false })
        .catch(() => null)
        .then(() =>
          at.fs
            .write(owner, `/mnt/q/${name}`, body(noise(500, 5)))
            .catch((error: unknown) => error),
        ),
    );
    const outcomes = await Promise.all(racing);
    expect(outcomes.filter((outcome) => outcome instanceof SysError)).toHaveLength(2);
    expect(counted(at, "q").said).toEqual({ bytes: 900, inodes: 2 });
    expect(await at.fs.dropTree("q")).toBe(2);
    expect(await paths(at, "/mnt/q")).toEqual([]);
  });

  test("a file over the file limit is EFBIG", async () => {
    await using at = await testFs();
    const one = new Uint8Array(1024 * 1024);
    let left = 101;
    const large = new ReadableStream<Uint8Array>({
      pull(controller) {
        if (left-- === 0) controller.close();
        else controller.enqueue(one);
      },
    });
    const write = at.fs.write(owner, "/home/large", large);
    await expect(write).rejects.toEqual(refusedWith("EFBIG", "bytes"));
    expect(await paths(at, "/home")).toEqual([]);
    expect(at.rows("fs_chunk")).toBe(0);
  });
});

describe("mounts", () => {
  test("the root and directories on the way to mounts list them", async () => {
    await using at = await testFs();
    at.fs.mount("/mnt/a/b", at.fs.tree("one", { appId: null }, 1000));
    at.fs.mountEach(
      "/apps",
      () => ["blog", "shop"],
      (name) => (name === "blog" ? at.fs.tree("blog", { appId: null }, 1000) : null),
    );
    expect(await paths(at, "/")).toEqual(["/apps", "/home", "/mnt"]);
    expect(await paths(at, "/mnt")).toEqual(["/mnt/a"]);
    expect(await paths(at, "/apps")).toEqual(["/apps/blog", "/apps/shop"]);
    await at.fs.write(owner, "/apps/blog/x", body("x"));
    expect(await walked(at, "/apps/blog")).toEqual(["/apps/blog/x"]);
    await expect(at.fs.stat(owner, "/apps/none/x")).rejects.toEqual(
      refusedWith("ENOENT", "/apps/none/x"),
    );
    const rm = at.fs.rm(owner, "/apps/blog", { recursive: true });
    await expect(rm).rejects.toEqual(refusedWith("EBUSY", "/apps/blog"));
    const again = () => at.fs.mount("/home", at.fs.tree("x", { appId: null }, 1));
    expect(again).toThrow(refusedWith("EBUSY", "/home"));
  });

  test("a mount within a mount covers what is below it", async () => {
    await using at = await testFs();
    await at.fs.mkdir(owner, "/home/m", { parents: false });
    await at.fs.write(owner, "/home/m/covered", body("x"));
    at.fs.mount("/home/m", pseudo({ "made.txt": () => "up" }));
    expect(await paths(at, "/home")).toEqual(["/home/m"]);
    expect(await paths(at, "/home/m")).toEqual(["/home/m/made.txt"]);
    expect(await read(at, "/home/m/made.txt")).toBe("up");
  });

  test("pseudo files are made when they are read, and are sealed", async () => {
    await using at = await testFs();
    let reads = 0;
    at.fs.mount(
      "/proc",
      pseudo({ blog: { status: () => `read ${++reads}\n` }, "v.json": () => "{}" }),
    );
    expect(await read(at, "/proc/blog/status")).toBe("read 1\n");
    expect(await read(at, "/proc/blog/status")).toBe("read 2\n");
    expect(await paths(at, "/proc")).toEqual(["/proc/blog", "/proc/v.json"]);
    expect((await at.fs.read(owner, "/proc/v.json", whole)).contentType).toBe("application/json");
    const { fs } = at;
    await expect(fs.read(owner, "/proc/blog", whole)).rejects.toEqual(
      refusedWith("EISDIR", "/proc/blog"),
    );
    await expect(fs.read(owner, "/proc/toString", whole)).rejects.toEqual(
      refusedWith("ENOENT", "/proc"),
    );
    await expect(fs.stat(owner, "/proc/blog/status/x")).rejects.toEqual(
      refusedWith("ENOENT", "/proc"),
    );
    const write = fs.write(owner, "/proc/blog/status", body("x"));
    await expect(write).rejects.toEqual(refusedWith("EROFS", "/proc/blog/status"));
  });

  test("copies and moves between file systems carry whole trees", async () => {
    await using at = await testFs();
    at.fs.mount("/mnt/x", at.fs.tree("x", { appId: null }, 10_000_000));
    const large = noise(3_000_000, 9);
    await at.fs.mkdir(owner, "/home/d/e", { parents: true });
    await at.fs.write(owner, "/home/d/large", body(large));
    await at.fs.write(owner, "/home/d/e/small", body("small"));
    expect(await at.fs.cp(owner, "/home/d", "/mnt/x/copy")).toMatchObject({ path: "/mnt/x/copy" });
    const copied = ["/mnt/x/copy/e", "/mnt/x/copy/e/small", "/mnt/x/copy/large"];
    expect(await walked(at, "/mnt/x/copy")).toEqual(copied);
    const bytes = await drain((await at.fs.read(owner, "/mnt/x/copy/large", whole)).stream);
    expect(Buffer.compare(bytes, large)).toBe(0);
    expect(at.rows("fs_blob")).toBe(2);

    await at.fs.mv(owner, "/home/d", "/mnt/x/moved");
    expect(await paths(at, "/home")).toEqual([]);
    expect(await read(at, "/mnt/x/moved/e/small")).toBe("small");
    const into = at.fs.cp(owner, "/mnt/x/copy", "/mnt/x/copy/e/again");
    await expect(into).rejects.toEqual(refusedWith("EINVAL", "itself"));
    const onto = at.fs.cp(owner, "/mnt/x/copy", "/mnt/x/moved/large");
    await expect(onto).rejects.toEqual(refusedWith("ENOTDIR", "/mnt/x/moved/large"));
  });

  test("a move that does not fit leaves its source whole", async () => {
    await using at = await testFs();
    at.fs.mount("/mnt/x", at.fs.tree("x", { appId: null }, 10));
    await at.fs.write(owner, "/home/a", body("more than ten bytes"));
    const mv = at.fs.mv(owner, "/home/a", "/mnt/x/a");
    await expect(mv).rejects.toEqual(refusedWith("EDQUOT", "/mnt/x/a"));
    expect(await read(at, "/home/a")).toBe("more than ten bytes");
  });
});

describe("an app's view", () => {
  const seen = async (at: TestFs) => {
    const page = await at.store("index.html", "<p>");
    await at.fs.manifests.put("rel_1", "app_1", [page]);
    await at.fs.write(owner, "/home/secret", body("secret"));
    at.fs.setAppView((caller) =>
      caller.appId === "app_1"
        ? {
            app: at.fs.manifests.filesystem("rel_1", 1),
            data: at.fs.tree("app_1", { appId: "app_1" }, 1000),
          }
        : null,
    );
  };

  test("is its release and its own files", async () => {
    await using at = await testFs();
    await seen(at);
    expect(await read(at, "/app/index.html", app)).toBe("<p>");
    await at.fs.write(app, "/data/x", body("x"));
    expect(await paths(at, "/data", app)).toEqual(["/data/x"]);
    await at.fs.mv(app, "/data/x", "/data/y");
    expect(await at.fs.stat(app, "/data/y")).toMatchObject({ path: "/data/y", sizeBytes: 1 });
    const write = at.fs.write(app, "/app/x", body("x"));
    await expect(write).rejects.toEqual(refusedWith("EROFS", "/app/x"));
    const root = at.fs.rm(app, "/data", { recursive: true });
    await expect(root).rejects.toEqual(refusedWith("EBUSY", "/data"));
  });

  test.each(["/", "/home", "/home/secret", "/apps", "/datax", "/app/../home/secret", "/data/../x"])(
    "has no %s",
    async (path) => {
      await using at = await testFs();
      await seen(at);
      const code = path.includes("..") ? "EINVAL" : "EACCES";
      await expect(at.fs.stat(app, path)).rejects.toEqual(refusedWith(code, ""));
      await expect(at.fs.ls(app, path)).rejects.toEqual(refusedWith(code, ""));
      await expect(at.fs.read(app, path, whole)).rejects.toEqual(refusedWith(code, ""));
      await expect(at.fs.write(app, path, body("x"))).rejects.toEqual(refusedWith(code, ""));
      await expect(at.fs.mkdir(app, path, { parents: true })).rejects.toEqual(
        refusedWith(code, ""),
      );
      await expect(at.fs.rm(app, path, { recursive: true })).rejects.toEqual(refusedWith(code, ""));
      await expect(at.fs.mv(app, path, "/data/x")).rejects.toEqual(refusedWith(code, ""));
    },
  );

  test("is nothing for an app that is nobody's", async () => {
    await using at = await testFs();
    await seen(at);
    const other = { ...app, appId: "app_2" };
    await expect(at.fs.read(other, "/app/index.html", whole)).rejects.toEqual(
      refusedWith("EACCES", ""),
    );
  });
});
