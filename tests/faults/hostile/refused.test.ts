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

const addonSource = fileURLToPath(new URL("fixtures/addon.c", import.meta.url));

let place: Place;
beforeAll(async () => {
  place = await openPlace();
}, 30_000);
afterAll(() => place[Symbol.asyncDispose]());

/** The C program as text, and as an addon where there is a compiler. */
async function addon(): Promise<NonNullable<AppSource["files"]>> {
  const files = { "private/addon.c": readFileSync(addonSource, "utf8") };
  const [compiler] = ["gcc", "cc", "clang"].filter((name) => Bun.which(name) !== null);
  if (compiler === undefined) return { ...files, "private/addon.node": "no compiler here" };
  const made = join(place.machine.scratch("addon"), "addon.node");
  const { code, stderr } = await run([compiler, "-shared", "-fPIC", "-o", made, addonSource]);
  if (code !== 0) throw new Error(stderr);
  return { ...files, "private/addon.node": readFileSync(made) };
}

/** What some apps have beside their server. */
async function sourceOf(app: string): Promise<AppSource> {
  if (app === "system") return { files: await addon() };
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
