/** Large directories and manifests are removed in steps; a cut leaves nothing that is seen. */
import { expect, test } from "bun:test";
import { noise, type TestFs, testFs } from "../../tests/fs.ts";
import { localOwner } from "../caller.ts";
import { limits } from "./limits.ts";
import { removeDirectory } from "./removal.ts";

const owner = localOwner("boot");
const body = (content: string) => new Blob([content]).stream();
const perStep: number = limits.gcRowsPerWrite;

const idOf = (at: TestFs, name: string): number =>
  at.storage.read.get<{ id: number }>("SELECT id FROM fs_inode WHERE name = ?", name)?.id ?? 0;

/** `/home/d` with more in each of its two levels than one step removes; answers how many. */
async function fill(at: TestFs): Promise<number> {
  await at.fs.mkdir(owner, "/home/d/below", { parents: true });
  const content = await at.store("x", "x");
  await at.storage.write((tx) => {
    for (const parent of [idOf(at, "d"), idOf(at, "below")]) {
      for (let i = 0; i < perStep; i++) {
        tx.run(
          "INSERT INTO fs_inode (root, parent_id, name, kind, hash, size_bytes, mode, created_at, " +
            "modified_at) VALUES ('home', ?, ?, 'file', ?, 1, 420, 0, 0)",
          ...[parent, String(i), content.hash],
        );
      }
    }
    const counters = "used_bytes = used_bytes + ?1, inodes = inodes + ?1 WHERE root = 'home'";
    tx.run(`UPDATE fs_tree SET ${counters}`, 2 * perStep);
  });
  return 2 * perStep + 2;
}

const names = async (at: TestFs): Promise<string[]> =>
  (await at.fs.ls(owner, "/home")).map((entry) => entry.path);

/** What is wrong in the eyes of `storage check`: counters too. */
const problems = async (at: TestFs): Promise<string[]> => (await at.storage.check()).problems;

test("a large directory takes several steps, is gone from the first on, and is counted", async () => {
  await using at = await testFs();
  const all = await fill(at);
  const { commits } = at.storage.status();
  const removing = at.fs.rm(owner, "/home/d", { recursive: true });
  while (at.storage.status().commits === commits) await new Promise((next) => setImmediate(next));
  expect(at.rows("fs_inode")).toBeGreaterThan(perStep);
  expect(await names(at)).toEqual([]);
  await at.fs.write(owner, "/home/d", body("new"));
  expect(await removing).toEqual({ removed: all });
  expect(await names(at)).toEqual(["/home/d"]);
  expect(at.rows("fs_inode")).toBe(1);
  expect(await problems(at)).toEqual([]);
});

test("what a cut leaves of it is no fault, is seen by nobody, and goes with the next gc", async () => {
  await using at = await testFs();
  await fill(at);
  // As far as the first transaction.
  await at.storage.write((tx) => removeDirectory(tx, "home", idOf(at, "d")));
  expect(at.rows("fs_inode")).toBeGreaterThan(perStep);
  expect(await names(at)).toEqual([]);
  expect(await problems(at)).toEqual([]);
  // Whoever removes another one meanwhile minds his own.
  await at.fs.mkdir(owner, "/home/e/f", { parents: true });
  expect(await at.fs.rm(owner, "/home/e", { recursive: true })).toEqual({ removed: 2 });
  await at.storage.gc();
  expect(at.rows("fs_inode")).toBe(0);
  expect(await problems(at)).toEqual([]);
});

test("manifests go in steps, and what a cut leaves goes when they are dropped again", async () => {
  await using at = await testFs();
  const file = await at.store("x", noise(10, 1));
  const files = Array.from({ length: perStep + 1 }, (_, i) => ({ ...file, path: String(i) }));
  for (const id of ["rel_1", "rel_2", "rel_3"]) {
    await at.fs.manifests.put(id, "app_1", id === "rel_2" ? [file] : files);
  }
  const { commits } = at.storage.status();
  const dropping = at.fs.manifests.drop(["rel_1", "rel_2"]);
  while (at.storage.status().commits === commits) await new Promise((next) => setImmediate(next));
  expect(at.fs.manifests.list("rel_1")).toHaveLength(1);
  expect(await problems(at)).toEqual([]);
  await dropping;
  expect([at.rows("fs_manifest"), at.rows("fs_manifest_file")]).toEqual([1, files.length]);
  await at.fs.manifests.drop(["rel_1", "rel_2", "rel_3"]);
  expect(at.rows("fs_manifest") + at.rows("fs_manifest_file")).toBe(0);
});
