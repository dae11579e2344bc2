/** A forgotten root password replaced at the machine: what ends with it, and who may not. */
import { expect, test } from "bun:test";
import { testKernel, testRootPass } from "../../tests/kernel.ts";
import { localOwner } from "../caller.ts";

const password = "seven lamps violin moss";

test("ends every session and token, logs in with the new password, and is told until seen", async () => {
  await using k = await testKernel();
  const { security } = k.kernel;
  const { session } = await security.login({ password: testRootPass }, "192.0.2.1");
  const { token } = await k.call<{ token: string }>("security.token.add", {
    name: "ci",
    capabilities: ["app:read"],
  });
  expect(await k.call("security.owner")).toMatchObject({ claimed: true, recoveredAt: null });
  await k.call("security.recover", { password });
  expect(security.authenticate({ kind: "session", secret: session }, null)).toBeNull();
  expect(security.authenticate({ kind: "token", secret: token }, null)).toBeNull();
  await expect(security.login({ password: testRootPass }, null)).rejects.toThrow("wrong");
  await security.login({ password }, null);
  const told = await k.call<{ recoveredAt: number }>("security.owner");
  expect(told.recoveredAt).toBeGreaterThan(0);
  const audit = await k.call<object[]>("security.audit", { call: "security.recover" });
  expect(audit).toMatchObject([{ outcome: "ok", via: "socket", subject: '{"password":"•••"}' }]);
  await k.call("security.acknowledge");
  expect(await k.call("security.owner")).toMatchObject({ recoveredAt: null });
});

test("is refused from afar, and the setup code is shown at the machine alone", async () => {
  const away = { ...localOwner("socket"), via: "token", address: "192.0.2.2" } as const;
  await using claimed = await testKernel();
  const recover = claimed.call("security.recover", { password }, { from: away });
  await expect(recover).rejects.toMatchObject({ code: "EPERM" });
  await claimed.kernel.security.login({ password: testRootPass }, null);
  await using free = await testKernel({ claimed: false });
  const code = free.kernel.security.setupCode();
  expect(await free.call("security.owner")).toMatchObject({ claimed: false, setupCode: code });
  const seen = await free.call("security.owner", {}, { from: away });
  expect(seen).toMatchObject({ setupCode: null });
});
