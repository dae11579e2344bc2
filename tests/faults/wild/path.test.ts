/**
 * Spellings of paths and of hosts: none leads out of a site's public files, none to another app
 * than the Host says, and the files and the app's server never read one spelling differently.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { files, type Seen, Stage, secret } from "./stage.ts";
import { type Answer, Wire } from "./wire.ts";

let stage: Stage;
beforeAll(async () => {
  stage = await Stage.open();
}, 60_000);
afterAll(() => stage[Symbol.asyncDispose]());

/** One request of these lines; null: the connection was closed without a word. */
async function ask(line: string, ...headers: string[]): Promise<Answer | null> {
  using wire = await Wire.open(stage.port);
  wire.say(`${[line, ...headers].join("\r\n")}\r\n\r\n`);
  const answer = await wire.answer();
  expect(wire.heard).not.toContain(secret);
  return answer;
}

const get = (target: string, host = "site.localhost") =>
  ask(`GET ${target} HTTP/1.1`, `Host: ${host}`);

const dots = [
  "..",
  "%2e%2e",
  "%2E.",
  ".%2e",
  "%252e%252e",
  "..%00",
  "%c0%ae%c0%ae",
  "%uff0e%uff0e",
];
const slashes = [
  "/",
  "//",
  "%2f",
  "%2F",
  "\\",
  "%5c",
  "%252f",
  "/./",
  "/.;/",
  "%c0%af",
  "%e2%88%95",
];
const wanted = [
  "private/plan.txt",
  "app.json",
  ".hidden",
  "home/note.txt",
  "etc/passwd",
  "machine.key",
];

describe("paths", () => {
  test("no mixture of dots and slashes leaves the public files", async () => {
    const statuses = new Set<number>();
    for (const dot of dots) {
      for (const slash of slashes) {
        for (const name of wanted) {
          const up = `${dot}${slash}`;
          for (const target of [`/${up}${name}`, `/deep${slash}${up}${up}${up}${name}`]) {
            const answer = await get(target.replaceAll(" ", "%20"));
            const served = answer?.status === 200;
            expect([target, served, answer?.body.includes("root:")]).toEqual([
              target,
              false,
              false,
            ]);
            statuses.add(answer?.status ?? 0);
          }
        }
      }
    }
    expect([...statuses].sort()).toEqual([400, 404]);
  });

  test.each([
    ["/a.txt", "the file a"],
    ["/deep/../a.txt", "the file a"],
    ["/deep/%2e%2e/a.txt", "the file a"],
    ["/%61.txt", "the file a"],
    ["/deep\\er\\c.txt", "the file c"],
    ["/../../../a.txt", "the file a"],
    ["/a.txt?/../b.txt", "the file a"],
    ["/a.txt#/../b.txt", "the file a"],
  ])("%s is a file", async (target, body) => {
    // Twice: the second time by the short way.
    for (let n = 0; n < 2; n++) expect(await get(target)).toMatchObject({ status: 200, body });
  });

  test.each([
    "//a.txt",
    "/a.txt/",
    "/a.txt%00",
    "/a.txt%00.html",
    "/a.txt.",
    "/A.TXT",
    "/a.txt%20",
    "/a.txt;x",
    "/deep%2fer%2fc.txt",
    "/deep%5cer%5cc.txt",
    "/.%2fa.txt",
    "/%ff",
    "/\xff",
    "/%zz",
    "/a.txt::$DATA",
  ])("%s is none", async (target) => {
    expect([400, 404]).toContain((await get(target))?.status ?? 0);
  });

  test("what the files' side takes for a path, the app's side takes for the same", async () => {
    for (const [target, url] of [
      ["/x/../y", "/y"],
      ["/x/%2e%2E/y", "/y"],
      ["/x\\..\\y", "/y"],
      ["//x//y", "//x//y"],
      ["/x%2fy%5cz", "/x%2fy%5cz"],
      ["/%0d%0a", "/%0d%0a"],
      ["/x?a=/../b", "/x?a=/../b"],
    ] as const) {
      const answer = await get(target, "echo.localhost");
      expect((JSON.parse(answer?.body ?? "") as Seen).url).toBe(`http://echo.localhost${url}`);
    }
  });

  test("a path with a NUL is nobody's", async () => {
    expect((await get("/%00", "echo.localhost"))?.status).toBe(400);
  });

  test("a redirect to a directory stays on its host", async () => {
    const moved = await get("/deep/er/%2e%2e");
    expect([301, 308, 404]).toContain(moved?.status ?? 0);
    for (const target of ["//evil.d/%2e%2e", "/\\evil.d/..", "//evil.d", "/%2fevil.d/"]) {
      const location = (await get(target))?.headers.get("location") ?? "/";
      expect(location).not.toMatch(/^(\/\/|\/\\|https?:\/\/evil)/);
    }
  });
});

/** Who answers: an app says its own name, the OS host a page; else the status. */
async function whoAnswers(line: string, ...headers: string[]): Promise<string> {
  const answer = await ask(line, ...headers);
  if (answer === null) return "nobody";
  if (answer.body === files["/a.txt"]) return "site";
  if (answer.body.startsWith('{"method"')) return "echo";
  return String(answer.status);
}

describe("hosts", () => {
  const line = "GET /a.txt HTTP/1.1";

  test.each([
    ["Host: site.localhost", "site"],
    ["HOST:site.localhost", "site"],
    ["Host: \t site.localhost \t", "site"],
    ["Host: SITE.LocalHost", "site"],
    ["Host: site.localhost.", "site"],
    ["Host: site.localhost:443", "site"],
    ["Host: site.localhost:", "site"],
    ["Host: site.localhost..", "400"],
    ["Host: .site.localhost", "400"],
    ["Host: site..localhost", "400"],
    ["Host: site.localhost:65536", "400"],
    ["Host: site.localhost:80:80", "400"],
    ["Host: site.localhost:-1", "400"],
    ["Host: site.localhost:80@echo.localhost", "400"],
    ["Host: echo.localhost@site.localhost", "400"],
    ["Host: site.localhost, echo.localhost", "400"],
    ["Host: site.localhost echo.localhost", "400"],
    ["Host: site.localhost/echo.localhost", "400"],
    ["Host: site.localhost#echo.localhost", "400"],
    ["Host: site.localhost?echo.localhost", "400"],
    ["Host: site.localhost\\echo.localhost", "400"],
    ["Host: site%2elocalhost", "400"],
    ["Host: http://site.localhost", "400"],
    ["Host: site\u00b7localhost", "400"],
    ["Host: s\xedte.localhost", "400"],
    ["Host: xn--ste-qma.localhost", "421"],
    ["Host: [::1", "400"],
    ["Host: [::1]x", "400"],
    ["Host: [site.localhost]", "400"],
    ["Host: 0x7f.1", "421"],
    ["Host: 2130706433", "421"],
    ["Host: evil.d", "421"],
    ["Host: evil.d.site.localhost", "421"],
    ["Host: site.localhost.evil.d", "421"],
    ["Host:", "400"],
    ["Host: *", "400"],
  ])("%s: %s", async (header, who) => {
    expect(await whoAnswers(line, header)).toBe(who);
  });

  test("an international name is its punycode, and a name that looks alike is another", async () => {
    await stage.machine.call("net.route.add", { host: "b\u00fccher.example", app: "site" });
    expect(await whoAnswers(line, "Host: xn--bcher-kva.example")).toBe("site");
    expect(await whoAnswers(line, "Host: XN--BCHER-KVA.EXAMPLE.")).toBe("site");
    expect(await whoAnswers(line, "Host: bucher.example")).toBe("421");
    expect(await whoAnswers(line, "Host: b\xfccher.example")).toBe("400");
  });

  test("two hosts are none, however alike; whoever else is named counts for nothing", async () => {
    const site = "Host: site.localhost";
    expect(await whoAnswers(line, site, "Host: echo.localhost")).toBe("400");
    expect(await whoAnswers(line, site, site)).toBe("400");
    expect(await whoAnswers(line, "Host:", site)).toBe("400");
    expect(await whoAnswers(line, ` ${site}`, site)).toBe("400");
    for (const name of ["X-Forwarded-Host", "X-Host", "Forwarded", "X-Original-Host"]) {
      expect(await whoAnswers(line, site, `${name}: echo.localhost`)).toBe("site");
    }
    for (const target of ["http://echo.localhost/a.txt", "https://u:p@echo.localhost:99/a.txt"]) {
      expect(await whoAnswers(`GET ${target} HTTP/1.1`, site)).toBe("site");
    }
    expect(await whoAnswers("GET http://site.localhost/a.txt HTTP/1.1")).toBe("400");
    expect(await whoAnswers("GET echo.localhost:80 HTTP/1.1", site)).toBe("400");
    expect(await whoAnswers("CONNECT echo.localhost:80 HTTP/1.1", site)).toBe("400");
  });
});

test("nobody was harmed", () => stage.unharmed(), 30_000);
