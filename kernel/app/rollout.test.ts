/** Deploy and rollback through the dispatcher: what becomes current, and what is left when not. */
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { type AppKernel, appKernel, errnoOf, owner, refusal, stored } from "../../tests/apps.ts";
import { SysError } from "../errno.ts";
import { limits } from "./limits.ts";

let kernel: AppKernel;
beforeEach(() => {
  kernel = appKernel();
});
afterEach(() => kernel[Symbol.asyncDispose]());

type RolledOut = { app: string; id: string; release: string; number: number; created: boolean };

async function deploy(files: Record<string, string>, more: Record<string, unknown> = {}) {
  const input = { name: "blog", manifest: {}, files: await stored(kernel.fs, files), ...more };
  return (await kernel.call("app.deploy", input)) as RolledOut;
}

const server = { manifest: { server: "server.js" } };
const withServer = (text: string) => ({ "server.js": text });

async function page(path = "/"): Promise<string | undefined> {
  const { apps } = kernel;
  const site = apps.site(apps.release(apps.get("blog").releaseId ?? ""));
  return (await site.answer(new Request(`http://blog.localhost${path}`), path))?.text();
}

/** Rows of the app and fs tables that belong to releases. */
function leftovers() {
  const count = (table: string) =>
    kernel.storage.read.get<{ n: number }>(`SELECT count(*) AS n FROM ${table}`)?.n;
  return ["app_app", "app_release", "fs_manifest", "fs_manifest_file"].map(count);
}

describe("deploy", () => {
  test("makes the app, then further releases of it", async () => {
    const first = await deploy({ "index.html": "one" });
    expect(first).toMatchObject({ app: "blog", number: 1, created: true, files: 1 });
    expect(await page()).toBe("one");
    const second = await deploy({ "index.html": "two" }, { message: "better" });
    expect(second).toMatchObject({ id: first.id, number: 2, created: false });
    expect(await page()).toBe("two");
    expect(await kernel.call("app.releases", { app: "blog" })).toMatchObject([
      { number: 2, current: true, message: "better" },
      { number: 1, current: false },
    ]);
  });

  test("a server is proved before a request can reach it, a plain site is not", async () => {
    const proved: (string | null)[] = [];
    kernel.prove = async (app, release) => {
      proved.push(`${release.number} beside ${app.releaseId === null ? "nothing" : "the old"}`);
    };
    await deploy(withServer("1"), server);
    await deploy(withServer("2"), server);
    await deploy({ "index.html": "3" });
    expect(proved).toEqual(["1 beside nothing", "2 beside the old"]);
  });

  test("a release that fails its proof leaves the old one current and nothing of itself", async () => {
    await deploy(withServer("1"), server);
    const { releaseId } = kernel.apps.get("blog");
    const before = leftovers();
    const told: string[] = [];
    kernel.apps.watch((event) => void told.push(event.kind));
    kernel.prove = async () => {
      throw new SysError("ENOEXEC", 'cannot start "blog": exit 1');
    };
    expect(await errnoOf(() => deploy(withServer("2"), server))).toBe("ENOEXEC");
    expect(kernel.apps.get("blog").releaseId).toBe(releaseId);
    expect(leftovers()).toEqual(before);
    expect(told).toEqual(["abandoned"]);
  });

  test("a first deploy that fails leaves no app", async () => {
    kernel.prove = async () => {
      throw new SysError("ENOEXEC", "cannot start");
    };
    expect(await errnoOf(() => deploy(withServer("1"), server))).toBe("ENOEXEC");
    expect(kernel.apps.ls()).toEqual([]);
    expect(leftovers()).toEqual([0, 0, 0, 0]);
  });

  test("of two at once one is refused, saying since when, and the other goes through", async () => {
    await deploy(withServer("0"), server);
    const proving = Promise.withResolvers<void>();
    const begun = Promise.withResolvers<void>();
    kernel.prove = () => {
      begun.resolve();
      return proving.promise;
    };
    const slow = deploy(withServer("slow"), server);
    await begun.promise;
    const error = await refusal(() => deploy(withServer("fast"), server));
    expect(error).toMatchObject({
      code: "EBUSY",
      message: 'cannot deploy "blog": a deploy is under way',
    });
    expect(error.hint).toMatch(/^it began at 20\d\d-/);
    expect(await errnoOf(() => kernel.call("app.rename", { app: "blog", to: "b" }))).toBe("EBUSY");
    expect(await errnoOf(() => kernel.call("app.rm", { app: "blog" }))).toBe("EBUSY");
    proving.resolve();
    expect(await slow).toMatchObject({ number: 2 });
    expect(await deploy(withServer("fast"), server)).toMatchObject({ number: 3 });
  });

  test("two first deploys at once make one app", async () => {
    const both = await Promise.allSettled([
      deploy({ "index.html": "a" }),
      deploy({ "index.html": "b" }),
    ]);
    expect(both.map(({ status }) => status).sort()).toEqual(["fulfilled", "rejected"]);
    expect(kernel.apps.ls()).toHaveLength(1);
  });

  test("when the caller goes away during the proof, nothing is switched", async () => {
    await deploy(withServer("1"), server);
    const gone = new AbortController();
    kernel.prove = async () => gone.abort();
    const files = await stored(kernel.fs, withServer("2"));
    const input = { name: "blog", ...server, files };
    const { signal } = gone;
    expect(await errnoOf(() => kernel.call("app.deploy", input, { signal }))).toBe("ECANCELED");
    kernel.prove = async () => undefined;
    expect(await deploy(withServer("3"), server)).toMatchObject({ number: 2 });
  });

  test.each([
    ["no files", "EINVAL", { files: [] }],
    ["a name of the system", "EINVAL", { name: "os" }],
    ["a server that is not there", "EINVAL", { manifest: { server: "other.js" } }],
    ["a blob that is not there", "ENOENT", { files: [file("index.html")] }],
    ["a path twice", "EINVAL", { files: [file("a"), file("a")] }],
    ["a file that is a folder", "EINVAL", { files: [file("a/b/c"), file("a/b")] }],
    ["a path that leaves", "EINVAL", { files: [file("../a")] }],
    ["an absolute path", "EINVAL", { files: [file("/a")] }],
    ["a NUL in a path", "EINVAL", { files: [file("a\0b")] }],
    ["a file over the limit", "EFBIG", { files: [file("a", limits.fileBytesMax + 1)] }],
    [
      "more bytes than a release may have",
      "EFBIG",
      { files: Array.from({ length: 6 }, (_, i) => file(`f${i}`, limits.fileBytesMax)) },
    ],
    [
      "100,000 entries",
      "EINVAL",
      { files: Array.from({ length: 100_000 }, (_, i) => file(`f${i}`)) },
    ],
    ["an unknown key", "EINVAL", { manifest: { sever: "x" } }],
  ] as const)("refuses %s", async (_name, errno, wrong) => {
    expect(await errnoOf(() => deploy({ "index.html": "x" }, wrong))).toBe(errno);
    expect(leftovers()).toEqual([0, 0, 0, 0]);
    expect(await deploy({ "index.html": "x" })).toMatchObject({ number: 1 });
  });

  test("refuses with ENOSPC on a full disk, and the old release goes on", async () => {
    await deploy({ "index.html": "one" });
    const files = await stored(kernel.fs, { "index.html": "two" });
    await kernel.restart({ limits: { diskUsedMax: 0 } });
    const input = { name: "blog", manifest: {}, files };
    expect(await errnoOf(() => kernel.call("app.deploy", input))).toBe("ENOSPC");
    expect(await page()).toBe("one");
  });
});

function file(path: string, sizeBytes = 1) {
  return { path, hash: "ab".repeat(32), sizeBytes };
}

describe("rollback", () => {
  test("goes to the release before, by number, and by id", async () => {
    const releases: RolledOut[] = [];
    for (const text of ["one", "two", "three"]) releases.push(await deploy({ "index.html": text }));
    expect(await kernel.call("app.rollback", { app: "blog" })).toMatchObject({ number: 2 });
    expect(await page()).toBe("two");
    await kernel.call("app.rollback", { app: "blog", release: "3" });
    expect(await page()).toBe("three");
    await kernel.call("app.rollback", { app: "blog", release: releases[0]?.release });
    expect(await page()).toBe("one");
    expect(await deploy({ "index.html": "four" })).toMatchObject({ number: 4 });
  });

  test("that fails its proof changes nothing and loses nothing", async () => {
    await deploy(withServer("1"), server);
    const second = await deploy(withServer("2"), server);
    kernel.prove = async () => {
      throw new SysError("ENOEXEC", 'cannot start "blog": exit 1');
    };
    expect(await errnoOf(() => kernel.call("app.rollback", { app: "blog" }))).toBe("ENOEXEC");
    expect(kernel.apps.get("blog").releaseId).toBe(second.release);
    kernel.prove = async () => undefined;
    await kernel.storage.gc();
    expect(await kernel.call("app.rollback", { app: "blog" })).toMatchObject({ number: 1 });
    const code = await kernel.fs.stat(owner, "/apps/blog/server.js");
    expect(code.sizeBytes).toBe(1);
  });

  test("to nothing is refused", async () => {
    await deploy({ "index.html": "one" });
    expect(await errnoOf(() => kernel.call("app.rollback", { app: "blog" }))).toBe("ENOENT");
    const input = { app: "blog", release: "7" };
    expect((await refusal(() => kernel.call("app.rollback", input))).message).toBe(
      'cannot roll back "blog": no such release: 7',
    );
  });

  test("during a deploy is refused", async () => {
    await deploy(withServer("1"), server);
    await deploy(withServer("2"), server);
    const proving = Promise.withResolvers<void>();
    const begun = Promise.withResolvers<void>();
    kernel.prove = (_app, release) => {
      if (release.number !== 3) return Promise.resolve();
      begun.resolve();
      return proving.promise;
    };
    const slow = deploy(withServer("3"), server);
    await begun.promise;
    expect(await errnoOf(() => kernel.call("app.rollback", { app: "blog" }))).toBe("EBUSY");
    proving.resolve();
    expect(await slow).toMatchObject({ number: 3 });
  });
});
