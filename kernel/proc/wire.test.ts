/** Frames: whole at any split of the bytes, short writes, violations. */
import { describe, expect, test } from "bun:test";
import { frameBytesMax, pieceBytesMax } from "./limits.ts";
import { frame, Wire, WireViolation } from "./wire.ts";

interface Seen {
  readonly type: number;
  readonly id: number;
  readonly payload: string;
}

/** A wire whose bytes are gathered; `takes` says how many a write takes. */
function sender(takes: (length: number) => number = (length) => length) {
  const chunks: Buffer[] = [];
  const wire = new Wire({
    transport: {
      write(bytes, offset, length) {
        const taken = takes(length);
        chunks.push(Buffer.from(bytes.slice(offset, offset + taken)));
        return taken;
      },
    },
    onFrame: () => undefined,
    onDrain: () => undefined,
  });
  return { wire, chunks, bytes: () => Buffer.concat(chunks) };
}

function receiver() {
  const seen: Seen[] = [];
  const wire = new Wire({
    transport: { write: (_bytes, _offset, length) => length },
    onFrame: (type, id, payload) => seen.push({ type, id, payload: payload.toString("latin1") }),
    onDrain: () => undefined,
  });
  return { wire, seen };
}

const example = () => {
  const { wire, bytes } = sender();
  wire.bytes(frame.data, 1, Buffer.from("hello"));
  wire.empty(frame.end, 3);
  wire.number(frame.credit, 0xfffffffe, 0x12345678);
  wire.tagged(frame.message, 5, { tag: 3, bytes: Buffer.from("x") });
  wire.bytes(frame.data, 7, Buffer.alloc(pieceBytesMax, "y"));
  wire.headed(frame.open, 9, { kind: 1, flags: 1, head: "GET\n/é", body: "bödy" });
  wire.bytes(frame.data, 11, Buffer.alloc(0));
  wire.flush();
  return bytes();
};

const parsed = (): Seen[] => {
  const { wire, seen } = receiver();
  wire.feed(example());
  return seen;
};

describe("frames", () => {
  test("arrive as they were sent, in one write", () => {
    const seen = parsed();
    expect(seen.map(({ type, id }) => [type, id])).toEqual([
      [frame.data, 1],
      [frame.end, 3],
      [frame.credit, 0xfffffffe],
      [frame.message, 5],
      [frame.data, 7],
      [frame.open, 9],
      [frame.data, 11],
    ]);
    expect(seen[0]?.payload).toBe("hello");
    expect(seen[2]?.payload).toBe("\x78\x56\x34\x12");
    expect(seen[3]?.payload).toBe("\x03x");
    expect(seen[4]?.payload.length).toBe(pieceBytesMax);
    expect(Buffer.from(seen[5]?.payload ?? "", "latin1").toString("utf8")).toBe(
      "\x01\x01\x07\0\0\0GET\n/ébödy",
    );
  });

  test("byte by byte", () => {
    const { wire, seen } = receiver();
    for (const byte of example().subarray(0, 80)) wire.feed(Buffer.of(byte));
    for (const byte of example().subarray(80)) wire.feed(Buffer.of(byte));
    expect(seen).toEqual(parsed());
  });

  for (let seed = 1; seed <= 40; seed++) {
    test(`split at random, seed ${seed}`, () => {
      const bytes = Buffer.concat([example(), example(), example()]);
      const expected = [...parsed(), ...parsed(), ...parsed()];
      const { wire, seen } = receiver();
      let state = seed;
      for (let at = 0; at < bytes.length; ) {
        state = (Math.imul(state, 1103515245) + 12345) & 0x7fffffff;
        const size = 1 + (state % (state % 7 === 0 ? 90_000 : 40));
        wire.feed(Buffer.from(bytes.subarray(at, at + size)));
        at += size;
      }
      expect(seen).toEqual(expected);
    });
  }
});

describe("writing", () => {
  test("what the socket does not take leaves when it drains, in order", () => {
    let room = 10;
    const { wire, bytes } = sender((length) => Math.min(length, room));
    const { wire: other, seen } = receiver();
    for (let i = 0; i < 100; i++) wire.bytes(frame.data, i, Buffer.from(`piece ${i}`));
    wire.flush();
    expect(bytes().length).toBe(10);
    wire.flush();
    expect(bytes().length).toBe(10);
    for (room = 7; wire.backlogBytes > 0; room += 3) wire.drained();
    other.feed(bytes());
    expect(seen.map(({ payload }) => payload)).toEqual(
      Array.from({ length: 100 }, (_, i) => `piece ${i}`),
    );
  });

  test("the frames of one turn leave in one write", async () => {
    const { wire, chunks } = sender();
    wire.bytes(frame.data, 1, Buffer.from("a"));
    wire.bytes(frame.data, 1, Buffer.from("b"));
    expect(chunks.length).toBe(0);
    await new Promise((resolve) => setImmediate(resolve));
    expect(chunks.length).toBe(1);
  });

  test("a backlog makes bodies wait until it has gone", () => {
    let taken = 0;
    let drained = 0;
    const wire = new Wire({
      transport: { write: (_bytes, _offset, length) => Math.min(length, taken) },
      onFrame: () => undefined,
      onDrain: () => drained++,
    });
    for (let i = 0; i < 5; i++) wire.bytes(frame.data, 1, Buffer.alloc(pieceBytesMax));
    wire.flush();
    expect(wire.congested).toBe(true);
    expect(drained).toBe(0);
    taken = Number.POSITIVE_INFINITY;
    wire.drained();
    expect(wire.congested).toBe(false);
    expect(drained).toBe(1);
  });
});

describe("violations", () => {
  const length = (value: number) => {
    const bytes = Buffer.alloc(16);
    bytes.writeUInt32LE(value);
    return bytes;
  };

  test("a frame that is too large is refused before it is there", () => {
    const { wire } = receiver();
    expect(() => wire.feed(length(frameBytesMax + 1))).toThrow(WireViolation);
    const { wire: split } = receiver();
    split.feed(length(0xffffffff).subarray(0, 3));
    expect(() => split.feed(length(0xffffffff).subarray(3))).toThrow(WireViolation);
  });

  test("a frame too short for its own header is refused", () => {
    expect(() => receiver().wire.feed(length(4))).toThrow(WireViolation);
    expect(() => receiver().wire.feed(length(0))).toThrow(WireViolation);
  });

  for (let seed = 1; seed <= 40; seed++) {
    test(`noise never does anything but frames or a violation, seed ${seed}`, () => {
      const { wire } = receiver();
      let state = seed * 7919;
      const noise = Buffer.alloc(5000);
      for (let i = 0; i < noise.length; i++) {
        state = (Math.imul(state, 1103515245) + 12345) & 0x7fffffff;
        noise[i] = i % 4 === 3 || i % 4 === 2 ? 0 : state >> 16;
      }
      try {
        wire.feed(noise);
      } catch (error) {
        expect(error).toBeInstanceOf(WireViolation);
      }
      expect(wire.backlogBytes).toBe(0);
    });
  }
});
