/** The image's root boots, and stands and falls as a machine does; systemd-nspawn, a second each. */
import { expect, test } from "bun:test";
import { bootContainer } from "./container.ts";

test("boots to an answering kernel, in targets, without a failed unit", async () => {
  await using box = await bootContainer();
  await box.up();
  const health = await box.run("curl", "-s", "http://127.0.0.1/sys/health");
  expect(JSON.parse(health.stdout)).toMatchObject({ status: "ok" });

  const failed = await box.inside("systemctl", "--failed", "--no-legend", "--plain");
  expect(failed.stdout).toBe("");

  const lines = await box.journal("-u", "fazt.service");
  const reached = [...lines.matchAll(/\[ {2}ok {2}\] (\w+)/g)].map(([, target]) => target);
  expect(reached).toEqual(["storage", "security", "fs", "apps", "proc", "net", "console"]);
});
