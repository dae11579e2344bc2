/** The image's root boots, and stands and falls as a machine does; systemd-nspawn, a second each. */
import { expect, test } from "bun:test";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { startProcess, until } from "../process.ts";
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
}, 120_000);

test("comes up as an old machine, from the replica that its document names", async () => {
  await using old = await startProcess();
  const store = old.scratch("replica");
  const site = old.scratch("site");
  writeFileSync(join(site, "index.html"), "as it was");
  await old.faztJson("app", "deploy", site, "--name", "site");
  await old.call("app.env.set", { app: "site", name: "API_KEY", secret: "sealed" });
  await old.call("driver.replica.set", { url: `file://${store}` });
  await old.call("driver.replica.flush");
  const machineKey = readFileSync(join(old.dataDir, "machine.key")).toString("base64");
  await old.stop();

  const restore = { url: "file:///data", machineKey };
  const document = `#fazt\n${JSON.stringify({ hostname: "phoenix", restore })}\n`;
  const credentials = { "fazt.user-data": document };
  await using box = await bootContainer({ credentials, binds: { [store]: "/data" } });
  await until(
    "the machine that was",
    async () => {
      const seed = await box.fazt("security", "seed", "--json").catch(() => null);
      const said = seed?.code === 0 ? (JSON.parse(seed.stdout) as { done: boolean } | null) : null;
      return said?.done === true; // null: it answers already, and has not read the document yet
    },
    120_000,
  );
  const at = ["-H", "Host: site.localhost", "http://127.0.0.1/"];
  expect((await box.run("curl", "-s", ...at)).stdout).toBe("as it was");
  const env = await box.fazt("app", "env", "ls", "site", "--json");
  expect(env.stdout).toContain("API_KEY");
  const failed = await box.inside("systemctl", "--failed", "--no-legend", "--plain");
  expect(failed.stdout).toBe("");
}, 240_000);
