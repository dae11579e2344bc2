/**
 * ICMP echoes (RFC 792, RFC 4443) over a socket of the kernel's own: the unprivileged kind where
 * this group may have it (icmp(7)), else a raw one, which root may.
 */
import { dlopen, FFIType, ptr } from "bun:ffi";
import { SysError } from "../../errno.ts";

export type Family = 4 | 6;

const { i32, u32, u64, i64, ptr: pointer } = FFIType;

const domains = { 4: 2, 6: 10 } as const;
const protocols = { 4: 1, 6: 58 } as const;
/** Linux: SOCK_CLOEXEC | SOCK_NONBLOCK. */
const socketFlags = 0o2000000 | 0o4000;
const datagram = 2;
const raw = 3;

const request = { 4: 8, 6: 128 } as const;
const reply = { 4: 0, 6: 129 } as const;

/** The Internet checksum (RFC 1071). Pure. */
export function checksum(bytes: Uint8Array): number {
  let sum = 0;
  for (let i = 0; i < bytes.length; i += 2) {
    sum += ((bytes[i] ?? 0) << 8) | (bytes[i + 1] ?? 0);
  }
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return ~sum & 0xffff;
}

export interface EchoMark {
  readonly id: number;
  readonly seq: number;
}

/** An echo request of 64 bytes. Pure. */
export function echoRequest(family: Family, { id, seq }: EchoMark): Uint8Array {
  const packet = new Uint8Array(64);
  const view = new DataView(packet.buffer);
  packet[0] = request[family];
  view.setUint16(4, id);
  view.setUint16(6, seq);
  // Version 6 has the kernel sum up, over a header that only it knows.
  if (family === 4) view.setUint16(2, checksum(packet));
  return packet;
}

/** The mark of an echo reply, or null when the packet is something else. Pure. */
export function echoReply(family: Family, packet: Uint8Array): EchoMark | null {
  const first = packet[0] ?? 0;
  // A raw socket of version 4 hands the IP header over too.
  const at = family === 4 && first >>> 4 === 4 ? (first & 0xf) * 4 : 0;
  if (packet.length < at + 8 || packet[at] !== reply[family]) return null;
  const view = new DataView(packet.buffer, packet.byteOffset + at);
  return { id: view.getUint16(4), seq: view.getUint16(6) };
}

/** `struct sockaddr_in` or `sockaddr_in6` of an address without a port. Pure. */
export function socketAddress(family: Family, address: string): Uint8Array {
  const bytes = new Uint8Array(family === 4 ? 16 : 28);
  new DataView(bytes.buffer).setUint16(0, domains[family], true);
  if (family === 4) bytes.set(address.split(".").map(Number), 4);
  else bytes.set(groupsOf(address), 8);
  return bytes;
}

function groupsOf(address: string): Uint8Array {
  const [head = "", tail] = (address.split("%")[0] ?? "").split("::");
  const parse = (part: string) => (part === "" ? [] : part.split(":"));
  const right = tail === undefined ? [] : parse(tail);
  const zeros = 8 - parse(head).length - right.length;
  const groups = [...parse(head), ...Array<string>(Math.max(0, zeros)).fill("0"), ...right];
  const bytes = new Uint8Array(16);
  const view = new DataView(bytes.buffer);
  for (const [i, group] of groups.slice(0, 8).entries()) view.setUint16(2 * i, parseInt(group, 16));
  return bytes;
}

export interface EchoSocket {
  /** Whether replies to others come here too, and the id has to be looked at. */
  readonly shared: boolean;
  send(packet: Uint8Array): boolean;
  /** What has come, or null. */
  receive(): Uint8Array | null;
  close(): void;
}

/** Opens a socket to one address. EPERM where this user may have none. */
export function openEcho(family: Family, address: string): EchoSocket {
  const { symbols: libc, close } = dlopen("libc.so.6", {
    socket: { args: [i32, i32, i32], returns: i32 },
    sendto: { args: [i32, pointer, u64, i32, pointer, u32], returns: i64 },
    recv: { args: [i32, pointer, u64, i32], returns: i64 },
    close: { args: [i32], returns: i32 },
  });
  const open = (kind: number) =>
    libc.socket(domains[family], kind | socketFlags, protocols[family]);
  const own = open(datagram);
  const fd = own >= 0 ? own : open(raw);
  if (fd < 0) {
    close();
    throw new SysError("EPERM", `cannot ping "${address}": this user may open no such socket`, {
      hint: "run fazt as root, or widen net.ipv4.ping_group_range",
    });
  }
  const to = socketAddress(family, address);
  const buffer = new Uint8Array(2048);
  return {
    shared: own < 0,
    send: (packet) =>
      Number(libc.sendto(fd, ptr(packet), packet.length, 0, ptr(to), to.length)) >= 0,
    receive: () => {
      const length = Number(libc.recv(fd, ptr(buffer), buffer.length, 0));
      return length > 0 ? buffer.slice(0, length) : null;
    },
    close: () => {
      libc.close(fd);
      close();
    },
  };
}
