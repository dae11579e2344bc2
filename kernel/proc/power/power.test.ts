/** The machine's power: what the appliance is told, and that nobody else's machine is touched. */
import { expect, test } from "bun:test";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { localOwner } from "../../caller.ts";
import type { BootPartition } from "../system/mod.ts";
import { appliancePower, type PowerHost } from "./host.ts";
import { createPower } from "./power.ts";

const owner = localOwner("socket");

/** A host that writes down what it is told. */
function listening(chart: ReturnType<PowerHost["chart"]> = null) {
  const told: string[] = [];
  const tell = async (word: string) => void told.push(word);
  const host: PowerHost = {
    control: tell,
    chartNext: () => tell("chart"),
    chart: () => chart,
    forgetJournal: () => tell("forget"),
  };
  return { told, host };
}

test("the appliance is told, other machines are left alone", async () => {
  const { told, host } = listening();
  await createPower("/none", host).control("poweroff");
  expect(told).toEqual(["poweroff"]);
  const other = createPower("/none", null);
  expect(() => other.control("reboot")).toThrow("this machine is no appliance");
  expect(other.lastChart()).toBeNull();
});

test("everything is erased only at the machine and only with the words", async () => {
  const dataDir = mkdtempSync(join(tmpdir(), "fazt-power-"));
  const { told, host } = listening();
  const power = createPower(dataDir, host);
  const away = { ...owner, via: "token" as const };
  await expect(power.reset(away, "erase everything")).rejects.toMatchObject({ code: "EPERM" });
  await expect(power.reset(owner, "yes")).rejects.toMatchObject({ code: "EINVAL" });
  expect([told, existsSync(join(dataDir, "run"))]).toEqual([[], false]);
  await power.reset(owner, "erase everything");
  expect([told, existsSync(join(dataDir, "run/reset"))]).toEqual([["forget", "reboot"], true]);
  rmSync(dataDir, { recursive: true });
});

const never = () => Promise.reject(new Error("nobody asks the boot partition"));
const noBoot: BootPartition = { read: never, write: never };

test("the newest chart is found", () => {
  const chartDir = mkdtempSync(join(tmpdir(), "fazt-chart-"));
  const power = createPower("/none", appliancePower(noBoot, chartDir));
  expect(() => power.chart()).toThrow("none was charted");
  for (const day of ["20261119", "20261120"]) {
    writeFileSync(join(chartDir, `bootchart-${day}-1200.svg`), "<svg/>");
  }
  expect(power.chart().path).toEndWith("bootchart-20261120-1200.svg");
  rmSync(chartDir, { recursive: true });
});
