/** Releases on disk: what is swept away beside one that is being written or starts costs it nothing. */
import { expect, test } from "bun:test";
import { existsSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { deployed } from "../../tests/deployed.ts";
import { testKernel } from "../../tests/kernel.ts";
import { createReleaseFiles } from "./release.ts";

test("a release stays while it is written and while its process starts", async () => {
  await using k = await testKernel();
  const parent = mkdtempSync(join(tmpdir(), "fazt-release-"));
  try {
    const source = 'export default () => new Response("hello")';
    await deployed(k, "blog", {
      files: { "server.js": source },
      manifest: { server: "server.js" },
    });
    const release = k.kernel.app.release(k.kernel.app.get("blog").releaseId ?? "");
    const files = createReleaseFiles(k.kernel.fs, parent);
    const whole = async () => existsSync(join(await files.materialise(release), "server.js"));

    const writing = files.materialise(release);
    await files.keep(new Set());
    await writing;
    expect(await whole()).toBe(true);

    const ready = Promise.withResolvers<void>();
    files.hold(release.id, ready.promise);
    await files.keep(new Set());
    expect(existsSync(join(await writing, "server.js"))).toBe(true);
    ready.reject(new Error("it did not start"));
    await ready.promise.catch(() => undefined);

    // What goes is gone at once: what is wanted meanwhile is written afresh.
    const gone = files.keep(new Set());
    expect(await whole()).toBe(true);
    await gone;
    expect(await whole()).toBe(true);
    await files.keep(new Set());
    expect(readdirSync(join(await writing, ".."))).toEqual([]);
  } finally {
    rmSync(parent, { recursive: true });
  }
});
