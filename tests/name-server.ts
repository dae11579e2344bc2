/**
 * A name server for tests: every name has the address 127.0.0.1, TXT records come and go by signed
 * updates (RFC 2136, TSIG), over UDP and TCP. Messages are read by dns-packet, which is not ours.
 */
import { createHmac, randomBytes } from "node:crypto";
import { createSocket } from "node:dgram";
import { type AddressInfo, createServer } from "node:net";
import { type Answer, decode, encode, type Packet } from "dns-packet";

export interface NameServer extends AsyncDisposable {
  /** `127.0.0.1:port`, UDP and TCP. */
  readonly address: string;
  readonly keyName: string;
  /** Base64. */
  readonly secret: string;
  /** Addresses of names that are not at 127.0.0.1. */
  readonly addresses: Map<string, string>;
  /** Names that there are no records of. */
  readonly missing: Set<string>;
  /** Values of TXT records by name. */
  readonly texts: Map<string, Set<string>>;
  /** Updates that were taken and refused. */
  readonly updates: { taken: number; refused: number };
}

const opcodeOf = (message: Buffer): number => (message.readUInt16BE(2) >> 11) & 0xf;
const authoritative = 0x0400;

/** Starts one that answers for the zones. */
export async function startNameServer(zones: readonly string[]): Promise<NameServer> {
  const addresses = new Map<string, string>();
  const missing = new Set<string>();
  const texts = new Map<string, Set<string>>();
  const updates = { taken: 0, refused: 0 };
  const keyName = "fazt-key";
  const secret = randomBytes(32);

  const answersTo = (name: string, type: string): Answer[] => {
    const lower = name.toLowerCase();
    const common = { name, ttl: 1 } as const;
    if (missing.has(lower)) return [];
    if (type === "A") {
      return [{ ...common, type: "A", data: addresses.get(lower) ?? "127.0.0.1" }];
    }
    if (type === "NS" && zones.includes(lower)) {
      return [{ ...common, type: "NS", data: `ns.${lower}` }];
    }
    if (type === "TXT") {
      return [...(texts.get(lower) ?? [])].map((data) => ({ ...common, type: "TXT", data }));
    }
    if (type !== "SOA" || !zones.includes(lower)) return [];
    const times = { serial: 1, refresh: 1, retry: 1, expire: 1, minimum: 1 };
    return [{ ...common, type: "SOA", data: { mname: `ns.${lower}`, rname: "x", ...times } }];
  };

  const update = (message: Buffer, packet: Packet): number => {
    if (!isSigned(message, { keyName, secret })) return 9;
    const [zone] = packet.questions ?? [];
    if (zone === undefined || !zones.includes(zone.name)) return 10;
    for (const record of packet.authorities ?? []) {
      const { name, data } = record as unknown as { name: string; data: Buffer[] };
      const value = Buffer.concat(data).toString();
      const values = texts.get(name.toLowerCase()) ?? new Set();
      // The class NONE deletes (RFC 2136, 2.5.4).
      if ((record as { class?: string }).class === "IN") values.add(value);
      else values.delete(value);
      texts.set(name.toLowerCase(), values);
    }
    return 0;
  };

  const reply = (message: Buffer): Buffer => {
    const packet = decode(message);
    const base = {
      id: packet.id ?? 0,
      type: "response",
      questions: packet.questions ?? [],
    } as const;
    if (opcodeOf(message) === 5) {
      const code = update(message, packet);
      updates[code === 0 ? "taken" : "refused"]++;
      return encode({ ...base, flags: (5 << 11) | code });
    }
    const [question] = packet.questions ?? [];
    const answers = question === undefined ? [] : answersTo(question.name, question.type);
    const ours = zones.some((zone) => `.${question?.name.toLowerCase()}`.endsWith(`.${zone}`));
    return encode({ ...base, flags: ours ? authoritative : 0, answers });
  };

  const tcp = createServer((socket) => {
    socket.on("error", () => undefined);
    socket.on("data", (data: Buffer) => {
      const said = reply(data.subarray(2));
      const length = Buffer.alloc(2);
      length.writeUInt16BE(said.length);
      socket.write(Buffer.concat([length, said]));
    });
  });
  await new Promise<void>((resolve) => tcp.listen(0, "127.0.0.1", resolve));
  const { port } = tcp.address() as AddressInfo;
  const udp = createSocket("udp4");
  udp.on("message", (message, { port: to, address }) => udp.send(reply(message), to, address));
  await new Promise<void>((resolve) => udp.bind(port, "127.0.0.1", resolve));
  return {
    address: `127.0.0.1:${port}`,
    keyName,
    secret: secret.toString("base64"),
    addresses,
    missing,
    texts,
    updates,
    [Symbol.asyncDispose]: async () => {
      udp.close();
      await new Promise((resolve) => tcp.close(resolve));
    },
  };
}

/** Whether the last record is a signature of the rest by the key (RFC 8945, 5.2). */
function isSigned(message: Buffer, key: { keyName: string; secret: Buffer }): boolean {
  const name = Buffer.concat([
    Buffer.of(key.keyName.length),
    Buffer.from(key.keyName),
    Buffer.of(0),
  ]);
  // Name, type TSIG, class ANY, ttl 0.
  const head = Buffer.concat([name, Buffer.of(0, 250, 0, 255, 0, 0, 0, 0)]);
  const at = message.lastIndexOf(head);
  if (at < 0) return false;
  const data = message.subarray(at + head.length + 2);
  const algorithmEnd = data.indexOf(0) + 1;
  const algorithm = data.subarray(0, algorithmEnd);
  const time = data.subarray(algorithmEnd, algorithmEnd + 8);
  const size = data.readUInt16BE(algorithmEnd + 8);
  const mac = data.subarray(algorithmEnd + 10, algorithmEnd + 10 + size);
  const signed = Buffer.from(message.subarray(0, at));
  signed.writeUInt16BE(message.readUInt16BE(10) - 1, 10);
  const variables = [name, Buffer.of(0, 255, 0, 0, 0, 0), algorithm, time, Buffer.alloc(4)];
  const hmac = createHmac("sha256", key.secret).update(Buffer.concat([signed, ...variables]));
  return hmac.digest().equals(mac);
}
