/**
 * What an idle WebSocket costs: five thousand of them through the kernel to one app, all open at
 * once, with what the kernel and the app then hold more than before.
 */
import type { Bench } from "./bench.ts";
import { fixture } from "./fixture.ts";
import { anonymousMb, claimedDirectory, startKernel } from "./kernel.ts";
import { type Row, valueRow } from "./row.ts";

const count = 5000;
/** Handshakes under way at once. */
const atOnce = 50;
const rounds = 3;
/** For collections and writes that follow. */
const settleMs = 3000;

/** Opens a WebSocket by hand: a client of its own would cost more than what is measured. */
async function open(port: number, host: string): Promise<{ end(): void }> {
  const agreed = Promise.withResolvers<void>();
  const socket = await Bun.connect({
    hostname: "127.0.0.1",
    port,
    socket: {
      data: (_socket, bytes) => {
        if (bytes.toString("latin1").startsWith("HTTP/1.1 101")) agreed.resolve();
        else agreed.reject(new Error(bytes.toString("latin1", 0, 200)));
      },
      close: () => agreed.reject(new Error("closed")),
    },
  });
  const head = ["GET / HTTP/1.1", `Host: ${host}`, "Upgrade: websocket", "Connection: Upgrade"];
  const more = ["Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg=="];
  socket.write(`${[...head, ...more].join("\r\n")}\r\n\r\n`);
  await agreed.promise;
  return socket;
}

export async function measureSockets(bench: Bench): Promise<Row[]> {
  const inKernel: number[] = [];
  const inApp: number[] = [];
  for (let round = 0; round < rounds; round++) {
    await using kernel = await startKernel(bench, await claimedDirectory(bench));
    await kernel.fazt("app", "deploy", fixture("sockets"), "--name", "sockets");
    const host = kernel.hostOf("sockets");
    // Once before, so that what the first connections bring along is not counted.
    for (let n = 0; n < 200; n++) (await open(kernel.port, host)).end();
    await Bun.sleep(settleMs);
    const [app] = await kernel.fazt<{ pid: number }[]>("proc", "status", "sockets");
    const pid = app?.pid ?? 0;
    const before = { kernel: anonymousMb(kernel.pid), app: anonymousMb(pid) };
    const held: { end(): void }[] = [];
    let begun = 0;
    const lane = async () => {
      while (begun++ < count) held.push(await open(kernel.port, host));
    };
    await Promise.all(Array.from({ length: atOnce }, lane));
    await Bun.sleep(settleMs);
    const each = (now: number, then: number) => ((now - then) * 1000) / held.length;
    inKernel.push(each(anonymousMb(kernel.pid), before.kernel));
    inApp.push(each(anonymousMb(pid), before.app));
    for (const socket of held) socket.end();
  }
  const what = `each of ${count} idle WebSockets, kernel`;
  return [
    valueRow({ id: "socket-kernel", what, unit: "KB", goal: { atMost: 20 } }, inKernel),
    valueRow({ id: "socket-app", what: "  its app", unit: "KB", goal: null }, inApp),
  ];
}
