/**
 * A kernel that is told to stop ends, whatever does not: a replicator that stands still, a store
 * that answers nothing, a drill under way, an app that hears nothing. What was acknowledged is there
 * at the next start.
 */
import { expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { deployed } from "../deployed.ts";
import { type TestKernel, testKernel } from "../kernel.ts";
import { startProcess, until } from "../process.ts";
import { type S3, startS3 } from "../s3.ts";
import { isGone, replicatorOf, replicatorsOf } from "./replicator.ts";

async function replicating(s3: S3, limits = {}): Promise<TestKernel> {
  const k = await testKernel({ replicaLimits: limits });
  const { bucket, endpoint, keyId, secret } = s3;
  await k.call("driver.replica.set", { url: `s3://${bucket}/home`, endpoint, keyId, secret });
  await k.call("driver.replica.flush");
  return k;
}

test("a replicator that stands still is killed", async () => {
  await using s3 = await startS3();
  await using k = await replicating(s3, { endMs: 400 });
  const replicator = await until("it runs", () => replicatorOf(process.pid));
  process.kill(replicator, "SIGSTOP");
  await k.close();
  expect(isGone(replicator)).toBe(true);
  expect(k.waitsFor()).toBeNull();
}, 60_000);

test("a store that stands still holds nobody up, and gets the rest after the next start", async () => {
  await using s3 = await startS3();
  const first = await replicating(s3, { flushMs: 500 });
  await deployed(first, "notes", { files: { "index.html": "page" } });
  const replicator = await until("it runs", () => replicatorOf(process.pid));
  s3.fault = () => "stall";
  await first.call("storage.kv.set", { app: "notes", key: "last", value: "word" });
  await using next = await first.reboot();
  expect(isGone(replicator)).toBe(true);
  s3.fault = () => null;
  const flushed = () =>
    next.call("driver.replica.flush").then(
      () => true,
      () => false,
    );
  await until("the rest is shipped", flushed, 50_000);
  const { value } = await next.call<{ value: unknown }>("storage.kv.get", {
    app: "notes",
    key: "last",
  });
  expect(value).toBe("word");
}, 90_000);

test("a drill under way ends with the kernel", async () => {
  await using s3 = await startS3();
  await using k = await replicating(s3, { flushMs: 500 });
  const before = replicatorsOf(process.pid);
  s3.fault = () => "stall";
  const drill = k.call("driver.replica.verify").then(
    () => "done",
    () => "refused",
  );
  await until("its process runs", () => replicatorsOf(process.pid).length > before.length);
  const processes = replicatorsOf(process.pid);
  await k.close();
  expect(await drill).toBe("refused");
  await until("all are gone", () => processes.every(isGone));
}, 60_000);

test("an app that hears nothing is killed, and the kernel exits 0", async () => {
  await using machine = await startProcess();
  const dir = machine.scratch("deaf");
  const server = 'export default () => { for (;;); return new Response("never"); };\n';
  writeFileSync(join(dir, "server.js"), server);
  writeFileSync(join(dir, "app.json"), JSON.stringify({ name: "deaf", server: "server.js" }));
  await machine.faztJson("app", "deploy", dir);
  const asked = machine.fetch("deaf", "/").then(
    (reply) => reply.status,
    () => "cut off",
  );
  type Row = { name: string; requests: number };
  const rows = () => machine.faztJson<Row[]>("proc", "ls");
  await until("it has the request", async () =>
    (await rows()).some(({ requests }) => requests > 0),
  );
  expect(await machine.stop()).toBe(0);
  expect(await asked).not.toBe(200);
}, 120_000);
