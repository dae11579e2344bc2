/**
 * The errnos of what is done at the machine itself: the password replaced, power, probes.
 */
import { localOwner } from "../../kernel/caller.ts";
import type { TestKernel } from "../kernel.ts";
import { type Case, password } from "./errno-world.ts";

const away = { ...localOwner("socket"), via: "token", address: "192.0.2.30" } as const;

export const consoleCases: readonly Case[] = [
  ["security.recover", "EPERM", { password }, () => ({ from: away })],
  ["security.recover", "EINVAL", { password: "x" }],
  ["proc.reboot", "ENOSYS", {}],
  ["proc.poweroff", "ENOSYS", {}],
  ["proc.bootchart", "ENOSYS", {}],
  ["proc.chart.show", "ENOENT", {}],
  ["proc.reset", "EINVAL", { confirm: "yes" }],
  ["proc.reset", "EPERM", { confirm: "erase everything" }, () => ({ from: away })],
  [
    "net.ping",
    "ENOENT",
    async ({ k }) => {
      const lines = await k.call<AsyncIterable<unknown>>("net.ping", { host: "nowhere.invalid" });
      return await lines[Symbol.asyncIterator]().next();
    },
  ],
  ["net.dns", "EINVAL", { name: "example.org", server: "here" }],
  ["net.dns", "ENOENT", ({ k }) => named(k, "NXDOMAIN")],
  ["net.dns", "ETIMEDOUT", ({ k }) => named(k, "SERVFAIL")],
  ["net.http", "EINVAL", { url: "ftp://example.org" }],
  ["net.http", "EIO", { url: "http://127.0.0.1:1" }],
  ["net.http", "ETIMEDOUT", ({ k }) => silent(k)],
];

/** Asks a name server of our own, which answers so to everything. */
async function named(k: TestKernel, answer: "NXDOMAIN" | "SERVFAIL"): Promise<unknown> {
  const server = await Bun.udpSocket({
    hostname: "127.0.0.1",
    socket: {
      data(...[socket, question, port, address]) {
        const reply = Buffer.from(question);
        // RFC 1035, 4.1.1: a response, recursion available, and its code.
        reply.writeUInt16BE(0x8180 | (answer === "NXDOMAIN" ? 3 : 2), 2);
        socket.send(reply, port, address);
      },
    },
  });
  try {
    return await k.call("net.dns", {
      name: "x.test",
      type: "A",
      server: `127.0.0.1:${server.port}`,
    });
  } finally {
    server.close();
  }
}

/** Asks a server that takes the request and never answers, until the caller has waited enough. */
async function silent(k: TestKernel): Promise<unknown> {
  using server = Bun.listen({ hostname: "127.0.0.1", port: 0, socket: { data: () => {} } });
  const asked = new AbortController();
  const answer = k.call(
    "net.http",
    { url: `http://127.0.0.1:${server.port}` },
    { signal: asked.signal },
  );
  asked.abort();
  return await answer;
}

export const fullDiskConsole: readonly Case[] = [
  ["security.recover", "ENOSPC", { password }],
  ["security.acknowledge", "ENOSPC", {}],
];
