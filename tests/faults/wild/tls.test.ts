/**
 * What TLS is spoken and what is not, asked of the listener by hellos of our own: every version and
 * every cipher there ever was, curves and signatures that are weak, compression; then by OpenSSL
 * that a client cannot begin the handshake anew (RFC 9325; the checks of testssl.sh that apply).
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { type KernelProcess, run, startProcess } from "../../process.ts";
import { greet, type Said } from "./hello.ts";

let machine: KernelProcess;
let port = 0;
beforeAll(async () => {
  machine = await startProcess();
  port = Number(new URL(machine.ready.https ?? "").port);
}, 60_000);
afterAll(() => machine[Symbol.asyncDispose]());

const [ssl3, tls10, tls11, tls12] = [0x0300, 0x0301, 0x0302, 0x0303];

/** ECDHE with ECDSA or RSA and AES-GCM or ChaCha20-Poly1305: AEAD with forward secrecy. */
const good = [0xc02b, 0xc02c, 0xcca9, 0xc02f, 0xc030, 0xcca8];

/** Every suite that the registry has had a number for, except those, TLS 1.3's, and signals. */
const others = [0x00, 0xc0, 0xcc, 0xd0, 0xfe]
  .flatMap((high) => Array.from({ length: 256 }, (_, low) => high * 256 + low))
  .filter((suite) => !good.includes(suite) && suite !== 0x00ff);

const refused = expect.objectContaining({ kind: "alert" }) as unknown as Said;

describe("versions", () => {
  test.each([
    ["SSL 3.0", ssl3],
    ["TLS 1.0", tls10],
    ["TLS 1.1", tls11],
  ])("%s is not spoken, whatever the cipher", async (_name, version) => {
    expect(await greet(port, { version, suites: [...good, ...others] })).toEqual(refused);
  });

  test("SSL 2.0 is not understood", async () => {
    const hello = Buffer.from("801c0100020003000000100100800200800300800400800500800600", "hex");
    const ended = Promise.withResolvers<string>();
    let heard = "";
    await Bun.connect({
      hostname: "127.0.0.1",
      port,
      socket: {
        open: (socket) => void socket.write(hello),
        data: (_socket, data) => {
          heard += data.toString("latin1");
        },
        close: () => ended.resolve(heard),
      },
    });
    // At most an alert: a server hello of SSL 2.0 begins with 4.
    expect((await ended.promise)[2]).not.toBe("\x04");
  });

  test("TLS 1.2 is, and a fallback to it that nobody needs is refused (RFC 7507)", async () => {
    const said = await greet(port, { version: tls12, suites: good });
    expect(said).toMatchObject({ kind: "hello", version: tls12 });
    const fallback = await greet(port, { version: tls12, suites: [...good, 0x5600] });
    expect(fallback).toEqual({ kind: "alert", code: 86 });
  });
});

describe("ciphers of TLS 1.2", () => {
  test("none of all the others, together or with one that is good", async () => {
    expect(await greet(port, { version: tls12, suites: others })).toEqual(refused);
    const mixed = await greet(port, { version: tls12, suites: [...others, ...good] });
    expect(good).toContain(mixed.kind === "hello" ? mixed.suite : 0);
  });

  test.each(good.slice(0, 3).map((suite) => [suite.toString(16), suite] as const))(
    "%s is taken alone: an ECDSA key's",
    async (_name, suite) => {
      const said = await greet(port, { version: tls12, suites: [suite] });
      expect(said).toEqual({ kind: "hello", version: tls12, suite });
    },
  );
});

describe("weak parts", () => {
  const hello = { version: tls12, suites: good };
  /** Curves below 224 bits, and binary ones. */
  const curves = [...Array.from({ length: 21 }, (_, n) => n + 1), 0xff01, 0xff02];

  test("no small or binary curve, no group by numbers, no SHA-1 or MD5 alone", async () => {
    expect(await greet(port, { ...hello, groups: curves })).toEqual(refused);
    const ffdhe = [0x0100, 0x0101, 0x0102, 0x0103, 0x0104];
    expect(await greet(port, { ...hello, groups: ffdhe })).toEqual(refused);
    expect(await greet(port, { ...hello, signatures: [0x0101, 0x0103] })).toEqual(refused);
  });

  test("no compression (CRIME)", async () => {
    expect(await greet(port, { ...hello, compressions: [1] })).toEqual(refused);
  });

  test("a client does not begin the handshake anew, and TLS 1.2 knows the safe way to", async () => {
    const to = ["-connect", `127.0.0.1:${port}`, "-tls1_2"];
    const asked = await run(["openssl", "s_client", ...to], { stdin: "R\n", timeout: 20_000 });
    const said = asked.stdout + asked.stderr;
    expect(said).toContain("Secure Renegotiation IS supported");
    expect(said).toContain("RENEGOTIATING");
    expect(said).toMatch(/no renegotiation|alert|unexpected eof|reset by peer/i);
    expect(said.slice(said.indexOf("RENEGOTIATING"))).not.toContain("New, TLSv1.2");
  });
});
