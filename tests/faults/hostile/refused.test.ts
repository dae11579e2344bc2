/**
 * Hostile apps whose deeds must be refused: each is a real app on a running kernel, each deed an
 * errno to the app and a line of its log, and nobody else notices.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { run } from "../../process.ts";
import { refusals } from "./deeds.ts";
import { type AppSource, openPlace, type Place } from "./place.ts";

const fixtures = fileURLToPath(new URL("fixtures/", import.meta.url));
const addonSource = join(fixtures, "addon.c");

let place: Place;
beforeAll(async () => {
  place = await openPlace();
}, 30_000);
afterAll(() => place[Symbol.asyncDispose]());

/** The C program made an addon. */
async function compiledAddon(): Promise<Buffer<ArrayBuffer>> {
  const compiler = ["gcc", "cc", "clang"].find((name) => Bun.which(name) !== null);
  if (compiler === undefined) throw new Error("no C compiler: npm test installs gcc");
  const made = join(place.machine.scratch("addon"), "addon.node");
  // The system's own headers and start files are another package, and not needed.
  const options = ["-shared", "-fPIC", "-nostdlib"];
  const { code, stderr } = await run([compiler, ...options, "-o", made, addonSource]);
  if (code !== 0) throw new Error(stderr);
  return readFileSync(made);
}

/** What some apps have beside their server. */
async function sourceOf(app: string): Promise<AppSource> {
  if (app === "system") {
    const files = {
      "private/addon.c": readFileSync(addonSource, "utf8"),
      "private/addon.node": await compiledAddon(),
    };
    return { files };
  }
  const everywhere = { egress: ["*", `*:${place.machine.port}`] };
  return app === "fetch" ? { manifest: everywhere } : {};
}

/** What a deed is told of the machine: as much as somebody who knows it would. */
function knowledge(): string {
  const { dataDir, pid, port } = place.machine;
  return new URLSearchParams({
    data: dataDir,
    pid: String(pid),
    port: String(port),
    to: join(dataDir, "data.db"),
  }).toString();
}

for (const [app, deeds] of Object.entries(refusals)) {
  describe(app, () => {
    beforeAll(async () => {
      await place.deploy(app, await sourceOf(app));
    }, 30_000);

    const outcomes: Record<string, string> = {};
    for (const [deed, refusal] of Object.entries(deeds)) {
      test(deed, async () => {
        const watch = place.watch();
        const { status, text } = await place.ask(app, `/${deed}?${knowledge()}`);
        await watch.end();
        expect(text).toMatch(refusal);
        expect([status, text.startsWith("DONE")]).toEqual([200, false]);
        outcomes[deed] = text;
      });
    }

    test("the owner finds every deed in the log", async () => {
      expect(Object.keys(outcomes)).toEqual(Object.keys(deeds));
      for (const [deed, outcome] of Object.entries(outcomes)) {
        const [firstLine = ""] = `${deed}: ${outcome}`.split("\n");
        await place.told(app, (text) => text === firstLine);
      }
    });

    test("the app itself lives: it was refused, not killed", async () => {
      expect(await place.status(app)).toMatchObject({ state: "running", restarts: 0 });
    });
  });
}

test("an addon of the release's own, in machine code, is refused every call", async () => {
  const { machine } = place;
  const put = async (path: string, bytes: string | Uint8Array<ArrayBuffer>) => {
    const blob = await machine.call<{ hash: string; sizeBytes: number }>("fs.blob.put", {}, bytes);
    return { path, ...blob };
  };
  // By the calls: our own command bundles a server, and would leave the addon out.
  const files = [
    await put("server.js", readFileSync(join(fixtures, "native.js"), "utf8")),
    await put("native/addon.node", await compiledAddon()),
  ];
  await machine.call("app.deploy", { name: "native", manifest: { server: "server.js" }, files });
  const watch = place.watch();
  const reply = await place.ask("native", "/deed");
  await watch.end();
  expect(reply).toEqual({ status: 200, text: "not refused: " });
  await place.told("native", (text) => text === "native: not refused: ");
  expect(await place.status("native")).toMatchObject({ state: "running", restarts: 0 });
}, 30_000);
