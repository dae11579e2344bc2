/**
 * The way out for apps, whole: a real app in its sandbox fetches from real servers (HTTP, and TLS
 * with a certificate for a name), names come from a real DNS server that rebinds, and what is not
 * allowed, not public or not meant for a host does not happen.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { createSocket } from "node:dgram";
import { Resolver } from "node:dns/promises";
import { decode, encode, type Packet } from "dns-packet";
import { deployed } from "../deployed.ts";
import { type TestKernel, testKernel } from "../kernel.ts";

/** A DNS server whose answers the test sets; each name may change at every question. */
class Names implements Disposable {
  readonly #socket = createSocket("udp4");
  readonly #answers = new Map<string, string[]>();
  readonly asked: string[] = [];

  async open(): Promise<number> {
    this.#socket.on("message", (bytes, from) => {
      const query = decode(bytes);
      const question = query.questions?.[0];
      if (question === undefined) return;
      if (question.type === "A") this.asked.push(question.name);
      const left = this.#answers.get(question.name) ?? [];
      const data = left.length > 1 ? left.shift() : left[0];
      const known = question.type === "A" && data !== undefined;
      const reply: Packet = {
        type: "response",
        id: query.id ?? 0,
        flags: known || left.length > 0 ? 0 : 3,
        questions: [question],
        answers: known ? [{ type: "A", name: question.name, ttl: 0, data }] : [],
      };
      this.#socket.send(encode(reply), from.port, from.address);
    });
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#socket.bind(0, "127.0.0.1", resolve);
    await promise;
    return this.#socket.address().port;
  }

  set(name: string, ...answers: string[]): void {
    this.#answers.set(name, answers);
  }

  [Symbol.dispose](): void {
    this.#socket.close();
  }
}

/** Does with the network what the request says, and tells what came of it. */
const server = `
import https from "node:http";
export default {
  async fetch(request) {
    const { url, init = {}, way = "fetch", read = "text" } = await request.json();
    const told = (error) => Response.json({ code: error.code, message: error.message, hint: error.hint });
    if (way === "node") {
      return new Promise((resolve) => {
        const asked = https.request(url, { method: init.method, headers: init.headers }, async (answer) => {
          let text = "";
          for await (const piece of answer) text += piece;
          resolve(Response.json({ status: answer.statusCode, text, headers: answer.headers }));
        });
        asked.on("error", (error) => resolve(told(error)));
        asked.end(init.body);
      });
    }
    try {
      const answer = await fetch(url, init);
      let body = 0;
      if (read === "bytes") for await (const piece of answer.body) body += piece.length;
      else body = await answer.text();
      return Response.json({
        status: answer.status, text: body, url: answer.url, redirected: answer.redirected,
        headers: Object.fromEntries(answer.headers),
      });
    } catch (error) {
      return told(error);
    }
  },
};
`;

interface Told {
  readonly status?: number;
  readonly text?: unknown;
  readonly url?: string;
  readonly redirected?: boolean;
  readonly headers?: Record<string, string>;
  readonly code?: string;
  readonly message?: string;
  readonly hint?: string;
}

let k: TestKernel;
let names: Names;
let upstream: Bun.Server<undefined>;
let elsewhere: Bun.Server<undefined>;
const seen: { path: string; headers: Record<string, string>; body: string }[] = [];

async function answer(request: Request): Promise<Response> {
  const url = new URL(request.url);
  const body = await request.text();
  seen.push({ path: url.pathname, headers: Object.fromEntries(request.headers), body });
  const to = url.searchParams.get("to");
  if (url.pathname === "/redirect") {
    const status = Number(url.searchParams.get("status") ?? "302");
    return new Response(null, { status, headers: { location: to ?? "/" } });
  }
  if (url.pathname === "/loop") return Response.redirect("/loop");
  if (url.pathname === "/gzip") {
    const headers = { "content-encoding": "gzip", "content-type": "text/plain" };
    return new Response(Bun.gzipSync("unpacked"), { headers });
  }
  if (url.pathname === "/fresh") {
    return new Response(crypto.randomUUID(), { headers: { "cache-control": "max-age=60" } });
  }
  if (url.pathname === "/large") {
    let left = 64;
    const piece = new Uint8Array(1024 * 1024);
    return new Response(
      new ReadableStream({
        pull: (out) => (left-- > 0 ? out.enqueue(piece) : out.close()),
      }),
    );
  }
  return new Response(`${request.method} ${url.pathname} ${body}`, {
    headers: { "x-host": request.headers.get("host") ?? "" },
  });
}

beforeAll(async () => {
  names = new Names();
  const resolver = new Resolver();
  resolver.setServers([`127.0.0.1:${await names.open()}`]);
  k = await testKernel({ resolve: (host) => resolver.resolve4(host) });
  upstream = Bun.serve({ port: 0, hostname: "127.0.0.1", fetch: answer });
  elsewhere = Bun.serve({ port: 0, hostname: "127.0.0.1", fetch: answer });
  await deployed(k, "shop", {
    files: { "server.js": server },
    manifest: { server: "server.js", egress: ["*.example.org"] },
  });
});

afterAll(async () => {
  await upstream.stop(true);
  await elsewhere.stop(true);
  names[Symbol.dispose]();
  await k[Symbol.asyncDispose]();
});

/** Lets the app ask for something, and answers what it was told. */
async function ask(what: object, app = "shop"): Promise<Told> {
  const request = new Request("http://shop.localhost/", {
    method: "POST",
    body: JSON.stringify(what),
  });
  const about = { id: "req_1", address: null, userId: null, upgrade: null };
  const response = await k.kernel.proc.fetch(k.kernel.app.get(app), request, about);
  return (await response.json()) as Told;
}

const allow = (host: string, rest: object = {}) =>
  k.call("net.egress.allow", { app: "shop", host, ...rest });

describe("an app reaches what it may", () => {
  test("by fetch and by node:http, with the method, body and Host it asked for", async () => {
    names.set("api.home.arpa", "127.0.0.1");
    const base = `http://api.home.arpa:${upstream.port}`;
    await allow(`api.home.arpa:${upstream.port}`, { near: true });
    for (const way of ["fetch", "node"]) {
      const init = { method: "POST", headers: { "content-type": "text/plain" }, body: "hello" };
      const told = await ask({ url: `${base}/post`, init, way });
      expect(told).toMatchObject({ status: 200, text: "POST /post hello" });
      expect(told.headers?.["x-host"]).toBe(`api.home.arpa:${upstream.port}`);
    }
  });

  test("decoded, with the URL it came from", async () => {
    const url = `http://api.home.arpa:${upstream.port}/gzip`;
    const told = await ask({ url });
    expect(told).toMatchObject({ status: 200, text: "unpacked", url, redirected: false });
    expect(told.headers).not.toHaveProperty("content-encoding");
  });

  test("64 MB stream through while the kernel holds little of it", async () => {
    const url = `http://api.home.arpa:${upstream.port}/large`;
    expect(await ask({ url, read: "bytes" })).toMatchObject({ text: 64 * 1024 * 1024 });
  });

  test("redirects are followed, and bodies go along where the standard says so", async () => {
    const base = `http://api.home.arpa:${upstream.port}`;
    const post = { method: "POST", body: "again" };
    const kept = await ask({ url: `${base}/redirect?status=307&to=/end`, init: post });
    expect(kept).toMatchObject({ text: "POST /end again", url: `${base}/end`, redirected: true });
    const changed = await ask({ url: `${base}/redirect?status=303&to=/end`, init: post });
    expect(changed).toMatchObject({ text: "GET /end " });
    const manual = await ask({ url: `${base}/redirect?to=/end`, init: { redirect: "manual" } });
    expect(manual).toMatchObject({ status: 302, headers: { location: "/end" } });
    const loop = await ask({ url: `${base}/loop` });
    expect(loop).toMatchObject({ code: "EIO" });
    expect(loop.message).toContain("more than 20 redirects");
  });

  test("what a server calls fresh is not asked for again, except by who wants to", async () => {
    const url = `http://api.home.arpa:${upstream.port}/fresh`;
    const first = await ask({ url });
    expect(await ask({ url })).toMatchObject({ status: 200, text: first.text });
    const again = await ask({ url, init: { cache: "no-store" } });
    expect(again.text).not.toBe(first.text);
  });
});

describe("a secret goes where it was given for, and nowhere else", () => {
  beforeAll(async () => {
    const given = { near: true, secretName: "BANK_KEY", secret: "s3cret" };
    await allow(`api.home.arpa:${upstream.port}`, given);
    names.set("other.home.arpa", "127.0.0.1");
    await allow(`other.home.arpa:${elsewhere.port}`, { near: true });
  });

  const init = { headers: { authorization: "Bearer {{BANK_KEY}}", "x-key": "{{BANK_KEY}}" } };

  test("the server sees the value, the app's process has only the name", async () => {
    await ask({ url: `http://api.home.arpa:${upstream.port}/pay`, init });
    expect(seen.at(-1)?.headers).toMatchObject({
      authorization: "Bearer s3cret",
      "x-key": "s3cret",
    });
  });

  test("another host is refused before anything is sent", async () => {
    const before = seen.length;
    const told = await ask({ url: `http://other.home.arpa:${elsewhere.port}/steal`, init });
    expect(told.code).toBe("EACCES");
    expect(told.message).toContain("BANK_KEY");
    expect(seen.length).toBe(before);
  });

  test("a redirect to another host leaves it behind", async () => {
    const to = `http://other.home.arpa:${elsewhere.port}/taken`;
    const url = `http://api.home.arpa:${upstream.port}/redirect?to=${encodeURIComponent(to)}`;
    expect(await ask({ url, init })).toMatchObject({ status: 200 });
    expect(seen.at(-1)?.path).toBe("/taken");
    expect(JSON.stringify(seen.at(-1)?.headers)).not.toContain("s3cret");
    expect(JSON.stringify(seen.at(-1)?.headers)).not.toContain("BANK_KEY");
  });

  test("the list names it and never shows it", async () => {
    const rows = await k.call<{ secrets: string[] }[]>("net.egress.ls", { app: "shop" });
    expect(rows.flatMap(({ secrets }) => secrets)).toEqual(["BANK_KEY"]);
    expect(JSON.stringify(rows)).not.toContain("s3cret");
  });
});

describe("what is near or unknown is out of reach", () => {
  const spellings = [
    "127.0.0.1",
    "2130706433",
    "0177.0.0.1",
    "0x7f000001",
    "0x7f.1",
    "127.1",
    "0",
    "0.0.0.0",
    "10.0.0.1",
    "172.16.0.1",
    "192.168.1.1",
    "100.64.0.1",
    "169.254.169.254",
    "[::1]",
    "[::]",
    "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]",
    "[64:ff9b::7f00:1]",
    "[2002:7f00:1::]",
    "[fe80::1]",
    "[fd00::1]",
    "[fd00:ec2::254]",
    "①②⑦.⓪.⓪.①",
  ];

  test("every spelling of every near address, though the app may reach everything public", async () => {
    await allow("*");
    await allow(`*:${upstream.port}`);
    const before = seen.length;
    for (const host of spellings) {
      const told = await ask({ url: `http://${host}:${upstream.port}/near` });
      expect({ host, code: told.code }).toEqual({ host, code: "EACCES" });
    }
    expect(seen.length).toBe(before);
  });

  test("a name that means a near address, at once or at the second question", async () => {
    const port = upstream.port;
    names.set("near.example.net", "127.0.0.1");
    const told = await ask({ url: `http://near.example.net:${port}/near` });
    expect(told.code).toBe("EACCES");
    // Public when it is looked at, near when it would be connected to: asked for once, so never.
    names.set("rebind.example.net", "192.0.2.1", "127.0.0.1");
    const before = seen.length;
    const first = await ask({ url: `http://rebind.example.net:${port}/near` });
    expect(first.code).toBe("EACCES");
    expect(names.asked.filter((name) => name === "rebind.example.net")).toHaveLength(1);
    const second = await ask({ url: `http://rebind.example.net:${port}/near` });
    expect(second.code).toBe("EACCES");
    expect(seen.length).toBe(before);
  });

  test("a redirect from an allowed host to a near address", async () => {
    const to = `http://127.0.0.1:${elsewhere.port}/inside`;
    const url = `http://api.home.arpa:${upstream.port}/redirect?to=${encodeURIComponent(to)}`;
    const told = await ask({ url });
    expect(told.code).toBe("EACCES");
    expect(seen.at(-1)?.path).toBe("/redirect");
  });

  test("metadata services, whatever the owner says", async () => {
    await expect(allow("169.254.169.254", { near: true })).rejects.toMatchObject({
      code: "EINVAL",
    });
    await expect(allow("127.0.0.1")).rejects.toMatchObject({ code: "EINVAL" });
    names.set("metadata.example.net", "169.254.169.254");
    await allow("metadata.example.net", { near: true });
    const told = await ask({ url: "http://metadata.example.net/latest/meta-data/" });
    expect(told.code).toBe("EACCES");
  });

  test("other schemes, credentials in the URL, and names that are none", async () => {
    expect((await ask({ url: "ftp://api.example.org/" })).code).toBe("EINVAL");
    expect((await ask({ url: "file:///etc/passwd" })).code).toBe("EINVAL");
    expect((await ask({ url: "http://user:pass@api.example.org/" })).code).toBe("EINVAL");
    expect((await ask({ url: "http://absent.example.org/" })).code).toBe("ENOENT");
  });
});

describe("consent", () => {
  test("a host that nobody named is refused with what to do", async () => {
    await deployed(k, "lone", {
      files: { "server.js": server },
      manifest: { server: "server.js" },
    });
    const told = await ask({ url: "https://api.example.com/" }, "lone");
    expect(told.code).toBe("EACCES");
    expect(told.hint).toContain("fazt net egress allow lone api.example.com");
  });

  test("what a manifest asks for counts when the deployer could agree, else it is asked", async () => {
    const files = { "server.js": server };
    const manifest = { server: "server.js", egress: ["api.example.org"] };
    await deployed(k, "agreed", { files, manifest });
    const owned = await ask({ url: "http://api.example.org/" }, "agreed");
    expect(owned.code).toBe("ENOENT");
    const caller = k.kernel.app.get("agreed");
    const release = k.kernel.app.release(caller.releaseId ?? "");
    expect(release.egressAgreed).toBe(true);

    const agent = { kind: "user", via: "token", userId: "usr_1", appId: null } as const;
    const grants = ["app:deploy", "app:read"];
    const from = { ...agent, releaseId: null, grants, address: null };
    const call: TestKernel["call"] = (name, input, options) =>
      k.call(name, input, name === "app.deploy" ? { ...options, from } : options);
    await deployed({ call }, "agent", { files, manifest });
    const told = await ask({ url: "http://api.example.org/" }, "agent");
    expect(told).toMatchObject({ code: "EACCES" });
    expect(told.message).toContain("not agreed");
    const rows = await k.call<{ host: string; state: string }[]>("net.egress.ls", { app: "agent" });
    expect(rows).toMatchObject([{ host: "api.example.org", state: "asked" }]);
  });

  test("the owner's no goes before everything, at once", async () => {
    await k.call("net.egress.deny", { app: "agreed", host: "*.example.org" });
    const told = await ask({ url: "http://api.example.org/" }, "agreed");
    expect(told.message).toContain("denied");
  });

  test("nothing of it is left when the app is removed", async () => {
    await k.call("app.rm", { app: "agreed", purge: true });
    const count = "SELECT count(*) AS n FROM net_egress WHERE host = '*.example.org'";
    expect(k.kernel.storage.read.get<{ n: number }>(count)).toEqual({ n: 0 });
  });
});

test("the app's log tells where it went, and neither path nor header", async () => {
  const lines = k.kernel.storage.logs.query({ app: "shop", limit: 1000, grep: "[egress]" });
  const text = lines.map((line) => line.text).join("\n");
  expect(text).toMatch(/\[egress\] POST api\.home\.arpa:\d+ 200 \d+ bytes \d+ ms/);
  expect(text).not.toContain("/post");
  expect(text).not.toContain("s3cret");
});
