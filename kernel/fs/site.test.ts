/** Sites over a real listener and real files: bytes, ranges, conditions, codings, fallbacks. */
import { describe, expect, test } from "bun:test";
import { brotliDecompressSync, gunzipSync, zstdDecompressSync } from "node:zlib";
import { noise, packageFiles, type TestFs, testFs } from "../../tests/fs.ts";
import type { ManifestFile } from "./fs.ts";
import type { Site, SiteRules } from "./site.ts";

const modifiedAt = Date.parse("Sat, 21 Nov 2026 01:00:00 GMT");
const plain: SiteRules = {
  root: "",
  hidden: [],
  spa: false,
  redirects: [],
  headers: [],
  modifiedAt,
};

type Content = Record<string, string | Uint8Array>;

interface Served extends AsyncDisposable {
  readonly at: TestFs;
  readonly site: Site;
  readonly files: ReadonlyMap<string, ManifestFile>;
  get(path: string, headers?: Record<string, string>, method?: string): Promise<Response>;
}

let releases = 0;

/** A site of these files behind a listener, as net serves it. */
async function serve(content: Content, rules: Partial<SiteRules> = {}): Promise<Served> {
  const at = await testFs();
  const files = new Map<string, ManifestFile>();
  for (const [path, bytes] of Object.entries(content)) files.set(path, await at.store(path, bytes));
  const id = `rel_${++releases}`;
  await at.fs.manifests.put(id, "app_1", [...files.values()]);
  const site = at.fs.site(id, { ...plain, ...rules });
  const server = Bun.serve({
    port: 0,
    hostname: "127.0.0.1",
    development: false,
    fetch(request) {
      const pathname = request.headers.get("x-path") ?? new URL(request.url).pathname;
      const answer = site.answer(request, pathname) ?? site.notFound(request, pathname);
      return answer ?? new Response("app", { status: 499 });
    },
  });
  return {
    at,
    site,
    files,
    get: (path, headers = {}, method = "GET") =>
      fetch(new URL(path, server.url), {
        method,
        headers: { "accept-encoding": "identity", ...headers },
        redirect: "manual",
        decompress: false,
      }),
    [Symbol.asyncDispose]: async () => {
      await server.stop(true);
      await at[Symbol.asyncDispose]();
    },
  };
}

const mb = 1024 * 1024;

test("a whole package is served byte for byte, with types, sizes and distinct tags", async () => {
  const content = await packageFiles("zod", 300);
  await using s = await serve(Object.fromEntries(content));
  const tags = new Map<string, string>();
  for (const [path, bytes] of content) {
    const reply = await s.get(`/${path.split("/").map(encodeURIComponent).join("/")}`);
    expect(reply.status).toBe(200);
    expect(Buffer.compare(await reply.bytes(), bytes)).toBe(0);
    expect(reply.headers.get("content-length")).toBe(String(bytes.length));
    expect(reply.headers.get("x-content-type-options")).toBe("nosniff");
    const etag = reply.headers.get("etag") ?? "";
    expect(etag).toMatch(/^"[0-9a-f]{32}"$/);
    tags.set(etag, s.files.get(path)?.hash ?? "");
  }
  expect(new Set(tags.values()).size).toBe(tags.size);
});

describe("ranges", () => {
  const small = noise(70_000, 1);
  const large = noise(7 * mb + 13, 2);
  const content = { "small.bin": small, "large.bin": large };

  test.each([
    ["small.bin", small],
    ["large.bin", large],
  ])("of %s are the exact slices", async (name, bytes) => {
    await using s = await serve(content);
    const size = bytes.length;
    const windows: [string, number, number][] = [
      ["0-0", 0, 1],
      ["0-1023", 0, 1024],
      [`${size - 1}-`, size - 1, size],
      ["-100", size - 100, size],
      ["65535-65600", 65_535, 65_601],
      [`500-${size * 2}`, 500, size],
    ];
    for (const [range, start, end] of windows) {
      const reply = await s.get(`/${name}`, { range: `bytes=${range}` });
      expect(reply.status).toBe(206);
      expect(reply.headers.get("content-range")).toBe(`bytes ${start}-${end - 1}/${size}`);
      expect(Buffer.compare(await reply.bytes(), bytes.slice(start, end))).toBe(0);
    }
    const beyond = await s.get(`/${name}`, { range: `bytes=${size}-` });
    expect(beyond.status).toBe(416);
    expect(beyond.headers.get("content-range")).toBe(`bytes */${size}`);
    const whole = await s.get(`/${name}`);
    expect(whole.headers.get("accept-ranges")).toBe("bytes");
    expect(Buffer.compare(await whole.bytes(), bytes)).toBe(0);
  });

  test.each([
    ["small.bin", small],
    ["large.bin", large],
  ])("of several parts of %s come as multipart/byteranges", async (name, bytes) => {
    await using s = await serve(content);
    const reply = await s.get(`/${name}`, { range: "bytes=0-9,60000-60009,-3" });
    expect(reply.status).toBe(206);
    const type = reply.headers.get("content-type") ?? "";
    const boundary = /^multipart\/byteranges; boundary=([0-9a-f]{32})$/.exec(type)?.[1] ?? "?";
    const text = Buffer.from(await reply.bytes()).toString("latin1");
    const parts = text.split(`--${boundary}`).slice(1, -1);
    expect(text).toEndWith(`\r\n--${boundary}--\r\n`);
    const size = bytes.length;
    const expected = [
      [0, 10],
      [60_000, 60_010],
      [size - 3, size],
    ] as const;
    expect(parts).toHaveLength(3);
    for (const [i, [start, end]] of expected.entries()) {
      const [head = "", body = ""] = (parts[i] ?? "").split("\r\n\r\n");
      expect(head).toContain(`Content-Range: bytes ${start}-${end - 1}/${size}`);
      expect(head).toContain("Content-Type: application/octet-stream");
      const slice = Buffer.from(bytes.slice(start, end)).toString("latin1");
      expect(body.slice(0, end - start)).toBe(slice);
    }
  });

  test("depend on If-Range, and are ignored for HEAD and in excess", async () => {
    await using s = await serve(content);
    const etag = (await s.get("/small.bin", {}, "HEAD")).headers.get("etag") ?? "";
    const range = "bytes=0-9";
    const status = async (headers: Record<string, string>, method = "GET") =>
      (await s.get("/small.bin", headers, method)).status;
    expect(await status({ range, "if-range": etag })).toBe(206);
    expect(await status({ range, "if-range": '"other"' })).toBe(200);
    expect(await status({ range, "if-range": new Date(modifiedAt).toUTCString() })).toBe(206);
    expect(await status({ range, "if-none-match": etag })).toBe(304);
    expect(await status({ range }, "HEAD")).toBe(200);
    expect(await status({ range: `bytes=${"0-1,".repeat(1000)}5-6` })).toBe(200);
    expect(await status({ range: "bytes=0-,0-,0-" })).toBe(200);
  });

  test("resume a download with wget -c and curl -C", async () => {
    await using s = await serve(content);
    const url = (await s.get("/large.bin", {}, "HEAD")).url;
    const directory = (await Bun.$`mktemp -d`.text()).trim();
    for (const command of [
      ["curl", "-sS", "-C", "-", "-o", "large.bin", url],
      ["wget", "-q", "-c", "-O", "large.bin", url],
    ]) {
      if (Bun.which(command[0] ?? "") === null) continue;
      await Bun.write(`${directory}/large.bin`, large.slice(0, 3 * mb + 5));
      const child = Bun.spawn(command, { cwd: directory, stdio: ["ignore", "inherit", "inherit"] });
      expect(await child.exited).toBe(0);
      expect(Buffer.compare(await Bun.file(`${directory}/large.bin`).bytes(), large)).toBe(0);
    }
    await Bun.$`rm -rf ${directory}`;
  });
});

describe("methods and conditions", () => {
  const content = { "index.html": "<h1>hello</h1>", "a.bin": noise(6 * mb, 1) };

  test("HEAD says what GET would, without a body; other methods are the app's", async () => {
    await using s = await serve(content);
    for (const path of ["/", "/a.bin"]) {
      const got = await s.get(path);
      const head = await s.get(path, {}, "HEAD");
      const size = (await got.bytes()).length;
      expect(head.status).toBe(200);
      expect(head.headers.get("content-length")).toBe(String(size));
      expect(await head.text()).toBe("");
      for (const name of ["etag", "content-type", "last-modified", "cache-control", "vary"]) {
        expect(head.headers.get(name)).toBe(got.headers.get(name));
      }
    }
    for (const method of ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"]) {
      expect(s.site.answer(new Request("http://x/", { method }), "/")).toBeNull();
    }
  });

  test("304 carries the validators and no body; 412 when a condition fails", async () => {
    await using s = await serve(content);
    const first = await s.get("/");
    const etag = first.headers.get("etag") ?? "";
    expect(first.headers.get("last-modified")).toBe("Sat, 21 Nov 2026 01:00:00 GMT");
    expect(first.headers.get("cache-control")).toBe("public, max-age=0, must-revalidate");
    for (const condition of [
      { "if-none-match": `W/${etag}, "x"` },
      { "if-modified-since": "Sat, 21 Nov 2026 01:00:00 GMT" },
    ]) {
      for (const method of ["GET", "HEAD"]) {
        const again = await s.get("/", condition, method);
        expect(again.status).toBe(304);
        expect(await again.text()).toBe("");
        expect(again.headers.get("etag")).toBe(etag);
        expect(again.headers.get("cache-control")).toBe(first.headers.get("cache-control"));
      }
    }
    expect((await s.get("/", { "if-match": '"x"' })).status).toBe(412);
    expect(
      (await s.get("/", { "if-unmodified-since": "Fri, 20 Nov 2026 00:00:00 GMT" })).status,
    ).toBe(412);
    expect((await s.get("/", { "if-match": etag })).status).toBe(200);
  });
});

describe("content coding", () => {
  const source = "function hello() { return 'hello'; }\n".repeat(400);
  const decode = { br: brotliDecompressSync, gzip: gunzipSync, zstd: zstdDecompressSync };

  test.each(["br", "gzip", "zstd"] as const)(
    "%s is made after the first request",
    async (coding) => {
      await using s = await serve({ "app.js": source });
      const headers = { "accept-encoding": coding };
      const first = await s.get("/app.js", headers);
      expect(first.headers.get("content-encoding")).toBeNull();
      expect(await first.text()).toBe(source);
      await s.at.fs.settled();
      const next = await s.get("/app.js", headers);
      expect(next.headers.get("content-encoding")).toBe(coding);
      expect(next.headers.get("vary")).toBe("Accept-Encoding");
      expect(next.headers.get("etag")).toEndWith(`-${coding}"`);
      expect(next.headers.get("etag")).not.toContain(
        first.headers.get("etag")?.slice(1, 33) ?? "?",
      );
      const bytes = await next.bytes();
      expect(bytes.length).toBeLessThan(source.length / 2);
      expect(new TextDecoder().decode(decode[coding](bytes))).toBe(source);
      const head = await s.get("/app.js", headers, "HEAD");
      expect(head.headers.get("content-length")).toBe(String(bytes.length));
      const part = await s.get("/app.js", { ...headers, range: "bytes=5-9" });
      expect(await part.bytes()).toEqual(bytes.slice(5, 10));
      const refused = await s.get("/app.js", { "accept-encoding": `${coding};q=0` });
      expect(refused.headers.get("content-encoding")).toBeNull();
      expect(await refused.text()).toBe(source);
      const revalidated = { ...headers, "if-none-match": next.headers.get("etag") ?? "" };
      expect((await s.get("/app.js", revalidated)).status).toBe(304);
      expect(s.at.rows("fs_variant")).toBe(1);
    },
  );

  test("is not tried for what is small, large, or compressed already, and not twice in vain", async () => {
    await using s = await serve({
      "small.js": "x",
      "large.js": "x".repeat(6 * mb),
      "photo.png": noise(9000, 1),
      "random.txt": noise(30_000, 7),
    });
    const headers = { "accept-encoding": "gzip" };
    for (let round = 0; round < 2; round++) {
      for (const path of ["small.js", "large.js", "photo.png", "random.txt"]) {
        const reply = await s.get(`/${path}`, headers);
        expect(reply.headers.get("content-encoding")).toBeNull();
        await reply.bytes();
      }
      await s.at.fs.settled();
      expect(s.at.rows("fs_variant")).toBe(1);
    }
    expect((await s.get("/photo.png")).headers.get("vary")).toBeNull();
  });

  test("uses the files a release brings beside the file", async () => {
    const packed = Bun.gzipSync(source);
    await using s = await serve({ "app.js": source, "app.js.gz": packed });
    const reply = await s.get("/app.js", { "accept-encoding": "gzip" });
    expect(reply.headers.get("content-encoding")).toBe("gzip");
    expect(reply.headers.get("content-type")).toBe("text/javascript; charset=utf-8");
    expect(await reply.bytes()).toEqual(new Uint8Array(packed));
    const itself = await s.get("/app.js.gz", { "accept-encoding": "gzip" });
    expect(itself.headers.get("content-encoding")).toBeNull();
    expect(itself.headers.get("content-type")).toBe("application/gzip");
  });

  test("counts the bytes of the coding that was chosen", async () => {
    await using s = await serve({ "x.js": "1;".repeat(2000), "x.js.br": "short" });
    for (const [coding, sizeBytes] of [
      ["br", 5],
      ["identity", 4000],
    ] as const) {
      const headers = { "accept-encoding": coding };
      const request = new Request("http://x/x.js", { headers });
      expect((await s.get("/x.js", headers)).headers.get("content-length")).toBe(`${sizeBytes}`);
      expect(s.site.sizeOf(request, "/x.js")).toBe(sizeBytes);
    }
    expect(s.site.sizeOf(new Request("http://x/"), "/none")).toBeNull();
  });

  test("refuses with 406 a client that refuses everything there is", async () => {
    await using s = await serve({ "app.js": source });
    const reply = await s.get("/app.js", { "accept-encoding": "identity;q=0, *;q=0" });
    expect(reply.status).toBe(406);
    expect(reply.headers.get("vary")).toBe("Accept-Encoding");
  });
});

describe("paths", () => {
  const content = {
    "public/index.html": "front",
    "public/docs/index.html": "docs",
    "public/about.html": "about",
    "public/ü & ?.txt": "odd",
    "public/a%2fb.txt": "percent",
    "public/404.html": "lost",
    "public/.well-known/x.txt": "known",
    "public/.env": "secret",
    "private/key.txt": "secret",
    "server.ts": "secret",
    "app.json": "secret",
  };

  test.each([
    ["/", 200, "front"],
    ["/index.html", 200, "front"],
    ["/docs/", 200, "docs"],
    ["/about", 200, "about"],
    ["/about.html", 200, "about"],
    ["/%C3%BC%20%26%20%3F.txt", 200, "odd"],
    ["/a%252fb.txt", 200, "percent"],
    ["/a%2fb.txt", 404, "lost"],
    ["/.well-known/x.txt", 200, "known"],
    ["/404.html", 200, "lost"],
    ["/nothing", 404, "lost"],
    ["/about/", 404, "lost"],
    ["/.env", 404, "lost"],
    ["/server.ts", 404, "lost"],
    ["/private/key.txt", 404, "lost"],
    ["/../private/key.txt", 404, "lost"],
    ["/%2e%2e/private/key.txt", 404, "lost"],
    ["/..%2fprivate%2fkey.txt", 404, "lost"],
    ["/..%5cprivate%5ckey.txt", 404, "lost"],
    ["/docs/..%2f..%2fapp.json", 404, "lost"],
    ["/docs/%252e%252e/index.html", 404, "lost"],
    ["//index.html", 404, "lost"],
    ["/index.html%00.png", 400, ""],
    ["/%", 400, ""],
    ["/%ff", 400, ""],
  ] as [string, number, string][])("%s is %d", async (path, ...[status, text]) => {
    await using s = await serve(content, { root: "public", hidden: ["private", "server.ts"] });
    for (let round = 0; round < 2; round++) {
      const reply = await s.get("/", { "x-path": path });
      const body = await reply.text();
      expect(reply.status).toBe(status);
      if (status !== 400) expect(body).toBe(text);
      expect(body).not.toContain("secret");
    }
  });

  test("with the whole release as root, secrets stay hidden", async () => {
    await using s = await serve(content, { hidden: ["server.ts"] });
    for (const path of ["/app.json", "/private/key.txt", "/server.ts", "/public/.env"]) {
      expect((await s.get(path)).status).toBe(499);
    }
    expect((await s.get("/public/docs/")).status).toBe(200);
  });

  test("a directory is told with its slash, the query kept", async () => {
    await using s = await serve(content, { root: "public" });
    const reply = await s.get("/docs?a=1&b=/");
    expect(reply.status).toBe(308);
    expect(reply.headers.get("location")).toBe("/docs/?a=1&b=/");
  });

  test("the 404 page is no validated resource and has no body for HEAD", async () => {
    await using s = await serve(content, { root: "public" });
    const reply = await s.get("/nothing", { "if-none-match": "*", range: "bytes=0-1" });
    expect(reply.status).toBe(404);
    expect(reply.headers.get("etag")).toBeNull();
    expect(reply.headers.get("cache-control")).toBe("no-cache");
    const head = await s.get("/nothing", {}, "HEAD");
    expect(head.status).toBe(404);
    expect(head.headers.get("content-length")).toBe("4");
  });

  test("a single-page application answers its page for paths that look like pages", async () => {
    await using s = await serve({ "index.html": "app page", "a.js": "1" }, { spa: true });
    for (const path of ["/deep/link", "/x", "/deep/link"]) {
      const reply = await s.get(path);
      expect([reply.status, await reply.text()]).toEqual([200, "app page"]);
    }
    expect((await s.get("/missing.js")).status).toBe(499);
  });

  test("stand-in pages get the headers of the path they stand in for", async () => {
    const content = { "index.html": "app page", "404.html": "lost" };
    const headers = [{ path: "/a/*", headers: { "x-a": "1" } }];
    await using s = await serve(content, { spa: true, headers });
    for (let round = 0; round < 2; round++) {
      expect((await s.get("/a/b")).headers.get("x-a")).toBe("1");
      expect((await s.get("/b")).headers.get("x-a")).toBeNull();
      expect((await s.get("/a/b.js")).headers.get("x-a")).toBe("1");
      expect((await s.get("/b.js")).headers.get("x-a")).toBeNull();
    }
  });

  test("with a server, only navigations get the single page", async () => {
    const content = { "index.html": "app page" };
    await using s = await serve(content, { spa: true, server: true });
    const navigation = { accept: "text/html,application/xhtml+xml,*/*;q=0.8" };
    for (let round = 0; round < 2; round++) {
      expect((await s.get("/api/x", { accept: "*/*" })).status).toBe(499);
      expect((await s.get("/api/x", navigation)).status).toBe(200);
    }
  });
});

test("rules: redirects come before files, headers are added, hashed names never expire", async () => {
  const content = { "old.html": "old", "a/x.html": "x", "app.3f9a2b1c.js": "1" };
  await using s = await serve(content, {
    redirects: [{ from: "/old.html", to: "/new", status: 301 }],
    headers: [{ path: "/a/*", headers: { "X-Frame-Options": "DENY", ETag: '"mine"' } }],
  });
  const moved = await s.get("/old.html?q=1");
  expect([moved.status, moved.headers.get("location")]).toEqual([301, "/new?q=1"]);
  const framed = await s.get("/a/x.html");
  expect(framed.headers.get("x-frame-options")).toBe("DENY");
  expect(framed.headers.get("etag")).not.toBe('"mine"');
  expect((await s.get("/app.3f9a2b1c.js")).headers.get("cache-control")).toContain("immutable");
});

describe("memory", () => {
  test("the cache is bounded by bytes and never holds a large file", async () => {
    await using at = await testFs({ cacheBytesMax: 100_000 });
    const files: ManifestFile[] = [];
    for (let i = 0; i < 20; i++) files.push(await at.store(`f${i}.bin`, noise(30_000, i + 1)));
    files.push(await at.store("large.bin", noise(6 * mb, 99)));
    await at.fs.manifests.put("rel_m", "app_1", files);
    const site = at.fs.site("rel_m", plain);
    for (let round = 0; round < 3; round++) {
      for (const [i, file] of files.entries()) {
        const reply = site.answer(new Request(`http://x/${file.path}`), `/${file.path}`);
        const bytes = (await (await reply)?.bytes()) ?? new Uint8Array(0);
        expect(new Bun.CryptoHasher("sha256").update(bytes).digest("hex")).toBe(file.hash);
        expect(at.fs.cacheBytes()).toBeLessThanOrEqual(100_000);
        if (i > 2) expect(at.fs.cacheBytes()).toBeGreaterThan(0);
      }
    }
  });

  test("what strangers send is not kept, however long it is", async () => {
    await using at = await testFs();
    const files: ManifestFile[] = [];
    for (let i = 0; i < 32; i++) files.push(await at.store(`f${i}.html`, "x".repeat(2000)));
    const index = await at.store("index.html", "<p>in place of what is missing".repeat(50));
    await at.fs.manifests.put("rel_l", "app_1", [...files, index]);
    const headers = [{ path: "/*", headers: { "x-a": "b" } }];
    const site = at.fs.site("rel_l", { ...plain, spa: true, headers });
    const ask = async (path: string, accept = "identity") => {
      const request = new Request(`http://x${path}`, { headers: { "accept-encoding": accept } });
      expect((await site.answer(request, path))?.status).toBe(200);
    };
    const heldBytes = () => {
      Bun.gc(true);
      return process.memoryUsage().heapUsed;
    };
    await ask("/missing");
    const before = heldBytes();
    for (let i = 0; i < 500; i++) await ask(`/${i}-${"x".repeat(15_000)}`);
    for (const { path } of files) {
      for (let i = 0; i < 16; i++) await ask(`/${path}`, `identity, x${i}${"y".repeat(15_000)}`);
    }
    // 15 MB have been sent.
    expect(heldBytes() - before).toBeLessThan(5 * mb);
  });

  test("a large file is read only as fast as the client takes it", async () => {
    await using s = await serve({ "large.bin": noise(8 * mb, 4) });
    const reply = await s.site.answer(new Request("http://x/large.bin"), "/large.bin");
    const reader = reply?.body?.getReader();
    for (let taken = 0; taken < mb; ) taken += (await reader?.read())?.value?.length ?? mb;
    await s.at.storage.write((tx) => tx.run("DELETE FROM fs_chunk"));
    // Were it read ahead, the bytes would still come.
    await expect(reader?.read()).rejects.toThrow("removed while it was read");
  });
});
