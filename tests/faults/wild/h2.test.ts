/**
 * HTTP/2 that two readers could take for different requests (RFC 9113, 8 and 10.3): the stream or the
 * connection ends, the app is told nothing of it, and a request beside it is answered as it should
 * be. By frames of our own, because every client that can be had refuses to say such things.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import {
  block,
  endHeaders,
  endStream,
  type Field,
  Frames,
  frame,
  frameType,
  type Reply,
} from "./frames.ts";
import { readSeen, type Seen, Stage } from "./stage.ts";

let stage: Stage;
let port = 0;
beforeAll(async () => {
  stage = await Stage.open();
  port = Number(new URL(stage.machine.ready.https ?? "").port);
}, 60_000);
afterAll(() => stage[Symbol.asyncDispose]());

/** A request's own fields, of which some are others, or (null) are not there. */
function fields(other: Readonly<Record<string, string | null>> = {}): Field[] {
  const usual = {
    ":method": "POST",
    ":scheme": "https",
    ":authority": "echo.localhost",
    ":path": "/first",
  };
  return Object.entries({ ...usual, ...other }).flatMap(([name, value]) =>
    value === null ? [] : [[name, value] as const],
  );
}

const withFields = (...more: Field[]): Field[] => [...fields(), ...more];

/** A request whose fields are these, with "hello" as its body. */
const refused: Readonly<Record<string, readonly Field[]>> = {
  "a longer length": withFields(["content-length", "10"]),
  "a shorter length": withFields(["content-length", "3"]),
  "two lengths": withFields(["content-length", "5"], ["content-length", "4"]),
  "one length, twice": withFields(["content-length", "5"], ["content-length", "5"]),
  "a list of lengths": withFields(["content-length", "5, 5"]),
  "a length with a sign": withFields(["content-length", "+5"]),
  connection: withFields(["connection", "keep-alive"]),
  "transfer-encoding": withFields(["transfer-encoding", "chunked"]),
  "keep-alive": withFields(["keep-alive", "timeout=5"]),
  "proxy-connection": withFields(["proxy-connection", "keep-alive"]),
  upgrade: withFields(["upgrade", "h2c"]),
  "te other than trailers": withFields(["te", "gzip"]),
  "a name in upper case": withFields(["X-Upper", "1"]),
  "a name with a space": withFields(["x a", "1"]),
  "a name with a colon": withFields(["x:a", "1"]),
  "a name with CRLF": withFields(["x: 1\r\nx-smuggled", "1"]),
  "a value with CRLF": withFields(["x-a", "1\r\nx-smuggled: 1"]),
  "a value with LF": withFields(["x-a", "1\nx-smuggled: 1"]),
  "a value with CR": withFields(["x-a", "1\rx-smuggled: 1"]),
  "a value with NUL": withFields(["x-a", "1\0"]),
  "a value with spaces around": withFields(["x-a", " 1 "]),
  "a path with a version": fields({ ":path": "/first HTTP/1.1" }),
  "a path with a request in it": fields({
    ":path": "/first HTTP/1.1\r\nhost: echo.localhost\r\n\r\nGET /smuggled",
  }),
  "an empty path": fields({ ":path": "" }),
  "a path without a slash": fields({ ":path": "first" }),
  "a path that is a URL": fields({ ":path": "https://site.localhost/first" }),
  "a path that begins with @": fields({ ":path": "@site.localhost/first" }),
  "a path of an asterisk": fields({ ":path": "*" }),
  "a path with NUL": fields({ ":path": "/first\0" }),
  "no path": fields({ ":path": null }),
  "a second path": withFields([":path", "/second"]),
  "a method with a request in it": fields({ ":method": "GET /smuggled HTTP/1.1\r\n\r\nGET" }),
  "a method that is no token": fields({ ":method": "G@T" }),
  "an empty method": fields({ ":method": "" }),
  "a method nobody knows": fields({ ":method": "FROB" }),
  "a method in lower case": fields({ ":method": "post" }),
  "no method": fields({ ":method": null }),
  CONNECT: fields({ ":method": "CONNECT" }),
  "no scheme": fields({ ":scheme": null }),
  "an authority with CRLF": fields({ ":authority": "echo.localhost\r\nx-smuggled: 1" }),
  "an authority with a user": fields({ ":authority": "site.localhost@echo.localhost" }),
  "an authority with a path": fields({ ":authority": "echo.localhost/x" }),
  "an empty authority": fields({ ":authority": "" }),
  "a second authority": withFields([":authority", "site.localhost"]),
  "another host": withFields(["host", "site.localhost"]),
  "two hosts": [...fields({ ":authority": null }), ["host", "echo.localhost"], ["host", "x.d"]],
  "a pseudo-field after others": [["x-a", "1"], ...fields()],
  "a pseudo-field nobody knows": withFields([":smuggled", "1"]),
  "an answer's pseudo-field": withFields([":status", "200"]),
  "too many fields": withFields(...Array.from({ length: 300 }, (_, n) => [`x-${n}`, "y"] as const)),
};

const head = (stream: number, ...of: Field[]) =>
  frame([frameType.headers, endHeaders, stream], block(of));
const data = (text: string, flags = 0) => frame([frameType.data, flags, 1], Buffer.from(text));
const closing = endStream | endHeaders;

/** Frames that are no request, or not one alone. */
const broken: Readonly<Record<string, readonly Buffer[]>> = {
  "a body for a stream that is idle": [data("hello", endStream)],
  "a stream of the server's": [frame([frameType.headers, closing, 2], block(fields()))],
  "stream 0": [frame([frameType.headers, closing, 0], block(fields()))],
  "a continuation of nothing": [frame([frameType.continuation, endHeaders, 1], block(fields()))],
  "a request inside another's fields": [
    frame([frameType.headers, endStream, 1], block(fields())),
    frame([frameType.headers, closing, 3], block(fields({ ":path": "/smuggled" }))),
  ],
  "a second head": [
    head(1, ...fields()),
    head(1, ...fields({ ":path": "/smuggled" })),
    data("hello", endStream),
  ],
  "a path in the trailers": [
    head(1, ...fields()),
    data("hello"),
    frame([frameType.headers, closing, 1], block([[":path", "/smuggled"]])),
  ],
  "a length, and no body": [
    frame([frameType.headers, closing, 1], block(withFields(["content-length", "5"]))),
  ],
  "more padding than there is": [
    head(1, ...fields()),
    frame([frameType.data, endStream | 8, 1], Buffer.of(200, 65, 66)),
  ],
  "a frame that is too large": [head(1, ...fields()), data("x".repeat(20_000), endStream)],
  "a field without a name": [frame([frameType.headers, closing, 1], block(withFields(["", "1"])))],
  "a promise of the client's": [
    frame(
      [frameType.push, endHeaders, 1],
      Buffer.concat([Buffer.of(0, 0, 0, 2), block(fields({ ":path": "/smuggled" }))]),
    ),
  ],
  "compressed fields that are none": [
    frame([frameType.headers, closing, 1], Buffer.of(0xff, 0xff, 0xff, 0xff, 0xff, 0x0f)),
  ],
};

/** What the app saw of a request; throws when it was not answered by the app. */
function seen(reply: Reply): Seen {
  if (reply.kind !== "answer" || reply.status !== 200) throw new Error(JSON.stringify(reply));
  return readSeen(reply.body);
}

/** A request after whatever came before, on the same connection or, if that has ended, another. */
async function beside(wire: Frames): Promise<void> {
  const ask = async (on: Frames) => {
    on.ask(7, fields({ ":path": "/after" }), "after");
    return await on.reply(7);
  };
  const here = await ask(wire);
  if (here.kind !== "gone") {
    expect(seen(here)).toMatchObject({ body: "after", url: "https://echo.localhost/after" });
    return;
  }
  using other = await Frames.open(port);
  expect(seen(await ask(other))).toMatchObject({ body: "after" });
}

/** Fails unless the first stream is refused, the app is told nothing, and what follows is well. */
async function isRefused(say: (wire: Frames) => void): Promise<void> {
  const before = await stage.whole();
  using wire = await Frames.open(port);
  say(wire);
  const reply = await wire.reply(1);
  if (reply.kind === "answer") expect([400, 421, 431, 501]).toContain(reply.status);
  await beside(wire);
  expect((await stage.whole()) - before).toBe(1);
}

describe("is refused, and nothing comes of it:", () => {
  test.each(Object.keys(refused))("%s", async (name) => {
    await isRefused((wire) => wire.ask(1, refused[name] ?? [], "hello"));
  });

  test.each(Object.keys(broken))("%s", async (name) => {
    await isRefused((wire) => wire.say(...(broken[name] ?? [])));
  });

  test("a body where the length says none: the app hears at most a request without it", async () => {
    const before = await stage.whole();
    using wire = await Frames.open(port);
    wire.ask(1, withFields(["content-length", "0"]), "GET /smuggled");
    expect((await wire.reply(1)).kind).not.toBe("answer");
    await beside(wire);
    expect((await stage.whole()) - before).toBeLessThanOrEqual(2);
  });
});

describe("is read as it says:", () => {
  const ask = async (of: readonly Field[], body: string | null = "hello"): Promise<Seen> => {
    using wire = await Frames.open(port);
    wire.ask(1, of, body);
    return seen(await wire.reply(1));
  };
  const hostOf = ({ headers }: Seen) => headers.filter(([name]) => name === "host");

  test("a whole request, and Host beside or instead of the authority", async () => {
    const alone = [...fields({ ":authority": null }), ["host", "echo.localhost"] as const];
    for (const of of [fields(), withFields(["host", "echo.localhost"]), alone]) {
      const told = await ask(of);
      expect(told).toMatchObject({ method: "POST", body: "hello" });
      expect(told.url).toBe("https://echo.localhost/first");
      expect(hostOf(told)).toEqual([["host", "echo.localhost"]]);
    }
  });

  test("a scheme that would lead elsewhere changes nothing", async () => {
    for (const scheme of ["http", "https://site.localhost/?"]) {
      expect((await ask(fields({ ":scheme": scheme }))).url).toBe("https://echo.localhost/first");
    }
  });

  test("a path of slashes and dots is the app's, on its own host", async () => {
    const urlOf = async (path: string) => (await ask(fields({ ":path": path }))).url;
    expect(await urlOf("//site.localhost/x")).toBe("https://echo.localhost//site.localhost/x");
    expect(await urlOf("/a/../../x")).toBe("https://echo.localhost/x");
  });

  test("cookies are joined; what the kernel alone says is not believed; trailers are dropped", async () => {
    const told = await ask(
      withFields(["cookie", "a=1"], ["cookie", "b=2"], ["x-forwarded-for", "6.6.6.6"]),
    );
    expect(told.headers).toContainEqual(["cookie", "a=1; b=2"]);
    expect(told.headers).toContainEqual(["x-forwarded-for", "127.0.0.1"]);
    using wire = await Frames.open(port);
    const trailers = block([["content-length", "50"]]);
    wire.say(head(1, ...fields()), data("hello"), frame([frameType.headers, closing, 1], trailers));
    const { headers, body } = seen(await wire.reply(1));
    expect(body).toBe("hello");
    expect(headers.map(([name]) => name)).not.toContain("content-length");
  });

  test("what comes after a stream's end belongs to nobody", async () => {
    const before = await stage.whole();
    using wire = await Frames.open(port);
    wire.ask(1, fields(), "hello");
    wire.say(data("GET /smuggled HTTP/1.1\r\n\r\n", endStream));
    const reply = await wire.reply(1);
    if (reply.kind === "answer") expect(seen(reply).body).toBe("hello");
    await beside(wire);
    expect((await stage.whole()) - before).toBe(2);
  });
});

test("nobody was harmed", () => stage.unharmed());
