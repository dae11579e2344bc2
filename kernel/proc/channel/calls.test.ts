/** Who may send the machine to look for releases, and where. */
import { expect, test } from "bun:test";
import { testKernel } from "../../../tests/kernel.ts";
import { localOwner } from "../../caller.ts";

test("who may only read says nothing of where is looked: files and ports of the machine are not theirs", async () => {
  await using k = await testKernel();
  const reader = { ...localOwner("socket"), via: "token", grants: ["proc:read"] } as const;
  for (const from of ["/etc", "https://127.0.0.1:1/", "upload"]) {
    const asked = k.call("proc.upgrade.check", { from }, { from: reader });
    await expect(asked).rejects.toMatchObject({ code: "EACCES" });
  }
  // Where the owner said: nowhere yet.
  const usual = k.call("proc.upgrade.check", {}, { from: reader });
  await expect(usual).rejects.toMatchObject({ code: "ENOENT" });
  const owners = k.call("proc.upgrade.check", { from: "/nowhere/at/all" });
  await expect(owners).rejects.toMatchObject({ code: "ENOENT" });
}, 60_000);
