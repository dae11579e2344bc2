/** Whole real sites, deployed by the command and fetched byte for byte by clients not ours. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { cpSync, mkdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { brotliDecompressSync, gunzipSync, zstdDecompressSync } from "node:zlib";
import { root } from "../../ci/with.mjs";
import { type KernelProcess, run, startProcess, until } from "../process.ts";

interface Site {
  readonly name: string;
  /** The folder whose files are served. */
  readonly folder: string;
  /** Path below it → SHA-256. */
  readonly files: ReadonlyMap<string, string>;
}

const sha256 = (bytes: Uint8Array | ArrayBuffer): string =>
  new Bun.CryptoHasher("sha256").update(bytes).digest("hex");

let machine: KernelProcess;
const sites = new Map<string, Site>();

/** Copies a package's folder into an app of its own: a link out of the app would be refused. */
async function deploySite(name: string, packageFolder: string): Promise<void> {
  const dir = machine.scratch(name);
  const folder = join(dir, "public");
  cpSync(join(root, "node_modules", packageFolder), folder, { recursive: true });
  const files = new Map<string, string>();
  for await (const path of new Bun.Glob("**/*").scan({ cwd: folder, dot: true })) {
    files.set(path, sha256(readFileSync(join(folder, path))));
  }
  sites.set(name, { name, folder, files });
  const result = await machine.faztJson<{ app: string; files: number; url: string }>(
    ...["app", "deploy", dir],
  );
  expect(result).toMatchObject({ app: name, files: files.size });
  expect(result.url).toBe(machine.url(name));
}

const site = (name: string): Site => {
  const found = sites.get(name);
  if (found === undefined) throw new Error(`"${name}" was not deployed`);
  return found;
};

/** URL path of a file: every name is spelled so that nothing of it means anything. */
const urlPath = (path: string): string => `/${path.split("/").map(encodeURIComponent).join("/")}`;

beforeAll(async () => {
  machine = await startProcess();
  await deploySite("swagger", "swagger-ui-dist");
  await deploySite("monaco", "monaco-editor");
}, 120_000);
afterAll(() => machine[Symbol.asyncDispose]());

test("monaco has thousands of files, some larger than anything held whole", () => {
  expect(site("monaco").files.size).toBeGreaterThan(1500);
  expect(site("swagger").files.size).toBeGreaterThan(10);
});

describe.each(["swagger", "monaco"])("%s", (name) => {
  test("every file arrives byte for byte, with its length; HEAD says the same", async () => {
    const wrong: string[] = [];
    for (const [path, hash] of site(name).files) {
      const got = await machine.fetch(name, urlPath(path), {
        headers: { "accept-encoding": "identity" },
      });
      const bytes = await got.bytes();
      if (got.status !== 200 || sha256(bytes) !== hash) wrong.push(`${path}: ${got.status}`);
      const head = await machine.fetch(name, urlPath(path), {
        method: "HEAD",
        headers: { "accept-encoding": "identity" },
      });
      const same = ["content-type", "etag", "last-modified"].every(
        (field) => head.headers.get(field) === got.headers.get(field),
      );
      // Bun.serve sends a stream in chunks, whatever length its headers give: files over 5 MB.
      const length = got.headers.get("content-length") ?? String(bytes.length);
      if (
        !same ||
        length !== String(bytes.length) ||
        head.headers.get("content-length") !== String(bytes.length)
      ) {
        wrong.push(`${path}: HEAD ${head.headers.get("content-length")}`);
      }
    }
    expect(wrong).toEqual([]);
  }, 120_000);

  test("curl fetches all of it over one connection, byte for byte", async () => {
    const to = machine.scratch(`${name}-by-curl`);
    const lines: string[] = [];
    for (const path of site(name).files.keys()) {
      mkdirSync(dirname(join(to, path)), { recursive: true });
      lines.push(`url = "${machine.url(name, urlPath(path))}"`, `output = "${join(to, path)}"`);
    }
    const config = join(machine.scratch("curl"), `${name}.txt`);
    writeFileSync(config, lines.join("\n"));
    const ended = await machine.curl("--compressed", "--fail", "--config", config);
    expect(ended).toMatchObject({ code: 0, stderr: "" });
    const wrong = [...site(name).files].filter(
      ([path, hash]) => sha256(readFileSync(join(to, path))) !== hash,
    );
    expect(wrong).toEqual([]);
  }, 120_000);
});

/** What curl answers: status, header fields, and the body in a file. */
async function curl(path: string, ...args: string[]) {
  const out = join(machine.scratch("curl"), "body");
  writeFileSync(out, "");
  const url = machine.url("swagger", path);
  const ended = await machine.curl("--dump-header", "-", "--output", out, ...args, url);
  const [status = "", ...fields] = ended.stdout.trimEnd().split("\r\n");
  const headers = new Headers(
    fields
      .filter((line) => line !== "")
      .map((line) => line.split(/: (.*)/s).slice(0, 2) as [string, string]),
  );
  return {
    code: ended.code,
    status: Number(status.split(" ")[1]),
    headers,
    bytes: readFileSync(out),
  };
}

describe("curl", () => {
  const path = "swagger-ui-bundle.js";
  const url = `/${path}`;
  const whole = () => readFileSync(join(site("swagger").folder, path));

  test("asks by condition: 304 while nothing changed, 200 when it did", async () => {
    const first = await curl(url);
    expect(first.status).toBe(200);
    const etag = first.headers.get("etag") ?? "none";
    const same = await curl(url, "--header", `If-None-Match: ${etag}`);
    expect([same.status, same.bytes.length, same.headers.get("etag")]).toEqual([304, 0, etag]);
    expect((await curl(url, "--header", 'If-None-Match: "other"')).status).toBe(200);
    expect((await curl(url, "--header", 'If-Match: "other"')).status).toBe(412);
    const at = first.headers.get("last-modified") ?? "none";
    expect((await curl(url, "--time-cond", at)).status).toBe(304);
    expect((await curl(url, "--time-cond", "Thu, 01 Jan 1970 00:00:01 GMT")).status).toBe(200);
  });

  test("asks for ranges, alone and many, and what is outside", async () => {
    const all = whole();
    const first = await curl(url, "--range", "0-99");
    expect(first.status).toBe(206);
    expect(first.headers.get("content-range")).toBe(`bytes 0-99/${all.length}`);
    expect(first.bytes.equals(all.subarray(0, 100))).toBe(true);
    const last = await curl(url, "--range", "-500");
    expect(last.bytes.equals(all.subarray(-500))).toBe(true);
    const rest = await curl(url, "--range", "100-");
    expect(rest.bytes.equals(all.subarray(100))).toBe(true);
    const outside = await curl(url, "--range", `${all.length}-`);
    expect(outside.status).toBe(416);
    expect(outside.headers.get("content-range")).toBe(`bytes */${all.length}`);
    const many = await curl(url, "--range", "0-9,1000-1019");
    expect(many.status).toBe(206);
    const boundary = /^multipart\/byteranges; boundary=(\S+)$/.exec(
      many.headers.get("content-type") ?? "",
    )?.[1];
    const parts = many.bytes.toString("latin1").split(`--${boundary}`);
    expect(parts).toHaveLength(4);
    const bodies = parts.slice(1, 3).map((part) => part.slice(part.indexOf("\r\n\r\n") + 4, -2));
    expect(bodies).toEqual([
      all.subarray(0, 10).toString("latin1"),
      all.subarray(1000, 1020).toString("latin1"),
    ]);
  });

  test("If-Range sends the part only while it is the same file", async () => {
    const etag = (await curl(url)).headers.get("etag") ?? "none";
    const part = await curl(url, "--range", "5-9", "--header", `If-Range: ${etag}`);
    expect([part.status, part.bytes.length]).toEqual([206, 5]);
    const changed = await curl(url, "--range", "5-9", "--header", 'If-Range: "other"');
    expect([changed.status, changed.bytes.length]).toEqual([200, whole().length]);
  });

  test("--head sends a head and no body", async () => {
    const head = await curl(url, "--head");
    expect([head.code, head.status]).toEqual([0, 200]);
    expect(head.headers.get("content-length")).toBe(String(whole().length));
  });
});

describe("precompressed variants", () => {
  const decoders = {
    br: brotliDecompressSync,
    zstd: zstdDecompressSync,
    gzip: gunzipSync,
  } as const;

  test.each(["br", "zstd", "gzip"] as const)(
    "%s appears, is smaller and decodes",
    async (coding) => {
      const path = "swagger-ui.css";
      const hash = site("swagger").files.get(path) ?? "";
      const ask = () =>
        machine.fetch("swagger", `/${path}`, {
          headers: { "accept-encoding": coding },
          decompress: false,
        });
      const coded = await until(`${path} in ${coding}`, async () => {
        const got = await ask();
        const body = await got.bytes();
        return got.headers.get("content-encoding") === coding ? { got, body } : null;
      });
      expect(coded.got.headers.get("vary")?.toLowerCase()).toContain("accept-encoding");
      expect(coded.got.headers.get("content-length")).toBe(String(coded.body.length));
      expect(coded.body.length).toBeLessThan(statSync(join(site("swagger").folder, path)).size);
      expect(sha256(decoders[coding](coded.body))).toBe(hash);
      const etag = coded.got.headers.get("etag") ?? "none";
      const again = await machine.fetch("swagger", `/${path}`, {
        headers: { "accept-encoding": coding, "if-none-match": etag },
      });
      expect(again.status).toBe(304);
      const identity = await machine.fetch("swagger", `/${path}`, {
        headers: { "accept-encoding": "identity" },
      });
      expect(identity.headers.get("etag")).not.toBe(etag);
      expect(sha256(await identity.bytes())).toBe(hash);
    },
  );
});

test("a client of HTTP/1.0 gets large files as they are too", async () => {
  const name = "min/vs/language/typescript/ts.worker.js";
  const out = join(machine.scratch("curl"), "old");
  const url = machine.url("monaco", urlPath(name));
  const ended = await machine.curl("--http1.0", "--fail", "--output", out, url);
  expect(ended.code).toBe(0);
  expect(sha256(readFileSync(out))).toBe(site("monaco").files.get(name) ?? "");
});

test("wget -c goes on where a cut download stopped, and asks only for the rest", async () => {
  const path = "dev/vs/assets";
  const name = [...site("monaco").files.keys()]
    .filter((file) => file.startsWith(path))
    .reduce((a, b) => (sizeOf(a) > sizeOf(b) ? a : b));
  const size = sizeOf(name);
  expect(size).toBeGreaterThan(5 * 1024 * 1024);
  const out = join(machine.scratch("wget"), "file.js");
  const host = `--header=Host: monaco.localhost:${machine.port}`;
  const wget = ["wget", "--no-config", "--tries=1", host, `--output-document=${out}`];
  const url = `${machine.ready.http}${urlPath(name)}`;
  const cut = Bun.spawn([...wget, "--quiet", "--limit-rate=4m", url]);
  await until("the first megabyte", () => (sizeOfFile(out) > 1024 * 1024 ? true : null));
  cut.kill("SIGKILL");
  await cut.exited;
  const arrived = sizeOfFile(out);
  expect(arrived).toBeLessThan(size);
  const resumed = await run([...wget, "--continue", "--server-response", url]);
  expect(resumed.code).toBe(0);
  expect(resumed.stderr).toContain("206 Partial Content");
  expect(resumed.stderr).toContain(`Content-Range: bytes ${arrived}-${size - 1}/${size}`);
  expect(sha256(readFileSync(out))).toBe(site("monaco").files.get(name) ?? "");
});

const sizeOf = (path: string): number => sizeOfFile(join(site("monaco").folder, path));
const sizeOfFile = (path: string): number => statSync(path, { throwIfNoEntry: false })?.size ?? 0;

test("deployed again unchanged, nothing is uploaded", async () => {
  const again = await machine.faztJson<{ uploadedBytes: number; files: number }>(
    ...["app", "deploy", machine.scratch("monaco")],
  );
  expect(again).toMatchObject({ uploadedBytes: 0, files: site("monaco").files.size });
});
