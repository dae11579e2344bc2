/** Fetching: from a directory and a real server that breaks off, and nothing that was not signed. */
import { afterAll, expect, test } from "bun:test";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { makeRelease, type ReleaseOptions } from "../../../ci/release.ts";
import { realMachine } from "../../machine.ts";
import {
  fetchArtifact,
  hashOf,
  keyFilesOf,
  openSource,
  publicKeyOf,
  readRelease,
  unpackedOf,
} from "./mod.ts";

const directory = mkdtempSync(join(tmpdir(), "fazt-release-"));
afterAll(() => rmSync(directory, { recursive: true }));
const machine = realMachine();
const pair = keyFilesOf(new Uint8Array(40).fill(3));
const keys = [publicKeyOf(pair.publicKey)];
const wanted = { channel: "stable", arch: "x64" } as const;
const program = crypto.getRandomValues(new Uint8Array(300_000));
writeFileSync(join(directory, "program"), program);

let count = 0;
/** A directory with a release of the program. */
function released(options: Partial<ReleaseOptions> = {}): string {
  const out = join(directory, `out-${count++}`);
  const ingredients = [{ kind: "binary" as const, path: join(directory, "program") }];
  const about = { version: "1.3.0", ...wanted, minFrom: "1.0.0", notAfter: 5_000 };
  makeRelease({ out, key: pair.secretKey, ...about, ingredients, level: 3, ...options });
  return out;
}

async function fetched(from: string): Promise<string> {
  const { manifest, source } = await readRelease(openSource(from, wanted, machine), keys);
  const [artifact] = manifest.artifacts;
  if (artifact === undefined) throw new Error("no artifact");
  const slot = join(directory, `slot-${count++}`);
  mkdirSync(slot);
  const into = join(slot, "fazt");
  const signal = new AbortController().signal;
  await fetchArtifact(source, artifact, { machine, signal, into, mode: 0o755 });
  expect(await hashOf(into)).toBe(unpackedOf(artifact).sha256);
  return into;
}

/** A file server that can be told to break off after so many bytes, and to know no ranges. */
async function served(out: string, { most = Number.POSITIVE_INFINITY, ranges = true } = {}) {
  const asked: number[] = [];
  const server = createServer((request, response) => {
    const path = join(out, request.url ?? "");
    if (!existsSync(path)) return void response.writeHead(404).end();
    const small = /\.(json|minisig)$/.test(path);
    const range = ranges ? /bytes=(\d+)-/.exec(request.headers.range ?? "") : null;
    const from = Number(range?.[1] ?? 0);
    if (!small) asked.push(from);
    const bytes = readFileSync(path).subarray(from);
    // An answer that is too short, in order: one that is cut may lose what was sent already.
    const sent = small ? bytes : bytes.subarray(0, most);
    response.writeHead(range === null ? 200 : 206, { "content-length": sent.length }).end(sent);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
  return { url, asked, [Symbol.asyncDispose]: async () => void server.close() };
}

test("a release comes from a directory, by path and by URL, packed or not", async () => {
  for (const level of [0, 3]) {
    const out = released({ level });
    for (const from of [out, `file://${out}`, `file://${out}/stable-x64.json`]) {
      const into = await fetched(from);
      expect(readFileSync(into).equals(program)).toBe(true);
      expect(statSync(into).mode & 0o777).toBe(0o755);
      expect(readdirSync(join(into, ".."))).toEqual(["fazt"]);
    }
  }
});

test("a download that breaks off is continued where it stopped", async () => {
  await using server = await served(released({ level: 0 }), { most: 70_000 });
  expect(readFileSync(await fetched(server.url)).equals(program)).toBe(true);
  const from = server.asked;
  expect(from.length).toBeGreaterThan(3);
  expect(from.toSorted((a, b) => a - b)).toEqual(from);
  expect(new Set(from).size).toBe(from.length);
});

test("a server without ranges is asked from the beginning", async () => {
  await using server = await served(released({ level: 0 }), { ranges: false });
  expect(readFileSync(await fetched(server.url)).equals(program)).toBe(true);
});

test("what is not what was signed is thrown away", async () => {
  const spoil: [string, (bytes: Buffer) => Uint8Array][] = [
    ["its hash is not the one that was signed", (bytes) => bytes.fill(0, 1000, 1100)],
    ["it is longer than what was signed", (bytes) => Buffer.concat([bytes, bytes])],
  ];
  for (const [said, how] of spoil) {
    const out = released({ level: 0 });
    const path = join(out, "fazt-1.3.0-x64");
    writeFileSync(path, how(readFileSync(path)));
    await expect(fetched(out)).rejects.toThrow(said);
    expect(readdirSync(join(directory, `slot-${count - 1}`))).toEqual([]);
  }
});

test("what is packed wrong is thrown away", async () => {
  const out = released({ level: 3 });
  const source = openSource(out, wanted, machine);
  const { manifest } = await readRelease(source, keys);
  const [artifact] = manifest.artifacts;
  if (artifact?.packed == null) throw new Error("nothing packed");
  const options = { machine, signal: new AbortController().signal, into: join(out, "fazt") };
  for (const [change, said] of [
    [{ sizeBytes: 299_999 }, "longer"],
    [{ sizeBytes: 300_001 }, "bytes, and not"],
    [{ sha256: "0".repeat(64) }, "its hash"],
  ] as const) {
    const packed = { ...artifact.packed, ...change };
    await expect(fetchArtifact(source, { ...artifact, packed }, options)).rejects.toThrow(said);
    expect(existsSync(join(out, "fazt"))).toBe(false);
  }
});

test("a manifest is believed with its signature alone", async () => {
  const out = released();
  const path = join(out, "stable-x64.json");
  const read = () => readRelease(openSource(out, wanted, machine), keys);
  expect((await read()).keyId).toBe(keys[0]?.id ?? "");
  writeFileSync(path, readFileSync(path, "utf8").replace("1.0.0", "0.0.1"));
  await expect(read()).rejects.toMatchObject({ code: "EBADMSG" });
  const stranger = keyFilesOf(new Uint8Array(40).fill(4)).secretKey;
  const other = openSource(released({ key: stranger }), wanted, machine);
  await expect(readRelease(other, keys)).rejects.toMatchObject({ code: "EKEYREJECTED" });
  rmSync(`${path}.minisig`);
  await expect(read()).rejects.toMatchObject({ code: "ENOENT" });
});

test("a manifest without end is not read", async () => {
  const out = released();
  writeFileSync(join(out, "stable-x64.json"), Buffer.alloc(100_000, " "));
  const source = openSource(out, wanted, machine);
  await expect(readRelease(source, keys)).rejects.toMatchObject({ code: "EFBIG" });
});

test("places that are none are refused", () => {
  for (const from of [
    "release",
    "ftp://x/y",
    "http://example.com/fazt",
    "https://u:p@example.com/",
  ]) {
    expect(() => openSource(from, wanted, machine)).toThrow("cannot read releases from");
  }
});

test("an answer that leads elsewhere is followed, and never to where anybody could be between", async () => {
  const out = released();
  let to = "";
  using server = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    fetch(request) {
      const { pathname } = new URL(request.url);
      if (pathname.startsWith("/there/"))
        return new Response(Bun.file(join(out, pathname.slice(7))));
      return Response.redirect(`${to}${pathname}`, 302);
    },
  });
  const from = `http://127.0.0.1:${server.port}`;
  to = "/there";
  await fetched(from);
  const state = (why: string) => ({ code: "EIO", message: expect.stringContaining(why) });
  // This machine too, by an address nobody vouches for.
  to = `http://127.0.0.2:${server.port}/there`;
  await expect(fetched(from)).rejects.toMatchObject(state("that is no HTTPS"));
  to = "";
  await expect(fetched(from)).rejects.toMatchObject(state("it leads on and on"));
});
