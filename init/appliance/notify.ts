/**
 * What the kernel tells systemd about itself: ready, what it is doing, that it still lives
 * (sd_notify(3): datagrams of `NAME=value` lines to the socket that NOTIFY_SOCKET names). Bun opens
 * no datagram socket of the Unix kind, so three functions of libc do; where nobody listens, nothing
 * is done.
 */
import { dlopen, FFIType, ptr } from "bun:ffi";

const unixFamily = 1;
/** SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK: an app's process does not inherit it, nobody waits. */
const datagram = 2 | 0o2000000 | 0o4000;
const addressBytesMax = 110;

/** `struct sockaddr_un` of a path; a leading `@` is a name without a file (unix(7)). Pure. */
export function socketAddress(path: string): Uint8Array {
  const name = new TextEncoder().encode(path.startsWith("@") ? `\0${path.slice(1)}` : path);
  const end = path.startsWith("@") ? 0 : 1;
  if (2 + name.length + end > addressBytesMax) throw new Error(`path too long: "${path}"`);
  const address = new Uint8Array(2 + name.length + end);
  new DataView(address.buffer).setUint16(0, unixFamily, true);
  address.set(name, 2);
  return address;
}

export interface Notify {
  /** Tells it; lost datagrams are nobody's trouble. */
  tell(values: Readonly<Record<string, string>>): void;
}

/** Speaks to the service manager that started this process. */
export function openNotify(path: string | undefined): Notify {
  if (path === undefined || path === "") return { tell: () => {} };
  const { symbols: libc } = dlopen("libc.so.6", {
    socket: { args: [FFIType.i32, FFIType.i32, FFIType.i32], returns: FFIType.i32 },
    sendto: {
      args: [FFIType.i32, FFIType.ptr, FFIType.u64, FFIType.i32, FFIType.ptr, FFIType.u32],
      returns: FFIType.i64,
    },
  });
  const socket = libc.socket(unixFamily, datagram, 0);
  const address = socketAddress(path);
  const tell = (values: Readonly<Record<string, string>>) => {
    const lines = Object.entries(values).map(([name, value]) => `${name}=${oneLine(value)}`);
    const bytes = new TextEncoder().encode(lines.join("\n"));
    libc.sendto(socket, ptr(bytes), bytes.length, 0, ptr(address), address.length);
  };
  return { tell: socket < 0 ? () => {} : tell };
}

const oneLine = (text: string): string => text.replaceAll(/\s+/g, " ");
