/**
 * A self-signed X.509 certificate, written in DER by hand (ITU-T X.690, RFC 5280): the little that
 * one certificate needs, so that a first boot loads no library for it.
 *
 * Rules: pure but for the signature; lengths are definite and minimal; names come in as DNS names
 * or addresses and go out as subject alternative names.
 */
import { createPublicKey, type KeyObject, sign } from "node:crypto";
import { isIP, isIPv4 } from "node:net";
import { assert } from "../../assert.ts";

/** What a self-signed certificate says; times in Unix ms. */
export interface SelfSigned {
  readonly commonName: string;
  /** DNS names, wildcards and addresses. */
  readonly names: readonly string[];
  readonly notBefore: number;
  readonly notAfter: number;
  /** 16 random bytes. */
  readonly serial: Uint8Array;
}

const tag = {
  boolean: 0x01,
  integer: 0x02,
  bits: 0x03,
  octets: 0x04,
  oid: 0x06,
  utf8: 0x0c,
  utcTime: 0x17,
  time: 0x18,
  sequence: 0x30,
  set: 0x31,
} as const;

const oids = {
  ecdsaSha256: "1.2.840.10045.4.3.2",
  commonName: "2.5.4.3",
  keyUsage: "2.5.29.15",
  altName: "2.5.29.17",
  constraints: "2.5.29.19",
  extendedUsage: "2.5.29.37",
  serverAuth: "1.3.6.1.5.5.7.3.1",
} as const;

/** Tag, length, value (X.690, 8.1). */
function tlv(of: number, ...parts: readonly Uint8Array[]): Buffer {
  const body = Buffer.concat(parts);
  const length: number[] = [];
  for (let rest = body.length; rest > 0; rest = Math.floor(rest / 256)) length.unshift(rest % 256);
  const head = body.length < 128 ? [body.length] : [0x80 | length.length, ...length];
  return Buffer.concat([Uint8Array.of(of, ...head), body]);
}

const sequence = (...parts: readonly Uint8Array[]): Buffer => tlv(tag.sequence, ...parts);

/** Base 128, the first two arcs in one byte (X.690, 8.19). */
function oid(dotted: string): Buffer {
  const [first = 0, second = 0, ...rest] = dotted.split(".").map(Number);
  const bytes = [first * 40 + second];
  for (const arc of rest) {
    const digits = [arc & 0x7f];
    for (let left = arc >>> 7; left > 0; left >>>= 7) digits.unshift((left & 0x7f) | 0x80);
    bytes.push(...digits);
  }
  return tlv(tag.oid, Uint8Array.from(bytes));
}

/** Years before 2050 have two digits (RFC 5280, 4.1.2.5). */
function time(atMs: number): Buffer {
  const iso = new Date(atMs).toISOString().replace(/[-:T]|\.\d+/g, "");
  const old = Number(iso.slice(0, 4)) < 2050;
  return tlv(old ? tag.utcTime : tag.time, Buffer.from(old ? iso.slice(2) : iso));
}

/** [2] is a DNS name, [7] an address (RFC 5280, 4.2.1.6). */
function altName(name: string): Buffer {
  if (isIP(name) === 0) return tlv(0x82, Buffer.from(name));
  if (isIPv4(name)) return tlv(0x87, Uint8Array.from(name.split(".").map(Number)));
  const [left = "", right = ""] = name.split("::");
  const groups = left.split(":").filter((group) => group !== "");
  const tail = right.split(":").filter((group) => group !== "");
  while (groups.length + tail.length < 8) groups.push("0");
  const words = Uint16Array.from([...groups, ...tail].map((group) => Number.parseInt(group, 16)));
  return tlv(0x87, Buffer.from(words.buffer).swap16());
}

function extension(of: string, critical: boolean, value: Uint8Array): Buffer {
  const flag = critical ? [tlv(tag.boolean, Uint8Array.of(0xff))] : [];
  return sequence(oid(of), ...flag, tlv(tag.octets, value));
}

/** The certificate in PEM, for an EC P-256 key and signed by it. */
export function selfSign(about: SelfSigned, key: KeyObject): string {
  assert(about.serial.length === 16, "a serial number has 16 bytes");
  const algorithm = sequence(oid(oids.ecdsaSha256));
  const name = sequence(
    tlv(tag.set, sequence(oid(oids.commonName), tlv(tag.utf8, Buffer.from(about.commonName)))),
  );
  const serial = Uint8Array.from(about.serial);
  // Positive, and never with a leading zero byte.
  serial[0] = ((serial[0] ?? 0) & 0x7f) | 0x40;
  const extensions = sequence(
    extension(oids.constraints, true, sequence()),
    // digitalSignature alone: seven unused bits.
    extension(oids.keyUsage, true, tlv(tag.bits, Uint8Array.of(7, 0x80))),
    extension(oids.extendedUsage, false, sequence(oid(oids.serverAuth))),
    extension(oids.altName, false, sequence(...about.names.map(altName))),
  );
  const signed = sequence(
    tlv(0xa0, tlv(tag.integer, Uint8Array.of(2))),
    tlv(tag.integer, serial),
    algorithm,
    name,
    sequence(time(about.notBefore), time(about.notAfter)),
    name,
    createPublicKey(key).export({ type: "spki", format: "der" }),
    tlv(0xa3, extensions),
  );
  const signature = tlv(tag.bits, Uint8Array.of(0), sign("sha256", signed, key));
  return pem("CERTIFICATE", sequence(signed, algorithm, signature));
}

function pem(label: string, der: Uint8Array): string {
  const text = Buffer.from(der).toString("base64");
  const lines = text.match(/.{1,64}/g) ?? [];
  return `-----BEGIN ${label}-----\n${lines.join("\n")}\n-----END ${label}-----\n`;
}
