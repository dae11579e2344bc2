/** Redirects and resting apps through the listener: at once, for that host and app alone. */
import { describe, expect, test } from "bun:test";
import { fixture } from "../fixture.ts";
import { targetOf } from "./rule.ts";

const files = { "/a.txt": "hello" };
const codeOf = (work: Promise<unknown>): Promise<unknown> =>
  work.then(
    () => null,
    (error: { code: string }) => error.code,
  );

describe("redirects", () => {
  test("lead elsewhere with path and query, at once, and no more when removed", async () => {
    await using at = fixture({ domain: "d.example" });
    at.put({ name: "blog", files, routes: ["x.example"] });
    // The short way, which must not be taken any more.
    for (let i = 0; i < 3; i++) expect((await at.get("blog.d.example", "/a.txt")).status).toBe(200);
    const add = (host: string, to: string, permanent = true) =>
      at.net.redirects.add({ host, to, permanent });
    await add("www.x.example", "x.example");
    await add("BLOG.d.example", "https://x.example:8443", false);
    const asked = async (host: string) => {
      const response = await at.get(host, "/a.txt?q=1");
      return [response.status, response.headers.get("location")];
    };
    expect(await asked("www.x.example")).toEqual([308, "https://x.example/a.txt?q=1"]);
    expect(await asked("blog.d.example")).toEqual([307, "https://x.example:8443/a.txt?q=1"]);
    expect(await asked("x.example")).toEqual([200, null]);
    const again = at.again();
    expect(again.redirects.ls().map(({ host }) => host)).toEqual([
      "blog.d.example",
      "www.x.example",
    ]);
    await again.close();
    await at.net.redirects.rm("blog.d.example");
    expect((await at.get("blog.d.example", "/a.txt")).status).toBe(200);
  });

  test("are refused for what is routed, the system's own, a wildcard, and a circle", async () => {
    await using at = fixture({ domain: "d.example" });
    at.put({ name: "blog", files, routes: ["x.example"] });
    const add = (host: string, to: string) =>
      codeOf(at.net.redirects.add({ host, to, permanent: true }));
    expect(await add("x.example", "y.example")).toBe("EEXIST");
    expect(await add("os.d.example", "y.example")).toBe("EEXIST");
    expect(await add("*.z.example", "y.example")).toBe("EINVAL");
    expect(await add("z.example", "z.example")).toBe("EINVAL");
    expect(await codeOf(at.net.redirects.rm("z.example"))).toBe("ENOENT");
  });

  test("keep their host: a route there would answer nobody", async () => {
    await using at = fixture({ domain: "d.example" });
    const app = at.put({ name: "blog", files });
    await at.net.redirects.add({ host: "www.x.example", to: "x.example", permanent: true });
    const route = (host: string) => at.net.routes.add(host, app.id);
    expect(await codeOf(route("www.x.example"))).toBe("EEXIST");
    expect(await codeOf(route("www.x.example/blog"))).toBe("EEXIST");
    await at.net.redirects.rm("www.x.example");
    expect(await route("www.x.example")).toMatchObject({ origin: "added" });
  });

  test.each([
    ["example.org", "https://example.org"],
    ["http://example.org:8080", "http://example.org:8080"],
    ["EXAMPLE.org/", "https://example.org"],
  ])("%s is %s", (text, to) => {
    expect(targetOf(text)).toBe(to);
  });

  test.each(["", "a b", "https://x.org/path", "x.org?q", "https://u:p@x.org", "ftp://x.org"])(
    "%p is no target",
    (text) => {
      expect(() => targetOf(text)).toThrow("not a host");
    },
  );
});

test("an app that rests shows a page with 503 at every host, and then answers again", async () => {
  await using at = fixture({ domain: "d.example" });
  const app = at.put({
    name: "blog",
    files,
    routes: ["x.example"],
    serve: () => new Response("app"),
  });
  at.put({ name: "shop", files });
  expect((await at.get("x.example", "/a.txt")).status).toBe(200);
  await at.net.rests.set(app.id, 120);
  for (const [host, path] of [
    ["x.example", "/a.txt"],
    ["blog.d.example", "/app"],
  ] as const) {
    const response = await at.get(host, path);
    expect([response.status, response.headers.get("retry-after")]).toEqual([503, "120"]);
  }
  expect((await at.get("shop.d.example", "/a.txt")).status).toBe(200);
  expect(at.net.rests.ls()).toEqual([{ appId: app.id, retryAfterS: 120 }]);
  await at.net.rests.set(app.id, null);
  expect(await (await at.get("x.example", "/a.txt")).text()).toBe("hello");
});
