/**
 * Hostile apps that win by time: a processor that is never given back, replies that never come or
 * never end, starts that fail again and again. They are hostile all at once, half a minute long.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { until } from "../../process.ts";
import { openPlace, type Place } from "./place.ts";

const apps = ["spin", "silent", "exits"];
const noLoad = Bun.which("wrk") === null;

let place: Place;
beforeAll(async () => {
  place = await openPlace();
  for (const app of apps) await place.deploy(app);
  await place.deploy("hoard", { from: "silent" });
}, 60_000);
afterAll(() => place[Symbol.asyncDispose]());

describe.concurrent("time", () => {
  test("a process that never gives the processor back is ended and started again", async () => {
    const watch = place.watch();
    const stuck = await place.ask("spin", "/deed");
    await place.told("spin", (text) => /its event loop was blocked for over 15 s/.test(text));
    await watch.end();
    expect(stuck.status).toBe(504);
    // The next one waits for a fresh process and is answered.
    expect(await place.ask("spin", "/")).toEqual({ status: 200, text: "alive" });
  }, 90_000);

  test("a reply that never comes is a 504, and the app goes on", async () => {
    const watch = place.watch();
    const { pid } = await place.status("silent");
    const silent = await place.ask("silent", "/deed");
    await place.told("silent", (text) => /GET \/deed: no reply within 30 s/.test(text));
    await watch.end();
    expect(silent.status).toBe(504);
    expect(await place.ask("silent", "/")).toEqual({ status: 200, text: "alive" });
    expect((await place.status("silent")).pid).toBe(pid);
  }, 90_000);

  test.skipIf(noLoad)(
    "1000 replies that never come take nobody else's place",
    async () => {
      expect(await place.ask("hoard", "/")).toEqual({ status: 200, text: "alive" });
      const { port } = place.machine;
      const load = ["wrk", "-t1", "-c1000", "-d20s", "--timeout", "60s"];
      const url = `http://127.0.0.1:${port}/deed`;
      const wrk = Bun.spawn([...load, "-H", `Host: hoard.localhost:${port}`, url], {
        stdio: ["ignore", "ignore", "ignore"],
      });
      await until("every place is taken", async () => {
        return (await place.ask("hoard", "/")).status === 503;
      });
      const watch = place.watch();
      await wrk.exited;
      await watch.end();
      await until("it has places again", async () => {
        return (await place.ask("hoard", "/")).status === 200;
      });
    },
    90_000,
  );

  test("replies that drip cost what is read of them", async () => {
    const watch = place.watch();
    const over = new AbortController();
    const { signal } = over;
    const replies = Array.from({ length: 50 }, () =>
      place.machine.fetch("silent", "/drip", { signal }),
    );
    for (const reply of await Promise.all(replies)) expect(reply.status).toBe(200);
    over.abort();
    await watch.end();
    expect(await place.ask("silent", "/")).toEqual({ status: 200, text: "alive" });
  }, 90_000);

  test("an upload nobody reads is held at its sender", async () => {
    const watch = place.watch();
    let sent = 0;
    const body = new ReadableStream<Uint8Array>({
      pull(out) {
        sent += 65_536;
        out.enqueue(new Uint8Array(65_536));
      },
    });
    const signal = AbortSignal.timeout(2_000);
    const asked = { method: "POST", body, signal };
    const reply = await place.machine.fetch("silent", "/swallow", asked).catch(() => null);
    await watch.end();
    expect(reply === null || reply.status >= 400).toBe(true);
    expect(sent).toBeLessThan(32 * 2 ** 20);
    expect(await place.ask("silent", "/")).toEqual({ status: 200, text: "alive" });
  }, 90_000);

  test("exits in a loop end in crashed, with the reason", async () => {
    const watch = place.watch();
    expect((await place.ask("exits", "/deed")).status).toBe(502);
    const reason = await place.told("exits", (text) => text.startsWith("5 crashes within 60 s"));
    await watch.end();
    expect(reason).toBe("5 crashes within 60 s, the last: exited with code 7");
    expect(await place.status("exits")).toMatchObject({ state: "crashed", pid: null });
    const at = performance.now();
    expect((await place.ask("exits", "/")).status).toBe(503);
    expect(performance.now() - at).toBeLessThan(1_000);
  }, 90_000);
});
