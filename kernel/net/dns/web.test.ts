/** Whatever a provider answers, its failure is the provider's: whoever asked may try again. */
import { expect, test } from "bun:test";
import { ProviderError } from "./provider.ts";
import { createWeb } from "./web.ts";

/** What comes after the first lines; the last says more than it sends. */
const answers: Readonly<Record<string, string>> = {
  empty: "content-length: 0\r\n\r\n",
  page: "content-length: 14\r\n\r\n<p>Maintenance",
  cut: 'content-length: 50\r\n\r\n{"zones": [',
};

test("what is no JSON, or is cut, is the provider's failure and may be tried again", async () => {
  using server = Bun.listen({
    hostname: "127.0.0.1",
    port: 0,
    socket: {
      data(socket, bytes) {
        const path = /^GET \/(\w+)/.exec(bytes.toString())?.[1] ?? "";
        socket.end(`HTTP/1.1 200 OK\r\nconnection: close\r\n${answers[path]}`);
      },
    },
  });
  const web = createWeb(`http://127.0.0.1:${server.port}`, "deSEC", "Token x");
  expect(await web.ask("GET", "/empty")).toEqual({});
  for (const path of ["/page", "/cut"]) {
    const failure = await web.ask("GET", path).catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(ProviderError);
    expect(failure).toMatchObject({ transient: true });
  }
});
