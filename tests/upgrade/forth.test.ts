/**
 * Upgrades back and forth under visitors of every kind: no request fails, WebSockets are told to
 * come again. Three of them; `FAZT_UPGRADES=20` does as many.
 */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { type Box, startBox, versions, Works } from "./machine.ts";
import { listeners, multiplexers, newcomers, talkers, wrk } from "./visitors.ts";

const times = Number(process.env["FAZT_UPGRADES"] ?? 3);
const works = new Works();
let box: Box;

beforeAll(async () => {
  await works.build(versions.first);
  await works.build(versions.next);
  box = await startBox(works, { tls: true });
}, 120_000);
afterAll(async () => {
  await box[Symbol.asyncDispose]();
  works[Symbol.dispose]();
});

test.if(Bun.which("wrk") !== null)(
  "no request is lost, whichever way it comes",
  async () => {
    const releases = [works.release(versions.next), works.release(versions.first)];
    let on = true;
    const visit = { box, goesOn: () => on };
    const visitors = [wrk, newcomers, multiplexers, talkers, listeners].map((come) => come(visit));
    const outcomes: string[] = [];
    try {
      for (let i = 0; i < times; i++) {
        const { told } = await box.upgrade(releases[i % 2] ?? "", "--downgrade", "--retry");
        outcomes.push(`${told.outcome} ${told.reason ?? ""}`.trim());
      }
    } finally {
      on = false;
    }
    const seen = await Promise.all(visitors);
    if (times > 3) console.log(JSON.stringify(seen.map(({ requests }) => requests)));
    expect(seen.flatMap(({ failures }) => failures)).toEqual([]);
    expect(seen.every(({ requests }) => requests > 0)).toBe(true);
    expect(outcomes).toEqual(Array(times).fill("committed"));
    const [, , , talked] = seen as [unknown, unknown, unknown, { readonly ends: number }];
    expect(talked.ends).toBeGreaterThanOrEqual(times);
    expect(await box.whole()).toBe(true);
  },
  60_000 + times * 30_000,
);
