/** Manifests: whole or not at all, no path that leaves, and the read-only tree of one. */
import { describe, expect, test } from "bun:test";
import { drain, packageFiles, testFs } from "../../tests/fs.ts";
import { localOwner } from "../caller.ts";
import type { Errno } from "../errno.ts";
import type { ManifestFile } from "./fs.ts";
import { limits } from "./limits.ts";

const owner = localOwner("boot");
const refusedWith = (code: Errno, message: string) =>
  expect.objectContaining({ code, message: expect.stringContaining(message) });

describe("putting a manifest", () => {
  test("of a real package: every file is found and reads byte for byte", async () => {
    await using at = await testFs();
    const content = await packageFiles("hono", 400);
    const files: ManifestFile[] = [];
    for (const [path, bytes] of content) files.push(await at.store(path, bytes));
    await at.fs.manifests.put("rel_1", "app_1", files);
    const byPath = [...files].sort((a, b) => (a.path < b.path ? -1 : 1));
    expect(at.fs.manifests.list("rel_1")).toEqual(byPath);
    const below = byPath.filter(({ path }) => path.startsWith("dist/cjs/"));
    expect(below.length).toBeGreaterThan(0);
    expect(at.fs.manifests.list("rel_1", "dist/cjs/")).toEqual(below);

    const tree = at.fs.manifests.filesystem("rel_1", 5);
    for (const [path, bytes] of content) {
      const { stream } = await tree.read(`/${path}`, { offset: 0, length: null });
      expect(Buffer.compare(await drain(stream), bytes)).toBe(0);
    }
  });

  test("sizes are the blobs' own", async () => {
    await using at = await testFs();
    const file = await at.store("a.txt", "hello");
    await at.fs.manifests.put("rel_1", "app_1", [{ ...file, sizeBytes: 1 }]);
    expect(at.fs.manifests.get("rel_1", "a.txt")?.sizeBytes).toBe(5);
  });

  test.each([
    ["../x", "EINVAL", ".."],
    ["/etc/passwd", "EINVAL", "absolute"],
    ["a\\..\\b", "EINVAL", "backslash"],
    ["a\0b", "EINVAL", "NUL"],
    ["a//b", "EINVAL", "empty component"],
    ["", "EINVAL", "empty"],
  ] as [string, Errno, string][])("refuses %p", async (path, ...[code, message]) => {
    await using at = await testFs();
    const good = await at.store("good.txt", "x");
    const put = at.fs.manifests.put("rel_1", "app_1", [good, { ...good, path }]);
    await expect(put).rejects.toEqual(refusedWith(code, message));
    expect(at.rows("fs_manifest") + at.rows("fs_manifest_file")).toBe(0);
  });

  test("refuses a name twice, a file that is a directory too, and a hash that is none", async () => {
    await using at = await testFs();
    const file = await at.store("a", "x");
    const put = (...files: ManifestFile[]) => at.fs.manifests.put("rel_1", "app_1", files);
    await expect(put(file, file)).rejects.toEqual(refusedWith("EINVAL", "twice"));
    const inside = { ...file, path: "a/b/c" };
    await expect(put(inside, file)).rejects.toEqual(
      refusedWith("EINVAL", "a file and a directory"),
    );
    const bad = { ...file, hash: "ABC" };
    await expect(put(bad)).rejects.toEqual(refusedWith("EINVAL", "SHA-256"));
  });

  test("refuses a blob that is not stored, naming it, and leaves nothing", async () => {
    await using at = await testFs();
    const file = await at.store("a", "x");
    const missing = { ...file, path: "b", hash: "0".repeat(64) };
    const put = at.fs.manifests.put("rel_1", "app_1", [file, missing]);
    await expect(put).rejects.toEqual(refusedWith("ENOENT", "0".repeat(64)));
    expect(at.rows("fs_manifest") + at.rows("fs_manifest_file")).toBe(0);
  });

  test("refuses 100,000 files and more bytes than a release may have", async () => {
    await using at = await testFs();
    const file = await at.store("a", "x");
    const many = Array.from({ length: 100_000 }, (_, i) => ({ ...file, path: `f${i}` }));
    const put = (files: ManifestFile[]) => at.fs.manifests.put("rel_1", "app_1", files);
    await expect(put(many)).rejects.toEqual(refusedWith("EINVAL", "too many files"));
    const sizeBytes = limits.treeBytesMax + 1;
    await expect(put([{ ...file, sizeBytes }])).rejects.toEqual(
      refusedWith("EFBIG", "bytes in all"),
    );
  });

  test("a bomb of one large blob under many names is counted as what it is", async () => {
    await using at = await testFs();
    const large = await at.store("a", new Uint8Array(50 * 1024 * 1024));
    const bomb = Array.from({ length: 11 }, (_, i) => ({ ...large, path: `f${i}`, sizeBytes: 0 }));
    const put = at.fs.manifests.put("rel_1", "app_1", bomb);
    await expect(put).rejects.toEqual(refusedWith("EFBIG", "bytes in all"));
    expect(at.rows("fs_manifest_file")).toBe(0);
  });
});

describe("a manifest as a file system", () => {
  const put = async (at: Awaited<ReturnType<typeof testFs>>) => {
    const files = [
      await at.store("index.html", "<p>"),
      await at.store("a/b/c.txt", "c"),
      await at.store("a/d.txt", "d"),
      await at.store("a-b.txt", "x"),
    ];
    await at.fs.manifests.put("rel_1", "app_1", files);
    at.fs.mount("/apps/blog", at.fs.manifests.filesystem("rel_1", 5));
  };

  test("lists files and directories, sorted", async () => {
    await using at = await testFs();
    await put(at);
    const names = async (path: string) =>
      (await at.fs.ls(owner, path)).map((entry) => `${entry.kind} ${entry.path}`);
    expect(await names("/apps/blog")).toEqual([
      "dir /apps/blog/a",
      "file /apps/blog/a-b.txt",
      "file /apps/blog/index.html",
    ]);
    expect(await names("/apps/blog/a")).toEqual(["dir /apps/blog/a/b", "file /apps/blog/a/d.txt"]);
    expect(await at.fs.stat(owner, "/apps/blog/a/b")).toMatchObject({ kind: "dir" });
    await expect(at.fs.stat(owner, "/apps/blog/a/x")).rejects.toEqual(
      refusedWith("ENOENT", "/apps/blog"),
    );
    await expect(at.fs.ls(owner, "/apps/blog/a/d.txt")).rejects.toEqual(
      refusedWith("ENOTDIR", "d.txt"),
    );
    const whole = { offset: 0, length: null };
    await expect(at.fs.read(owner, "/apps/blog/a", whole)).rejects.toEqual(
      refusedWith("EISDIR", "blog/a"),
    );
  });

  test("is sealed: every change is EROFS and names the full path", async () => {
    await using at = await testFs();
    await put(at);
    const path = "/apps/blog/index.html";
    const sealed = refusedWith("EROFS", path);
    const body = new Blob(["x"]).stream();
    await expect(at.fs.write(owner, path, body)).rejects.toEqual(sealed);
    await expect(at.fs.mkdir(owner, path, { parents: true })).rejects.toEqual(sealed);
    await expect(at.fs.rm(owner, path, { recursive: true })).rejects.toEqual(sealed);
    await expect(at.fs.mv(owner, path, "/apps/blog/x")).rejects.toEqual(sealed);
    await expect(at.fs.mv(owner, path, "/home/x")).rejects.toEqual(sealed);
    expect((await at.fs.stat(owner, path)).sizeBytes).toBe(3);
    await expect(at.fs.stat(owner, "/home/x")).rejects.toEqual(refusedWith("ENOENT", "/home/x"));
  });
});
