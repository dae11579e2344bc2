/**
 * A client hello of TLS by hand (RFC 5246, 7.4.1.2; RFC 8446, 4.1.2), for what no library offers any
 * more: whether a server takes it, and what it picks.
 */
import { connect } from "node:net";

export interface Hello {
  /** 0x0300 is SSL 3.0, 0x0304 TLS 1.3. */
  readonly version: number;
  readonly suites: readonly number[];
  /** Key exchange groups (RFC 8422, 5.1.1); P-256 and X25519 when absent. */
  readonly groups?: readonly number[];
  /** Signature algorithms; ECDSA and RSA-PSS with SHA-256 when absent. */
  readonly signatures?: readonly number[];
  /** Compression methods; none when absent. */
  readonly compressions?: readonly number[];
}

/** What a server said first. */
export type Said =
  | { readonly kind: "hello"; readonly version: number; readonly suite: number }
  | { readonly kind: "alert"; readonly code: number }
  | { readonly kind: "closed" };

const u16 = (...values: readonly number[]): Buffer => {
  const bytes = Buffer.alloc(values.length * 2);
  for (const [at, value] of values.entries()) bytes.writeUInt16BE(value, at * 2);
  return bytes;
};

/** Bytes after their length, of one or two bytes. */
const after = (lengthBytes: 1 | 2, bytes: Uint8Array): Buffer =>
  Buffer.concat([lengthBytes === 1 ? Buffer.of(bytes.length) : u16(bytes.length), bytes]);

const extension = (type: number, bytes: Uint8Array): Buffer =>
  Buffer.concat([u16(type), after(2, bytes)]);

const name = Buffer.concat([Buffer.of(0), after(2, Buffer.from("localhost"))]);

function bytesOf(hello: Hello): Buffer {
  const { version, suites } = hello;
  const groups = hello.groups ?? [0x001d, 0x0017];
  const signatures = hello.signatures ?? [0x0403, 0x0804, 0x0401];
  const extensions = [
    extension(0, after(2, name)),
    extension(10, after(2, u16(...groups))),
    extension(11, after(1, Buffer.of(0))),
    extension(13, after(2, u16(...signatures))),
  ];
  const body = Buffer.concat([
    u16(version),
    Buffer.alloc(32, 7),
    after(1, Buffer.alloc(0)),
    after(2, u16(...suites)),
    after(1, Buffer.from(hello.compressions ?? [0])),
    // SSL 3.0 knows of no extensions.
    version === 0x0300 ? Buffer.alloc(0) : after(2, Buffer.concat(extensions)),
  ]);
  const handshake = Buffer.concat([Buffer.of(1, 0), u16(body.length), body]);
  const records: Buffer[] = [];
  for (let at = 0; at < handshake.length; at += 16_000) {
    const part = handshake.subarray(at, at + 16_000);
    records.push(Buffer.concat([Buffer.of(22), u16(Math.min(version, 0x0301)), after(2, part)]));
  }
  return Buffer.concat(records);
}

/** What the server at a port says to a hello. */
export function greet(port: number, hello: Hello): Promise<Said> {
  const { promise, resolve } = Promise.withResolvers<Said>();
  let heard: Buffer<ArrayBufferLike> = Buffer.alloc(0);
  const socket = connect(port, "127.0.0.1", () => socket.write(bytesOf(hello)));
  socket.on("data", (data: Buffer) => {
    heard = Buffer.concat([heard, data]);
    if (heard[0] === 21 && heard.length >= 7) resolve({ kind: "alert", code: heard[6] ?? 0 });
    // A record's head, a handshake's, version, random, session.
    const suiteAt = 5 + 4 + 2 + 32 + 1 + (heard[43] ?? 0);
    if (heard[0] !== 22 || heard.length < suiteAt + 2) return;
    const [version, suite] = [heard.readUInt16BE(9), heard.readUInt16BE(suiteAt)];
    resolve({ kind: "hello", version, suite });
    socket.destroy();
  });
  socket.on("error", () => resolve({ kind: "closed" }));
  socket.on("close", () => resolve({ kind: "closed" }));
  return promise;
}
