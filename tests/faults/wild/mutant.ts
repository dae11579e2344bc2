/**
 * Requests that were valid once: made by chance from a seed, then bent a little. The same seed
 * makes the same bytes.
 */
export type Chance = (below: number) => number;

/** The request that bent bytes may hide in. */
const smuggled = "GET /smuggled HTTP/1.1\r\nHost: echo.localhost\r\n\r\n";

const hosts = ["echo.localhost", "echo.localhost", "site.localhost", "os.localhost", "evil.d"];
const targets = [
  ...["/", "/a.txt", "/deep/er/c.txt", "/x?y=z", "/private/plan.txt", "/.hidden", "/sys/app/ls"],
  ...["/%2e%2e/%2e%2e/etc/passwd", "//evil.d/x", "/a%00b", "/a/../../b", "http://evil.d/x"],
];
const fields = [
  ...["Accept: */*", "Cookie: a=1", "Cookie: b=2", "X-A: 1", "X-A: 2", "Range: bytes=0-3", "TE: x"],
  ...["X-Forwarded-For: 6.6.6.6", "Accept-Language: x", "If-None-Match: *", "X-Empty:"],
  ...["Connection: keep-alive", "Connection: x-a", "Content-Type: text/plain", "User-Agent: wild"],
];
const tokens = [
  ...["\r", "\n", "\r\n", "\r\n\r\n", "\0", " ", "\t", "\x0b", "\x7f", "\xff", ":", ";", ",", "/"],
  ...["0", "-", "+", "0x", "#", "?", "%", "\\", "..", "%2e", "%00", "HTTP/1.1", "0\r\n\r\n"],
  ...["Content-Length: 0\r\n", "Content-Length: 9\r\n", "Transfer-Encoding: chunked\r\n"],
  ...["Transfer-Encoding: x\r\n", "Host: evil.d\r\n", "Host: site.localhost\r\n", " folded\r\n"],
  ...["Upgrade: websocket\r\n", "Expect: 100-continue\r\n", smuggled, "5\r\nhello\r\n"],
];

const one = <T>(chance: Chance, of: readonly T[]): T => of[chance(of.length)] as T;

/** A valid request. */
function makeRequest(chance: Chance): string {
  const method = one(chance, ["GET", "GET", "POST", "POST", "PUT", "HEAD", "DELETE", "OPTIONS"]);
  const lines = [`${method} ${one(chance, targets)} HTTP/1.1`, `Host: ${one(chance, hosts)}`];
  for (let n = chance(4); n > 0; n--) lines.push(one(chance, fields));
  const text = chance(3) === 0 ? smuggled : "some bytes of a body".slice(0, chance(20));
  const form = chance(3);
  if (form === 1) lines.push(`Content-Length: ${text.length}`);
  if (form === 2) lines.push("Transfer-Encoding: chunked");
  const body = form === 0 ? "" : form === 1 ? text : inChunks(chance, text);
  return `${lines.join("\r\n")}\r\n\r\n${body}`;
}

function inChunks(chance: Chance, text: string): string {
  let chunks = "";
  for (let at = 0; at < text.length; ) {
    const size = 1 + chance(text.length - at);
    const extension = chance(4) === 0 ? ";a=b" : "";
    chunks += `${size.toString(16)}${extension}\r\n${text.slice(at, at + size)}\r\n`;
    at += size;
  }
  return `${chunks}0\r\n\r\n`;
}

/** Bends bytes once. */
function bend(chance: Chance, bytes: string): string {
  const at = chance(bytes.length + 1);
  const to = at + chance(8);
  const lines = bytes.split("\r\n");
  const line = chance(lines.length);
  switch (chance(9)) {
    case 0:
      return bytes.slice(0, at) + String.fromCharCode(chance(256)) + bytes.slice(at + 1);
    case 1:
    case 2:
      return bytes.slice(0, at) + one(chance, tokens) + bytes.slice(at);
    case 3:
      return bytes.slice(0, at) + bytes.slice(to);
    case 4:
      return lines.toSpliced(line, 0, lines[line] ?? "").join("\r\n");
    case 5:
      return lines.toSpliced(line, 1).join("\r\n");
    case 6:
      return lines.toSpliced(line, 0, one(chance, tokens).replace(/\r\n$/, "")).join("\r\n");
    case 7:
      return bytes.slice(0, at);
    default:
      return bytes.slice(0, at) + bytes.slice(at).replace("\r\n", one(chance, ["\n", "\r", ""]));
  }
}

/** The bytes of one connection, in the parts in which they are sent. */
export function makeMutant(chance: Chance): string[] {
  let bytes = makeRequest(chance);
  for (let n = chance(4); n > 0; n--) bytes = bend(chance, bytes);
  const cut = chance(2) === 0 ? bytes.length : chance(bytes.length + 1);
  return [bytes.slice(0, cut), bytes.slice(cut)].filter((part) => part !== "");
}
