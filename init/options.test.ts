/** What `proc start` and `proc init` are told, where data is, and that help tells no other flags. */
import { describe, expect, test } from "bun:test";
import { join } from "node:path";
import { localCommands } from "../cli/local.ts";
import { UsageError } from "../cli/usage.ts";
import { dataDirOf } from "../kernel/data-dir.ts";
import { claimOptions, startOptions } from "./options.ts";

const around = { env: { HOME: "/home/ada" }, uid: 1000 };

describe("the data directory", () => {
  const user = (env: Record<string, string>, uid = 1000) =>
    dataDirOf(undefined, { env: { HOME: "/home/ada", ...env }, uid });

  test("is the flag, else FAZT_DATA, else the usual place", () => {
    expect(dataDirOf("/flag", { env: { FAZT_DATA: "/env" }, uid: 0 })).toBe("/flag");
    expect(user({ FAZT_DATA: "/env" }, 0)).toBe("/env");
    expect(user({ FAZT_DATA: "", XDG_DATA_HOME: "/xdg" }, 0)).toBe("/var/lib/fazt");
    expect(user({ XDG_DATA_HOME: "/xdg" })).toBe("/xdg/fazt");
    expect(user({})).toBe("/home/ada/.local/share/fazt");
  });

  test("is a whole path: what is started on it has another working directory", () => {
    expect(dataDirOf("data", { env: {}, uid: 0 })).toBe(join(process.cwd(), "data"));
    expect(user({ FAZT_DATA: "./data" })).toBe(join(process.cwd(), "data"));
  });
});

test("proc start: defaults and flags", () => {
  expect(startOptions([], around)).toEqual({
    dataDir: "/home/ada/.local/share/fazt",
    http: ":8080",
    https: ":8443",
    httpsAsked: false,
    domain: null,
    json: false,
    insecureNoSandbox: false,
  });
  const given = ["--data", "/d", "--http", ":0", "--domain=x.org", "--json"];
  expect(startOptions(given, around)).toMatchObject({
    dataDir: "/d",
    http: ":0",
    domain: "x.org",
    https: ":0",
    json: true,
  });
  const https = (...args: string[]) => startOptions(args, around).https;
  expect(https("--http", "127.0.0.1:9000")).toBe("127.0.0.1:8443");
  expect(https("--http", "[::1]:0")).toBe("[::1]:0");
  expect(https("--https", "127.0.0.1:9443")).toBe("127.0.0.1:9443");
  expect(https("--https", "off")).toBeNull();
});

describe("usage errors", () => {
  test.each([
    [["--htp", ":1"], 'unknown flag "--htp"'],
    [["--http"], "--http"],
    [["extra"], "extra"],
  ])("proc start %p", (args, message) => {
    expect(() => startOptions(args, around)).toThrow(UsageError);
    expect(() => startOptions(args, around)).toThrow(message);
  });

  test("proc init without its domain or its e-mail", () => {
    expect(() => claimOptions(["--email", "a@b.c"], around)).toThrow('missing flag "--domain"');
    expect(() => claimOptions(["--domain", "b.c"], around)).toThrow('missing flag "--email"');
  });
});

test.each([
  ["proc start", startOptions],
  ["proc init", claimOptions],
] as const)("%s takes every flag that its help tells", (name, options) => {
  const command = localCommands().find(({ words }) => words.join(" ") === name);
  const words = (command?.parameters ?? []).flatMap(({ spelling, kind, secret }) => {
    if (kind === "boolean") return [`--${spelling}`];
    return [secret ? `--${spelling}-file` : `--${spelling}`, "x"];
  });
  expect(words).not.toEqual([]);
  expect(() => options(words, around)).not.toThrow();
});
