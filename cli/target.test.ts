/** Which kernel is asked, with which token; and the service that systemd runs. */
import { describe, expect, test } from "bun:test";
import { unitText } from "./install.ts";
import { originOf, targetOf } from "./target.ts";

const hosts = {
  "example.com": {
    url: "https://os.example.com",
    token: "fazt_kept",
    tokenId: "tok_1",
    expiresAt: null,
  },
};
const none = { host: null, data: null };
const at = (env: Record<string, string>) => ({ env, uid: 1000 });

describe("hosts", () => {
  test.each([
    ["example.com", "https://os.example.com"],
    ["os.example.com", "https://os.example.com"],
    ["https://os.example.com/x?y", "https://os.example.com"],
    ["http://127.0.0.1:8080", "http://127.0.0.1:8080"],
    ["localhost", "http://os.localhost:8080"],
    ["localhost:9000", "http://os.localhost:9000"],
  ])("%s is %s", (host, url) => expect(originOf(host)).toBe(url));

  test.each(["no host", "ftp://x", "a/b", "user@host"])("%s is none", (host) => {
    expect(() => originOf(host)).toThrow("is no host");
  });
});

describe("targets", () => {
  test("this machine, by its data directory", () => {
    expect(targetOf(none, at({ FAZT_DATA: "/d" }), {})).toEqual({
      kind: "local",
      dataDir: "/d",
      socket: "/d/run/fazt.sock",
    });
  });

  test("--data goes before FAZT_HOST, --host before both", () => {
    const around = at({ FAZT_HOST: "example.com" });
    expect(targetOf({ host: null, data: "/d" }, around, hosts).kind).toBe("local");
    expect(targetOf(none, around, hosts)).toMatchObject({ url: "https://os.example.com" });
    const other = targetOf({ host: "other.org", data: "/d" }, around, hosts);
    expect(other).toEqual({ kind: "remote", url: "https://os.other.org", token: null });
  });

  test("a machine logged in to has its token", () => {
    const target = targetOf({ host: "example.com", data: null }, at({}), hosts);
    expect(target).toMatchObject({ token: "fazt_kept" });
  });

  test("FAZT_TOKEN goes to FAZT_HOST, and not to another machine", () => {
    const around = at({ FAZT_HOST: "example.com", FAZT_TOKEN: "fazt_env" });
    expect(targetOf(none, around, hosts)).toMatchObject({ token: "fazt_env" });
    expect(targetOf({ host: "other.org", data: null }, around, hosts)).toMatchObject({
      token: null,
    });
  });
});

test("the unit quotes what systemd would read otherwise", () => {
  const text = unitText(["/opt/my fazt/fazt", "proc", "start", "--data", "/srv/100%$x"]);
  expect(text).toContain('\nExecStart="/opt/my fazt/fazt" proc start --data "/srv/100%%$$x"\n');
});
