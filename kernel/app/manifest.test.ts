/** app.json: every complaint names the key and what is expected. */
import { describe, expect, test } from "bun:test";
import { SysError } from "../errno.ts";
import { EnvName, readAppName, readManifest, storedManifest } from "./manifest.ts";

function complaint(value: unknown): { message: string; hint: string | null } {
  try {
    readManifest(value);
  } catch (error) {
    if (error instanceof SysError && error.code === "EINVAL") {
      return { message: error.message, hint: error.hint };
    }
    throw error;
  }
  throw new Error("nothing was refused");
}

test.each(["https://example.org:splat", "http://:splat/x", "//example.org:splat/"])(
  "a client's path cannot become the host of %s",
  (to) => {
    const manifest = { redirects: [{ from: "/a/*", to }] };
    expect(complaint(manifest).message).toContain("must have :splat behind the host's /");
  },
);

describe("app.json", () => {
  test("an empty one has every default", () => {
    expect(readManifest({})).toMatchObject({
      server: null,
      public: "public",
      spa: false,
      memory: "128M",
      cpu: 100,
      idle: "5m",
      env: {},
    });
  });

  test("a mistyped key is named, with the nearest one", () => {
    expect(complaint({ sever: "server.ts" })).toEqual({
      message: 'cannot read "app.json": unknown key "sever"',
      hint: 'did you mean "server"?',
    });
  });

  test("a key like no other comes with the list", () => {
    expect(complaint({ zzzzzz: 1 }).hint).toStartWith("the keys are name, server, public");
  });

  test("a mistyped key inside a list is told before the key that is missing for it", () => {
    expect(complaint({ cron: [{ schedule: "0 4 * * *", pth: "/x" }] })).toEqual({
      message: 'cannot read "app.json": unknown key "pth" in "cron[0]"',
      hint: 'did you mean "path"?',
    });
  });

  test.each([
    [{ spa: "yes" }, '"spa" must be true or false, not a string'],
    [{ server: 5 }, '"server" must be a string, not a number'],
    [{ cpu: 1.5 }, '"cpu" must be a whole number'],
    [{ cpu: 0 }, '"cpu" must be 1 to 10000'],
    [{ routes: "x" }, '"routes" must be an array, not a string'],
    [{ env: { A: 1 } }, '"env.A" must be a string, not a number'],
    [{ env: { LD_PRELOAD: "x" } }, '"env.LD_PRELOAD" is read by the system itself'],
    [{ memory: "12" }, '"memory" must be a size such as "128M"'],
    [{ idle: "soon" }, '"idle" must be such as "5m" or "never"'],
    [{ name: "os" }, '"name" is a reserved name'],
    [{ name: "Big" }, '"name" must be 1 to 63 lower-case letters, digits and inner hyphens'],
    [{ public: "../x" }, '"public" must be a path inside the app'],
    [{ server: "/etc/passwd" }, '"server" must be a path inside the app'],
    [{ public: "a/../../b" }, '"public" must be a path inside the app'],
    [{ cron: [{ schedule: "@daily" }] }, '"cron[0].path" is missing; it must be a string'],
    [
      { cron: [{ schedule: "0 25 * * *", path: "/" }] },
      '"cron[0].schedule" must be five fields, as in crontab(5): hour "25"',
    ],
    [{ cron: [{ schedule: "0 0 30 2 *", path: "/" }] }, '"cron[0].schedule" never comes'],
    [
      { cron: [{ schedule: "@daily", path: "/", zone: "Mars" }] },
      '"cron[0].zone" must be a time zone such as "Europe/Berlin"',
    ],
    [
      { redirects: [{ from: "/a", to: "/b", status: 200 }] },
      '"redirects[0].status" must be one of 301, 302, 303, 307, 308',
    ],
    [
      { redirects: [{ from: "/a", to: "javascript:alert(1)" }] },
      '"redirects[0].to" must start with "/", "http://" or "https://"',
    ],
    [
      { headers: [{ path: "/", headers: { a: "x\r\nset-cookie: y" } }] },
      '"headers[0].headers.a" must not hold control characters',
    ],
    [
      { headers: [{ path: "/", headers: { "a b": "x" } }] },
      `"headers[0].headers.a b" must be a header's name`,
    ],
    [{ rate: 0 }, '"rate" must be more than 0'],
    [{ rate: "fast" }, '"rate" is not of any shape it may have'],
    [{ rate: [{ path: "/a" }] }, '"rate[0].requests" is missing; it must be a number'],
    [{ rate: [{ path: "a", requests: 1 }] }, '"rate[0].path" must start with "/"'],
    [{ rate: [{ requests: 1, per: "day" }] }, '"rate[0].per" must be one of client, app'],
    [{ rate: [{ requests: 1, second: 2 }] }, 'unknown key "second" in "rate[0]"'],
    [{ routes: Array.from({ length: 101 }, () => "a") }, '"routes" must have at most 100 entries'],
    [[], "must be an object, not an array"],
    [null, "must be an object, not null"],
  ])("%j", (value, state) => {
    expect(complaint(value).message).toBe(`cannot read "app.json": ${state}`);
  });

  test("one from a newer kernel is read without the keys that are not known here", () => {
    expect(storedManifest('{"spa":true,"hologram":1}')).toMatchObject({ spa: true });
  });
});

test("names of apps are DNS labels and not the system's", () => {
  for (const name of ["a", "blog", "my-app-2", "9", "a".repeat(63)]) {
    expect(readAppName(name, "deploy")).toBe(name);
  }
  for (const name of [
    "",
    "-a",
    "a-",
    "A",
    "a_b",
    "a.b",
    "é",
    "a".repeat(64),
    "os",
    "www",
    "kernel",
  ]) {
    expect(() => readAppName(name, "deploy")).toThrow("cannot deploy");
  }
});

test("variables that steer the runtime are not an app's", () => {
  for (const name of ["A", "API_KEY", "_X1"]) expect(EnvName.safeParse(name).success).toBe(true);
  const taken = ["BUN_JSC_useJIT", "BUN_OPTIONS", "LD_PRELOAD", "NODE_OPTIONS", "PATH", "HOME"];
  for (const name of [...taken, "FAZT_TOKEN", "lower", "1A", "A-B", "A=B", ""]) {
    expect(EnvName.safeParse(name).success).toBe(false);
  }
});
