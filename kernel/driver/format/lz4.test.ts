/** LZ4 frames against the reference implementation (`lz4`), and what is damaged against nobody. */
import { describe, expect, test } from "bun:test";
import { randomBytes } from "node:crypto";
import { compress, decompressFrame, XxHash32 } from "./lz4.ts";

const lz4 = Bun.which("lz4");

async function* pieces(bytes: Uint8Array, size: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

async function decompress(bytes: Uint8Array, size = 70_001): Promise<Buffer> {
  return Buffer.concat(await Array.fromAsync(decompressFrame(pieces(bytes, size))));
}

function reference(args: string[], input: Uint8Array): Buffer {
  const run = Bun.spawnSync(["lz4", ...args, "-c"], { stdin: input, stdout: "pipe" });
  expect(run.exitCode).toBe(0);
  return run.stdout;
}

const text = Buffer.from("the world is rows in one database; ".repeat(400_000));
const mixed = Buffer.concat([randomBytes(3_000_000), text.subarray(0, 5_000_000), Buffer.alloc(9)]);
const samples: [string, Uint8Array][] = [
  ["nothing", Buffer.alloc(0)],
  ["one byte", Buffer.of(7)],
  ["13 equal bytes", Buffer.alloc(13, 1)],
  ["zeroes over two blocks", Buffer.alloc(5_000_000)],
  ["text over four blocks", text],
  ["chance", randomBytes(300_000)],
  ["chance and text", mixed],
];

describe.each(samples)("%s", (_name, sample) => {
  test("comes back", async () => {
    expect((await decompress(await compress(sample))).equals(sample)).toBe(true);
  });

  test.skipIf(lz4 === null)("is read by lz4", async () => {
    expect(reference(["-d"], await compress(sample)).equals(sample)).toBe(true);
  });

  test.skipIf(lz4 === null).each(["-1", "-9", "-BD", "-BX", "-B4", "--no-frame-crc"])(
    "written by lz4 %s is read",
    async (flag) => {
      expect((await decompress(reference([flag], sample))).equals(sample)).toBe(true);
    },
  );
});

test("what repeats gets small, what is random hardly grows", async () => {
  expect((await compress(text)).length).toBeLessThan(text.length / 50);
  expect((await compress(samples[5]?.[1] ?? text)).length).toBeLessThan(300_000 + 32);
});

test("the checksum in pieces is that of the whole", () => {
  for (const size of [1, 3, 15, 16, 17, 100, 4096]) {
    const hash = new XxHash32();
    const bytes = mixed.subarray(0, 5_000);
    for (let at = 0; at < bytes.length; at += size) hash.update(bytes.subarray(at, at + size));
    expect(hash.digest()).toBe(Bun.hash.xxHash32(bytes));
  }
});

describe("damage is told", () => {
  const sample = Buffer.concat([text.subarray(0, 20_000), randomBytes(2_000)]);

  test("a frame cut anywhere", async () => {
    const frame = await compress(sample);
    for (let cut = 0; cut < frame.length; cut += 1 + (cut % 37)) {
      await expect(decompress(frame.subarray(0, cut))).rejects.toThrow("cannot read LZ4 frame");
    }
  });

  test("a bit flipped anywhere", async () => {
    const frame = await compress(sample);
    for (let at = 0; at < frame.length; at += 1 + (at % 13)) {
      const bad = new Uint8Array(frame);
      bad[at] = (bad[at] ?? 0) ^ (1 << (at % 8));
      await expect(decompress(bad)).rejects.toThrow("cannot read LZ4 frame");
    }
  });

  test("something after the end", async () => {
    await expect(decompress(Buffer.concat([await compress(sample), Buffer.of(0)]))).rejects.toThrow(
      "something follows it",
    );
  });
});
