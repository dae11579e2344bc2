/** What an app that opens a socket is told, by every door; in a real process. */
import { expect, test } from "bun:test";
import { meta, stage } from "./fixture.ts";

/** Each a way to the network: a promise, or something of Node's that emits. */
const doors: readonly (readonly [door: string, what: string])[] = [
  ['net.connect(1, "127.0.0.1")', "open a connection"],
  ['tls.connect(1, "::1")', "open a connection"],
  ['http2.connect("http://127.0.0.1:1")', "open a connection"],
  ["net.createServer().listen(0)", "listen"],
  ["http.createServer().listen(0)", "listen"],
  ['dgram.createSocket("udp4").bind(0)', "open a UDP socket"],
  ['dgram.createSocket("udp6").send("x", 1, "::1")', "open a UDP socket"],
  ['Bun.connect({ hostname: "127.0.0.1", port: 1, socket: {} })', "open a connection"],
  ['Bun.connect({ unix: "/tmp/x", socket: {} })', "open a connection"],
  ['Bun.listen({ hostname: "127.0.0.1", port: 0, socket: {} })', "listen"],
  ["Bun.serve({ port: 0, fetch() {} })", "listen"],
  ["Bun.udpSocket({})", "open a UDP socket"],
  ['new WebSocket("ws://127.0.0.1:1/")', "open a WebSocket"],
];

test("every door to the network says that there is none, and what to do", async () => {
  await using place = stage();
  const app = place.spawn(`
    import * as net from "node:net"; import * as tls from "node:tls"; import * as http from "http";
    import * as http2 from "node:http2"; import * as dgram from "node:dgram";
    const told = async (open) => {
      try {
        const made = open();
        await (made.on ? new Promise((_, reject) => made.on("error", reject)) : made);
      } catch (error) { return [error.code, error.message, error.hint.length > 0]; }
    };
    export default async () => Response.json(await Promise.all([
      ${doors.map(([door]) => `told(() => ${door})`).join(",\n")}]));`);
  await app.ready;
  const reply = await app.fetch(new Request("http://test.localhost/"), meta);
  expect(await reply.json()).toEqual(
    doors.map(([, what]) => ["EPERM", `cannot ${what}: an app has no network of its own`, true]),
  );
});
