/** What an owner writes about a replica, and what is left to do when its secret is lost. */
import { expect, test } from "bun:test";
import { testKernel } from "../../tests/kernel.ts";
import { targetOf } from "./replica-target.ts";

const refused = (code: string) => expect.objectContaining({ name: "SysError", code });

const wrong = [
  "file:///%zz",
  "file://relative",
  "file:///",
  "file:///a/../b",
  "s3://B/x",
  "s3://b//x",
];
test.each(wrong)("%s is no place", (url) => {
  expect(() => targetOf({ url, keyId: "k", secret: "s", region: "r" })).toThrow(refused("EINVAL"));
});

test("a directory may have any name", () => {
  expect(targetOf({ url: "file:///mnt/my%20disk" })).toEqual({
    kind: "file",
    path: "/mnt/my disk",
  });
});

test("a replica whose secret cannot be read any more can be given up", async () => {
  await using k = await testKernel();
  const target = { kind: "s3", bucket: "b", prefix: "", endpoint: null, region: "r", keyId: "k" };
  await k.kernel.storage.write((tx) =>
    tx.run(
      "INSERT INTO driver_replica VALUES (1, ?, ?, 0, NULL)",
      ...[JSON.stringify(target), new Uint8Array(64)],
    ),
  );
  await using again = await k.reboot();
  expect(await again.call("driver.replica.status")).toMatchObject({ state: "away" });
  expect(await again.call("driver.replica.rm")).toEqual({ removed: true });
  expect(await again.call("driver.replica.status")).toMatchObject({ state: "off", error: null });
  expect(again.call("driver.replica.rm")).rejects.toEqual(refused("ENOENT"));
});
