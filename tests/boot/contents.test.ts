/**
 * What is in the image, as the tree was built: how many packages, what starts by itself, how large
 * the download is, no date but the one that everything carries, no shell and no way to install more.
 */
import { expect, test } from "bun:test";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { enabledUnits } from "../../ci/image/root.ts";
import { epochSeconds } from "../../ci/image/tools.ts";
import { testImage } from "./image.ts";

test("at most 90 packages and 25 enabled units", async () => {
  const { tools, tree, packages } = await testImage();
  const names = readFileSync(packages, "utf8").trim().split("\n");
  expect(names.length).toBeLessThanOrEqual(90);
  expect(names.length).toBeGreaterThan(20);
  const units = await enabledUnits(tools, tree);
  expect(units).toContain("fazt.service");
  expect(units.length).toBeLessThanOrEqual(25);
}, 400_000);

test("neither a shell nor a package manager nor ssh", async () => {
  const { tree } = await testImage();
  const names = ["sh", "bash", "dash", "apt", "apt-get", "dpkg", "sshd", "ssh", "perl", "python3"];
  const there = names.filter((name) =>
    ["bin", "sbin"].some((dir) => existsSync(join(tree, "usr", dir, name))),
  );
  expect(there).toEqual([]);
  expect(existsSync(join(tree, "usr/bin/fazt"))).toBe(true);
}, 400_000);

test("the download is at most 105 MB, compressed in a hurry", async () => {
  const { tools, raw } = await testImage();
  const dir = mkdtempSync(join(tmpdir(), "fazt-download-"));
  try {
    const path = join(dir, "disk.raw.zst");
    await tools.run(["zstd", "-3", "-T0", "-q", raw, "-o", path]);
    expect(Bun.file(path).size).toBeLessThanOrEqual(105e6);
  } finally {
    rmSync(dir, { recursive: true });
  }
}, 400_000);

test("everything on the boot partition carries one date: the same disk whenever it is made", async () => {
  const { tools, raw } = await testImage();
  // Where the second partition begins (ci/image/disk.ts).
  const text = await tools.run(["mdir", "-a", "-/", "-i", `${raw}@@2M`, "::"]);
  const dates = [...text.matchAll(/\d{4}-\d{2}-\d{2} +\d+:\d{2}/g)].map(([date]) => date);
  const [day, time] = new Date(epochSeconds * 1000).toISOString().split("T");
  expect(dates.length).toBeGreaterThan(10);
  expect(new Set(dates)).toEqual(new Set([`${day}   ${time?.slice(0, 5).replace(/^0/, "")}`]));
}, 120_000);
