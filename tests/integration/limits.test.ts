/** Limits that an owner changes: by call and by file the same thing, at once, for good, and back. */
import { expect, test } from "bun:test";
import type { Bytes } from "../../kernel/call.ts";
import { localOwner } from "../../kernel/caller.ts";
import { SysError } from "../../kernel/errno.ts";
import { deployed } from "../deployed.ts";
import { type TestKernel, testKernel } from "../kernel.ts";

interface Limit {
  readonly name: string;
  readonly value: number;
  readonly standard: number;
}

const cat = async (k: TestKernel, path: string) =>
  await new Response((await k.call<Bytes>("fs.read", { path })).stream).text();

const write = (k: TestKernel, name: string, text: string) =>
  k.call("fs.write", { path: `/sys/limits/${name}` }, { body: new Blob([text]).stream() });

const find = async (k: TestKernel, name: string) =>
  (await k.call<Limit[]>("storage.limit.ls")).find((limit) => limit.name === name);

const codeOf = async (work: Promise<unknown>) =>
  await work.then(
    () => "OK",
    (error: unknown) => (error instanceof SysError ? error.code : String(error)),
  );

test("every domain's are listed, set by file or call, hold after a restart, and go back", async () => {
  const first = await testKernel();
  const names = (await first.call<Limit[]>("storage.limit.ls")).map(({ name }) => name);
  for (const domain of ["storage", "app", "proc", "volume", "net"]) {
    expect(names.some((name) => name.startsWith(`${domain}.`))).toBe(true);
  }
  const name = "proc.responseTimeoutMs";
  await write(first, name, "5000\n");
  await first.call("storage.limit.set", { name: "app.releasesKept", value: 1 });
  expect(await find(first, name)).toMatchObject({ value: 5_000, standard: 30_000 });
  expect(await cat(first, "/sys/limits")).toContain(`${name}: 5000\n`);
  expect(await cat(first, `/sys/limits/${name}`)).toStartWith("value: 5000\nstandard: 30000\n");

  await using k = await first.reboot();
  expect(await find(k, name)).toMatchObject({ value: 5_000 });
  await write(k, name, "standard");
  expect(await find(k, name)).toMatchObject({ value: 30_000 });
  // Live: the collector keeps one release beside the current one.
  for (const text of ["a", "b", "c", "d"])
    await deployed(k, "blog", { files: { "index.html": text } });
  await k.call("storage.gc");
  expect(await k.call<unknown[]>("app.releases", { app: "blog" })).toHaveLength(2);
}, 30_000);

test("what is out of range, no number, fixed, or not the caller's to change is refused", async () => {
  await using k = await testKernel();
  const name = "storage.diskUsedMax";
  for (const text of ["2", "-1", "much", "0.5 and more"]) {
    expect([text, await codeOf(write(k, name, text))]).toEqual([text, "ERANGE"]);
  }
  expect(await codeOf(write(k, "storage.pageBytes", "4096"))).toBe("EROFS");
  expect(await codeOf(write(k, "nothing", "1"))).toBe("EROFS");
  const from = { ...localOwner("socket"), kind: "user", grants: ["fs:write"] } as const;
  const body = new Blob(["0.5"]).stream();
  expect(await codeOf(k.call("fs.write", { path: `/sys/limits/${name}` }, { body, from }))).toBe(
    "EACCES",
  );
  expect(await find(k, name)).toMatchObject({ value: 0.8 });
});
