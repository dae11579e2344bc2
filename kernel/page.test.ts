/** Pages of the kernel itself: safe, small, and JSON for who asks. */
import { describe, expect, test } from "bun:test";
import { createPages, type Page, wantsJson } from "./page.ts";

const misdirected: Page = { status: 421, code: "ENOENT", title: "Nothing here", text: "No." };

const ask = (accept?: string) =>
  new Request("http://x/", accept === undefined ? {} : { headers: { accept } });

describe("a page of the kernel's own", () => {
  test("is whole, small, and asks for nothing", async () => {
    const response = createPages()(ask("text/html"), misdirected, "id7");
    const html = await response.text();
    expect(response.status).toBe(421);
    expect(html).toStartWith('<!doctype html><html lang="en">');
    expect(html).toContain('<meta name="viewport"');
    expect(html).toContain("421 · id7");
    expect(html.length).toBeLessThan(2000);
    expect(html).not.toMatch(/(src|href)=|@import|url\(|<script/);
  });

  test("allows its own style by hash, and nothing else", async () => {
    const response = createPages()(ask(), misdirected, "id");
    const style = /<style>(.*)<\/style>/.exec(await response.text())?.[1] ?? "";
    const hash = new Bun.CryptoHasher("sha256").update(style).digest("base64");
    const policy = response.headers.get("content-security-policy") ?? "";
    expect(policy).toContain(`style-src 'sha256-${hash}'`);
    expect(policy).toStartWith("default-src 'none'");
    expect(policy).toContain("frame-ancestors 'none'");
    expect(response.headers.get("x-content-type-options")).toBe("nosniff");
    expect(response.headers.get("cache-control")).toBe("no-store");
  });

  test("is the bridges' error for who asks for JSON", async () => {
    const response = createPages()(ask("application/json"), misdirected, "id");
    expect(response.headers.get("content-type")).toBe("application/json");
    expect(await response.json()).toEqual({
      error: { code: "ENOENT", message: "No.", hint: null, call: null },
    });
  });

  test("escapes what it is given", async () => {
    const link = { href: 'http://os."><script>', label: "<script>" };
    const html = await createPages()(ask(), { ...misdirected, link }, "<i>").text();
    expect(html).not.toContain("<script>");
    expect(html).not.toContain("<i>");
  });

  test.each([
    [null, false],
    ["*/*", false],
    ["text/html,application/json;q=0.9", false],
    ["application/json, text/html", true],
    ["application/problem+json", true],
    ["APPLICATION/JSON", true],
  ])("Accept %p wants JSON: %p", (accept, json) => {
    expect(wantsJson(accept)).toBe(json);
  });
});
