/**
 * The unit of `fazt proc install` under a real systemd: a kernel that cannot start is started again a
 * second later, however often, is never given up, and is there once what kept it is gone.
 */
import { expect, test } from "bun:test";
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { unitText } from "../../cli/install.ts";
import { until } from "../process.ts";
import { bootContainer } from "./container.ts";

/** By default systemd gives a unit up after five starts in ten seconds (systemd.unit(5)). */
const startsMin = 8;

test("a kernel that cannot start is neither given up nor started without a pause", async () => {
  await using box = await bootContainer();
  await box.up();
  const inside = (path: string) => `/proc/${box.leader}/root${path}`;
  // A file where the data directory should be.
  writeFileSync(inside("/var/other"), "in the way");
  mkdirSync(inside("/run/systemd/system"), { recursive: true });
  const start = [
    "/usr/bin/fazt",
    "proc",
    "start",
    "--data",
    "/var/other",
    "--http",
    "127.0.0.1:8123",
  ];
  writeFileSync(inside("/run/systemd/system/other.service"), unitText(start));
  const told = async (name: string) => {
    const shown = await box.inside("systemctl", "show", "other.service", `--property=${name}`);
    return shown.stdout.trim().slice(name.length + 1);
  };
  expect((await box.inside("systemctl", "daemon-reload")).code).toBe(0);
  await box.inside("systemctl", "start", "other.service");
  await until(
    "it was started often",
    async () => Number(await told("NRestarts")) >= startsMin,
    120_000,
  );
  expect(["activating", "active"]).toContain(await told("ActiveState"));
  expect(await told("Result")).not.toBe("start-limit-hit");
  expect(await told("RestartUSec")).toBe("1s");
  expect(await told("LoadError")).toBe("");

  rmSync(inside("/var/other"));
  const health = () => box.run("curl", "-s", "http://127.0.0.1:8123/sys/health");
  await until("it serves", async () => (await health()).stdout.includes('"status"'), 60_000);
  expect(await told("ActiveState")).toBe("active");
}, 240_000);
