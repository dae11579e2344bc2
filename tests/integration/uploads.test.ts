/** An app that hands the kernel far more than it may hold itself. */
import { expect, test } from "bun:test";
import { deployed } from "../deployed.ts";
import { testKernel } from "../kernel.ts";

/** Writes 62 files of 8 MB in a row and says so line by line. */
const server = `
  import { kernel } from "fazt";
  const same = new Uint8Array(8 * 1024 * 1024).fill(7);
  const bodies = {
    "/bytes": () => same,
    "/text": (n) => "x".repeat(same.length - n),
    "/stream": () => new Response(same).body,
  };
  export default { fetch(request) {
    const make = bodies[new URL(request.url).pathname];
    const lines = async function* () {
      for (let n = 0; n < 62; n++) {
        await kernel.fs.write({ path: "/data/file" }, make(n));
        yield n + "\\n";
      }
    };
    return new Response(ReadableStream.from(lines()).pipeThrough(new TextEncoderStream()));
  } };
`;

test("62 files of 8 MB in a row, by an app of 128 MB, however they are given", async () => {
  await using k = await testKernel({ storageLimits: { diskUsedMax: 2 } });
  const manifest = { server: "server.js", memory: "128M" };
  await deployed(k, "writer", { files: { "server.js": server }, manifest });
  const meta = { id: "r1", address: null, userId: null, upgrade: null };
  const app = k.kernel.app.get("writer");
  for (const how of ["bytes", "text", "stream"]) {
    const request = new Request(`http://writer.localhost/${how}`);
    const reply = await k.kernel.proc.fetch(app, request, meta);
    const said = (await reply.text().catch(String)).trim().split("\n").at(-1);
    expect([how, said, k.kernel.proc.status(app).restarts]).toEqual([how, "61", 0]);
  }
}, 180_000);
