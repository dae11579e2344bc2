/**
 * The operating system below fazt is upgraded, and comes back by itself from what is wrong with the
 * new one, in a machine with firmware, boot loader and disk.
 *
 * Every start takes most of a minute without acceleration, so what CI runs is one story: up, not up,
 * and power cuts that change nothing. `FAZT_UPGRADES=all` runs the rest; by choice, so that it can be
 * run in parts: `FAZT_KINDS=hang` one of a kind, `FAZT_CYCLES` how many, `FAZT_MINUTES` for how long
 * they go on at most, `FAZT_FIRMWARE=uefi`; with `FAZT_KEPT=DIR` the machine stays in that directory,
 * and the next run goes on with it. Power cuts in the middle of one: `cuts.test.ts`.
 */
import { describe, expect, test } from "bun:test";
import { version as shipped } from "../../package.json";
import { begin, decided, type Owned, owned, serves, slots, withDisk } from "./owned.ts";
import type { Kind } from "./releases.ts";

/** Until when another round may begin, by the clock of `performance`. */
const endsMs = () => performance.now() + Number(process.env["FAZT_MINUTES"] ?? 90) * 60_000;

test("a good system stays, one that panics comes back and says why, power cuts change nothing", async () => {
  await withDisk(["good", "panic"], async ({ boot }) => {
    let token = "";
    {
      await using vm = await boot();
      const at = await owned(vm);
      token = at.token;
      const before = (await slots(at)).find(({ running }) => running)?.version ?? "";
      await begin(at, "good");
      expect(await decided(at, "good")).toMatchObject({ outcome: "committed", reason: null });
      expect(await slots(at)).toMatchObject([
        { slot: "a", version: before, running: false, good: false, trial: false },
        { slot: "b", version: "9.0.0", running: true, good: true, trial: false },
      ]);
      if (isAsked("panic")) {
        await begin(at, "panic");
        const end = await decided(at, "panic");
        expect(end.outcome).toBe("reverted");
        expect(end.reason).toMatch(
          /^9\.0\.1 was started twice and was never found well: .* so 9\.0\.0 runs again$/,
        );
        expect(vm.serial.text).toContain(`[ slot ] ${end.reason}`);
      }
      expect(await serves(at, ["9.0.0"])).toBe("9.0.0");
      await vm.cut();
    }
    const state = async (at: Owned) => JSON.stringify(await slots(at));
    let known = "";
    for (let round = 0; round < Number(process.env["FAZT_CYCLES"] ?? 2); round++) {
      await using vm = await boot();
      const at = { vm, token };
      await serves(at, ["9.0.0"]);
      if (known !== "") expect(await state(at)).toBe(known);
      known = await state(at);
      await vm.cut();
    }
  });
}, 1_800_000);

describe.if(process.env["FAZT_UPGRADES"] === "all")("what must not stay", () => {
  const reasons: Readonly<Record<"corrupt" | "hang" | "gate", RegExp>> = {
    corrupt: /^9\.0\.2 was started twice and was never found well: .* does not start/,
    hang: /^9\.0\.3 was started twice and was never found well: .* does not start/,
    gate: /^9\.0\.4 started, but "broken\.service" failed to start, so .* runs again$/,
  };

  test("a root that is none, a start that hangs, a unit that fails", async () => {
    const all = ["corrupt", "hang", "gate"] as const;
    const kinds = all.filter(isAsked);
    await withDisk(kinds, async ({ boot }) => {
      await using vm = await boot();
      const at = await owned(vm);
      for (const kind of kinds) {
        await begin(at, kind);
        const end = await decided(at, kind);
        console.log(end.reason);
        expect(end.outcome).toBe("reverted");
        expect(end.reason).toMatch(reasons[kind]);
        await serves(at, [shipped]);
      }
    });
  }, 3_600_000);

  test("power-cycling a healthy machine changes nothing", async () => {
    const ends = endsMs();
    await withDisk([], async ({ boot, known, note }) => {
      for (let round = 0; round < Number(process.env["FAZT_CYCLES"] ?? 20); round++) {
        if (performance.now() > ends) break;
        await using vm = await boot();
        const before = known();
        const at: Owned = before === null ? await owned(vm) : { vm, token: before.token };
        await serves(at, [shipped]);
        const now = JSON.stringify(await slots(at));
        if (before !== null) expect(now).toBe(before.slots ?? "");
        note({ token: at.token, slots: now });
        console.log(`${round}: ${now}`);
        await vm.cut();
      }
    });
  }, 3_600_000);
});

/** Whether a kind of release is tried in this run. */
const isAsked = (kind: Kind): boolean =>
  process.env["FAZT_KINDS"]?.split(" ").includes(kind) ?? true;
