/** Names of hosts: what a header says, what may be routed, what a listener binds. */
import { describe, expect, test } from "bun:test";
import { isLoopback, parseBind, parseHost, plainAddress, routeHost } from "./host.ts";

const errnoOf = (run: () => unknown): unknown => {
  try {
    return run();
  } catch (error) {
    return (error as { code?: string }).code;
  }
};

describe("a Host header names", () => {
  test.each([
    ["blog.example.org", "blog.example.org"],
    ["Blog.EXAMPLE.org:8080", "blog.example.org"],
    ["blog.example.org.", "blog.example.org"],
    ["blog.example.org.:80", "blog.example.org"],
    ["blog.example.org:", "blog.example.org"],
    ["localhost", "localhost"],
    ["my_app.d", "my_app.d"],
    ["127.0.0.1:80", "127.0.0.1"],
    ["[::1]:8080", "[::1]"],
    ["[2001:DB8::1]", "[2001:db8::1]"],
  ])("%p: %p", (header, host) => {
    expect(parseHost(header)).toBe(host);
  });
});

describe("a Host header names nothing", () => {
  test.each([
    [null],
    [""],
    ["."],
    ["a.d, b.d"],
    ["a.d,b.d"],
    ["a.d/x"],
    ["a.d?x"],
    ["a.d#x"],
    ["u@a.d"],
    ["a b"],
    [" a.d"],
    ["a..d"],
    [".a.d"],
    ["a.d.."],
    ["-a.d"],
    ["a-.d"],
    ["a.d:99999"],
    ["a.d:80:80"],
    ["a.d:x"],
    ["a.d:-1"],
    ["::1"],
    ["[::1"],
    ["[::1]x"],
    ["[fe80::1%25eth0]"],
    ["[]"],
    ["b\u00fccher.d"],
    ["a\u0000.d"],
    ["*.d"],
    ["a%2ed"],
    [`${"a".repeat(64)}.d`],
    [`${"a.".repeat(127)}d`],
  ])("%p", (header) => {
    expect(parseHost(header)).toBeNull();
  });
});

describe("a route's host", () => {
  test.each([
    ["Blog.Example.org", "blog.example.org"],
    ["blog.example.org.", "blog.example.org"],
    [" blog.example.org ", "blog.example.org"],
    ["*.Example.org", "*.example.org"],
    ["bücher.example", "xn--bcher-kva.example"],
    ["*.BÜCHER.example", "*.xn--bcher-kva.example"],
    ["日本語。jp", "xn--wgv71a119e.jp"],
    ["localhost", "localhost"],
  ])("%p is %p", (text, host) => {
    expect(routeHost(text)).toBe(host);
  });

  test.each([
    [""],
    ["*"],
    ["*."],
    ["*.*.d"],
    ["a.*.d"],
    ["http://a.d"],
    ["a.d/x"],
    ["a.d:80"],
    ["[::1]"],
    ["127.0.0.1"],
    ["a b.d"],
    ["a..d"],
    ["u@a.d"],
    ["a.d?x"],
    ["a.d#x"],
    ["a%41.d"],
    ["-a.d"],
    ["a\u0000b.d"],
    ["\u0661.\u0662.\u0663.\u0664"],
    [`${"a".repeat(64)}.d`],
    [`${"ab.".repeat(90)}d`],
  ])("%p is EINVAL", (text) => {
    expect(errnoOf(() => routeHost(text))).toBe("EINVAL");
  });
});

describe("a listener binds", () => {
  test.each([
    ["127.0.0.1:8080", { hostname: "127.0.0.1", port: 8080 }],
    [":8080", { hostname: null, port: 8080 }],
    [":0", { hostname: null, port: 0 }],
    ["[::1]:8080", { hostname: "::1", port: 8080 }],
    ["localhost:80", { hostname: "localhost", port: 80 }],
  ])("%p", (text, bind) => {
    expect(parseBind(text)).toEqual(bind);
  });

  test.each([["8080"], [""], ["::1:80"], ["a:b"], [":70000"], ["http://x:80"], ["a:80/x"]])(
    "%p is EINVAL",
    (text) => {
      expect(errnoOf(() => parseBind(text))).toBe("EINVAL");
    },
  );
});

test("addresses: loopback, and IPv4 within IPv6", () => {
  expect(isLoopback("127.0.0.1")).toBe(true);
  expect(isLoopback("127.8.8.8")).toBe(true);
  expect(isLoopback("::1")).toBe(true);
  expect(isLoopback(null)).toBe(false);
  expect(isLoopback("10.127.0.1")).toBe(false);
  expect(plainAddress("::ffff:10.0.0.1")).toBe("10.0.0.1");
  expect(plainAddress("2001:db8::1")).toBe("2001:db8::1");
});
