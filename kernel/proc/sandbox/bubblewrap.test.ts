/** Whether bubblewrap works here, asked while others mount and unmount, and where it does not. */
import { describe, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { sandbox } from "../fixture.ts";
import { whyItFails } from "./bubblewrap.ts";

const isRoot = process.getuid?.() === 0;
const bwrap = Bun.which("bwrap") ?? "";

/** Mounts memory on each of these directories and takes it off again, until it is killed. */
const flapping = (dirs: readonly string[]) => `
  const { symbols } = require("bun:ffi").dlopen("libc.so.6", {
    mount: { args: ["cstring", "cstring", "cstring", "u64", "ptr"], returns: "i32" },
    umount2: { args: ["cstring", "i32"], returns: "i32" },
  });
  const text = (value) => Buffer.from(value + "\\0");
  const dirs = ${JSON.stringify(dirs)}.map(text);
  const type = text("tmpfs");
  for (let told = false; ; told = true) {
    for (const dir of dirs) if (symbols.mount(type, dir, type, 0, null) !== 0) process.exit(1);
    if (!told) console.log("mounted");
    for (const dir of dirs) symbols.umount2(dir, 2);
  }`;

/** Asks many times beside that; prints the answers. */
const asking = (dirs: readonly string[]) => `
  import { whyItFails } from ${JSON.stringify(join(import.meta.dir, "bubblewrap.ts"))};
  const flap = Bun.spawn([process.execPath, "-e", ${JSON.stringify(flapping(dirs))}], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  await flap.stdout.getReader().read();
  const answers = Array.from({ length: 100 }, () => whyItFails(${JSON.stringify(bwrap)}));
  if (flap.exitCode !== null) throw new Error("nothing was mounted meanwhile");
  flap.kill("SIGKILL");
  await flap.exited;
  console.log(JSON.stringify([...new Set(answers)]));`;

describe.if(sandbox.kind === "bubblewrap")("whether bubblewrap works", () => {
  test.if(isRoot)("does not depend on what others mount and unmount meanwhile", async () => {
    const home = mkdtempSync(join(tmpdir(), "fazt-test-"));
    const dirs = Array.from({ length: 8 }, (_, at) => join(home, String(at)));
    for (const dir of dirs) mkdirSync(dir);
    // As systemd has it: what is mounted and unmounted reaches the sandbox that is being made.
    const shared = 'mount --make-rshared / && exec "$@"';
    const within = ["unshare", "--mount", "sh", "-c", shared, "sh"];
    const asked = Bun.spawn([...within, process.execPath, "-e", asking(dirs)], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    expect(JSON.parse(await asked.stdout.text())).toEqual([null]);
    rmSync(home, { recursive: true });
  });

  test("says in bubblewrap's own words why it does not", () => {
    expect(whyItFails("/usr/bin/false")).toBe(
      "bubblewrap does not work here: it failed, and did not say why",
    );
    expect(whyItFails(process.execPath)).toMatch(/^bubblewrap does not work here: \S/);
  });
});
