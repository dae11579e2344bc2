/** Streams between two links: flow control, ends, resets, and what is a violation. */
import { describe, expect, test } from "bun:test";
import { Intake, pour } from "./body.ts";
import { unreadBytesMax, windowBytes } from "./limits.ts";
import { Link, type Listener, type Opened, type Stream } from "./stream.ts";
import { frame, type Wire } from "./wire.ts";

interface Heard {
  readonly stream: Stream;
  readonly opened: Opened;
  readonly said: string[];
}

/** Two ends of one connection in memory; what the app's end accepts is kept. */
function pair(acceptMax = 10) {
  const heard: Heard[] = [];
  const violations: string[] = [];
  const carry = (to: () => Link) => ({
    write(bytes: Uint8Array, offset: number, length: number) {
      const chunk = Buffer.from(bytes.slice(offset, offset + length));
      queueMicrotask(() => to().feed(chunk));
      return length;
    },
  });
  const kernel: Link = new Link({
    side: "kernel",
    transport: carry(() => app),
    acceptMax,
    accept: () => recorder([]),
    control: () => undefined,
    violated: (reason) => violations.push(`kernel: ${reason}`),
  });
  const app: Link = new Link({
    side: "app",
    transport: carry(() => kernel),
    acceptMax,
    accept(stream, opened) {
      const said: string[] = [];
      heard.push({ stream, opened, said });
      return recorder(said);
    },
    control: () => undefined,
    violated: (reason) => violations.push(`app: ${reason}`),
  });
  return { kernel, app, heard, violations };
}

function recorder(said: string[]): Listener {
  return {
    head: ({ head, end }) => said.push(`head ${head} ${end}`),
    data: (bytes) => said.push(`data ${bytes.length}`),
    message: (tag, bytes) => said.push(`message ${tag} ${bytes.length}`),
    end: () => said.push("end"),
    reset: (reason) => said.push(`reset ${reason}`),
  };
}

/** Lets everything that is under way arrive. */
async function settle(): Promise<void> {
  for (let i = 0; i < 10; i++) await new Promise((resolve) => setImmediate(resolve));
}

const opening = { kind: 1, head: "h", body: null, end: false };

describe("streams", () => {
  test("open, answer, data and ends arrive in order; then both sides forget", async () => {
    const { kernel, app, heard } = pair();
    const said: string[] = [];
    const stream = kernel.open({ ...opening, body: "first" }, recorder(said));
    stream.data(Buffer.from("second"));
    stream.end();
    await settle();
    const [accepted] = heard;
    expect([accepted?.opened.head, accepted?.opened.body.toString()]).toEqual(["h", "first"]);
    expect(accepted?.said).toEqual(["data 6", "end"]);
    accepted?.stream.answer({ kind: 16, head: "200", body: null, end: false });
    accepted?.stream.data(Buffer.from("reply"));
    accepted?.stream.end();
    await settle();
    expect(said).toEqual(["head 200 false", "data 5", "end"]);
    expect([kernel.size, app.size, stream.over]).toEqual([0, 0, true]);
  });

  test("a reset ends both directions, and is heard once", async () => {
    const { kernel, app, heard } = pair();
    const said: string[] = [];
    const stream = kernel.open(opening, recorder(said));
    await settle();
    stream.reset("no longer wanted");
    heard[0]?.stream.data(Buffer.from("late"));
    heard[0]?.stream.reset("crossing");
    await settle();
    expect(heard[0]?.said).toEqual([]);
    expect(said).toEqual([]);
    expect([kernel.size, app.size]).toEqual([0, 0]);
  });

  test("a lost connection resets every stream; one that opens later is told too", async () => {
    const { kernel } = pair();
    const said: string[] = [];
    kernel.open(opening, recorder(said));
    kernel.close("the app has gone");
    kernel.open(opening, recorder(said));
    await settle();
    expect(said).toEqual(["reset the app has gone", "reset connection lost"]);
  });

  test("more streams than may are refused one by one", async () => {
    const { kernel, heard } = pair(2);
    const said: string[] = [];
    for (let i = 0; i < 3; i++) kernel.open(opening, recorder(said));
    await settle();
    expect([heard.length, said]).toEqual([2, ["reset EAGAIN"]]);
    heard[0]?.stream.reset("done");
    await settle();
    kernel.open(opening, recorder(said));
    await settle();
    expect(heard.length).toBe(3);
  });
});

describe("flow control", () => {
  test("a sender stops at the window and goes on with the reader", async () => {
    const { kernel, heard } = pair();
    const stream = kernel.open(opening, recorder([]));
    let pulled = 0;
    const body = new ReadableStream<Uint8Array>(
      {
        pull(out) {
          if (pulled++ < 100) out.enqueue(new Uint8Array(10_000));
          else out.close();
        },
      },
      { highWaterMark: 0 },
    );
    const pouring = pour(stream, body);
    await settle();
    const [accepted] = heard;
    const arrived = () =>
      (accepted?.said ?? []).reduce((sum, text) => sum + Number(text.split(" ")[1] ?? 0), 0);
    expect(arrived()).toBe(windowBytes);
    accepted?.stream.consumed(windowBytes);
    await settle();
    expect(arrived()).toBe(2 * windowBytes);
    for (let at = 2 * windowBytes; at < 1_000_000; at += windowBytes) {
      accepted?.stream.consumed(windowBytes);
      await settle();
    }
    await pouring;
    expect([arrived(), accepted?.said.at(-1)]).toEqual([1_000_000, "end"]);
  });

  test("an intake gives what came before its reader, then what comes, then its error", async () => {
    const { kernel } = pair();
    const stream = kernel.open(opening, recorder([]));
    const intake = new Intake(stream, Buffer.from("one"), false);
    const reader = intake.readable().getReader();
    expect(Buffer.from((await reader.read()).value ?? []).toString()).toBe("one");
    const next = reader.read();
    intake.push(Buffer.from("two"));
    expect(Buffer.from((await next).value ?? []).toString()).toBe("two");
    intake.fail(new Error("cut"));
    expect(reader.read()).rejects.toThrow("cut");
  });
});

describe("violations", () => {
  const broken = async (break_: (wire: Wire, id: number) => void): Promise<string[]> => {
    const { kernel, violations } = pair();
    const stream = kernel.open(opening, recorder([]));
    await settle();
    break_(kernel.wire, stream.id);
    await settle();
    return violations;
  };
  const cases: [string, (wire: Wire, id: number) => void, RegExp][] = [
    [
      "more than the window",
      (wire, id) => {
        for (let i = 0; i < 5; i++) wire.bytes(frame.data, id, new Uint8Array(65_536));
      },
      /exceeds its window/,
    ],
    [
      "empty messages without end",
      (wire, id) => {
        for (let i = 0; i < 20_000; i++) {
          wire.tagged(frame.message, id, { tag: 1, bytes: new Uint8Array() });
        }
      },
      /exceeds its window/,
    ],
    [
      "data after the end",
      (wire, id) => {
        wire.empty(frame.end, id);
        wire.bytes(frame.data, id, new Uint8Array(1));
      },
      /after its end/,
    ],
    ["a stream opened twice", (wire, id) => wire.headed(frame.open, id, { ...part }), /cannot be/],
    ["the other side's ids", (wire) => wire.headed(frame.open, 2, { ...part }), /cannot be opened/],
    ["stream 0 opened", (wire) => wire.headed(frame.open, 0, { ...part }), /cannot be opened/],
    ["credit without a number", (wire, id) => wire.empty(frame.credit, id), /credit/],
    ["an unknown frame", (wire, id) => wire.empty(77, id), /type 77/],
    ["a head cut short", (wire) => wire.empty(frame.open, 9), /too short/],
    [
      "a head longer than its frame",
      (wire) => wire.bytes(frame.open, 9, new Uint8Array([1, 0, 255, 255, 0, 0])),
      /longer than its frame/,
    ],
  ];
  const part = { kind: 1, flags: 0, head: "h", body: null };

  test.each(cases)("%s", async (_name, break_, says) => {
    const [violation] = await broken(break_);
    expect(violation).toMatch(says);
    expect(violation).toStartWith("app: ");
  });
});

test("who asks and asks and reads no answer is cut off, before its answers fill the memory", () => {
  const violations: string[] = [];
  const kernel = new Link({
    side: "kernel",
    transport: { write: () => 0 },
    acceptMax: 256,
    accept: (stream) => {
      stream.answer({ kind: 18, head: "", body: "x".repeat(20_000), end: true });
      return recorder([]);
    },
    control: () => undefined,
    violated: (reason) => violations.push(reason),
  });
  const app = new Link({
    side: "app",
    transport: {
      write: (bytes, offset, length) => {
        kernel.feed(Buffer.from(bytes.slice(offset, offset + length)));
        return length;
      },
    },
    acceptMax: 0,
    accept: () => recorder([]),
    control: () => undefined,
    violated: () => undefined,
  });
  const asked = Math.ceil((2 * unreadBytesMax) / 20_000);
  for (let i = 0; i < asked && violations.length === 0; i++) {
    app.open({ kind: 3, head: "proc.info\n0", body: null, end: true }, recorder([]));
    app.wire.flush();
  }
  expect(violations).toEqual([expect.stringMatching(/does not read/)]);
  expect(kernel.wire.backlogBytes).toBeLessThan(unreadBytesMax + 100_000);
});
