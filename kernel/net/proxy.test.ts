/** Headers and bodies between a client and an app, over a real connection. */
import { describe, expect, test } from "bun:test";
import { connect } from "node:net";
import { bodyOf, fixture, head, raw, statusOf } from "./fixture.ts";
import { bodyBytesMax, inFlightMax, uploadBytesMax } from "./limits.ts";
import { bodyAllowance } from "./proxy.ts";

const megabyte = new Uint8Array(1024 * 1024);

/** `count` megabytes without a length, so that they travel in chunks. */
function chunks(count: number): ReadableStream<Uint8Array> {
  let sent = 0;
  return new ReadableStream({
    pull: (to) => {
      if (sent++ === count) to.close();
      else to.enqueue(megabyte);
    },
  });
}

const drink = async (request: Request): Promise<number> => {
  let size = 0;
  if (request.body !== null) for await (const part of request.body) size += part.byteLength;
  return size;
};

describe("headers on the way to an app", () => {
  test("what a client says of its origin is not handed on", async () => {
    await using at = fixture();
    at.put({ name: "echo", serve: (request) => Response.json([...request.headers]) });
    const response = await at.get("echo.localhost", "/", {
      headers: {
        "x-forwarded-for": "6.6.6.6",
        "X-Forwarded-Proto": "https",
        "x-forwarded-anything": "evil",
        "x-fazt-user": "root",
        forwarded: "for=6.6.6.6",
        "x-real-ip": "6.6.6.6",
        "cf-connecting-ip": "6.6.6.6",
        "x-request-id": "6.6.6.6",
        authorization: "Bearer theirs",
        cookie: "a=1",
      },
    });
    const seen = Object.fromEntries((await response.json()) as [string, string][]);
    expect(JSON.stringify(seen)).not.toContain("6.6.6.6");
    expect(JSON.stringify(seen)).not.toContain("evil");
    expect(seen).toMatchObject({
      host: "echo.localhost",
      authorization: "Bearer theirs",
      cookie: "a=1",
    });
    expect(seen["x-fazt-user"]).toBeUndefined();
  });

  test("headers that belong to the connection stay on it, whichever it names", async () => {
    await using at = fixture();
    at.put({ name: "echo", serve: (request) => Response.json([...request.headers.keys()]) });
    const request = head(
      "GET / HTTP/1.1",
      "Host: echo.localhost",
      "Connection: x-hop, host",
      "X-Hop: 1",
      "X-Stays: 1",
    );
    const names = JSON.parse(bodyOf(await raw(at.port, request))) as string[];
    expect(names).toContain("host");
    expect(names).toContain("x-stays");
    expect(names).not.toContain("x-hop");
  });

  test("a body that means nothing has no length either", async () => {
    await using at = fixture();
    at.put({
      name: "echo",
      serve: async (request) =>
        Response.json([request.headers.get("content-length"), await request.text()]),
    });
    for (const [line, length] of [
      ["GET / HTTP/1.1", "Content-Length: 5"],
      ["GET / HTTP/1.1", "Content-Length: 0"],
    ] as const) {
      const answer = await raw(at.port, `${head(line, "Host: echo.localhost", length)}hello`);
      expect(bodyOf(answer)).toBe('[null,""]');
    }
  });

  test("the path reaches the app byte for byte", async () => {
    await using at = fixture();
    at.put({ name: "echo", serve: (request) => new Response(request.url) });
    const target = "/a%2Fb/%41/%E2%82%AC//d;x=1?q=%2e%2e/&r=a+b%20c";
    const answer = await raw(at.port, head(`GET ${target} HTTP/1.1`, "Host: echo.localhost"));
    expect(bodyOf(answer)).toBe(`http://echo.localhost${target}`);
  });

  test("several Set-Cookie headers stay several", async () => {
    await using at = fixture();
    const headers = new Headers([
      ["set-cookie", "a=1"],
      ["set-cookie", "b=2"],
    ]);
    at.put({ name: "c", serve: () => new Response("x", { headers }) });
    expect((await at.get("c.localhost")).headers.getSetCookie()).toEqual(["a=1", "b=2"]);
  });
});

describe("bodies on the way to an app", () => {
  test("how many bytes, by the kind of content", () => {
    expect(bodyAllowance(null)).toBe(bodyBytesMax);
    expect(bodyAllowance("application/json")).toBe(bodyBytesMax);
    expect(bodyAllowance("text/plain; x=image/png")).toBe(bodyBytesMax);
    expect(bodyAllowance("Multipart/Form-Data; boundary=x")).toBe(uploadBytesMax);
    expect(bodyAllowance("application/octet-stream")).toBe(uploadBytesMax);
    expect(bodyAllowance("video/mp4")).toBe(uploadBytesMax);
  });

  test("a length over the limit is refused before a byte of it, and the app is not asked", async () => {
    await using at = fixture();
    let asked = false;
    at.put({
      name: "up",
      serve: () => {
        asked = true;
        return new Response("x");
      },
    });
    const declare = (length: number, type: string) =>
      head(
        "POST / HTTP/1.1",
        "Host: up.localhost",
        `Content-Length: ${length}`,
        `Content-Type: ${type}`,
      );
    const json = await raw(at.port, declare(bodyBytesMax + 1, "application/json"));
    expect(statusOf(json)).toBe(413);
    const upload = await raw(at.port, declare(uploadBytesMax + 1, "application/octet-stream"));
    expect(statusOf(upload)).toBe(413);
    // The rest of such a body is not waited for, whatever the client asks.
    const kept = `POST / HTTP/1.1\r\nHost: up.localhost\r\nContent-Length: ${bodyBytesMax + 1}\r\n\r\n`;
    expect(statusOf(await raw(at.port, kept))).toBe(413);
    expect(asked).toBe(false);
  });

  test("a body in chunks is counted as it flows: 10 MB pass, 11 do not", async () => {
    await using at = fixture();
    at.put({ name: "up", serve: async (request) => new Response(`${await drink(request)}`) });
    const good = await at.get("up.localhost", "/", { method: "POST", body: chunks(10) });
    expect(await good.text()).toBe(`${bodyBytesMax}`);
    const bad = await at.get("up.localhost", "/", { method: "POST", body: chunks(11) });
    expect(bad.status).toBe(413);
    expect((await at.get("up.localhost", "/", { method: "POST", body: "ok" })).status).toBe(200);
  });

  test("an upload may have 100 MB, and is not held", async () => {
    await using at = fixture();
    let most = 0;
    const before = process.memoryUsage.rss();
    at.put({
      name: "up",
      serve: async (request) => {
        let size = 0;
        for await (const part of request.body ?? []) {
          size += part.byteLength;
          most = Math.max(most, process.memoryUsage.rss() - before);
        }
        return new Response(`${size}`);
      },
    });
    const headers = { "content-type": "application/octet-stream" };
    const init = { method: "POST", body: chunks(100), headers };
    const response = await at.get("up.localhost", "/", init);
    expect(await response.text()).toBe(`${uploadBytesMax}`);
    // Client and server are one process here; held whole, it would be 100 MB more, twice.
    expect(most).toBeLessThan(80 * 1024 * 1024);
  });

  test("a GET with a body is answered, and its body is nobody's", async () => {
    await using at = fixture();
    at.put({ name: "up", serve: (request) => new Response(request.method) });
    const chunked = head("GET / HTTP/1.1", "Host: up.localhost", "Transfer-Encoding: chunked");
    expect(bodyOf(await raw(at.port, `${chunked}3\r\nabc\r\n0\r\n\r\n`))).toBe("GET");
  });

  test("a client that goes away aborts the request of the app", async () => {
    await using at = fixture();
    const started = Promise.withResolvers<void>();
    const aborted = Promise.withResolvers<void>();
    at.put({
      name: "slow",
      serve: (request) => {
        request.signal.addEventListener("abort", () => aborted.resolve());
        started.resolve();
        return aborted.promise.then(() => new Response("late"));
      },
    });
    const socket = connect(at.port, "127.0.0.1");
    socket.write(head("GET / HTTP/1.1", "Host: slow.localhost"));
    await started.promise;
    socket.destroy();
    await aborted.promise;
  });
});

test("an answer streams: its first event is there before its last is made", async () => {
  await using at = fixture();
  const seen = Promise.withResolvers<void>();
  const body = new ReadableStream({
    start: async (to) => {
      to.enqueue(new TextEncoder().encode("data: 1\n\n"));
      await seen.promise;
      to.enqueue(new TextEncoder().encode("data: 2\n\n"));
      to.close();
    },
  });
  const headers = { "content-type": "text/event-stream" };
  at.put({ name: "sse", serve: () => new Response(body, { headers }) });
  const reader = (await at.get("sse.localhost")).body?.getReader();
  const decode = (chunk: { value?: Uint8Array } | undefined) =>
    new TextDecoder().decode(chunk?.value);
  expect(decode(await reader?.read())).toBe("data: 1\n\n");
  seen.resolve();
  expect(decode(await reader?.read())).toBe("data: 2\n\n");
});

test("an app takes 1000 requests at once; one more is told to wait, another app and the OS answer", async () => {
  await using at = fixture();
  const all = Promise.withResolvers<void>();
  const go = Promise.withResolvers<void>();
  let waiting = 0;
  const serve = async (): Promise<Response> => {
    if (++waiting === inFlightMax) all.resolve();
    await go.promise;
    return new Response("done");
  };
  at.put({ name: "slow", serve });
  const ask = (host: string) => raw(at.port, head("GET / HTTP/1.1", `Host: ${host}.localhost`));
  const held = Array.from({ length: inFlightMax }, () => ask("slow"));
  await all.promise;
  expect(at.net.status().connections).toBe(inFlightMax);
  const refused = await ask("slow");
  expect(statusOf(refused)).toBe(503);
  expect(refused.toLowerCase()).toContain("retry-after: 2");
  expect(statusOf(await ask("os"))).toBe(200);
  at.put({ name: "other", serve: () => new Response("mine") });
  expect(statusOf(await ask("other"))).toBe(200);
  go.resolve();
  const statuses = (await Promise.all(held)).map(statusOf);
  expect(statuses.every((status) => status === 200)).toBe(true);
  expect(statusOf(await ask("slow"))).toBe(200);
});

describe("the rate of one client", () => {
  test("what is over it is 429; files are not counted", async () => {
    await using at = fixture();
    const serve = () => new Response("x");
    at.put({ name: "api", files: { "/a.txt": "file" }, serve, rate: 0.01 });
    at.put({ name: "other", serve, rate: 0.01 });
    expect((await at.get("api.localhost")).status).toBe(200);
    const refused = await at.get("api.localhost");
    expect(refused.status).toBe(429);
    expect(Number(refused.headers.get("retry-after"))).toBeWithin(1, 101);
    expect((await at.get("api.localhost", "/a.txt")).status).toBe(200);
    expect((await at.get("other.localhost")).status).toBe(200);
  });
});
