/** What one fetch keeps of an answer: all of it, or nothing. */
import { expect, test } from "bun:test";
import type { App, Release } from "../../app/mod.ts";
import { realMachine } from "../../machine.ts";
import { Budgets } from "./budget.ts";
import { AnswerCache, type Kept } from "./cache.ts";
import { Chain, type ChainParts } from "./chain.ts";
import { send } from "./connect.ts";
import type { EgressRequest } from "./egress.ts";
import { cacheBytesMax, egressNameMsMax } from "./limits.ts";

function parts(): ChainParts {
  const machine = realMachine();
  return {
    connector: { machine, resolve: async () => ["127.0.0.1"], reach: () => "public" },
    budgets: new Budgets(machine),
    cache: new AnswerCache(),
    judge: () => ({ near: false }),
    secrets: () => [],
    note: () => undefined,
  };
}

const app = { id: "app_1", name: "shop" } as App;

function get(on: ChainParts, url: string) {
  const request: EgressRequest = {
    url,
    method: "GET",
    headers: [],
    redirect: "follow",
    cache: "default",
    body: new ReadableStream<Uint8Array>(),
    signal: new AbortController().signal,
  };
  return new Chain(on, { app, release: {} as Release, request }).run();
}

test("an answer that the app lets go of half-way is not kept as a whole one", async () => {
  let rest: ReadableStreamDefaultController<Uint8Array> | null = null;
  const bytes = (text: string) => new TextEncoder().encode(text);
  const server = Bun.serve({
    port: 0,
    hostname: "127.0.0.1",
    fetch: () => {
      const body = new ReadableStream<Uint8Array>({
        start: (out) => {
          out.enqueue(bytes("first "));
          if (rest === null) rest = out;
          else {
            out.enqueue(bytes("second"));
            out.close();
          }
        },
      });
      return new Response(body, { headers: { "cache-control": "max-age=60" } });
    },
  });
  try {
    const on = parts();
    const url = `http://api.example.org:${server.port}/`;
    const cut = (await get(on, url)).body?.getReader();
    expect(new TextDecoder().decode((await cut?.read())?.value)).toBe("first ");
    // The next piece is being waited for when the app goes away.
    const pending = cut?.read();
    await new Promise((turn) => setImmediate(turn));
    await cut?.cancel();
    await pending;
    const again = await get(on, url);
    expect(await new Response(again.body).text()).toBe("first second");
  } finally {
    await server.stop(true);
  }
});

test("answers without a body count as well: addresses and heads are bytes", () => {
  const cache = new AnswerCache();
  const about = { asked: new Headers(), now: 0, freshMs: 60_000 };
  const headers = [["x", "y".repeat(1000)]] as const;
  const kept: Kept = { status: 200, statusText: "", headers, body: new Uint8Array() };
  const many = Math.ceil(cacheBytesMax / 1000) + 1;
  for (let i = 0; i < many; i++) cache.put(`app_1 http://api.example.org/${i}`, kept, about);
  expect(cache.get("app_1 http://api.example.org/0", about.asked, 1)).toBeNull();
  expect(cache.get(`app_1 http://api.example.org/${many - 1}`, about.asked, 1)).not.toBeNull();
});

test("a name that nobody resolves ends in its own time, or with the app's patience", async () => {
  const { connector } = parts();
  const { machine } = connector;
  const after = (ms: number, run: () => void) =>
    machine.after(ms === egressNameMsMax ? 1 : ms, run);
  const silent = { ...connector, resolve: () => new Promise<never>(() => undefined) };
  const out = (signal: AbortSignal) => ({
    url: new URL("http://never.example/"),
    method: "GET",
    headers: [],
    body: null,
    near: false,
    signal,
  });
  const quick = { ...silent, machine: { ...machine, after } };
  await expect(send(quick, out(new AbortController().signal))).rejects.toMatchObject({
    code: "ETIMEDOUT",
  });
  const patience = new AbortController();
  const asked = send(silent, out(patience.signal));
  patience.abort();
  await expect(asked).rejects.toMatchObject({ code: "ECANCELED" });
});
