/** One process: requests, bodies, streams, output, death; all in the real sandbox. */
import { describe, expect, test } from "bun:test";
import { meta, sandbox, stage } from "./fixture.ts";

const url = "http://test.localhost/";
const get = (path = "") => new Request(url + path);

describe("requests", () => {
  test("hello, with what the app is told of the request", async () => {
    await using place = stage();
    const app = place.spawn(`export default (request, context) => Response.json({
      method: request.method, url: request.url, id: request.headers.get("x-request-id"),
      for: request.headers.get("x-forwarded-for"), proto: request.headers.get("x-forwarded-proto"),
      hop: request.headers.get("connection"), accept: request.headers.get("accept"),
      app: context.app, release: context.release, ip: context.ip, user: context.user })`);
    await app.ready;
    const headers = {
      accept: "a/b",
      connection: "x",
      "x-request-id": "forged",
      "x-forwarded-for": "6.6.6.6",
    };
    const reply = await app.fetch(new Request(`${url}a?b=c`, { headers }), meta);
    expect(reply.status).toBe(200);
    expect(reply.headers.get("content-type")).toBe("application/json;charset=utf-8");
    expect(await reply.json()).toEqual({
      method: "GET",
      url: `${url}a?b=c`,
      id: "req_1",
      for: "192.0.2.7",
      proto: "http",
      hop: null,
      accept: "a/b",
      app: "test",
      release: "rel_1",
      ip: "192.0.2.7",
      user: null,
    });
  });

  test("a string body says what it is; several cookies stay several", async () => {
    await using place = stage();
    const app = place.spawn(`export default { fetch: () => new Response("héllo", { status: 201,
      headers: [["set-cookie", "a=1"], ["set-cookie", "b=2"], ["connection", "close"]] }) }`);
    const reply = await app.ready.then(() => app.fetch(get(), meta));
    expect(reply.status).toBe(201);
    expect(reply.headers.get("content-type")).toBe("text/plain;charset=utf-8");
    expect(reply.headers.getSetCookie()).toEqual(["a=1", "b=2"]);
    expect(reply.headers.get("connection")).toBeNull();
    expect(await reply.text()).toBe("héllo");
  });
});
