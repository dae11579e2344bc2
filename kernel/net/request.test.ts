/** From a request to who answers it, over a real connection, with raw bytes where it matters. */
import { describe, expect, test } from "bun:test";
import { bodyOf, fixture, head, raw, statusOf } from "./fixture.ts";

describe("the Host picks who answers", () => {
  test("an app by its name, in any spelling", async () => {
    await using at = fixture();
    at.put({ name: "blog", files: { "/": "hello" } });
    for (const host of ["blog.localhost", `BLOG.localhost:${at.port}`, "blog.localhost."]) {
      const response = await at.get(host);
      expect([host, response.status, await response.text()]).toEqual([host, 200, "hello"]);
    }
  });

  test("an unknown host gets 421 and learns no name", async () => {
    await using at = fixture();
    at.put({ name: "blog", files: { "/": "hello" } });
    for (const host of ["blo.localhost", "blog.localhost.evil.d", "a.blog.localhost", "evil.d"]) {
      const response = await at.get(host);
      const text = await response.text();
      expect([host, response.status]).toEqual([host, 421]);
      expect(text).not.toContain("blog");
      expect(text).not.toContain("evil");
    }
  });

  test("the OS host goes to the OS, also as os.localhost on this machine", async () => {
    await using at = fixture({ domain: "cloud.example" });
    for (const host of ["os.cloud.example", "os.localhost"]) {
      const told: unknown = await (await at.get(host, "/x?y=1")).json();
      const address = "127.0.0.1";
      expect(told).toMatchObject({ os: true, address, unclaimed: false, secure: false });
    }
    expect((await at.get("os.other.example")).status).toBe(421);
  });

  test("the bare domain: the landing page, or the app routed to it", async () => {
    await using at = fixture({ domain: "cloud.example" });
    const page = await at.get("cloud.example");
    expect(page.status).toBe(200);
    expect(await page.text()).toContain(`http://os.cloud.example:${at.port}/`);
    expect((await at.get("cloud.example", "/x")).status).toBe(404);
    const app = at.put({ name: "blog", files: { "/": "hello" } });
    await at.net.routes.add("cloud.example", app.id);
    expect(await (await at.get("cloud.example")).text()).toBe("hello");
  });

  test("an unclaimed machine answers every host with the OS; a claimed one stops at once", async () => {
    await using at = fixture({ domain: null });
    at.put({ name: "blog", files: { "/": "hello" } });
    for (const host of ["blog.localhost", "203.0.113.7", "x.example"]) {
      expect(await (await at.get(host)).json()).toMatchObject({ os: true, unclaimed: true });
    }
    at.own("cloud.example");
    expect((await at.get("x.example")).status).toBe(421);
    expect(await (await at.get("blog.cloud.example")).text()).toBe("hello");
    expect(at.net.urlOf("blog")).toBe(`http://blog.cloud.example:${at.port}/`);
  });

  test("health answers on any host, even on none", async () => {
    await using at = fixture();
    expect(await (await at.get("evil.d", "/sys/health")).json()).toMatchObject({ os: true });
    const answer = await raw(at.port, head("GET /sys/health HTTP/1.0"));
    expect(JSON.parse(bodyOf(answer))).toMatchObject({ url: "http://localhost/sys/health" });
    expect((await at.get("evil.d", "/sys/health/x")).status).toBe(421);
  });

  test("a change of the apps is seen by the next request", async () => {
    await using at = fixture();
    at.put({ name: "blog", files: { "/": "one" } });
    expect(await (await at.get("blog.localhost")).text()).toBe("one");
    expect(await (await at.get("blog.localhost")).text()).toBe("one");
    at.put({ name: "blog", files: { "/": "two" } });
    expect(await (await at.get("blog.localhost")).text()).toBe("two");
    at.remove("blog");
    expect((await at.get("blog.localhost")).status).toBe(421);
  });
});

describe("what does not name one host is refused", () => {
  test.each([
    ["repeated", ["Host: blog.localhost", "Host: evil.d"]],
    ["repeated alike", ["Host: blog.localhost", "Host: blog.localhost"]],
    ["with a path", ["Host: blog.localhost/x"]],
    ["with a user", ["Host: u@blog.localhost"]],
    ["empty", ["Host:"]],
    ["with a bad port", ["Host: blog.localhost:http"]],
    ["not ASCII", ["Host: bl\u00f6g.localhost"]],
    ["missing in HTTP/1.1", []],
    ["with a space before the colon", ["Host : blog.localhost"]],
  ])("%s: 400", async (_name, headers) => {
    await using at = fixture();
    at.put({ name: "blog", files: { "/": "hello" } });
    await at.get("blog.localhost");
    expect(statusOf(await raw(at.port, head("GET / HTTP/1.1", ...headers)))).toBe(400);
  });

  test("HTTP/1.0 without a Host is 400, with one it is served", async () => {
    await using at = fixture();
    at.put({ name: "blog", files: { "/": "hello" } });
    expect(statusOf(await raw(at.port, head("GET / HTTP/1.0")))).toBe(400);
    const answer = await raw(at.port, head("GET / HTTP/1.0", "Host: blog.localhost"));
    expect(bodyOf(answer)).toBe("hello");
  });

  test("the target of a request never outweighs its Host", async () => {
    await using at = fixture();
    at.put({ name: "blog", files: { "/p": "blog's", "//shop.localhost/p": "odd" } });
    at.put({ name: "shop", files: { "/p": "shop's" } });
    const absolute = head("GET http://shop.localhost/p HTTP/1.1", "Host: blog.localhost");
    expect(bodyOf(await raw(at.port, absolute))).toBe("blog's");
    const slashes = head("GET //shop.localhost/p HTTP/1.1", "Host: blog.localhost");
    expect(bodyOf(await raw(at.port, slashes))).toBe("odd");
  });

  test.each([
    ["CONNECT evil.d:443 HTTP/1.1", 400],
    ["TRACE / HTTP/1.1", 405],
    ["OPTIONS * HTTP/1.1", 400],
    ["GET nowhere HTTP/1.1", 400],
  ])("%s: %p", async (line, status) => {
    await using at = fixture();
    at.put({ name: "blog", serve: () => new Response("reached") });
    expect(statusOf(await raw(at.port, head(line, "Host: blog.localhost")))).toBe(status);
  });

  test("two lengths of one body: 400, and the app is not asked", async () => {
    await using at = fixture();
    let asked = 0;
    at.put({
      name: "api",
      serve: () => {
        asked++;
        return new Response("reached");
      },
    });
    const line = "POST / HTTP/1.1";
    const host = "Host: api.localhost";
    const doubtful = [
      ["Content-Length: 3", "Content-Length: 4"],
      ["Content-Length: 5", "Content-Length: 5"],
      ["Content-Length: 3", "Transfer-Encoding: chunked"],
      ["Transfer-Encoding: chunked, identity"],
      ["Content-Length: -1"],
      ["Content-Length: 1_0"],
    ];
    for (const headers of doubtful) {
      const answer = await raw(at.port, `${head(line, host, ...headers)}0\r\n\r\n`);
      expect([headers, statusOf(answer)]).toEqual([headers, 400]);
    }
    expect(asked).toBe(0);
  });

  test("a head that is too large: 431", async () => {
    await using at = fixture();
    const long = head("GET / HTTP/1.1", "Host: os.localhost", `X: ${"a".repeat(20_000)}`);
    expect(statusOf(await raw(at.port, long))).toBe(431);
  });
});

describe("files and the server of an app", () => {
  test("a file goes before the server; what is no file goes to it", async () => {
    await using at = fixture();
    at.put({
      name: "app",
      files: { "/a.txt": "file" },
      serve: (request) => new Response(`server ${request.method}`),
    });
    expect(await (await at.get("app.localhost", "/a.txt")).text()).toBe("file");
    expect(await (await at.get("app.localhost", "/a.txt", { method: "POST" })).text()).toBe(
      "server POST",
    );
    expect(await (await at.get("app.localhost", "/b.txt")).text()).toBe("server GET");
  });

  test("a site without a server: its 404 page, the kernel's, 405 for writing", async () => {
    await using at = fixture();
    at.put({ name: "own", files: { "/404.html": "ours" } });
    at.put({ name: "plain", files: { "/": "x" } });
    const own = await at.get("own.localhost", "/nope");
    expect([own.status, await own.text()]).toEqual([404, "ours"]);
    const plain = await at.get("plain.localhost", "/nope");
    expect(plain.status).toBe(404);
    expect(await plain.text()).not.toContain("nope");
    const post = await at.get("plain.localhost", "/", { method: "POST", body: "x" });
    expect([post.status, post.headers.get("allow")]).toEqual([405, "GET, HEAD"]);
  });

  test("an app that was never deployed says so", async () => {
    await using at = fixture();
    at.put({ name: "new", deployed: false });
    const response = await at.get("new.localhost");
    expect([response.status, (await response.text()).includes("not been deployed")]).toEqual([
      404,
      true,
    ]);
  });

  test("HEAD of a file has no body, and keeps the connection good", async () => {
    await using at = fixture();
    at.put({ name: "blog", files: { "/": "hello" } });
    const first = "HEAD / HTTP/1.1\r\nHost: blog.localhost\r\n\r\n";
    const second = head("GET / HTTP/1.1", "Host: blog.localhost");
    const answer = await raw(at.port, first + second);
    expect(answer.match(/HTTP\/1\.1 200/g)).toHaveLength(2);
    expect(answer.match(/hello/g)).toHaveLength(1);
  });

  test("an app that throws costs its request alone, and the log has the cause", async () => {
    await using at = fixture();
    at.put({
      name: "bad",
      serve: () => {
        throw new Error("secret cause");
      },
    });
    const response = await at.get("bad.localhost");
    const text = await response.text();
    const id = response.headers.get("x-request-id") ?? "none";
    expect(response.status).toBe(502);
    expect(text).toContain(id);
    expect(text).not.toContain("secret");
    const lines = at.storage.logs.query({ app: "kernel", grep: id });
    expect(lines.map((line) => line.text.includes("secret cause"))).toEqual([true]);
  });

  test("100 requests at once, each its own answer", async () => {
    await using at = fixture();
    at.put({ name: "echo", serve: async (request) => new Response(await request.text()) });
    const answers = await Promise.all(
      Array.from({ length: 100 }, async (_, i) => {
        const body = `${i}`.repeat(1000);
        const response = await at.get("echo.localhost", `/${i}`, { method: "POST", body });
        return (await response.text()) === body;
      }),
    );
    expect(answers.every(Boolean)).toBe(true);
  });
});

describe("ids and counts", () => {
  test("every answer has an id of the kernel's own; ids sort by time", async () => {
    await using at = fixture();
    at.put({ name: "blog", files: { "/": "hello" } });
    const ids: string[] = [];
    for (let i = 0; i < 5; i++) {
      const response = await at.get("blog.localhost", "/", { headers: { "x-request-id": "mine" } });
      ids.push(response.headers.get("x-request-id") ?? "");
    }
    expect(new Set(ids).size).toBe(5);
    expect([...ids].sort()).toEqual(ids);
    expect(ids).not.toContain("mine");
    expect(ids[0]).toMatch(/^[0-9a-v]{13}$/);
  });

  test("status counts answers by class and by time", async () => {
    await using at = fixture();
    at.put({ name: "blog", files: { "/": "hello" } });
    await at.get("blog.localhost");
    await at.get("blog.localhost");
    await at.get("evil.d");
    const { requests, byClass, latency, http } = at.net.status();
    expect(requests).toBe(3);
    expect(byClass).toEqual({ "1xx": 0, "2xx": 2, "3xx": 0, "4xx": 1, "5xx": 0 });
    expect(latency.reduce((sum, bucket) => sum + bucket.count, 0)).toBe(3);
    expect(http).toBe(`http://127.0.0.1:${at.port}`);
  });
});
