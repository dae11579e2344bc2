/** Every template is written, type-checked and deployed, as a newcomer would. */
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import types from "../kernel/syscall/fazt.d.ts.txt" with { type: "text" };
import { appKernel, errnoOf } from "../tests/apps.ts";
import { createApp } from "./create.ts";
import { deploy } from "./deploy/deploy.ts";
import { templates } from "./template.ts";

const root = new URL("..", import.meta.url).pathname;

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "fazt-create-"));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

describe.each(Object.keys(templates))("template %s", (template) => {
  const create = () => createApp({ dir: join(dir, "My App"), template, types });

  test("is written whole, with the app's name", () => {
    const made = create();
    expect(made).toMatchObject({ name: "my-app", template });
    for (const path of made.files) {
      expect(readFileSync(join(made.dir, path), "utf8")).not.toContain("{{");
    }
    expect(JSON.parse(readFileSync(join(made.dir, "app.json"), "utf8")).name).toBe("my-app");
  });

  test("deploys as it is", async () => {
    const made = create();
    symlinkSync(join(root, "node_modules"), join(dir, "node_modules"));
    await using kernel = appKernel();
    const result = await deploy(kernel.client, { dir: made.dir, build: true });
    expect(result.app).toBe("my-app");
    const server = kernel.apps.release(result.release).manifest.server;
    expect(server).toBe(made.files.includes("server.ts") ? "server.js" : null);
  });

  test("satisfies the type checker", () => {
    const made = create();
    if (!made.files.includes("tsconfig.json")) return expect(template).toBe("static");
    symlinkSync(join(root, "node_modules"), join(dir, "node_modules"));
    const tsc = join(root, "node_modules/.bin/tsc");
    const checked = Bun.spawnSync([tsc, "-p", made.dir], { stdout: "pipe" });
    expect(checked.stdout.toString()).toBe("");
    return expect(checked.exitCode).toBe(0);
  });
});

test("nothing that exists is overwritten", async () => {
  writeFileSync(join(dir, "mine.txt"), "mine");
  expect(await errnoOf(() => createApp({ dir, types }))).toBe("ENOTEMPTY");
  expect(await errnoOf(() => createApp({ dir: join(dir, "mine.txt"), types }))).toBe("ENOTDIR");
  mkdirSync(join(dir, "empty"));
  expect(createApp({ dir: join(dir, "empty"), types }).template).toBe("static");
});

test("templates and names that are none are refused", async () => {
  const wrong = { dir: join(dir, "x"), template: "toString", types };
  expect(await errnoOf(() => createApp(wrong))).toBe("EINVAL");
  expect(await errnoOf(() => createApp({ dir: join(dir, "..."), types }))).toBe("EINVAL");
  expect(await errnoOf(() => createApp({ dir: "/proc/fazt", types }))).toBe("EACCES");
});
