/** Routes of the owner and of manifests, as clients see them and over a restart. */
import { describe, expect, test } from "bun:test";
import { fixture } from "./fixture.ts";

const codeOf = (work: Promise<unknown>): Promise<string | null> =>
  work.then(
    () => null,
    (error: { code: string }) => error.code,
  );

describe("routes of the owner", () => {
  test("an added host is served at once and after a restart; a removed one is not", async () => {
    await using at = fixture();
    const app = at.put({ name: "blog", files: { "/": "hello" } });
    const added = await at.net.routes.add("My.Example.", app.id);
    expect(added).toEqual({ host: "my.example", app: "blog", appId: app.id, origin: "added" });
    expect(await (await at.get("my.example")).text()).toBe("hello");
    expect(at.again().routes.ls()).toEqual(at.net.routes.ls());
    await at.net.routes.rm("my.example");
    expect((await at.get("my.example")).status).toBe(421);
    expect(
      at
        .again()
        .routes.ls()
        .map(({ host }) => host),
    ).toEqual(["blog.localhost"]);
  });

  test("a wildcard stands for one label, after the exact host", async () => {
    await using at = fixture();
    const blog = at.put({ name: "blog", files: { "/": "blog" } });
    const shop = at.put({ name: "shop", files: { "/": "shop" } });
    await at.net.routes.add("*.my.example", blog.id);
    await at.net.routes.add("shop.my.example", shop.id);
    expect(await (await at.get("any.my.example")).text()).toBe("blog");
    expect(await (await at.get("shop.my.example")).text()).toBe("shop");
    expect((await at.get("a.b.my.example")).status).toBe(421);
    expect((await at.get("my.example")).status).toBe(421);
  });

  test("adding: EEXIST, EINVAL, ENOENT; the same again is no change", async () => {
    await using at = fixture();
    const blog = at.put({ name: "blog" });
    const shop = at.put({ name: "shop" });
    const { routes } = at.net;
    await routes.add("a.example", blog.id);
    expect(await codeOf(routes.add("a.example", blog.id))).toBeNull();
    expect(await codeOf(routes.add("A.example.", shop.id))).toBe("EEXIST");
    expect(await codeOf(routes.add("blog.localhost", shop.id))).toBe("EEXIST");
    expect(await codeOf(routes.add("os.localhost", shop.id))).toBe("EEXIST");
    expect(await codeOf(routes.add("http://a.example", shop.id))).toBe("EINVAL");
    expect(await codeOf(routes.add("b.example", "app_none"))).toBe("ENOENT");
  });

  test("two apps asking at once: one has it", async () => {
    await using at = fixture();
    const ids = ["blog", "shop"].map((name) => at.put({ name }).id);
    const codes = await Promise.all(ids.map((id) => codeOf(at.net.routes.add("a.example", id))));
    expect(codes).toEqual([null, "EEXIST"]);
    expect(at.net.routes.ls().find(({ host }) => host === "a.example")?.appId).toBe("app_blog");
  });

  test("removing: ENOENT, EINVAL for what follows from a name or a manifest", async () => {
    await using at = fixture();
    at.put({ name: "blog", routes: ["m.example"] });
    expect(await codeOf(at.net.routes.rm("none.example"))).toBe("ENOENT");
    expect(await codeOf(at.net.routes.rm("blog.localhost"))).toBe("EINVAL");
    expect(await codeOf(at.net.routes.rm("m.example"))).toBe("EINVAL");
    expect(await codeOf(at.net.routes.rm("a b"))).toBe("EINVAL");
  });

  test("a removed app takes its routes with it", async () => {
    await using at = fixture();
    const blog = at.put({ name: "blog" });
    const shop = at.put({ name: "shop" });
    await at.net.routes.add("a.example", blog.id);
    at.remove("blog");
    expect(await codeOf(at.net.routes.add("a.example", shop.id))).toBeNull();
  });
});

describe("routes of manifests", () => {
  test("first come keeps a host over restarts; the conflict is logged once", async () => {
    await using at = fixture();
    at.put({ name: "later", files: { "/": "later" } });
    at.put({ name: "first", files: { "/": "first" }, routes: ["m.example"] });
    at.put({ name: "later", files: { "/": "later" }, routes: ["m.example"] });
    at.put({ name: "later", files: { "/": "later" }, routes: ["m.example"] });
    expect(await (await at.get("m.example")).text()).toBe("first");
    // The claim is written after the switch; a write of our own comes after it.
    await at.storage.write(() => undefined);
    const [route] = at
      .again()
      .routes.ls()
      .filter(({ host }) => host === "m.example");
    expect(route).toMatchObject({ app: "first", origin: "manifest" });
    const lines = at.storage.logs.query({ app: "kernel", grep: "m.example" });
    expect(lines.filter(({ appId }) => appId === "app_later")).toHaveLength(2);
    expect(lines[0]?.text).toBe('cannot route "m.example" to app "later": another app has it');
  });

  test("a release that no longer asks gives the host back", async () => {
    await using at = fixture();
    at.put({ name: "blog", files: { "/": "x" }, routes: ["m.example"] });
    expect((await at.get("m.example")).status).toBe(200);
    at.put({ name: "blog", files: { "/": "x" } });
    expect((await at.get("m.example")).status).toBe(421);
  });

  test("the owner may make a manifest's host a route of its own", async () => {
    await using at = fixture();
    const app = at.put({ name: "blog", files: { "/": "x" }, routes: ["m.example"] });
    await at.net.routes.add("m.example", app.id);
    at.put({ name: "blog", files: { "/": "x" } });
    expect((await at.get("m.example")).status).toBe(200);
  });
});
