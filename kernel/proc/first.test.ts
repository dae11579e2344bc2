/** What a newcomer meets first: a data directory named by a relative path, a first release that breaks. */
import { expect, test } from "bun:test";
import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import { deployed } from "../../tests/deployed.ts";
import { type TestKernel, testKernel } from "../../tests/kernel.ts";

/** Deploys an app that is one server file. */
const served = (k: TestKernel, name: string, server: string) =>
  deployed(k, name, { files: { "server.js": server }, manifest: { server: "server.js" } });

test("apps run in a data directory whose path is relative", async () => {
  const dataDir = mkdtempSync(join(tmpdir(), "fazt-first-"));
  await using k = await testKernel({ dataDir: relative(process.cwd(), dataDir) });
  await served(k, "here", 'export default () => new Response("here")');
  expect(await k.call("proc.status", { app: "here" })).toMatchObject([{ name: "here" }]);
});

test("a first release that is refused leaves no app, and says itself what it printed", async () => {
  await using k = await testKernel();
  const server = 'console.error("no such table: users"); process.exit(4);';
  const refusal = await served(k, "first", server).catch((error: unknown) => error);
  expect(refusal).toMatchObject({
    code: "ENOEXEC",
    message: "cannot run release 1: exited with code 4",
    hint: "it printed: no such table: users",
  });
  const silent = await served(k, "first", "process.exit(4)").catch((e: unknown) => e);
  expect(silent).toMatchObject({ hint: "it printed nothing" });
  expect(await k.call<unknown[]>("app.ls")).toEqual([]);
});
