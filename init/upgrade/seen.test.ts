/** Visits to apps, as the gate makes them. */
import { expect, test } from "bun:test";
import { until } from "../../tests/process.ts";
import { visit } from "./seen.ts";

test("an app whose first page has no end answers, and is not heard for long", async () => {
  let sentBytes = 0;
  let left = false;
  const pull = (out: ReadableStreamDefaultController<Uint8Array>) => {
    sentBytes += 65_536;
    out.enqueue(new Uint8Array(65_536));
  };
  const cancel = () => {
    left = true;
  };
  const endless = () => new ReadableStream({ pull, cancel }, { highWaterMark: 0 });
  await using web = Bun.serve({
    port: 0,
    hostname: "127.0.0.1",
    fetch: ({ url }) => new Response(url.endsWith("/all") ? endless() : "ok"),
  });
  const doors = [{ name: "big", path: "/all" }];
  const { apps } = await visit(web.url.origin, { doors, domain: null });
  expect(apps).toEqual({ os: true, big: true });
  await until("nobody listens any more", () => left);
  expect(sentBytes).toBeLessThan(64 * 1024 * 1024);
});
