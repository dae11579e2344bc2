/**
 * `bun ci/bench/bare.ts ENTRY`: the handler of an app's entry on a `Bun.serve` of its own, with
 * nothing in front. Prints its URL and serves until it is ended.
 */
const [entry = ""] = process.argv.slice(2);
const module = (await import(entry)) as { default: { fetch(request: Request): Response } };
const server = Bun.serve({
  hostname: "127.0.0.1",
  port: 0,
  development: false,
  fetch: (request) => module.default.fetch(request),
});
console.log(`http://127.0.0.1:${server.port}`);
