/**
 * Steers new connections to the newest of two sockets that listen on one port.
 *
 * A port that is shared (SO_REUSEPORT) is shared by chance; a one-instruction program attached to
 * the group (SO_ATTACH_REUSEPORT_CBPF, socket(7), since Linux 4.5) answers "the second one". When
 * the first closes, the second becomes the only one and the answer is out of range, which the
 * kernel takes as "by chance" again: nothing is to be undone.
 *
 * Rules: Linux alone; where it cannot be done nothing breaks, but a connection that was made and
 * not yet accepted may be lost with the old socket.
 */
import { dlopen, FFIType, ptr } from "bun:ffi";
import { readdirSync, readFileSync, readlinkSync } from "node:fs";

const socketLevel = 1;
const attachReuseportCbpf = 51;

/** Inodes of the sockets of this process that listen on a port. */
export function listenersOf(port: number): Set<string> {
  const wanted = `:${port.toString(16).toUpperCase().padStart(4, "0")}`;
  const inodes = new Set<string>();
  for (const table of ["tcp", "tcp6"]) {
    for (const line of readTable(`/proc/self/net/${table}`)) {
      const [, local = "", , state, , , , , , inode = ""] = line.trim().split(/\s+/);
      // 0A is TCP_LISTEN.
      if (state === "0A" && local.endsWith(wanted)) inodes.add(inode);
    }
  }
  return inodes;
}

function readTable(path: string): string[] {
  try {
    return readFileSync(path, "utf8").split("\n").slice(1);
  } catch {
    // No IPv6, or no Linux.
    return [];
  }
}

/** The file descriptor of this process that is the socket, or null. */
function descriptorOf(inode: string): number | null {
  for (const name of readdirSync("/proc/self/fd")) {
    try {
      if (readlinkSync(`/proc/self/fd/${name}`) === `socket:[${inode}]`) return Number(name);
    } catch {
      // Closed since the directory was read.
    }
  }
  return null;
}

/**
 * Sends every new connection of the port to the socket that has come since `before` was taken.
 * Answers whether it could.
 */
export function steerToNewest(port: number, before: ReadonlySet<string>): boolean {
  const added = [...listenersOf(port)].find((inode) => !before.has(inode));
  const descriptor = added === undefined ? null : descriptorOf(added);
  if (descriptor === null) return false;
  try {
    return attach(descriptor);
  } catch {
    // No such library or symbol: another C library than expected.
    return false;
  }
}

function attach(descriptor: number): boolean {
  const { symbols, close } = dlopen(process.platform === "linux" ? "libc.so.6" : "libc.dylib", {
    setsockopt: {
      args: [FFIType.i32, FFIType.i32, FFIType.i32, FFIType.ptr, FFIType.u32],
      returns: FFIType.i32,
    },
  });
  // struct sock_filter { u16 code; u8 jt, jf; u32 k }: BPF_RET | BPF_K, 1.
  const filter = new Uint8Array(8);
  const code = new DataView(filter.buffer);
  code.setUint16(0, 0x06, true);
  code.setUint32(4, 1, true);
  // struct sock_fprog { u16 len; struct sock_filter *filter }.
  const program = new Uint8Array(16);
  const view = new DataView(program.buffer);
  view.setUint16(0, 1, true);
  view.setBigUint64(8, BigInt(ptr(filter)), true);
  const failed = symbols.setsockopt(
    descriptor,
    socketLevel,
    attachReuseportCbpf,
    ptr(program),
    program.byteLength,
  );
  close();
  return failed === 0;
}
