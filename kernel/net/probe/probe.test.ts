/** Probes against this machine itself: echoes on loopback, a name server and a web server of ours. */
import { describe, expect, test } from "bun:test";
import { realMachine } from "../../machine.ts";
import { checksum, echoReply, echoRequest, socketAddress } from "./icmp.ts";
import { type Echo, ping, request } from "./mod.ts";

const machine = realMachine();
const alive = new AbortController().signal;

describe("packets", () => {
  test("an echo request sums up to nothing, and its reply is known by its mark", () => {
    const packet = echoRequest(4, { id: 7, seq: 9 });
    expect(checksum(packet)).toBe(0);
    expect(echoReply(4, packet)).toBeNull();
    packet[0] = 0;
    expect(echoReply(4, packet)).toEqual({ id: 7, seq: 9 });
    const header = new Uint8Array(20).fill(0x45, 0, 1);
    expect(echoReply(4, Uint8Array.from([...header, ...packet]))).toEqual({ id: 7, seq: 9 });
  });

  test("addresses", () => {
    expect([...socketAddress(4, "192.0.2.7")].slice(0, 8)).toEqual([2, 0, 0, 0, 192, 0, 2, 7]);
    const six = [...socketAddress(6, "2001:db8::1:2")].slice(8, 24);
    expect(six).toEqual([0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 2]);
  });
});

test("loopback answers within a second", async () => {
  const echoes: Echo[] = [];
  for await (const echo of ping(machine, { host: "127.0.0.1", count: 2 }, alive)) echoes.push(echo);
  expect(echoes.map(({ seq, address }) => [seq, address])).toEqual([
    [1, "127.0.0.1"],
    [2, "127.0.0.1"],
  ]);
  for (const { ms } of echoes) expect(ms).toBeLessThan(1000);
});

test("a request is followed where it leads, and its body only measured", async () => {
  using server = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    fetch: ({ url }) =>
      new URL(url).pathname === "/"
        ? Response.redirect("/there")
        : new Response("12345", { status: 404, headers: { server: "ours" } }),
  });
  const found = await request(machine, server.url.href, alive);
  expect(found).toMatchObject({ status: 404, bodyBytes: 5, server: "ours" });
  expect(found.hops.map(({ status }) => status)).toEqual([302, 404]);
});

test("a loop of redirects ends", async () => {
  using server = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    fetch: () => Response.redirect("/again"),
  });
  const { hops } = await request(machine, server.url.href, alive);
  expect(hops).toHaveLength(6);
});
