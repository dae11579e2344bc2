/** Blobs: whole or not at all, once, in bounded memory; batches; and what gc leaves. */
import { describe, expect, test } from "bun:test";
import { drain, noise, packageFiles, type TestFs, testFs } from "../../tests/fs.ts";
import { localOwner } from "../caller.ts";
import type { Errno } from "../errno.ts";
import { frameHead } from "./blob.ts";
import { hashOf } from "./body.ts";
import { limits } from "./limits.ts";

const owner = localOwner("boot");
const mb = 1024 * 1024;

const refusedWith = (code: Errno) => expect.objectContaining({ name: "SysError", code });

const stream = (...parts: Uint8Array[]): ReadableStream<Uint8Array> => new Blob(parts).stream();

/** A body that fails after its parts. */
function cut(...parts: Uint8Array[]): ReadableStream<Uint8Array> {
  const left = [...parts];
  return new ReadableStream({
    pull(controller) {
      const next = left.shift();
      if (next === undefined) controller.error(new Error("connection lost"));
      else controller.enqueue(next);
    },
  });
}

const frame = (bytes: Uint8Array, hash = hashOf(bytes)): Uint8Array[] => [
  frameHead(hash, bytes.length),
  bytes,
];

const nothingStored = (at: TestFs): void => {
  expect(at.rows("fs_blob")).toBe(0);
  expect(at.rows("fs_chunk")).toBe(0);
};

describe("a blob", () => {
  const sizes = [0, 1, 4096, mb - 1, mb, mb + 1, 2 * mb, 3 * mb + 7];
  test.each(sizes)("of %d bytes comes back byte for byte", async (sizeBytes) => {
    await using at = await testFs();
    const bytes = noise(sizeBytes, 3);
    const put = await at.fs.blobs.put({ hash: null }, stream(bytes));
    expect(put).toEqual({ hash: hashOf(bytes), sizeBytes, stored: true });
    expect(Buffer.compare(await drain(at.fs.blobs.open(put.hash).stream), bytes)).toBe(0);
    expect(at.fs.blobs.bytes(put.hash)).toEqual(bytes);
    expect(at.rows("fs_chunk")).toBe(Math.ceil(sizeBytes / mb));
    const again = await at.fs.blobs.put({ hash: put.hash }, stream(bytes));
    expect(again).toEqual({ ...put, stored: false });
    expect(at.rows("fs_blob")).toBe(1);
  });

  test("is held once however many read it, and handed out in small pieces at first", async () => {
    await using at = await testFs();
    const bytes = noise(2 * mb, 4);
    const { hash } = await at.fs.blobs.put({ hash: null }, stream(bytes));
    const readers = [0, 1].map(() => at.fs.blobs.open(hash).stream.getReader());
    const [one, other] = await Promise.all(readers.map((reader) => reader.read()));
    expect(one?.value?.length).toBe(limits.firstPieceBytes);
    expect(one?.value?.buffer).toBe(other?.value?.buffer as ArrayBuffer);
    const sizes = new Set<number>();
    for (const reader of readers) {
      for (let next = await reader.read(); !next.done; next = await reader.read())
        sizes.add(next.value.length);
    }
    expect([...sizes]).toEqual([limits.firstPieceBytes, limits.pieceBytes]);
  });

  test("is read by windows exactly", async () => {
    await using at = await testFs();
    const bytes = noise(2 * mb + 100, 5);
    const { hash } = await at.fs.blobs.put({ hash: null }, stream(bytes));
    const windows = [
      [0, 1],
      [mb - 1, 2],
      [mb, mb],
      [mb - 5, mb + 10],
      [2 * mb + 99, 1],
      [2 * mb + 99, 50],
      [2 * mb + 100, 5],
      [9 * mb, null],
      [7, null],
      [7, 0],
    ] as const;
    for (const [offset, length] of windows) {
      const part = at.fs.blobs.open(hash, { offset, length });
      const expected = bytes.slice(offset, length === null ? undefined : offset + length);
      expect(part.sizeBytes).toBe(expected.length);
      expect(Buffer.compare(await drain(part.stream), expected)).toBe(0);
    }
  });

  test("that hashes to something else is refused, and nothing of it stays", async () => {
    await using at = await testFs();
    const hash = hashOf(noise(10, 1));
    for (const size of [9, 3 * mb]) {
      const put = at.fs.blobs.put({ hash }, stream(noise(size, 2)));
      await expect(put).rejects.toEqual(refusedWith("EBADMSG"));
      nothingStored(at);
    }
  });

  test("that is known is verified all the same", async () => {
    await using at = await testFs();
    const bytes = noise(3 * mb, 8);
    const { hash } = await at.fs.blobs.put({ hash: null }, stream(bytes));
    const lie = at.fs.blobs.put({ hash }, stream(noise(3 * mb, 9)));
    await expect(lie).rejects.toEqual(refusedWith("EBADMSG"));
    expect(Buffer.compare(await drain(at.fs.blobs.open(hash).stream), bytes)).toBe(0);
  });

  test("over the file limit is refused as it comes", async () => {
    await using at = await testFs();
    let pulled = 0;
    const endless = new ReadableStream<Uint8Array>(
      {
        pull(controller) {
          pulled += mb;
          controller.enqueue(new Uint8Array(mb));
        },
      },
      { highWaterMark: 0 },
    );
    const put = at.fs.blobs.put({ hash: null }, endless);
    await expect(put).rejects.toEqual(refusedWith("EFBIG"));
    expect(pulled).toBeLessThanOrEqual(limits.fileBytesMax + 2 * mb);
    nothingStored(at);
  });

  test.each([1, 2 * mb + 5])("cut after %d bytes is not there", async (sizeBytes) => {
    await using at = await testFs();
    const put = at.fs.blobs.put({ hash: null }, cut(noise(sizeBytes, 4)));
    await expect(put).rejects.toThrow("connection lost");
    nothingStored(at);
  });

  test("uploaded twice at once is stored once", async () => {
    await using at = await testFs();
    const bytes = noise(2 * mb + 1, 6);
    const put = () => at.fs.blobs.put({ hash: null }, stream(bytes));
    const done = await Promise.all([put(), put(), put()]);
    expect(done.filter(({ stored }) => stored)).toHaveLength(1);
    expect(at.rows("fs_blob")).toBe(1);
    expect(at.rows("fs_chunk")).toBe(3);
  });

  test("that is not stored, or too large to hold whole, is refused", async () => {
    await using at = await testFs();
    const unknown = hashOf(new Uint8Array(1));
    expect(() => at.fs.blobs.open(unknown)).toThrow(refusedWith("ENOENT"));
    expect(() => at.fs.blobs.bytes(unknown)).toThrow(refusedWith("ENOENT"));
    const { hash } = await at.fs.blobs.put({ hash: null }, stream(noise(5 * mb + 1, 1)));
    expect(() => at.fs.blobs.bytes(hash)).toThrow(refusedWith("EFBIG"));
  });

  test("of 64 MB never has more than two chunks waiting, in or out", async () => {
    await using at = await testFs();
    const part = noise(64 * 1024, 11);
    const wanted = (64 * mb) / part.length;
    let made = 0;
    let ahead = 0;
    const source = new ReadableStream<Uint8Array>(
      {
        pull(controller) {
          if (made === wanted) return controller.close();
          made++;
          const stored = (at.rows("fs_chunk") * mb) / part.length;
          ahead = Math.max(ahead, made - stored);
          controller.enqueue(part);
        },
      },
      { highWaterMark: 0 },
    );
    const { hash, sizeBytes } = await at.fs.blobs.put({ hash: null }, source);
    expect(sizeBytes).toBe(64 * mb);
    expect(ahead * part.length).toBeLessThanOrEqual(2 * mb);

    let largest = 0;
    const hasher = new Bun.CryptoHasher("sha256");
    for await (const bytes of at.fs.blobs.open(hash).stream) {
      largest = Math.max(largest, bytes.length);
      hasher.update(bytes);
    }
    expect(largest).toBe(limits.pieceBytes);
    expect(hasher.digest("hex")).toBe(hash);
  });

  test("is read only as far as its reader goes", async () => {
    await using at = await testFs();
    const { hash } = await at.fs.blobs.put({ hash: null }, stream(noise(3 * mb, 1)));
    const reader = at.fs.blobs.open(hash).stream.getReader();
    for (let taken = 0; taken < mb; ) taken += (await reader.read()).value?.length ?? mb;
    // Were the next chunk read ahead, its bytes would still come.
    await at.storage.write((tx) => tx.run("DELETE FROM fs_chunk"));
    await expect(reader.read()).rejects.toEqual(refusedWith("EIO"));
  });
});

describe("a batch", () => {
  test("of a whole package is stored, byte for byte, once", async () => {
    await using at = await testFs();
    const files = [...(await packageFiles("hono", 600)).values(), noise(3 * mb, 1)];
    const unique = new Set(files.map(hashOf));
    const body = () => stream(...files.flatMap((bytes) => frame(bytes)));
    const commits = at.storage.status().commits;
    const done = await at.fs.blobs.putMany(body());
    expect(done.stored).toBe(unique.size);
    expect(done.known).toBe(files.length - unique.size);
    expect(done.sizeBytes).toBe(files.reduce((sum, bytes) => sum + bytes.length, 0));
    expect(at.storage.status().commits - commits).toBeLessThan(20);
    for (const bytes of files) {
      expect(Buffer.compare(await drain(at.fs.blobs.open(hashOf(bytes)).stream), bytes)).toBe(0);
    }
    expect(await at.fs.blobs.putMany(body())).toMatchObject({ stored: 0, known: files.length });
    expect(at.fs.blobs.missing([...unique])).toEqual([]);
  });

  test("with nothing in it is nothing", async () => {
    await using at = await testFs();
    const none = { stored: 0, known: 0, sizeBytes: 0 };
    expect(await at.fs.blobs.putMany(stream())).toEqual(none);
    expect(await at.fs.blobs.putMany(stream(...frame(new Uint8Array(0))))).toMatchObject({
      stored: 1,
    });
  });

  const [a, b] = [noise(100, 1), noise(2 * mb, 2)];
  const broken: [string, Errno, Uint8Array[]][] = [
    ["a wrong hash", "EBADMSG", frame(a, hashOf(b))],
    ["a wrong hash of a long one", "EBADMSG", frame(b, hashOf(a))],
    ["half a head", "EBADMSG", [frameHead(hashOf(a), 100).subarray(0, 20)]],
    ["half a body", "EBADMSG", [frameHead(hashOf(a), 100), a.subarray(0, 50)]],
    ["half a long body", "EBADMSG", [frameHead(hashOf(b), b.length), b.subarray(0, mb + 9)]],
    ["a length over the limit", "EFBIG", [frameHead(hashOf(a), 0xffff_ffff), ...manyMb(101)]],
  ];
  test.each(broken)("with %s is refused: %s", async (_what, code, parts) => {
    await using at = await testFs();
    const put = at.fs.blobs.putMany(stream(...parts));
    await expect(put).rejects.toEqual(refusedWith(code));
    nothingStored(at);
  });
});

function manyMb(count: number): Uint8Array[] {
  const one = new Uint8Array(mb);
  return Array.from({ length: count }, () => one);
}

describe("gc", () => {
  test("takes what nobody refers to, after its grace, and nothing else", async () => {
    await using at = await testFs();
    const kept = await at.store("a.txt", noise(2 * mb, 1));
    await at.fs.manifests.put("rel_1", "app_1", [kept]);
    await at.fs.write(owner, "/home/b.txt", stream(noise(100, 2)));
    const orphan = await at.store("c.txt", noise(3 * mb, 3));

    await at.storage.gc();
    expect(at.fs.blobs.missing([orphan.hash])).toEqual([]);
    at.advance(limits.graceMs + 1000);
    const report = await at.storage.gc();
    expect(report.find(({ name }) => name === "fs")).toMatchObject({ rows: 1, bytes: 3 * mb });
    expect(at.fs.blobs.missing([orphan.hash, kept.hash])).toEqual([orphan.hash]);
    expect(at.rows("fs_chunk")).toBe(3);

    await at.fs.manifests.drop(["rel_1"]);
    await at.fs.rm(owner, "/home/b.txt", { recursive: false });
    at.advance(limits.graceMs + 1000);
    await at.storage.gc();
    nothingStored(at);
    expect(at.rows("fs_manifest") + at.rows("fs_manifest_file") + at.rows("fs_inode")).toBe(0);
  });

  test("leaves what is being read until its last chunk is in hand, or its reader has gone", async () => {
    await using at = await testFs();
    const bytes = noise(3 * mb, 5);
    await at.fs.write(owner, "/home/film", stream(bytes));
    at.advance(limits.graceMs + 1000);
    const open = async () =>
      (await at.fs.read(owner, "/home/film", { offset: 0, length: null })).stream;
    const reading = (await open()).getReader();
    const gone = (await open()).getReader();
    const first = await reading.read();
    await gone.read();
    await at.fs.write(owner, "/home/film", stream(noise(10, 6)));
    await at.storage.gc();
    const pieces = [first.value ?? new Uint8Array(0)];
    for (let next = await reading.read(); !next.done; next = await reading.read()) {
      pieces.push(next.value);
    }
    expect(Buffer.compare(Buffer.concat(pieces), bytes)).toBe(0);

    await at.storage.gc();
    expect(at.rows("fs_chunk")).toBe(4);
    at.advance(limits.streamIdleMs + 1000);
    await at.storage.gc();
    expect(at.rows("fs_chunk")).toBe(1);
  });

  test("takes at once what a reader has left in the middle", async () => {
    await using at = await testFs();
    await at.fs.write(owner, "/home/film", stream(noise(3 * mb, 5)));
    at.advance(limits.graceMs + 1000);
    const whole = { offset: 0, length: null };
    const leaving = (await at.fs.read(owner, "/home/film", whole)).stream.getReader();
    await leaving.read();
    await at.fs.write(owner, "/home/film", stream(noise(10, 6)));
    await leaving.cancel();
    await at.storage.gc();
    expect(at.rows("fs_chunk")).toBe(1);
  });

  test("leaves what a deploy was told is there", async () => {
    await using at = await testFs();
    const file = await at.store("a.txt", noise(10, 1));
    at.advance(limits.graceMs + 1000);
    expect(at.fs.blobs.missing([file.hash])).toEqual([]);
    await at.storage.gc();
    await at.fs.manifests.put("rel_1", "app_1", [file]);
    expect(at.fs.manifests.get("rel_1", "a.txt")).toEqual(file);
  });

  test("leaves the first files of a deploy that takes longer than the grace, within a day", async () => {
    await using at = await testFs();
    const put = (seed: number) => at.fs.blobs.put({ hash: null }, stream(noise(10, seed)));
    const uploads = async (seed: number) => {
      at.advance(limits.graceMs * 0.75);
      await put(seed);
      await at.storage.gc();
    };
    await put(1);
    await uploads(2);
    await uploads(3);
    expect(at.rows("fs_blob")).toBe(3);
    at.advance(limits.graceMs + 1000);
    await at.storage.gc();
    nothingStored(at);
    const most = Math.ceil((limits.uploadMsMax + limits.graceMs) / (limits.graceMs * 0.75));
    for (let seed = 10; seed < 10 + most + 5; seed++) await uploads(seed);
    expect(at.rows("fs_blob")).toBeLessThanOrEqual(most + 1);
  });

  test("takes an upload whose process went away, and not one under way", async () => {
    await using at = await testFs();
    await at.storage.write((tx) => {
      tx.run("INSERT INTO fs_blob (id, size_bytes, touched_at) VALUES (77, 0, ?)", 0);
      tx.run("INSERT INTO fs_chunk (id, bytes) VALUES (?, ?)", 77 * 65_536, noise(10, 1));
    });
    const bytes = noise(3 * mb, 2);
    let left = 3;
    const slow = new ReadableStream<Uint8Array>(
      {
        async pull(controller) {
          if (left === 0) return controller.close();
          // Twice in the middle of the upload.
          if (left < 3) await at.storage.gc();
          controller.enqueue(bytes.subarray((3 - left) * mb, (4 - left) * mb));
          left--;
        },
      },
      { highWaterMark: 0 },
    );
    const put = await at.fs.blobs.put({ hash: null }, slow);
    expect(at.rows("fs_blob")).toBe(1);
    expect(Buffer.compare(await drain(at.fs.blobs.open(put.hash).stream), bytes)).toBe(0);
  });

  test("takes nothing that the kernel which has taken over may have in hand", async () => {
    await using at = await testFs();
    await at.fs.blobs.put({ hash: null }, stream(noise(10, 2)));
    at.advance(limits.graceMs + limits.uploadMsMax);
    // Under way at the other one: an upload, and a file that is read while it is written over.
    await at.storage.write((tx) => {
      tx.run("INSERT INTO fs_blob (id, size_bytes, touched_at) VALUES (77, 0, ?)", 0);
      tx.run("INSERT INTO fs_chunk (id, bytes) VALUES (?, ?)", 77 * 65_536, noise(10, 1));
    });
    const collected = at.storage.gc();
    at.storage.yieldDirectory();
    await collected;
    expect(at.rows("fs_blob")).toBe(2);
    expect(at.rows("fs_chunk")).toBe(2);
  });

  test("never takes an upload for a lost one, whenever it comes", async () => {
    await using at = await testFs();
    for (let turns = 0; turns < 40; turns++) {
      const bytes = new Uint8Array(mb + 1).fill(turns + 1);
      let collected: Promise<unknown> | null = null;
      const body = new ReadableStream<Uint8Array>(
        {
          async pull(controller) {
            controller.enqueue(bytes);
            controller.close();
            for (let turn = 0; turn < turns; turn++) await Promise.resolve();
            collected = at.storage.gc();
          },
        },
        { highWaterMark: 0 },
      );
      expect(await at.fs.blobs.put({ hash: null }, body)).toMatchObject({ stored: true });
      await collected;
    }
    expect(at.rows("fs_chunk")).toBe(80);
  });

  test("goes over more blobs than one look takes", async () => {
    await using at = await testFs();
    const many = limits.gcWindowBlobs + limits.gcRowsPerWrite + 10;
    await at.storage.write((tx) => {
      for (let i = 0; i < many; i++) {
        const hash = hashOf(new TextEncoder().encode(String(i)));
        tx.run("INSERT INTO fs_blob (hash, size_bytes, touched_at) VALUES (?, 0, 0)", hash);
      }
    });
    const kept = await at.store("a.txt", noise(10, 1));
    await at.fs.manifests.put("rel_1", "app_1", [kept]);
    const report = await at.storage.gc();
    expect(report.find(({ name }) => name === "fs")).toMatchObject({ rows: many });
    expect(at.rows("fs_blob")).toBe(1);
  });

  test("takes a variant with its origin", async () => {
    await using at = await testFs();
    const page = await at.store("index.html", "<p>hello</p>".repeat(1000));
    await at.fs.manifests.put("rel_1", "app_1", [page]);
    const site = at.fs.site("rel_1", {
      root: "",
      hidden: [],
      spa: false,
      redirects: [],
      headers: [],
      modifiedAt: 0,
    });
    const headers = { "accept-encoding": "br" };
    site.answer(new Request("http://x/", { headers }), "/");
    await at.fs.settled();
    expect(at.rows("fs_variant")).toBe(1);
    at.advance(limits.graceMs + 1000);
    await at.storage.gc();
    expect(at.rows("fs_blob")).toBe(2);
    await at.fs.manifests.drop(["rel_1"]);
    await at.storage.gc();
    nothingStored(at);
    expect(at.rows("fs_variant")).toBe(0);
  });
});
