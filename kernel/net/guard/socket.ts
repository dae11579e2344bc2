/**
 * The sockets of this process, as the system knows them: the listener that the runtime gives us says
 * nothing of a connection until its first request is whole, and lets none be ended. The descriptors
 * are there all the same (getsockname(2), getpeername(2), tcp(7) TCP_INFO).
 *
 * Rules: Linux alone; a descriptor is acted on in the same turn, and after another look at whose it
 * is, so that it is never another socket's; nothing is closed here, the runtime does that when it
 * sees the end.
 */
import { dlopen, FFIType, ptr } from "bun:ffi";
import { readFileSync } from "node:fs";
import type { Step } from "./filter.ts";
import type { Sight } from "./judge.ts";
import { unsentBytesMax } from "./limits.ts";

const { i32, u32, ptr: pointer } = FFIType;
const socketLevel = 1;
const lingerOption = 13;
const attachFilter = 26;
const detachFilter = 27;
const cookieOption = 57;
const tcpLevel = 6;
const tcpInfo = 11;
const notSentLowWater = 25;
const inet = 2;
const inet6 = 10;

/** A connection, or a listening socket, of one of our ports. */
export interface Descriptor {
  readonly fd: number;
  readonly port: number;
  /** Port and address of the peer; null: it listens. */
  readonly peer: Uint8Array | null;
}

export interface Sockets {
  /** Every number that a descriptor of this process may have is below this. */
  bound(): number;
  /** What a number is, if it is a socket of one of the ports. */
  look(fd: number, ports: ReadonlySet<number>): Descriptor | null;
  /** What the system has counted of a connection; null where it counts too little. */
  sight(fd: number): Sight | null;
  /** Ends a connection, if it is still that peer's; what was not sent is dropped. */
  end(fd: number, peer: Uint8Array): boolean;
  /** A number no other socket ever has. */
  cookie(fd: number): bigint;
  /** Bounds what the system holds for a client that does not read; accepted sockets inherit it. */
  holdLittle(fd: number): void;
  /** Puts a filter on a listening socket; null takes it away. */
  filter(fd: number, steps: readonly Step[] | null): boolean;
}

const symbols = {
  getsockname: { args: [i32, pointer, pointer], returns: i32 },
  getpeername: { args: [i32, pointer, pointer], returns: i32 },
  getsockopt: { args: [i32, i32, i32, pointer, pointer], returns: i32 },
  setsockopt: { args: [i32, i32, i32, pointer, u32], returns: i32 },
  shutdown: { args: [i32, i32], returns: i32 },
} as const;

/** The sockets of this process; null where they cannot be looked at. */
export function openSockets(): Sockets | null {
  if (process.platform !== "linux") return null;
  try {
    return makeSockets(dlopen("libc.so.6", symbols).symbols);
  } catch {
    // Another C library than expected.
    return null;
  }
}

/** struct sock_filter of linux/filter.h, one after another. */
function program(steps: readonly Step[]): Uint8Array {
  const bytes = new Uint8Array(steps.length * 8);
  const view = new DataView(bytes.buffer);
  for (const [at, [code, jt, jf, k]] of steps.entries()) {
    view.setUint16(at * 8, code, true);
    view.setUint8(at * 8 + 2, jt);
    view.setUint8(at * 8 + 3, jf);
    view.setUint32(at * 8 + 4, k, true);
  }
  return bytes;
}

function makeSockets(c: ReturnType<typeof dlopen<typeof symbols>>["symbols"]): Sockets {
  const address = new Uint8Array(28);
  const addressView = new DataView(address.buffer);
  const length = new Uint32Array(1);
  const info = new Uint8Array(256);
  const infoView = new DataView(info.buffer);
  const number = (at: number) => Number(infoView.getBigUint64(at, true));

  /** Port and address of what was just asked for; IPv4 inside IPv6 is IPv4. */
  const endpoint = (): Uint8Array => {
    if (addressView.getUint16(0, true) === inet) return address.slice(2, 8);
    const mapped = addressView.getUint32(8) === 0 && addressView.getUint32(12) === 0;
    if (!mapped || addressView.getUint32(16) !== 0xffff) {
      return Uint8Array.of(...address.subarray(2, 4), ...address.subarray(8, 24));
    }
    return Uint8Array.of(...address.subarray(2, 4), ...address.subarray(20, 24));
  };
  const peerOf = (fd: number): Uint8Array | null => {
    length[0] = address.length;
    return c.getpeername(fd, ptr(address), ptr(length)) === 0 ? endpoint() : null;
  };

  return {
    bound: () => {
      const text = readFileSync("/proc/self/status", "latin1");
      return Number(/^FDSize:\s+(\d+)/m.exec(text)?.[1] ?? 0);
    },
    look: (fd, ports) => {
      length[0] = address.length;
      if (c.getsockname(fd, ptr(address), ptr(length)) !== 0) return null;
      const family = addressView.getUint16(0, true);
      if (family !== inet && family !== inet6) return null;
      const port = addressView.getUint16(2);
      return ports.has(port) ? { fd, port, peer: peerOf(fd) } : null;
    },
    // struct tcp_info of linux/tcp.h; it only ever grows at its end.
    sight: (fd) => {
      length[0] = info.length;
      const failed = c.getsockopt(fd, tcpLevel, tcpInfo, ptr(info), ptr(length)) !== 0;
      if (failed || (length[0] ?? 0) < 216) return null;
      const unsent = infoView.getUint32(144, true);
      const unacked = infoView.getUint32(24, true);
      return {
        receivedBytes: number(128),
        // Sent, less what was sent again.
        writtenBytes: number(200) - number(208) + unsent,
        ackedBytes: number(120),
        pending: unsent > 0 || unacked > 0,
      };
    },
    end: (fd, peer) => {
      const now = peerOf(fd);
      if (now === null || Buffer.compare(now, peer) !== 0) return false;
      // struct linger { on, 0 s }: what a client does not read is not kept for it.
      const linger = Uint32Array.of(1, 0);
      c.setsockopt(fd, socketLevel, lingerOption, ptr(linger), linger.byteLength);
      return c.shutdown(fd, 2) === 0;
    },
    cookie: (fd) => {
      const cookie = new BigUint64Array(1);
      length[0] = cookie.byteLength;
      c.getsockopt(fd, socketLevel, cookieOption, ptr(cookie), ptr(length));
      return cookie[0] ?? 0n;
    },
    holdLittle: (fd) => {
      const bytes = Uint32Array.of(unsentBytesMax);
      c.setsockopt(fd, tcpLevel, notSentLowWater, ptr(bytes), bytes.byteLength);
    },
    filter: (fd, steps) => {
      if (steps === null) {
        const nothing = new Uint32Array(1);
        c.setsockopt(fd, socketLevel, detachFilter, ptr(nothing), nothing.byteLength);
        return true;
      }
      const filter = program(steps);
      // struct sock_fprog { u16 len; struct sock_filter *filter }.
      const fprog = new Uint8Array(16);
      const view = new DataView(fprog.buffer);
      view.setUint16(0, steps.length, true);
      view.setBigUint64(8, BigInt(ptr(filter)), true);
      return c.setsockopt(fd, socketLevel, attachFilter, ptr(fprog), fprog.byteLength) === 0;
    },
  };
}
