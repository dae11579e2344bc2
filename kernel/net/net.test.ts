/** The listener: addresses, and an orderly close. */
import { describe, expect, test } from "bun:test";
import { connect } from "node:net";
import { bodyOf, fixture, head, raw } from "./fixture.ts";
import { openUrl } from "./listener.ts";
import { createNet } from "./mod.ts";

const refusalOf = (run: () => unknown): { code?: string; hint?: string | null } => {
  try {
    run();
    return {};
  } catch (error) {
    return error as { code?: string; hint?: string };
  }
};
const os = () => new Response("os");

test("proc is told of whom the kernel itself answers, so that apps' bodies let them pass", async () => {
  await using at = fixture();
  at.put({ name: "site", files: { "/": "hello" }, serve: () => new Response("app") });
  // The second time a file takes the short way.
  for (const times of [1, 2]) {
    expect(await (await at.get("site.localhost")).text()).toBe("hello");
    expect(at.answered()).toBe(times);
  }
  expect(await (await at.get("site.localhost", "/served")).text()).toBe("app");
  expect(at.answered()).toBe(2);
  expect((await at.get("os.localhost")).status).toBe(200);
  expect(at.answered()).toBe(3);
});

describe("listening", () => {
  test("a port in use is EADDRINUSE and the hint names the flag", async () => {
    await using at = fixture();
    const { code, hint } = refusalOf(() => at.net.listen(`127.0.0.1:${at.port}`, os));
    expect(code).toBe("EADDRINUSE");
    expect(hint).toContain("--http");
    expect(refusalOf(() => at.net.listen(`:${at.port}`, os)).code).toBe("EADDRINUSE");
  });

  test("an address that is none, or not of this machine, is EINVAL", async () => {
    await using at = fixture();
    expect(refusalOf(() => at.net.listen("8080", os)).code).toBe("EINVAL");
    expect(refusalOf(() => at.net.listen("203.0.113.9:0", os)).code).toBe("EINVAL");
  });

  test("every interface: IPv4, and IPv6 where there is any", async () => {
    await using at = fixture();
    const { url, port } = at.net.listen(":0", os);
    expect(url).toBe(`http://localhost:${port}`);
    expect((await fetch(`http://127.0.0.1:${port}/sys/health`)).status).toBe(200);
    const told = await raw(port, head("GET /sys/health HTTP/1.1", "Host: os.localhost"));
    expect(bodyOf(told)).toBe("os");
  });

  test("an IPv6 address alone, where the machine has IPv6", async () => {
    await using at = fixture();
    const { code } = refusalOf(() => {
      const { url, port } = at.net.listen("[::1]:0", os);
      expect(url).toBe(`http://[::1]:${port}`);
    });
    expect([undefined, "EINVAL"]).toContain(code);
  });

  test("a URL people can open", () => {
    const urlOf = (hostname: string, port: number, protocol: "http" | "https" = "http") =>
      openUrl({ hostname, port, protocol });
    expect(urlOf("::1", 8080)).toBe("http://[::1]:8080");
    expect(urlOf("0.0.0.0", 80)).toBe("http://localhost");
    expect(urlOf("127.0.0.1", 443, "https")).toBe("https://127.0.0.1");
    expect(urlOf("127.0.0.1", 8080)).toBe("http://127.0.0.1:8080");
  });

  test("before it listens an app's URL has no port", async () => {
    await using at = fixture();
    expect(at.again().urlOf("blog")).toBe("http://blog.localhost/");
    expect(at.net.urlOf("blog")).toBe(`http://blog.localhost:${at.port}/`);
    expect(createNet).toBeFunction();
  });
});

describe("closing", () => {
  test("a request under way is answered, and told that the connection ends", async () => {
    await using at = fixture();
    const reached = Promise.withResolvers<void>();
    const go = Promise.withResolvers<void>();
    at.put({
      name: "slow",
      serve: async () => {
        reached.resolve();
        await go.promise;
        return new Response("done");
      },
    });
    const under = Promise.withResolvers<string>();
    let got = "";
    const socket = connect(at.port, "127.0.0.1", () =>
      socket.write("GET / HTTP/1.1\r\nHost: slow.localhost\r\n\r\n"),
    );
    socket.on("data", (data) => {
      got += data.toString();
    });
    socket.on("close", () => under.resolve(got));
    await reached.promise;
    const closed = at.net.close();
    const refused = await at.get("slow.localhost").catch(() => null);
    expect(refused).toBeNull();
    go.resolve();
    expect((await under.promise).toLowerCase()).toContain("connection: close");
    expect(got).toEndWith("done");
    await closed;
    expect(at.net.close()).toBe(at.net.close());
  });
});
