/** Every errno a call declares happens, through the dispatcher of a whole kernel; none is idle. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { type Errno, SysError } from "../../kernel/errno.ts";
import { flatten, table } from "../../kernel/syscall/mod.ts";
import { mayMount, smallDisk } from "../disk.ts";
import { type TestKernel, testKernel } from "../kernel.ts";
import {
  cases as coreCases,
  fullDiskCases as coreFullDiskCases,
  fullUnclaimedCases,
  unclaimedCases,
} from "./errno-cases.ts";
import { certCases, fullDiskCerts } from "./errno-cert.ts";
import { consoleCases, fullDiskConsole } from "./errno-console.ts";
import { documents, fullDiskDocuments } from "./errno-documents.ts";
import { egressCases } from "./errno-egress.ts";
import { eventCases } from "./errno-event.ts";
import { fileCases } from "./errno-file.ts";
import { keyCases } from "./errno-key.ts";
import { mountCases } from "./errno-mount.ts";
import { networkCases } from "./errno-network.ts";
import { fullDiskReplica, replicaCases } from "./errno-replica.ts";
import { signingCases } from "./errno-signing.ts";
import { systemCases } from "./errno-system.ts";
import { upgradeCases } from "./errno-upgrade.ts";
import { type Case, openSession, settle, type World } from "./errno-world.ts";

const cases = [
  ...coreCases,
  ...certCases,
  ...consoleCases,
  ...documents,
  ...egressCases,
  ...eventCases,
  ...fileCases,
  ...mountCases,
  ...networkCases,
  ...replicaCases,
  ...keyCases,
  ...signingCases,
  ...systemCases,
  ...upgradeCases,
];
// gc, the last of the others, stays the last.
const fullDiskCases = [
  ...fullDiskCerts,
  ...fullDiskDocuments,
  ...fullDiskReplica,
  ...fullDiskConsole,
  ...coreFullDiskCases,
];
const declared = new Map([...flatten(table)].map(([name, call]) => [name, call.errors]));

async function perform(world: World, [call, , input, options]: Case): Promise<unknown> {
  if (typeof input === "function") return input(world);
  return world.k.call(call, input, options?.() ?? {});
}

/** How a case ends: its errno, or OK. What is no SysError is a failure of the test. */
async function outcome(world: World, one: Case): Promise<Errno | "OK"> {
  try {
    await perform(world, one);
    return "OK";
  } catch (error) {
    if (error instanceof SysError) return error.code;
    throw error;
  }
}

test("every declared errno has a case, and every case a declaration", () => {
  const pairs = (list: readonly Case[]) => list.map(([call, errno]) => `${call} ${errno}`);
  const tried = [cases, unclaimedCases, fullDiskCases, fullUnclaimedCases].flatMap(pairs);
  const wanted = [...declared].flatMap(([call, errors]) => errors.map((code) => `${call} ${code}`));
  expect(wanted.filter((pair) => !tried.includes(pair))).toEqual([]);
  expect(tried.filter((pair) => !wanted.includes(pair))).toEqual([]);
});

/** As many tries as ever, with less time between them: how long it waits is tested elsewhere. */
const replicaLimits = { tryAgainMs: 1, flushAgainMs: 1, backoffMsMin: 5, backoffMsMax: 10 };

describe("on a claimed kernel", () => {
  let world: World;
  beforeAll(async () => {
    world = await settle(await testKernel({ replicaLimits }));
  });
  afterAll(() => world.k[Symbol.asyncDispose]());

  for (const one of cases) {
    test(`${one[0]}: ${one[1]}`, async () => {
      expect(await outcome(world, one)).toBe(one[1]);
    });
  }
});

describe("on an unclaimed kernel", () => {
  for (const one of unclaimedCases) {
    test(`${one[0]}: ${one[1]}`, async () => {
      await using k = await testKernel({ claimed: false, replicaLimits });
      expect(await outcome({ k } as World, one)).toBe(one[1]);
    });
  }
});

const why = mayMount ? "" : " (skipped: no right to mount a tmpfs)";

describe.skipIf(!mayMount)(`without a free byte${why}`, () => {
  /** A kernel on a disk that was filled while it was down, so that no write finds room. */
  async function fullKernel(claimed: boolean, disk: { path: string; fill(): void }) {
    const storageLimits = { diskUsedMax: 2, ballastBytes: 0 };
    const options = { claimed, dataDir: `${disk.path}/data`, storageLimits };
    const roomy: TestKernel = await testKernel(options);
    if (claimed) await settle(roomy);
    const k = await roomy.reboot();
    if (claimed) await openSession(k);
    disk.fill();
    return k;
  }

  test("every call that writes says ENOSPC", async () => {
    using disk = smallDisk(32);
    const k = await fullKernel(true, disk);
    const world = { k } as World;
    const ends: Record<string, string> = {};
    for (const one of fullDiskCases) {
      disk.fill();
      ends[one[0]] = await outcome(world, one);
    }
    await k.close();
    expect(ends).toEqual(Object.fromEntries(fullDiskCases.map(([call]) => [call, "ENOSPC"])));
  });

  test("the claim says ENOSPC", async () => {
    using disk = smallDisk(32);
    const k = await fullKernel(false, disk);
    for (const one of fullUnclaimedCases) expect(await outcome({ k } as World, one)).toBe(one[1]);
    await k.close();
  });
});
