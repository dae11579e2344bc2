/**
 * Upgrades back and forth under visitors of every kind: no request fails, WebSockets are told to
 * come again. Three of them; twenty with `FAZT_UPGRADES=all`.
 */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { type Box, startBox, versions, Works } from "./machine.ts";
import {
  listeners,
  multiplexedLoad,
  multiplexers,
  newcomers,
  secureLoad,
  talkers,
  wrk,
} from "./visitors.ts";

const times = process.env["FAZT_UPGRADES"] === "all" ? 20 : 3;
/** Every kind of them; those that are told to come again are the first. */
const kinds = [talkers, wrk, newcomers, secureLoad, multiplexedLoad, multiplexers, listeners];
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
    const visitors = kinds.map((come) => come(visit));
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
    const counted = seen.map(({ requests }, at) => [kinds[at]?.name, requests]);
    if (times > 3) console.log(JSON.stringify(counted));
    expect(seen.flatMap(({ failures }) => failures)).toEqual([]);
    expect(counted.filter(([, requests]) => requests === 0)).toEqual([]);
    expect(outcomes).toEqual(Array(times).fill("committed"));
    expect(seen[0]?.ends).toBeGreaterThanOrEqual(times);
    expect(await box.whole()).toBe(true);
  },
  60_000 + times * 30_000,
);
