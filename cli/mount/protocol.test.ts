/** The bytes of FUSE 7.31, against the layout of include/uapi/linux/fuse.h. */
import { expect, test } from "bun:test";
import { Nodes } from "./nodes.ts";
import {
  attributesAnswer,
  bytesAnswer,
  directoryBytes,
  entryAnswer,
  errorAnswer,
  forgottenOf,
  initAnswer,
  nameOf,
  openAnswer,
  parseRequest,
  readOf,
  statfsAnswer,
} from "./protocol.ts";

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString("hex");
const bytes = (text: string) => Uint8Array.from(Buffer.from(text.replaceAll(" ", ""), "hex"));
const viewOf = (text: string) => new DataView(bytes(text).buffer);

/** A request: length, kind, number, node, uid, gid, pid, padding, body. */
const request = (opcode: string, body: string) => {
  const length = (40 + body.length / 2).toString(16).padStart(2, "0");
  const ids = "0700000000000000 0200000000000000 00000000 00000000 00000000 00000000";
  return bytes(`${length}000000 ${opcode}000000 ${ids}${body}`);
};

const of = {
  node: 5,
  kind: "file",
  sizeBytes: 1025,
  modifiedAt: 1_700_000_000_250,
  mode: 0o444,
  uid: 1000,
  gid: 100,
} as const;

test("a request is read to the length it says", () => {
  const lookup = parseRequest(request("01", "612e74787400"));
  expect(lookup).toMatchObject({ opcode: 1, unique: 7n, node: 2 });
  expect(lookup && nameOf(lookup.body)).toBe("a.txt");
  for (const cut of [0, 39])
    expect(parseRequest(request("01", "6100").subarray(0, cut))).toBeNull();
  expect(parseRequest(request("01", "6100").subarray(0, 41))).toBeNull();
});

test("a name that is no UTF-8 is none", () => {
  expect(nameOf(viewOf("c3a900"))).toBe("é");
  expect(nameOf(viewOf("ff00"))).toBeNull();
});

test("what a READ asks for", () => {
  const body = viewOf("0300000000000000 0000100000000000 00000200 00000000");
  expect(readOf(body)).toEqual({ handle: 3, offset: 1 << 20, size: 1 << 17 });
});

test("a BATCH_FORGET names no more nodes than it holds", () => {
  const one = "0500000000000000 0200000000000000";
  expect(forgottenOf(viewOf(`01000000 00000000 ${one}`))).toEqual([{ node: 5, times: 2 }]);
  expect(forgottenOf(viewOf(`ff000000 00000000 ${one}`))).toHaveLength(1);
});

test("answers have their length, their error, and the number of the request", () => {
  expect(hex(errorAnswer(7n, 2))).toBe("10000000feffffff0700000000000000");
  expect(hex(bytesAnswer(7n, bytes("616263")))).toBe("13000000000000000700000000000000616263");
  expect(hex(openAnswer(7n, 3, true)).slice(32)).toBe("03000000000000000100000000000000");
  expect(statfsAnswer(1n).length).toBe(16 + 80);
});

test("INIT agrees on 7.31, a read of 1 MB, and nothing else", () => {
  const view = new DataView(initAnswer(1n).buffer, 16);
  expect(view.byteLength).toBe(64);
  expect([view.getUint32(0, true), view.getUint32(4, true)]).toEqual([7, 31]);
  expect(view.getUint32(12, true)).toBe(1 << 22);
  expect(view.getUint16(28, true)).toBe(256);
});

test("attributes at their places", () => {
  for (const [view, length] of [
    [new DataView(attributesAnswer(1n, of, 1).buffer, 16 + 16), 16 + 104],
    [new DataView(entryAnswer(1n, of, 1).buffer, 16 + 40), 16 + 128],
  ] as const) {
    expect(view.buffer.byteLength).toBe(length);
    expect(view.byteLength).toBe(88);
    expect(view.getBigUint64(0, true)).toBe(5n);
    expect(view.getBigUint64(8, true)).toBe(1025n);
    expect(view.getBigUint64(16, true)).toBe(3n);
    expect(view.getBigUint64(32, true)).toBe(1_700_000_000n);
    expect(view.getUint32(52, true)).toBe(250_000_000);
    expect(view.getUint32(60, true)).toBe(0o100444);
    expect([view.getUint32(68, true), view.getUint32(72, true)]).toEqual([1000, 100]);
  }
  const old = attributesAnswer(1n, { ...of, modifiedAt: -1 }, 1);
  expect(new DataView(old.buffer, 32).getBigInt64(32, true)).toBe(-1n);
  expect(new DataView(old.buffer, 32).getUint32(52, true)).toBe(999_000_000);
});

test("entries of a directory, as many as fit, each at a multiple of eight", () => {
  const entries = [
    { name: "a", kind: "file" },
    { name: "é2345678", kind: "dir" },
  ] as const;
  const all = directoryBytes(entries, { offset: 2, size: 4096 });
  expect(all.length).toBe(32 + 40);
  const view = new DataView(all.buffer, all.byteOffset, all.length);
  expect([view.getBigUint64(8, true), view.getBigUint64(40, true)]).toEqual([3n, 4n]);
  expect([view.getUint32(16, true), view.getUint32(20, true)]).toEqual([1, 8]);
  expect([view.getUint32(48, true), view.getUint32(52, true)]).toEqual([9, 4]);
  expect(directoryBytes(entries, { offset: 2, size: 71 }).length).toBe(32);
  expect(directoryBytes(entries, { offset: 2, size: 31 }).length).toBe(0);
});

test("a node is known as long as it has been looked up more often than forgotten", () => {
  const nodes = new Nodes();
  const node = nodes.lookUp("/home");
  expect(nodes.lookUp("/home")).toBe(node);
  nodes.forget(node, 1);
  expect(nodes.path(node)).toBe("/home");
  nodes.forget(node, 1);
  expect(nodes.path(node)).toBeNull();
  expect(nodes.lookUp("/home")).not.toBe(node);
  nodes.forget(1, 1_000);
  expect(nodes.path(1)).toBe("/");
});
