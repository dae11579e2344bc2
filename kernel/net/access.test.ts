/** The access log: complete, cheap, bounded, and without anything that may be secret. */
import { describe, expect, test } from "bun:test";
import { fixture } from "./fixture.ts";

/** The access lines of a fixture, once it has been closed (which writes them). */
async function linesOf(at: ReturnType<typeof fixture>) {
  await at.net.close();
  const lines = at.storage.logs.query({ app: "access", limit: 10_000 });
  return lines.map(({ text, level, appId }) => ({ level, appId, line: JSON.parse(text) }));
}

describe("the access log", () => {
  test("one line a request, without query, address or headers", async () => {
    await using at = fixture();
    const serve = () => new Response("made", { status: 201, headers: { "content-length": "4" } });
    at.put({ name: "api", serve });
    const response = await at.get("api.localhost", "/things?token=secret", {
      method: "POST",
      body: "x",
      headers: { authorization: "Bearer secret" },
    });
    const [first, ...rest] = await linesOf(at);
    expect(rest).toEqual([]);
    expect(first).toMatchObject({ level: "info", appId: "app_api" });
    const { ms, ...line } = first?.line ?? {};
    expect(ms).toBeNumber();
    expect(line).toEqual({
      id: response.headers.get("x-request-id"),
      host: "api.localhost",
      method: "POST",
      path: "/things",
      status: 201,
      bytes: 4,
      app: "api",
    });
    expect(JSON.stringify(first)).not.toContain("secret");
    expect(JSON.stringify(first)).not.toContain("127.0.0.1");
  });

  test("a long path is cut, and says so", async () => {
    await using at = fixture();
    at.put({ name: "api", serve: () => new Response("x") });
    await at.get("api.localhost", `/${"a".repeat(2000)}`);
    const [first] = await linesOf(at);
    expect(first?.line.path).toBe(`/${"a".repeat(511)}…`);
  });

  test("every file is counted: alike ones in one line", async () => {
    await using at = fixture();
    at.put({ name: "blog", files: { "/": "hello", "/b": "bye" } });
    for (let i = 0; i < 20; i++) await (await at.get("blog.localhost")).text();
    await (await at.get("blog.localhost", "/", { method: "HEAD" })).text();
    await (await at.get("blog.localhost", "/b")).text();
    const lines = (await linesOf(at)).map(({ line }) => line);
    const count = (path: string) =>
      lines.filter((line) => line.path === path).reduce((sum, { n = 1 }) => sum + n, 0);
    expect(count("/")).toBe(21);
    expect(count("/b")).toBe(1);
    expect(lines.length).toBeLessThan(22);
    expect(lines.filter((line) => line.method === "HEAD")).toHaveLength(1);
  });

  test("what fails is an error line; what has no app says null", async () => {
    await using at = fixture();
    const broken = () => {
      throw new Error("x");
    };
    at.put({ name: "bad", serve: broken });
    await at.get("bad.localhost");
    await at.get("evil.d");
    const seen = (await linesOf(at)).map(({ level, line }) => [level, line.status, line.app]);
    expect(seen).toEqual([
      ["error", 502, "bad"],
      ["info", 421, null],
    ]);
  });

  test("a flood of different paths is gathered, and none is lost from the count", async () => {
    await using at = fixture();
    at.put({ name: "api", serve: () => new Response("x") });
    const many = 1500;
    for (let i = 0; i < many; i += 50) {
      const batch = Array.from({ length: 50 }, (_, k) => at.get("api.localhost", `/${i + k}`));
      await Promise.all((await Promise.all(batch)).map((response) => response.text()));
    }
    const lines = await linesOf(at);
    expect(lines.reduce((sum, { line }) => sum + (line.n ?? 1), 0)).toBe(many);
  });
});
