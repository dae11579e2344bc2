/** The listener's timer, made short: what it ends, and what may last longer than it. */
import { expect, test } from "bun:test";
import { fixture } from "./fixture.ts";

test("a call of the owner's and a stream without a line outlast it; a stranger's request does not", async () => {
  const over = Promise.withResolvers<void>();
  const silent = () =>
    new ReadableStream({
      pull: async (to) => {
        await over.promise;
        to.enqueue(new TextEncoder().encode('"said"\n'));
        to.close();
      },
    });
  const os = async (request: Request) => {
    if (new URL(request.url).pathname === "/lines") {
      return new Response(silent(), { headers: { "content-type": "application/x-ndjson" } });
    }
    await over.promise;
    return Response.json("done");
  };
  await using at = fixture({ os, idleS: 1 });
  const ask = async (path: string, authorization?: string): Promise<string> => {
    const headers = authorization === undefined ? {} : { authorization };
    try {
      return await (await at.get("os.localhost", path, { method: "POST", headers })).text();
    } catch (error) {
      return String((error as { code?: unknown }).code);
    }
  };
  const kept = [ask("/lines"), ask("/call", "Bearer x"), ask("/call", "Bearer y")];
  expect(await ask("/call")).toBe("ECONNRESET");
  over.resolve();
  expect(await Promise.all(kept)).toEqual(['"said"\n', '"done"', '"done"']);
}, 60_000);
