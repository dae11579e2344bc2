/** What systemctl says, as the network's host understands it. */
import { expect, test } from "bun:test";
import { overtaken } from "./host.ts";

test("a job that another took the place of is no failure; everything else is", () => {
  expect(overtaken("Job for systemd-timesyncd.service canceled.\n")).toBe(true);
  expect(overtaken("Job for systemd-networkd.service failed.\nSee journalctl.")).toBe(false);
  expect(overtaken("Failed to connect to bus: the job canceled.")).toBe(false);
  expect(overtaken("")).toBe(false);
});
