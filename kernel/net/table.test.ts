/** The host table and what manifests may claim: the pure half, case by case. */
import { describe, expect, test } from "bun:test";
import type { App } from "../app/mod.ts";
import { claim, listRoutes, lookup, makeTable, type RouteRow, type Wish } from "./table.ts";

const app = (name: string, createdAt = 1): App => ({
  id: `app_${name}`,
  name,
  createdAt,
  releaseId: "rel",
  stopped: false,
  removedAt: null,
});
const row = (host: string, name: string, origin: RouteRow["origin"] = "added"): RouteRow => ({
  host,
  appId: `app_${name}`,
  origin,
  createdAt: 1,
});
const wish = (name: string, ...hosts: string[]): Wish => ({ app: app(name), hosts });

describe("who answers a host", () => {
  const table = makeTable({
    domain: "d.example",
    apps: [app("blog"), app("shop")],
    rows: [
      row("blog.d.example", "shop", "manifest"),
      row("x.example", "blog"),
      row("*.x.example", "shop"),
      row("*.d.example", "shop"),
      row("os.d.example", "shop"),
      row("gone.example", "gone"),
    ],
  });
  const who = (host: string): string | null => {
    const holder = lookup(table, host);
    return holder?.kind === "app" ? holder.app.name : (holder?.kind ?? null);
  };

  test.each([
    ["blog.d.example", "blog"],
    ["shop.d.example", "shop"],
    ["other.d.example", "shop"],
    ["os.d.example", "os"],
    ["os.localhost", "os"],
    ["d.example", "landing"],
    ["localhost", "landing"],
    ["127.0.0.1", "landing"],
    ["x.example", "blog"],
    ["a.x.example", "shop"],
    ["a.b.x.example", null],
    ["y.example", null],
    ["gone.example", null],
    ["example", null],
  ])("%s: %p", (host, expected) => {
    expect(who(host)).toBe(expected);
  });

  test("what is only for this machine says so", () => {
    const local = (host: string) => {
      const holder = lookup(table, host);
      return holder !== null && holder.kind !== "app" && holder.local;
    };
    expect([local("os.localhost"), local("localhost"), local("os.d.example")]).toEqual([
      true,
      true,
      false,
    ]);
  });

  test("the list names each host once, sorted", () => {
    expect(listRoutes(table).map(({ host, app, origin }) => `${host} ${app} ${origin}`)).toEqual([
      "*.d.example shop added",
      "*.x.example shop added",
      "blog.d.example blog name",
      "shop.d.example shop name",
      "x.example blog added",
    ]);
  });
});

describe("what manifests claim", () => {
  const source = (rows: RouteRow[] = []) => ({
    domain: "d.example",
    apps: [app("blog"), app("shop")],
    rows,
  });
  const hosts = (rows: readonly RouteRow[]) => rows.map((r) => `${r.host} ${r.appId}`);

  test("a free host is granted, normalised, to the first who asks", () => {
    const claims = claim(source(), [wish("blog", "New.Example."), wish("shop", "new.example")], 7);
    expect(hosts(claims.insert)).toEqual(["new.example app_blog"]);
    expect(claims.insert[0]).toMatchObject({ origin: "manifest", createdAt: 7 });
    expect(claims.refused.map(({ app, why }) => [app.name, why])).toEqual([
      ["shop", "another app has it"],
    ]);
  });

  test("who came first keeps it, however old the other app is", () => {
    const claims = claim(
      source([row("new.example", "shop", "manifest")]),
      [wish("blog", "new.example"), wish("shop", "new.example")],
      7,
    );
    expect([claims.insert, claims.remove]).toEqual([[], []]);
    expect(claims.refused.map(({ app }) => app.name)).toEqual(["blog"]);
  });

  test.each([
    ["the OS host", "os.d.example"],
    ["the OS host of this machine", "os.localhost"],
    ["another app's name", "shop.d.example"],
    ["what the owner gave to another", "given.example"],
    ["what is no host", "http://x/"],
  ])("%s is refused", (_name, host) => {
    const claims = claim(source([row("given.example", "shop")]), [wish("blog", host)], 7);
    expect(claims.insert).toEqual([]);
    expect(claims.refused).toHaveLength(1);
  });

  test("a host no longer asked for is freed, and goes to who asks now", () => {
    const claims = claim(
      source([row("new.example", "shop", "manifest")]),
      [wish("blog", "new.example"), wish("shop")],
      7,
    );
    expect(hosts(claims.remove)).toEqual(["new.example app_shop"]);
    expect(hosts(claims.insert)).toEqual(["new.example app_blog"]);
  });

  test("rows of an app that is gone are removed; the owner's others stay", () => {
    const rows = [row("a.example", "gone"), row("b.example", "blog")];
    expect(hosts(claim(source(rows), [], 7).remove)).toEqual(["a.example app_gone"]);
  });

  test("what the owner routed to an app that may come back waits, but not against others", () => {
    const rows = [row("a.example", "away"), row("b.example", "away", "manifest")];
    const away = { ...source(rows), removed: new Set(["app_away"]) };
    const claims = claim(away, [wish("blog", "a.example")], 7);
    expect(hosts(claims.remove)).toEqual(["b.example app_away"]);
    expect(hosts(claims.insert)).toEqual(["a.example app_blog"]);
  });

  test("doing it twice changes nothing more", () => {
    const wishes = [wish("blog", "a.example", "A.example", "*.a.example")];
    const first = claim(source(), wishes, 7);
    expect(hosts(first.insert)).toEqual(["a.example app_blog", "*.a.example app_blog"]);
    const second = claim(source(first.insert), wishes, 8);
    expect(second).toEqual({ insert: [], remove: [], refused: [] });
  });
});
