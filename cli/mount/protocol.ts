/**
 * What the Linux kernel and a file system in a process say to each other, as bytes: FUSE 7.31, as
 * include/uapi/linux/fuse.h lays it out. Pure.
 *
 * Rules: a request is its head (40 bytes) and a body by its kind; an answer is its head (16 bytes:
 * length, negative errno or 0, the request's number) and a body when it is none of an error.
 * Everything is in the byte order of the processor, which is little endian on all we run on.
 */

/** Kinds of requests that are answered with more than "no such call". */
export const opcodes = {
  lookup: 1,
  forget: 2,
  getattr: 3,
  open: 14,
  read: 15,
  statfs: 17,
  release: 18,
  flush: 25,
  init: 26,
  opendir: 27,
  readdir: 28,
  releasedir: 29,
  interrupt: 36,
  destroy: 38,
  batchForget: 42,
} as const;

/** Linux's numbers of the errnos that are answered. */
export const numbers = {
  EPERM: 1,
  ENOENT: 2,
  EIO: 5,
  EACCES: 13,
  ENOTDIR: 20,
  EISDIR: 21,
  EINVAL: 22,
  EROFS: 30,
  ENOSYS: 38,
  ESTALE: 116,
} as const;

/** Bytes of a request's head, and of the answer's. */
const requestHead = 40;
const answerHead = 16;

/** Bytes that hold every request: no file is written here, so that names are the longest. */
export const requestBytesMax = 128 * 1024;

/** The most that one READ asks for, in pages of 4 KB: 1 MB. */
const pagesMax = 256;
/** That the number of pages is said. */
const flagMaxPages = 1 << 22;

export interface Request {
  readonly opcode: number;
  /** To be repeated in the answer. */
  readonly unique: bigint;
  readonly node: number;
  readonly body: DataView;
}

/** Reads a request's head; null for what is none. */
export function parseRequest(bytes: Uint8Array): Request | null {
  if (bytes.length < requestHead) return null;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const length = view.getUint32(0, true);
  if (length < requestHead || length > bytes.length) return null;
  return {
    opcode: view.getUint32(4, true),
    unique: view.getBigUint64(8, true),
    node: Number(view.getBigUint64(16, true)),
    body: new DataView(bytes.buffer, bytes.byteOffset + requestHead, length - requestHead),
  };
}

const utf8 = new TextDecoder("utf-8", { fatal: true });

/** The name a LOOKUP is about; null when it is not UTF-8, and so no name of the tree. */
export function nameOf(body: DataView): string | null {
  const bytes = new Uint8Array(body.buffer, body.byteOffset, body.byteLength);
  const end = bytes.indexOf(0);
  try {
    return utf8.decode(bytes.subarray(0, end < 0 ? undefined : end));
  } catch {
    return null;
  }
}

/** A READ or READDIR: which handle, from where, bytes at most. */
export function readOf(body: DataView): { handle: number; offset: number; size: number } {
  return {
    handle: Number(body.getBigUint64(0, true)),
    offset: Number(body.getBigUint64(8, true)),
    size: body.getUint32(16, true),
  };
}

/** The handle that a RELEASE or RELEASEDIR gives back. */
export const handleOf = (body: DataView): number => Number(body.getBigUint64(0, true));

/** How often a FORGET forgets its node. */
export const timesOf = (body: DataView): number => Number(body.getBigUint64(0, true));

/** The nodes of a BATCH_FORGET and how often each is forgotten. */
export function forgottenOf(body: DataView): { node: number; times: number }[] {
  const count = Math.min(body.getUint32(0, true), Math.floor((body.byteLength - 8) / 16));
  return Array.from({ length: count }, (_, i) => ({
    node: Number(body.getBigUint64(8 + i * 16, true)),
    times: Number(body.getBigUint64(16 + i * 16, true)),
  }));
}

/** An answer of so many bytes after its head, which the caller fills. */
function answerOf(unique: bigint, bytes: number): { whole: Uint8Array; body: DataView } {
  const whole = new Uint8Array(answerHead + bytes);
  const head = new DataView(whole.buffer);
  head.setUint32(0, whole.length, true);
  head.setBigUint64(8, unique, true);
  return { whole, body: new DataView(whole.buffer, answerHead) };
}

/** Done, with nothing to say. */
export const emptyAnswer = (unique: bigint): Uint8Array => answerOf(unique, 0).whole;

/** A refusal by its number. */
export function errorAnswer(unique: bigint, number: number): Uint8Array {
  const { whole } = answerOf(unique, 0);
  new DataView(whole.buffer).setInt32(4, -number, true);
  return whole;
}

export function bytesAnswer(unique: bigint, bytes: Uint8Array): Uint8Array {
  const { whole } = answerOf(unique, bytes.length);
  whole.set(bytes, answerHead);
  return whole;
}

/** The answer to INIT: this version, and how much a READ may ask for; nothing else is agreed on. */
export function initAnswer(unique: bigint): Uint8Array {
  const { whole, body } = answerOf(unique, 64);
  body.setUint32(0, 7, true);
  body.setUint32(4, 31, true);
  body.setUint32(8, pagesMax * 4096, true);
  body.setUint32(12, flagMaxPages, true);
  body.setUint16(16, 16, true);
  body.setUint16(18, 12, true);
  body.setUint32(20, 4096, true);
  body.setUint32(24, 1, true);
  body.setUint16(28, pagesMax, true);
  return whole;
}

/** What is said of a file or directory. */
export interface Attributes {
  readonly node: number;
  readonly kind: "file" | "dir";
  readonly sizeBytes: number;
  /** Unix ms. */
  readonly modifiedAt: number;
  /** Permission bits. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
}

const typeBits = { file: 0o100000, dir: 0o040000 } as const;

function putAttributes(view: DataView, at: number, of: Attributes): void {
  const seconds = BigInt(Math.floor(of.modifiedAt / 1000));
  const nanos = (((of.modifiedAt % 1000) + 1000) % 1000) * 1_000_000;
  view.setBigUint64(at, BigInt(of.node), true);
  view.setBigUint64(at + 8, BigInt(of.sizeBytes), true);
  view.setBigUint64(at + 16, BigInt(Math.ceil(of.sizeBytes / 512)), true);
  for (let i = 0; i < 3; i++) {
    view.setBigInt64(at + 24 + i * 8, seconds, true);
    view.setUint32(at + 48 + i * 4, nanos, true);
  }
  view.setUint32(at + 60, typeBits[of.kind] | of.mode, true);
  // One: nobody takes the number of links of a directory for that of its directories.
  view.setUint32(at + 64, 1, true);
  view.setUint32(at + 68, of.uid, true);
  view.setUint32(at + 72, of.gid, true);
  view.setUint32(at + 80, 4096, true);
}

/** The answer to GETATTR; the kernel may remember it so many seconds. */
export function attributesAnswer(unique: bigint, of: Attributes, keptS: number): Uint8Array {
  const { whole, body } = answerOf(unique, 104);
  body.setBigUint64(0, BigInt(keptS), true);
  putAttributes(body, 16, of);
  return whole;
}

/** The answer to LOOKUP; name and attributes may be remembered so many seconds. */
export function entryAnswer(unique: bigint, of: Attributes, keptS: number): Uint8Array {
  const { whole, body } = answerOf(unique, 128);
  body.setBigUint64(0, BigInt(of.node), true);
  body.setBigUint64(16, BigInt(keptS), true);
  body.setBigUint64(24, BigInt(keptS), true);
  putAttributes(body, 40, of);
  return whole;
}

/**
 * The answer to OPEN and OPENDIR. `direct`: the kernel keeps nothing of it and does not believe its
 * size, as it must be with files that are made when they are read.
 */
export function openAnswer(unique: bigint, handle: number, direct: boolean): Uint8Array {
  const { whole, body } = answerOf(unique, 16);
  body.setBigUint64(0, BigInt(handle), true);
  body.setUint32(8, direct ? 1 : 0, true);
  return whole;
}

/** The answer to STATFS: names of 255 bytes, and no figures of room that nobody could use. */
export function statfsAnswer(unique: bigint): Uint8Array {
  const { whole, body } = answerOf(unique, 80);
  body.setUint32(40, 4096, true);
  body.setUint32(44, 255, true);
  body.setUint32(48, 4096, true);
  return whole;
}

/** One name of a directory. */
export interface Entry {
  readonly name: string;
  readonly kind: "file" | "dir";
}

const entryTypes = { file: 8, dir: 4 } as const;
const encoder = new TextEncoder();

/**
 * As many entries as fit into `size` bytes. `offset` is the place of the first in its directory; who
 * goes on asks from the place after the last.
 */
export function directoryBytes(
  entries: readonly Entry[],
  { offset, size }: { readonly offset: number; readonly size: number },
): Uint8Array {
  const whole = new Uint8Array(size);
  const view = new DataView(whole.buffer);
  let at = 0;
  for (const [i, { name, kind }] of entries.entries()) {
    const bytes = encoder.encode(name);
    const length = Math.ceil((24 + bytes.length) / 8) * 8;
    if (at + length > size) break;
    // The number of a node nobody has looked up yet: any but 0.
    view.setBigUint64(at, 0xffff_ffffn, true);
    view.setBigUint64(at + 8, BigInt(offset + i + 1), true);
    view.setUint32(at + 16, bytes.length, true);
    view.setUint32(at + 20, entryTypes[kind], true);
    whole.set(bytes, at + 24);
    at += length;
  }
  return whole.subarray(0, at);
}
