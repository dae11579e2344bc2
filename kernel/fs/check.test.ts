/** Every fault the check knows, brought about and named; and none where there is none. */
import { expect, test } from "bun:test";
import { deployed } from "../../tests/deployed.ts";
import { testKernel } from "../../tests/kernel.ts";

test("a kernel in use has no faults; each kind of fault is named", async () => {
  await using k = await testKernel();
  const { id } = await deployed(k, "blog", { files: { "index.html": "<p>a", "b.txt": "b" } });
  const write = (path: string, text: string) =>
    k.call("fs.write", { path }, { body: new Blob([text]).stream() });
  await k.call("fs.mkdir", { path: "/data/blog/dir" });
  await write("/data/blog/dir/one", "one");
  await write("/home/two", "x".repeat(1_500_000));
  await k.call("fs.rm", { path: "/home/two" });
  await k.call("storage.kv.set", { app: "blog", key: "k", value: 1 });
  const check = () => k.call<{ ok: boolean; problems: string[] }>("storage.check");
  expect(await check()).toMatchObject({ ok: true, problems: [] });

  const faults: readonly (readonly [sql: string, say: string])[] = [
    ["UPDATE fs_inode SET hash = 'gone' WHERE name = 'one'", "fs: a file's content"],
    [
      "UPDATE fs_manifest_file SET hash = 'gone' WHERE path = 'b.txt'",
      "fs: the content of a release",
    ],
    [
      "UPDATE fs_manifest_file SET manifest_id = 'rel_x' WHERE path = 'b.txt'",
      "fs: a release's files",
    ],
    ["UPDATE fs_inode SET parent_id = 999 WHERE name = 'one'", "fs: a file's directory"],
    ["UPDATE fs_chunk SET bytes = x'00'", "fs: stored content lacks"],
    ["INSERT INTO fs_chunk (id, bytes) VALUES (65536000, x'00')", "fs: a part belongs"],
    ["UPDATE fs_tree SET used_bytes = 1 + used_bytes", "fs: a tree's counters"],
    [
      "INSERT INTO storage_kv (app_id, key, value, version, updated_at) VALUES ('app_x', 'k', '1', 1, 1)",
      'app: storage_kv keeps something of "app_x"',
    ],
  ];
  for (const [sql, say] of faults) {
    await k.kernel.storage.write((tx) => tx.run(sql));
    const { ok, problems } = await check();
    expect([say, ok]).toEqual([say, false]);
    expect(problems.filter((problem) => problem.startsWith(say)).length).toBeGreaterThan(0);
  }
  k.kernel.storage.volumeDir("app_stray");
  expect((await check()).problems.join("\n")).toContain('volumes keeps something of "app_stray"');
  expect((await check()).problems.join("\n")).not.toContain(`of "${id}"`);
});
