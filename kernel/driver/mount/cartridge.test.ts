/** Cartridges in the tree: what is shown of one, from where, and that nothing of it stays. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdtempSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { deployed } from "../../../tests/deployed.ts";
import { drain, noise } from "../../../tests/fs.ts";
import { type TestKernel, testKernel } from "../../../tests/kernel.ts";
import type { Bytes } from "../../call.ts";
import type { Stat } from "../../fs/mod.ts";

let k: TestKernel;
let dir: string;
let cartridge: Uint8Array<ArrayBuffer>;
const photo = noise(2_200_000, 11);

const bytes = async (path: string): Promise<Uint8Array> =>
  drain((await k.call<Bytes>("fs.read", { path })).stream);
const text = async (path: string) => new TextDecoder().decode(await bytes(path));
const paths = async (path: string): Promise<string[]> => {
  const found: string[] = [];
  const lines = await k.call<AsyncIterable<Stat>>("fs.find", { path });
  for await (const stat of lines) if (stat.kind === "file") found.push(stat.path);
  return found;
};
const manifests = () =>
  k.kernel.storage.read.get<{ n: number }>(
    "SELECT count(*) AS n FROM fs_manifest WHERE id LIKE 'mnt%'",
  )?.n;

beforeAll(async () => {
  k = await testKernel();
  dir = realpathSync(mkdtempSync(join(tmpdir(), "fazt-cart-")));
  await deployed(k, "blog", { files: { "public/index.html": "<p>front", "private/x": "x" } });
  await k.call("fs.mkdir", { path: "/data/blog/photos" });
  const body = new Blob([photo]).stream();
  await k.call("fs.write", { path: "/data/blog/photos/1.jpg" }, { body });
  await k.call("storage.kv.set", { app: "blog", key: "k", value: 1 });
  await k.call("app.env.set", { app: "blog", name: "API_KEY", secret: "s3cret-of-blog" });
  cartridge = new Uint8Array(
    await drain((await k.call<Bytes>("app.export", { app: "blog" })).stream),
  );
  await k.call("app.rm", { app: "blog", purge: true });
  writeFileSync(join(dir, "blog.cart"), cartridge);
});
afterAll(async () => {
  await k[Symbol.asyncDispose]();
  rmSync(dir, { recursive: true, force: true });
});

test("a cartridge of the host is shown, after its file has gone and over a restart", async () => {
  const source = join(dir, "blog.cart");
  const mounted = await k.call<object>("fs.mount", { source, path: "/mnt/blog" });
  expect(mounted).toMatchObject({ kind: "cartridge", source, writable: false, state: "attached" });
  rmSync(source);
  await k.call("storage.gc");
  k = await k.reboot();
  await k.call("storage.gc");
  expect(await paths("/mnt/blog")).toEqual([
    "/mnt/blog/about.json",
    "/mnt/blog/app/private/x",
    "/mnt/blog/app/public/index.html",
    "/mnt/blog/data/photos/1.jpg",
  ]);
  expect(await text("/mnt/blog/app/public/index.html")).toBe("<p>front");
  expect(Bun.hash(await bytes("/mnt/blog/data/photos/1.jpg"))).toBe(Bun.hash(photo));
  const about = await text("/mnt/blog/about.json");
  expect(JSON.parse(about)).toMatchObject({ name: "blog", env: ["API_KEY"], pairs: 1 });
  expect(about).not.toContain("s3cret");
  const write = k.call("fs.write", { path: "/mnt/blog/app/x" }, { body: new Blob(["x"]).stream() });
  await expect(write).rejects.toMatchObject({ code: "EROFS" });
  expect(k.kernel.app.find("blog")).toBeNull();
  const check = await k.call<{ ok: boolean }>("storage.check", {});
  expect(check).toMatchObject({ ok: true });
});

test("detached, nothing of it stays", async () => {
  await k.call("fs.umount", { path: "/mnt/blog" });
  await k.call("storage.gc");
  expect(manifests()).toBe(0);
});

test("a cartridge of the tree, by the rights of who mounts it", async () => {
  await k.call("fs.write", { path: "/home/b.cart" }, { body: new Blob([cartridge]).stream() });
  await k.call("fs.mount", { source: "vfs:/home/b.cart", path: "/mnt/b" });
  expect(await text("/mnt/b/app/private/x")).toBe("x");
  await k.call("fs.umount", { path: "/mnt/b" });
  const none = k.call("fs.mount", { source: "vfs:/home/none.cart", path: "/mnt/b" });
  await expect(none).rejects.toMatchObject({ code: "ENOENT" });
});

test("what is damaged, or to be written to, is refused and leaves nothing", async () => {
  const damaged = cartridge.slice();
  damaged.set(noise(4096, 5), damaged.length >> 1);
  writeFileSync(join(dir, "bad.cart"), damaged);
  const bad = k.call("fs.mount", { source: join(dir, "bad.cart"), path: "/mnt/bad" });
  await expect(bad).rejects.toMatchObject({ code: "EBADMSG" });
  const input = { source: "vfs:/home/b.cart", path: "/mnt/bad", writable: true };
  await expect(k.call("fs.mount", input)).rejects.toMatchObject({ code: "EINVAL" });
  expect(manifests()).toBe(1);
  await k.call("storage.gc");
  expect(manifests()).toBe(0);
  expect((await k.call<Stat[]>("fs.ls", { path: "/mnt" })).length).toBe(0);
});
