/** The boot loader's own tool reads what we write, and we read what it writes. */
import { expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { grubEnvironment } from "../../ci/image/grub.ts";
import { ensureTools } from "../../ci/image/tools.ts";
import { readBootState, setBootState } from "../../kernel/proc/system/mod.ts";

test("grub-editenv and we agree on the boot loader's state", async () => {
  const tools = await ensureTools();
  const dir = mkdtempSync(join(tmpdir(), "fazt-grubenv-"));
  try {
    mkdirSync(join(dir, "fazt"));
    const path = join(dir, "fazt/grubenv");
    writeFileSync(path, grubEnvironment({ good: "a", try: "", left: "", canary: "" }));
    setBootState(dir, { try: "b", left: "2", canary: "k3" });
    const list = await tools.run(["grub-editenv", path, "list"]);
    expect(list.trim().split("\n").sort()).toEqual(["canary=k3", "good=a", "left=2", "try=b"]);
    await tools.run(["grub-editenv", path, "set", "left=1", "good=b", "mine=kept"]);
    expect(readBootState(dir)).toEqual({ good: "b", try: "b", left: 1, canary: "k3" });
    setBootState(dir, { try: "", left: "" });
    expect(await tools.run(["grub-editenv", path, "list"])).toContain("mine=kept");
  } finally {
    rmSync(dir, { recursive: true });
  }
}, 300_000);
