/**
 * What is larger than an upload: a cartridge of 130 MB goes out by the command and comes in again
 * over HTTP, held in nobody's memory; every other call keeps its own, smaller limit.
 */
import { expect, test } from "bun:test";
import { existsSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { uploadBytesMax } from "../../kernel/syscall/limits.ts";
import { noise } from "../fs.ts";
import { startProcess } from "../process.ts";

const fileBytes = 65_000_000;

/** Most memory a process has held, bytes. */
const peakBytes = (pid: number) =>
  Number(/^VmHWM:\s+([0-9]+)/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]) * 1024;

test("a cartridge over 100 MB, out and in, in bounded memory", async () => {
  await using machine = await startProcess();
  const dir = machine.scratch("site");
  writeFileSync(join(dir, "index.html"), "large");
  await machine.faztJson("app", "deploy", dir, "--name", "large");
  for (const n of [1, 2]) {
    await machine.call("fs.write", { path: `/data/large/${n}.bin` }, noise(fileBytes, n));
  }
  const file = join(machine.scratch("out"), "large.cart");
  expect(await machine.fazt("app", "export", "large", file)).toMatchObject({ code: 0 });
  expect(existsSync(file)).toBe(true);
  expect(statSync(file).size).toBeGreaterThan(2 * fileBytes);
  expect(statSync(file).size).toBeGreaterThan(uploadBytesMax);

  await machine.restart();
  const imported = await machine.call<object>("app.import", { name: "again" }, Bun.file(file));
  expect(imported).toMatchObject({ app: "again", imported: true });
  const read = await machine.faztJson<{ hash: string }[]>("fs", "ls", "/data/again");
  const hashes = [1, 2].map((n) =>
    new Bun.CryptoHasher("sha256").update(noise(fileBytes, n)).digest("hex"),
  );
  expect(read.map(({ hash }) => hash)).toEqual(hashes);
  expect(peakBytes(machine.pid)).toBeLessThan(300_000_000);

  const over = new Uint8Array(uploadBytesMax + 1);
  const refused = machine.call("fs.blob.put", {}, over);
  await expect(refused).rejects.toMatchObject({ status: 413, body: { code: "EFBIG" } });
  const pieces = new ReadableStream<Uint8Array>({
    start(controller) {
      for (let at = 0; at < over.length; at += 1_000_000) {
        controller.enqueue(over.subarray(at, at + 1_000_000));
      }
      controller.close();
    },
  });
  const unknown = machine.call("fs.blob.put", {}, pieces);
  await expect(unknown).rejects.toMatchObject({ status: 413, body: { code: "EFBIG" } });
}, 120_000);
