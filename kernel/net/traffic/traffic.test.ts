/** What is counted of routes, and what the log says of clients. */
import { expect, test } from "bun:test";
import { fixture } from "../fixture.ts";
import { routesCountedMax } from "./limits.ts";
import { networkOf } from "./privacy.ts";
import { createTraffic } from "./traffic.ts";

test("each host's answers are counted, those of the short way too; strangers' names together", async () => {
  await using at = fixture();
  const fail = () => {
    throw new Error("x");
  };
  const files = { "/a.txt": "12345" };
  at.put({ name: "blog", files });
  at.put({ name: "bad", serve: fail });
  for (let i = 0; i < 3; i++) await (await at.get("blog.localhost", "/a.txt")).text();
  await at.get("bad.localhost");
  await at.get("os.localhost");
  for (const host of ["evil.example", "os.evil.example"]) await at.get(host);
  const routes = new Map(at.net.traffic.routes().map((route) => [route.host, route]));
  const of = (host: string) => {
    const { requests = 0, errors = 0, latency } = routes.get(host) ?? {};
    return [requests, errors, latency?.counts.at(-1)];
  };
  expect(of("blog.localhost")).toEqual([3, 0, 3]);
  // By the long way, by the short one, and as one of those that are alike.
  expect(routes.get("blog.localhost")?.bytes).toBe(15);
  expect(of("bad.localhost")).toEqual([1, 1, 1]);
  expect(of("os.localhost")).toEqual([1, 0, 1]);
  expect(of("(other)")).toEqual([2, 0, 2]);
  expect(routes.size).toBe(4);
});

test("so many hosts are counted by themselves at most", () => {
  const traffic = createTraffic();
  for (let i = 0; i < routesCountedMax + 50; i++) traffic.of(`h${i}`).note(200, 1, 10);
  const usage = traffic.usage();
  expect(usage).toHaveLength(routesCountedMax + 1);
  expect(usage.at(-1)).toMatchObject({ host: "(other)", requests: 50, bytes: 500 });
});

test.each([
  ["203.0.113.7", "203.0.113.0/24"],
  ["2001:db8:1:2::3", "2001:db8:1::/48"],
  ["2001:db8::3", "2001:db8::/48"],
  ["::1", "::/48"],
])("the network of %s is %s", (address, network) => {
  expect(networkOf(address)).toBe(network);
});

test("a line says of its client what the owner wants, and of files in memory as well", async () => {
  await using at = fixture();
  at.put({ name: "blog", files: { "/a.txt": "12345" } });
  const ask = async () => (await at.get("blog.localhost", "/a.txt")).text();
  await ask();
  await ask();
  expect(at.net.traffic.clients()).toEqual([]);
  for (const clients of ["network", "full", "hash"] as const) {
    await at.net.privacy.set({ clients });
    await ask();
  }
  await at.net.close();
  const lines = at.storage.logs.query({ app: "access" }).map(({ text }) => JSON.parse(text));
  const named = lines.map(({ client }) => client).filter((client) => client !== undefined);
  expect(named).toEqual(["127.0.0.0/24", "127.0.0.1", expect.stringMatching(/^[0-9a-f]{12}$/)]);
  const again = at.again();
  expect(again.privacy.show()).toEqual({ clients: "hash", log: true });
  await again.close();
});

test("a log that is switched off gets no line, and what is counted goes on", async () => {
  await using at = fixture();
  at.put({ name: "blog", files: { "/a.txt": "12345" } });
  await at.net.privacy.set({ log: false });
  for (let i = 0; i < 3; i++) await (await at.get("blog.localhost", "/a.txt")).text();
  await at.net.close();
  expect(at.storage.logs.query({ app: "access" })).toEqual([]);
  expect(at.net.status().requests).toBe(3);
});
