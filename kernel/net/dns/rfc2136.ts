/**
 * A name server that takes updates (RFC 2136), signed with a shared key (TSIG, RFC 8945,
 * HMAC-SHA256 and its siblings): BIND, Knot, PowerDNS. Over TCP, one connection an update.
 *
 * Rules: an update adds or deletes one TXT record of one value; adding what is there and deleting
 * what is not are no errors to the server. Which zone the name is in, the server says: the longest
 * it answers for.
 */
import { createHmac } from "node:crypto";
import { connect } from "node:net";
import type { Machine } from "../../machine.ts";
import { type DnsProvider, ProviderError, zonesOf } from "./provider.ts";

export interface UpdateOptions {
  readonly machine: Machine;
  /** `host`, `host:port` or `[v6]:port`. */
  readonly server: string;
  /** `name`, or `algorithm:name` such as `hmac-sha512:fazt`. */
  readonly keyName: string;
  /** Base64, as `tsig-keygen` prints it. */
  readonly secret: string;
}

const kinds = { soa: 6, txt: 16, tsig: 250 } as const;
const classes = { in: 1, none: 254, any: 255 } as const;
const algorithms = ["hmac-sha256", "hmac-sha384", "hmac-sha512"] as const;

/** The longest an update may take, in ms; seconds two clocks may differ (RFC 8945, 10). */
const updateMsMax = 15_000;
const fudgeS = 300;
const ttlS = 60;

/** Codes a server refuses an update with (RFC 2136, 2.2; RFC 8945, 3). */
const refusals: Readonly<Record<number, string>> = {
  1: "it does not understand the update",
  2: "it failed",
  4: "it takes no updates",
  5: "it refuses: may this key change this zone?",
  9: "it is not authoritative, or the key is not the one it knows",
  10: "the name is not in the zone",
};

const u16 = (...values: number[]): Buffer => {
  const bytes = Buffer.alloc(values.length * 2);
  values.forEach((value, i) => {
    bytes.writeUInt16BE(value, i * 2);
  });
  return bytes;
};
const u32 = (value: number): Buffer => u16(Math.floor(value / 65_536), value % 65_536);

/** Labels with their lengths (RFC 1035, 3.1), never compressed, in lower case. */
function wireName(name: string): Buffer {
  const labels = name
    .toLowerCase()
    .split(".")
    .filter((label) => label !== "");
  const parts = labels.flatMap((label) => [Buffer.of(label.length), Buffer.from(label)]);
  return Buffer.concat([...parts, Buffer.of(0)]);
}

/** An update that adds or deletes a TXT record, unsigned (RFC 2136, 2). */
function updateOf(id: number, about: { zone: string; name: string; value: string; add: boolean }) {
  const text = Buffer.from(about.value);
  const data = Buffer.concat([Buffer.of(text.length), text]);
  const as = about.add
    ? [u16(kinds.txt, classes.in), u32(ttlS)]
    : [u16(kinds.txt, classes.none), u32(0)];
  return Buffer.concat([
    // Opcode 5; one zone, no prerequisites, one update, nothing beside it.
    u16(id, 5 << 11, 1, 0, 1, 0),
    wireName(about.zone),
    u16(kinds.soa, classes.in),
    wireName(about.name),
    ...as,
    u16(data.length),
    data,
  ]);
}

/** A question for the zone's SOA, signed as updates are, for servers that ask for it. */
function questionOf(id: number, zone: string): Buffer {
  return Buffer.concat([u16(id, 0, 1, 0, 0, 0), wireName(zone), u16(kinds.soa, classes.in)]);
}

/** Adds the signature as the last record (RFC 8945, 4.2). `atS`: Unix seconds. */
function sign(
  message: Buffer,
  key: { algorithm: string; name: string; secret: Buffer },
  atS: number,
) {
  const algorithm = wireName(key.algorithm);
  const time = Buffer.concat([u16(Math.floor(atS / 2 ** 32)), u32(atS % 2 ** 32), u16(fudgeS)]);
  const variables = [wireName(key.name), u16(classes.any), u32(0), algorithm, time, u16(0, 0)];
  const hash = key.algorithm.replace("hmac-", "");
  const mac = createHmac(hash, key.secret)
    .update(Buffer.concat([message, ...variables]))
    .digest();
  const id = message.subarray(0, 2);
  const data = Buffer.concat([algorithm, time, u16(mac.length), mac, id, u16(0, 0)]);
  const record = [wireName(key.name), u16(kinds.tsig, classes.any), u32(0), u16(data.length), data];
  const signed = Buffer.concat([message, ...record]);
  signed.writeUInt16BE(message.readUInt16BE(10) + 1, 10);
  return signed;
}

export function createUpdates(options: UpdateOptions): DnsProvider {
  const { machine, server } = options;
  const [first = "", second] = options.keyName.split(":");
  const algorithm = second === undefined ? "hmac-sha256" : first.toLowerCase();
  if (!algorithms.some((one) => one === algorithm)) {
    throw new ProviderError(`unknown algorithm "${algorithm}": ${algorithms.join(", ")}`, false);
  }
  const name = second ?? first;
  const key = { algorithm, name, secret: Buffer.from(options.secret, "base64") };

  const send = async (message: Buffer): Promise<Buffer> => {
    const signed = sign(message, key, Math.floor(machine.now() / 1000));
    return await exchange(machine, server, signed);
  };
  const newId = (): number => Buffer.from(machine.random(2)).readUInt16BE(0);

  const zoneOf = async (record: string): Promise<string> => {
    for (const zone of zonesOf(record)) {
      const reply = await send(questionOf(newId(), zone));
      const authoritative = (reply[2] ?? 0) & 0x04;
      if (codeOf(reply) === 0 && authoritative !== 0 && reply.readUInt16BE(6) > 0) return zone;
      if (codeOf(reply) === 9) throw refused(server, 9);
    }
    throw new ProviderError(`the server ${server} has no zone for "${record}"`, false);
  };

  const change = async (record: string, value: string, add: boolean): Promise<void> => {
    const zone = await zoneOf(record);
    const reply = await send(updateOf(newId(), { zone, name: record, value, add }));
    if (codeOf(reply) !== 0) throw refused(server, codeOf(reply));
  };

  return {
    set: (record, value) => change(record, value, true),
    unset: (record, value) => change(record, value, false),
  };
}

const codeOf = (reply: Buffer): number => (reply[3] ?? 0) & 0x0f;

function refused(server: string, code: number): ProviderError {
  const why = refusals[code] ?? `code ${code}`;
  return new ProviderError(`the server ${server} refused the update: ${why}`, code === 2);
}

/** One message there and one back, each with its length before it (RFC 1035, 4.2.2). */
function exchange(machine: Machine, server: string, message: Buffer): Promise<Buffer> {
  const done = Promise.withResolvers<Buffer>();
  const [, six, four, port] = /^(?:\[([^\]]+)\]|([^:]+))(?::(\d+))?$/.exec(server) ?? [];
  const fail = (why: string): void =>
    done.reject(new ProviderError(`cannot reach the server ${server}: ${why}`, true));
  let received = Buffer.alloc(0);
  const socket = connect(Number(port ?? 53), six ?? four ?? server, () =>
    socket.write(Buffer.concat([u16(message.length), message])),
  );
  const timer = machine.after(updateMsMax, () => socket.destroy(new Error("no answer in time")));
  socket.on("data", (data: Buffer) => {
    received = Buffer.concat([received, data]);
    if (received.length < 2 || received.length < 2 + received.readUInt16BE(0)) return;
    const reply = received.subarray(2, 2 + received.readUInt16BE(0));
    if (reply.length >= 12) done.resolve(reply);
    socket.destroy();
  });
  socket.on("error", (error) => fail(error.message));
  socket.on("close", () => {
    timer.cancel();
    fail("it closed the connection");
  });
  return done.promise;
}
