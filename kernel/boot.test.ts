/**
 * A kernel that refuses to boot lets go of its data directory; one that has a change under way for
 * long does not hand over, and goes on.
 */
import { expect, test } from "bun:test";
import { chmodSync, mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { clock } from "../tests/clock.ts";
import { testKernel } from "../tests/kernel.ts";

test("what is refused after the database was opened leaves the directory free", async () => {
  const dataDir = mkdtempSync(join(tmpdir(), "fazt-test-"));
  const first = await testKernel({ dataDir });
  await first.close();
  const path = join(dataDir, "machine.key");
  const key = readFileSync(path);
  chmodSync(path, 0o600);
  writeFileSync(path, "no key");
  await expect(testKernel({ dataDir })).rejects.toThrow(/machine\.key/);
  writeFileSync(path, key);
  await using again = await testKernel({ dataDir });
  expect(again.kernel.security.owner()).not.toBeNull();
});

test("a change that takes longer than a handing over may keeps it from happening", async () => {
  const { machine, pass } = clock();
  await using k = await testKernel({ machine });
  const body = new TransformStream<Uint8Array, Uint8Array>();
  const writer = body.writable.getWriter();
  const write = k.call("fs.write", { path: "/home/long" }, { body: body.readable });
  await writer.write(new Uint8Array(10));
  const yielded = k.yieldWork().then(
    () => null,
    (error: unknown) => error,
  );
  const change = () => k.call("fs.mkdir", { path: "/home/dir" });
  await expect(change()).rejects.toMatchObject({ code: "EAGAIN" });
  pass(20_001);
  expect(await yielded).toMatchObject({
    code: "EBUSY",
    message: expect.stringMatching("fs.write"),
  });
  // It goes on as if nobody had asked.
  await change();
  await writer.close();
  await write;
  expect(await k.call("fs.stat", { path: "/home/long" })).toMatchObject({ sizeBytes: 10 });
  await k.yieldWork();
  await expect(k.call("fs.rm", { path: "/home/dir" })).rejects.toMatchObject({ code: "EAGAIN" });
});
