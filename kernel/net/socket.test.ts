/** WebSockets through to an app: kinds, order, close codes, back-pressure. */
import { describe, expect, test } from "bun:test";
import { connect } from "node:net";
import type { RequestMeta, SocketPipe } from "../proc/mod.ts";
import { bodyOf, fixture, head, raw } from "./fixture.ts";
import { messageBytesMax } from "./limits.ts";
import { clipReason, sendableCode } from "./socket.ts";

type Client = Parameters<SocketPipe["attach"]>[0];

/** An app that agrees to every WebSocket, and what it sees. */
function chat(
  react: Partial<SocketPipe> & { opened?: (client: Client) => void },
  headers: Record<string, string> = {},
) {
  return (_request: Request, meta: RequestMeta): Response => {
    const socket: SocketPipe = {
      message: react.message ?? (() => undefined),
      close: react.close ?? (() => undefined),
      drained: react.drained ?? (() => undefined),
      attach: (client) => react.opened?.(client),
    };
    const agreed = meta.upgrade?.({ headers: new Headers(headers), socket }) ?? false;
    return new Response(agreed ? null : "plain", { status: agreed ? 204 : 426 });
  };
}

function dial(port: number, protocols: string[] = []): WebSocket {
  const options = { headers: { host: "chat.localhost" }, protocols };
  const socket = new WebSocket(`ws://127.0.0.1:${port}/live`, options);
  socket.binaryType = "arraybuffer";
  return socket;
}

const event = <T extends Event>(socket: WebSocket, name: string): Promise<T> =>
  new Promise((resolve) => socket.addEventListener(name, (e) => resolve(e as T), { once: true }));

describe("a WebSocket through to an app", () => {
  test("messages keep their kind and order, both ways", async () => {
    await using at = fixture();
    let client: Client | null = null;
    const taken: boolean[] = [];
    const serve = chat({
      opened: (c) => {
        client = c;
      },
      message: (data) => {
        taken.push(client?.send(data) ?? false);
      },
    });
    at.put({ name: "chat", files: { "/live": "a file" }, serve });
    const socket = dial(at.port);
    await event(socket, "open");
    const got: string[] = [];
    const all = Promise.withResolvers<void>();
    socket.addEventListener("message", ({ data }) => {
      got.push(typeof data === "string" ? data : `bytes ${new Uint8Array(data as ArrayBuffer)}`);
      if (got.length === 3) all.resolve();
    });
    socket.send("one");
    socket.send(new Uint8Array([1, 2]));
    socket.send("");
    await all.promise;
    expect(got).toEqual(["one", "bytes 1,2", ""]);
    // An empty message is no reason to wait.
    expect(taken).toEqual([true, true, true]);
    expect(at.net.status().webSockets).toBe(1);
  });

  test("the client's close reaches the app with its code", async () => {
    await using at = fixture();
    const closed = Promise.withResolvers<unknown>();
    at.put({
      name: "chat",
      serve: chat({ close: (code, reason) => closed.resolve([code, reason]) }),
    });
    const socket = dial(at.port);
    await event(socket, "open");
    socket.close(4001, "done here");
    expect(await closed.promise).toEqual([4001, "done here"]);
    expect(at.net.status().webSockets).toBe(0);
  });

  test.each([
    [4002, 4002],
    [1011, 1011],
    [1006, 1011],
    [1005, 1000],
    [99, 1011],
  ])(
    "the app's close with %d reaches the client as %d, and the app is not told again",
    async (code, expected) => {
      await using at = fixture();
      let told = 0;
      const serve = chat({
        opened: (client) => client.close(code, "bye"),
        close: () => {
          told++;
        },
      });
      at.put({ name: "chat", serve });
      const { code: got, reason } = await event<CloseEvent>(dial(at.port), "close");
      expect([got, reason]).toEqual([expected, "bye"]);
      expect(told).toBe(0);
    },
  );

  test("the app picks the protocol; when it picks none, none is agreed", async () => {
    await using at = fixture();
    at.put({ name: "chat", serve: chat({}, { "sec-websocket-protocol": "v2", "x-app": "1" }) });
    const ask = [
      "Host: chat.localhost",
      "Upgrade: websocket",
      "Sec-WebSocket-Version: 13",
      "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
      "Sec-WebSocket-Extensions: permessage-deflate",
      "Sec-WebSocket-Protocol: v1, v2",
    ];
    const shake = (): Promise<string> => {
      const done = Promise.withResolvers<string>();
      const socket = connect(at.port, "127.0.0.1", () =>
        socket.write(["GET /live HTTP/1.1", ...ask, "Connection: Upgrade", "", ""].join("\r\n")),
      );
      socket.once("data", (data) => {
        done.resolve(data.toString("latin1").toLowerCase());
        socket.destroy();
      });
      return done.promise;
    };
    const agreed = await shake();
    expect(agreed).toStartWith("http/1.1 101");
    expect(agreed).toContain("sec-websocket-protocol: v2");
    expect(agreed).toContain("x-app: 1");
    expect(agreed).toContain("x-request-id: ");
    expect(agreed).not.toContain("permessage-deflate");
    at.put({ name: "chat", serve: chat({}) });
    expect(await shake()).not.toContain("sec-websocket-protocol");
  });

  test("a message over the limit closes with 1009", async () => {
    await using at = fixture();
    const closed = Promise.withResolvers<number>();
    at.put({ name: "chat", serve: chat({ close: (code) => closed.resolve(code) }) });
    const socket = dial(at.port);
    await event(socket, "open");
    socket.send(new Uint8Array(messageBytesMax + 1));
    expect([1006, 1009]).toContain(await closed.promise);
  });

  test("send answers false when the client does not read, and the app hears when it may go on", async () => {
    await using at = fixture();
    const drained = Promise.withResolvers<void>();
    const held = Promise.withResolvers<number>();
    const serve = chat({
      opened: (client) => {
        let sent = 0;
        while (client.send(new Uint8Array(65_536)) && sent < 200) sent++;
        held.resolve(sent);
      },
      drained: () => drained.resolve(),
    });
    at.put({ name: "chat", serve });
    const socket = dial(at.port);
    // Some pass at once into the socket's buffers, but not 13 MB.
    expect(await held.promise).toBeLessThan(200);
    await drained.promise;
    socket.close();
  });

  test("a close of the kernel is 1012", async () => {
    await using at = fixture();
    at.put({ name: "chat", serve: chat({}) });
    const socket = dial(at.port);
    await event(socket, "open");
    const closed = event<CloseEvent>(socket, "close");
    await at.net.close();
    expect((await closed).code).toBe(1012);
  });

  test("an app that declines answers over plain HTTP; one without a server never upgrades", async () => {
    await using at = fixture();
    at.put({ name: "chat", serve: () => new Response("no chat", { status: 403 }) });
    at.put({ name: "site", files: { "/": "file" } });
    const upgrade = ["Upgrade: websocket", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: eA=="];
    const chatAnswer = await raw(
      at.port,
      head("GET / HTTP/1.1", "Host: chat.localhost", ...upgrade),
    );
    expect(bodyOf(chatAnswer)).toBe("no chat");
    const siteAnswer = await raw(
      at.port,
      head("GET / HTTP/1.1", "Host: site.localhost", ...upgrade),
    );
    expect(bodyOf(siteAnswer)).toBe("file");
  });
});

test("close codes that may be sent, and reasons that fit", () => {
  expect([1000, 1001, 1012, 3000, 4999].map(sendableCode)).toEqual([1000, 1001, 1012, 3000, 4999]);
  expect([0, 1004, 1006, 1015, 2000, 5000].map(sendableCode)).toEqual(Array(6).fill(1011));
  expect(clipReason("short")).toBe("short");
  expect(Buffer.byteLength(clipReason("ü".repeat(100)))).toBe(122);
  expect(Buffer.byteLength(clipReason("😀".repeat(50)))).toBeLessThanOrEqual(123);
});
