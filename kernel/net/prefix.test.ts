/** Parts of hosts: what is within one, and what an app and its visitors see of it. */
import { describe, expect, test } from "bun:test";
import { fixture } from "./fixture.ts";
import { routeName } from "./host.ts";
import { withoutPrefix, withPrefix } from "./prefix.ts";

describe("names of routes", () => {
  test.each([
    ["Example.org/Blog", "example.org/Blog"],
    ["example.org/blog/", "example.org/blog"],
    ["example.org/", "example.org"],
    ["b\u00fccher.example/a/b.c", "xn--bcher-kva.example/a/b.c"],
  ])("%s is %s", (text, name) => expect(routeName(text)).toBe(name));

  test.each([
    ["example.org//blog", "beginning of a path"],
    ["example.org/../x", "beginning of a path"],
    ["example.org/.x", "beginning of a path"],
    ["example.org/a?b", "beginning of a path"],
    ["example.org/a%20b", "beginning of a path"],
    [`example.org/${"a".repeat(300)}`, "beginning of a path"],
    ["*.example.org/blog", "a wildcard has no paths"],
    ["https://example.org/blog", "this is a URL"],
    ["/blog", "not a host name"],
  ])("%s is refused: %s", (text, why) => expect(() => routeName(text)).toThrow(why));
});

test("URLs without a prefix, and places with it", () => {
  expect(withoutPrefix("http://a.example/blog/x?y=/z", "/blog")).toBe("http://a.example/x?y=/z");
  expect(withoutPrefix("https://a.example/blog?y", "/blog")).toBe("https://a.example/?y");
  expect(withPrefix("/x", "/blog")).toBe("/blog/x");
  expect(withPrefix("/blogger", "/blog")).toBe("/blog/blogger");
  for (const other of ["/blog", "/blog/x", "x", "//evil.d/x", "https://a.example/x"]) {
    expect(withPrefix(other, "/blog")).toBe(other);
  }
});

describe("a part of a host", () => {
  test("is its app's, files and server; the longest goes first; the rest is whoever's it was", async () => {
    await using at = fixture();
    const whole = at.put({ name: "whole", files: { "/": "whole", "/blog/a": "hidden" } });
    const serve = (request: Request) =>
      new Response(`${request.url} ${request.headers.get("x-forwarded-prefix")}`);
    const blog = at.put({ name: "blog", files: { "/": "blog", "/a": "a of blog" }, serve });
    const deep = at.put({ name: "deep", files: { "/": "deep" } });
    const say = async (path: string, init?: RequestInit) => {
      const response = await at.get("example.org", path, init);
      return response.status === 200 ? await response.text() : response.status;
    };
    await at.net.routes.add("example.org/blog", blog.id);
    expect(await say("/")).toBe(404);
    await at.net.routes.add("example.org", whole.id);
    expect(await say("/blog/a")).toBe("a of blog");
    await at.net.routes.add("example.org/blog/deep", deep.id);
    for (let n = 0; n < 2; n++) {
      expect(await say("/")).toBe("whole");
      expect(await say("/blog/")).toBe("blog");
      expect(await say("/blog/a")).toBe("a of blog");
      expect(await say("/blog/deep/")).toBe("deep");
      expect(await say("/blogger")).toBe(404);
      expect(await say("/x/../blog/a")).toBe("a of blog");
    }
    const lie = { headers: { "x-forwarded-prefix": "/evil" } };
    expect(await say("/blog/s?q=1", lie)).toBe("http://example.org/s?q=1 /blog");
    const front = await at.get("example.org", "/blog?q=1");
    expect(front.status).toBe(308);
    expect(front.headers.get("location")).toBe("/blog/?q=1");
    expect(at.net.routes.ls().map(({ host }) => host)).toContain("example.org/blog/deep");
    await at.net.routes.rm("example.org/blog/deep");
    await at.net.routes.rm("example.org/blog");
    expect(await say("/blog/a")).toBe("hidden");
  });

  test("where its app leads is below it; nobody else can take it, and the system's has none", async () => {
    await using at = fixture();
    const to = { "/up": "/x", "/there": "https://a.example/x", "/own": "/blog/x" };
    const blog = at.put({
      name: "blog",
      serve: (request) => {
        const path = new URL(request.url).pathname as keyof typeof to;
        return new Response(null, { status: 302, headers: { location: to[path] } });
      },
    });
    const other = at.put({ name: "other", files: { "/": "other" } });
    await at.net.routes.add("example.org/blog", blog.id);
    const location = async (path: string) =>
      (await at.get("example.org", path)).headers.get("location");
    expect(await location("/blog/up")).toBe("/blog/x");
    expect(await location("/blog/there")).toBe("https://a.example/x");
    expect(await location("/blog/own")).toBe("/blog/x");
    const taken = at.net.routes.add("example.org/blog/", other.id);
    await expect(taken).rejects.toMatchObject({ code: "EEXIST" });
    const system = at.net.routes.add("os.localhost/x", other.id);
    await expect(system).rejects.toMatchObject({ code: "EEXIST" });
    const redirect = at.net.redirects.add({
      host: "example.org",
      to: "x.example",
      permanent: true,
    });
    await expect(redirect).rejects.toMatchObject({ code: "EEXIST" });
  });
});

describe("other names of an app", () => {
  test("lead to its primary one, live, and no longer when it is gone", async () => {
    await using at = fixture({ domain: "cloud.example" });
    const blog = at.put({ name: "blog", files: { "/": "blog", "/a": "a" } });
    for (const host of ["blog.example", "old.example", "*.tenants.example"]) {
      await at.net.routes.add(host, blog.id);
    }
    const where = async (host: string) => {
      const response = await at.get(`${host}:${at.port}`, "/a?q=1");
      return response.headers.get("location") ?? (await response.text());
    };
    expect(await where("old.example")).toBe("a");
    await at.net.primaries.set(blog, "blog.example");
    expect(at.net.primaries.ls()).toEqual([{ app: "blog", host: "blog.example" }]);
    const there = `http://blog.example:${at.port}/a?q=1`;
    expect(await where("old.example")).toBe(there);
    expect(await where("blog.cloud.example")).toBe(there);
    expect(await where("blog.example")).toBe("a");
    expect(await where("x.tenants.example")).toBe("a");
    const alien = at.net.primaries.set(blog, "alien.example");
    await expect(alien).rejects.toMatchObject({ code: "EINVAL" });
    await at.net.routes.rm("blog.example");
    expect(await where("old.example")).toBe("a");
    await at.net.routes.add("blog.example", blog.id);
    expect(await where("old.example")).toBe(there);
    await at.net.primaries.set(blog, null);
    expect(await where("old.example")).toBe("a");
  });

  test("www. leads to the name without it where only that is routed; else it is its own", async () => {
    await using at = fixture();
    const blog = at.put({ name: "blog", files: { "/": "blog" } });
    await at.net.routes.add("example.org", blog.id);
    const first = await at.get("www.example.org", "/?q=1");
    expect([first.status, first.headers.get("location")]).toEqual([308, "http://example.org/?q=1"]);
    expect((await at.get("www.other.example")).status).toBe(421);
    expect((await at.get("www.www.example.org")).status).toBe(421);
    await at.net.routes.add("www.example.org", blog.id);
    expect(await (await at.get("www.example.org")).text()).toBe("blog");
    await at.net.routes.rm("example.org");
    await at.net.redirects.add({ host: "example.org", to: "www.example.org", permanent: true });
    const back = await at.get("example.org");
    expect(back.headers.get("location")).toBe("https://www.example.org/");
  });

  test("the bare name leads to a www. that is routed, and either one to the primary host", async () => {
    await using at = fixture();
    const blog = at.put({ name: "blog", files: { "/": "blog" } });
    await at.net.routes.add("www.example.org", blog.id);
    const where = async (host: string) => {
      const { status, headers } = await at.get(host, "/a?q");
      return [status, headers.get("location")];
    };
    expect(await where("example.org")).toEqual([308, "http://www.example.org/a?q"]);
    expect(await where("org")).toEqual([421, null]);
    await at.net.routes.add("other.example", blog.id);
    await at.net.primaries.set(blog, "other.example");
    expect(await where("example.org")).toEqual([308, "http://other.example/a?q"]);
    expect(await where("www.other.example")).toEqual([308, "http://other.example/a?q"]);
    expect(await where("other.example")).toEqual([404, null]);
  });
});
