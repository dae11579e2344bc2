/**
 * Requests that two readers could take for different ones (RFC 9112, 11.2): the kernel refuses them
 * and closes, so that what follows is never taken for a request; or it reads them as the RFC does,
 * and the app is told exactly that. Headers that a client or an app would slip in come to nothing.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { type Seen, Stage } from "./stage.ts";
import { Wire } from "./wire.ts";

let stage: Stage;
beforeAll(async () => {
  stage = await Stage.open();
}, 60_000);
afterAll(() => stage[Symbol.asyncDispose]());

const host = "Host: echo.localhost";
const smuggled = `GET /smuggled HTTP/1.1\r\n${host}\r\n\r\n`;

/** A request of these lines, its body, and nothing after it. */
const request = (lines: readonly string[], body = "", line = "POST /first HTTP/1.1"): string =>
  `${[line, host, ...lines].join("\r\n")}\r\n\r\n${body}`;

const chunked = "Transfer-Encoding: chunked";
const inChunks = (body: string) => request([chunked], body);

const refused: Readonly<Record<string, string>> = {
  "CL.TE": request(["Content-Length: 6", chunked], "0\r\n\r\nG"),
  "TE.CL": request([chunked, "Content-Length: 4"], "5c\r\n"),
  "TE.TE, the second unknown": request([chunked, "Transfer-Encoding: x"], "0\r\n\r\n"),
  "TE.TE, the first unknown": request(["Transfer-Encoding: x", chunked], "0\r\n\r\n"),
  "chunked twice": request(["Transfer-Encoding: chunked, chunked"], "0\r\n\r\n"),
  "an unknown coding": request(["Transfer-Encoding: xchunked"], "0\r\n\r\n"),
  "an unknown coding and a length": request(
    ["Transfer-Encoding: xchunked", "Content-Length: 5"],
    "0\r\n\r\n",
  ),
  "a coding below chunks": request(["Transfer-Encoding: gzip, chunked"], "0\r\n\r\n"),
  "no coding, and a length": request(
    ["Transfer-Encoding: identity", "Content-Length: 5"],
    "0\r\n\r\n",
  ),
  "an empty coding and a length": request(["Transfer-Encoding:", "Content-Length: 5"], "0\r\n\r\n"),
  "a list of codings with nothing in it": request(["Transfer-Encoding:, chunked"], "0\r\n\r\n"),
  "a coding in quotes": request(['Transfer-Encoding: "chunked"'], "0\r\n\r\n"),
  "a coding with a parameter": request(["Transfer-Encoding: chunked;a=b"], "0\r\n\r\n"),
  "a coding after a vertical tab": request(["Transfer-Encoding:\x0bchunked"], "0\r\n\r\n"),
  "a space before the colon": request(["Transfer-Encoding : chunked"], "0\r\n\r\n"),
  "a space before the name": request([" Transfer-Encoding: chunked"], "0\r\n\r\n"),
  "chunks in HTTP/1.0": request([chunked], "0\r\n\r\n", "POST /first HTTP/1.0"),
  "two lengths": request(["Content-Length: 5", "Content-Length: 0"], "hello"),
  "one length, twice": request(["Content-Length: 5", "Content-Length: 5"], "hello"),
  "a list of lengths": request(["Content-Length: 5, 5"], "hello"),
  "a length with a sign": request(["Content-Length: +5"], "hello"),
  "a length below nothing": request(["Content-Length: -5"], "hello"),
  "a length in hex": request(["Content-Length: 0x5"], "hello"),
  "a length in two words": request(["Content-Length: 5 5"], "hello"),
  "a length with a dot": request(["Content-Length: 5.0"], "hello"),
  "no length at all": request(["Content-Length:"], "hello"),
  "a length that wraps 64 bits": request(["Content-Length: 18446744073709551621"], "hello"),
  "a folded line": request(["X: a", " b"]),
  "a folded coding": request(["Transfer-Encoding:", " chunked"], "0\r\n\r\n"),
  "a coding in a fold": request(["X: a", "\tTransfer-Encoding: chunked"], "0\r\n\r\n"),
  "a bare LF in the head": request(["X: a\nTransfer-Encoding: chunked", "Content-Length: 5"]),
  "a bare CR in the head": request(["X: a\rTransfer-Encoding: chunked", "Content-Length: 5"]),
  "a NUL in a value": request(["X: a\0b"]),
  "a control character in a value": request(["X: a\x01b"]),
  "lines that end in LF": request([]).replaceAll("\r\n", "\n"),
  "a head that ends in LF": `GET /first HTTP/1.1\r\n${host}\r\n\n`,
  "a line without a colon": request(["Transfer-Encoding"]),
  "a header without a name": request([": chunked"]),
  "a name with a NUL": request(["Transfer\0Encoding: chunked"]),
  "a size with a space": inChunks("5 \r\nhello\r\n0\r\n\r\n"),
  "a size after a space": inChunks(" 5\r\nhello\r\n0\r\n\r\n"),
  "a size with 0x": inChunks("0x5\r\nhello\r\n0\r\n\r\n"),
  "a size with a sign": inChunks("+5\r\nhello\r\n0\r\n\r\n"),
  "a size with an underscore": inChunks("5_\r\nhello\r\n0\r\n\r\n"),
  "a size that wraps 64 bits": inChunks("10000000000000005\r\nhello\r\n0\r\n\r\n"),
  "no size": inChunks("\r\nhello\r\n0\r\n\r\n"),
  "an extension and no size": inChunks(";a=b\r\nhello\r\n0\r\n\r\n"),
  "a size that ends in LF": inChunks("5\nhello\r\n0\r\n\r\n"),
  "an extension with an LF": inChunks("5;a\nb\r\nhello\r\n0\r\n\r\n"),
  "an extension with a CR": inChunks("5;a\rb\r\nhello\r\n0\r\n\r\n"),
  "a chunk that ends in LF": inChunks("5\r\nhello\n0\r\n\r\n"),
  "a chunk that is longer than it says": inChunks("5\r\nhello, world\r\n0\r\n\r\n"),
  "chunks that end in LF": inChunks("5\r\nhello\r\n0\n\n"),
  "HTTP/1.2": request([], "", "GET /first HTTP/1.2"),
  "HTTP/2.0": request([], "", "GET /first HTTP/2.0"),
  "http/1.1": request([], "", "GET /first http/1.1"),
  "HTTP/0.9": "GET /first\r\n",
  "more than a version": request([], "", "GET /first HTTP/1.1 x"),
  "two spaces": request([], "", "GET  /first HTTP/1.1"),
  tabs: request([], "", "GET\t/first\tHTTP/1.1"),
  "a space in the target": request([], "", "GET /first b HTTP/1.1"),
  "a NUL in the target": request([], "", "GET /first\0b HTTP/1.1"),
  "a method nobody knows": request([], "", "G@T /first HTTP/1.1"),
  "a method in lower case": request([], "", "get /first HTTP/1.1"),
};

test("what comes after a whole body and is no end: refused, and at most that body is heard", async () => {
  const before = await stage.whole();
  using wire = await Wire.open(stage.port);
  wire.say(inChunks("5\r\nhello\r\n0\r\nX") + smuggled);
  const answer = await wire.answer();
  if (answer !== null) expect(answer.status).toBe(400);
  expect(await wire.answer()).toBeNull();
  expect(wire.heard).not.toContain("smuggled");
  // The parser may have handed the body over before it saw what follows (decision 16).
  expect((await stage.whole()) - before).toBeLessThanOrEqual(1);
});

describe("refused, and closed", () => {
  test.each(Object.entries(refused))("%s", async (_name, bytes) => {
    const before = await stage.whole();
    using wire = await Wire.open(stage.port);
    wire.say(bytes + smuggled);
    const answer = await wire.answer();
    if (answer !== null) expect([400, 501, 505]).toContain(answer.status);
    expect(await wire.answer()).toBeNull();
    expect(wire.heard).not.toContain("smuggled");
    expect(await stage.whole()).toBe(before);
  });
});

const accepted: readonly (readonly [string, string, Partial<Seen>])[] = [
  ["chunks", inChunks("5\r\nhello\r\n0\r\n\r\n"), { body: "hello" }],
  [
    "chunks in capitals",
    request(["TRANSFER-ENCODING: CHUNKED"], "1\r\na\r\n0\r\n\r\n"),
    { body: "a" },
  ],
  ["a coding among blanks", request(["Transfer-Encoding:\tchunked \t"], "0\r\n\r\n"), { body: "" }],
  ["extensions", inChunks('5;a=b;c="d"\r\nhello\r\n0;e\r\n\r\n'), { body: "hello" }],
  ["a size with zeros before it", inChunks("0005\r\nhello\r\n000\r\n\r\n"), { body: "hello" }],
  [
    "a request within chunks",
    inChunks(`${smuggled.length.toString(16)}\r\n${smuggled}\r\n0\r\n\r\n`),
    { body: smuggled },
  ],
  [
    "a request within a body",
    request([`Content-Length: ${smuggled.length}`], smuggled),
    { body: smuggled },
  ],
  ["a length with zeros before it", request(["Content-Length: 005"], "hello"), { body: "hello" }],
  ["a length of nothing", request(["Content-Length: 0"]), { body: "" }],
  [
    "an underscore is no hyphen",
    request(["Transfer_Encoding: chunked", "Content-Length: 5"], "0\r\n\r\n"),
    { body: "0\r\n\r\n" },
  ],
  [
    "a body that means nothing",
    request(["Content-Length: 5"], "hello", "GET /first HTTP/1.1"),
    { body: "", method: "GET" },
  ],
  [
    "chunks that mean nothing",
    request([chunked], "5\r\nhello\r\n0\r\n\r\n", "GET /first HTTP/1.1"),
    { body: "", method: "GET" },
  ],
];

describe("read as the RFC does, and the next request is the next", () => {
  test.each(accepted)("%s", async (_name, bytes, expected) => {
    using wire = await Wire.open(stage.port);
    wire.say(bytes);
    const answer = await wire.answer();
    expect(answer?.status).toBe(200);
    const seen = JSON.parse(answer?.body ?? "") as Seen;
    expect(seen).toMatchObject({ method: "POST", url: "http://echo.localhost/first", ...expected });
    const told = new Headers(seen.headers as [string, string][]);
    expect(told.get("transfer-encoding")).toBeNull();
    // What the app is told of a length is the length.
    expect(Number(told.get("content-length") ?? seen.body.length)).toBe(seen.body.length);
    wire.say(`GET /next HTTP/1.1\r\n${host}\r\n\r\n`);
    const next = JSON.parse((await wire.answer())?.body ?? "") as Seen;
    expect(next).toMatchObject({ method: "GET", url: "http://echo.localhost/next", body: "" });
  });

  test("several requests in one go: files in their order; before an app's answer no second", async () => {
    using wire = await Wire.open(stage.port);
    const get = (path: string) => `GET ${path} HTTP/1.1\r\nHost: site.localhost\r\n\r\n`;
    wire.say(["/a.txt", "/b.txt", "/deep/er/c.txt", "/none"].map(get).join(""));
    const bodies = [await wire.answer(), await wire.answer(), await wire.answer()];
    expect(bodies.map((answer) => answer?.body)).toEqual([
      "the file a",
      "the file b",
      "the file c",
    ]);
    expect((await wire.answer())?.status).toBe(404);
    // The listener closes rather than mix answers: a client that pipelines asks again.
    using hasty = await Wire.open(stage.port);
    hasty.say(request([], "", "GET /one HTTP/1.1") + request([], "", "GET /two HTTP/1.1"));
    const first = await hasty.answer();
    if (first !== null) expect(first.body).toContain("/one");
    expect(await hasty.answer()).toBeNull();
  });
});

test("a trailer ends the connection: it sets no length, and nothing after it is a request", async () => {
  const before = await stage.whole();
  using wire = await Wire.open(stage.port);
  wire.say(inChunks(`5\r\nhello\r\n0\r\nContent-Length: 50\r\n\r\n${smuggled}`));
  const answer = await wire.answer();
  if (answer !== null) expect(answer.status).toBe(400);
  expect(await wire.answer()).toBeNull();
  expect(wire.heard).not.toContain("smuggled");
  // The app may have had the whole body by then.
  expect((await stage.whole()) - before).toBeLessThanOrEqual(1);
});

describe("headers that are slipped in", () => {
  test("by a visitor: encoded line ends stay encoded, in paths, queries and redirects", async () => {
    const path = "/x%0d%0aSet-Cookie:%20a=1?q=%0d%0aX-Evil:%201";
    using wire = await Wire.open(stage.port);
    wire.say(`GET ${path} HTTP/1.1\r\n${host}\r\n\r\n`);
    const seen = JSON.parse((await wire.answer())?.body ?? "") as Seen;
    expect(seen.url).toBe(`http://echo.localhost${path}`);
    await stage.machine.call("net.redirect.add", {
      host: "old.example",
      to: "http://echo.localhost",
    });
    for (const target of [path, "/\xe9\xff", "/a%00b", "/%E2%82%AC"]) {
      wire.say(`GET ${target} HTTP/1.1\r\nHost: old.example\r\n\r\n`);
      const moved = await wire.answer();
      expect(moved?.status).toBe(308);
      expect(moved?.headers.get("location")).toStartWith("http://echo.localhost/");
      expect([...(moved?.headers.keys() ?? [])]).not.toContain("set-cookie");
      expect([...(moved?.headers.keys() ?? [])]).not.toContain("x-evil");
    }
  });

  test("by an app: no header of one connection, and no line end, leaves the kernel", async () => {
    const dir = stage.machine.scratch("splitter");
    writeFileSync(
      `${dir}/server.ts`,
      `export default { fetch(request) {
        const refused = [];
        const headers = new Headers();
        for (const value of ["a\\r\\nX-Evil: 1", "a\\nX-Evil: 1", "a\\0b"]) {
          try { headers.append("x-try", value); } catch { refused.push(value); }
        }
        headers.set("transfer-encoding", "chunked");
        headers.set("connection", "x-kept, keep-alive");
        headers.set("keep-alive", "timeout=5");
        headers.set("x-request-id", "mine");
        return new Response("body " + refused.length, { headers });
      } };`,
    );
    await stage.machine.faztJson("app", "deploy", dir, "--name", "splitter");
    using wire = await Wire.open(stage.port);
    for (let n = 0; n < 2; n++) {
      wire.say("GET / HTTP/1.1\r\nHost: splitter.localhost\r\n\r\n");
      const answer = await wire.answer();
      expect(answer).toMatchObject({ status: 200, body: "body 3" });
      const names = [...(answer?.headers.keys() ?? [])];
      for (const name of ["x-evil", "transfer-encoding", "keep-alive"]) {
        expect(names).not.toContain(name);
      }
      expect(answer?.headers.get("x-request-id")).not.toBe("mine");
    }
  });
});

test("nobody was harmed", () => stage.unharmed(), 30_000);
