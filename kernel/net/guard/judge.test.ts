/** What a connection may do and for how long; who goes when there are too many. */
import { describe, expect, test } from "bun:test";
import { bytesOf, type Ranked } from "../client/mod.ts";
import { filterOf, type Step } from "./filter.ts";
import { overdue, readPatienceMs, type Sight, surplus, type Watched, watch } from "./judge.ts";
import { crowdedReadS, filterStepsMax, stuckMax } from "./limits.ts";

const patience = { headMs: 10_000, slowReadMs: 60_000 };

/** [seconds, received, written, acked, pending] */
type Look = readonly [
  atS: number,
  received: number,
  written: number,
  acked?: number,
  pending?: boolean,
];

function after(...looks: readonly Look[]): { watched: Watched; nowMs: number } {
  let watched: Watched | null = null;
  let nowMs = 0;
  for (const [
    atS,
    receivedBytes,
    writtenBytes,
    ackedBytes = writtenBytes,
    pending = false,
  ] of looks) {
    const sight: Sight = { receivedBytes, writtenBytes, ackedBytes, pending };
    nowMs = atS * 1000;
    watched = watch(watched, sight, nowMs);
  }
  if (watched === null) throw new Error("no look");
  return { watched, nowMs };
}

const reasonOf = (
  looks: readonly Look[],
  about: { secure?: boolean; bodyBytes?: number | null } = {},
) => {
  const { watched, nowMs } = after(...looks);
  const { secure = false, bodyBytes = null } = about;
  return overdue(watched, { nowMs, secure, bodyBytes }, patience);
};

describe("a head", () => {
  test("has its time from the first look on, however it drips", () => {
    expect(
      reasonOf([
        [0, 30, 0],
        [5, 35, 0],
        [10, 40, 0],
      ]),
    ).toBeNull();
    expect(
      reasonOf([
        [0, 30, 0],
        [5, 35, 0],
        [10, 40, 0],
        [11, 41, 0],
      ]),
    ).toBe("head");
    expect(
      reasonOf([
        [0, 0, 0],
        [11, 0, 0],
      ]),
    ).toBe("head");
  });

  test("of a further request has its time too; an idle connection has none to keep", () => {
    expect(
      reasonOf([
        [0, 100, 500],
        [200, 100, 500],
      ]),
    ).toBeNull();
    expect(
      reasonOf([
        [0, 100, 500],
        [200, 110, 500],
        [209, 111, 500],
      ]),
    ).toBeNull();
    expect(
      reasonOf([
        [0, 100, 500],
        [200, 110, 500],
        [211, 111, 500],
      ]),
    ).toBe("head");
    expect(
      reasonOf([
        [0, 100, 500],
        [200, 110, 500],
        [205, 300, 900],
        [216, 300, 900],
      ]),
    ).toBeNull();
  });

  test("is not judged while a request is under way", () => {
    expect(
      reasonOf(
        [
          [0, 100, 0],
          [40, 100, 0],
        ],
        { bodyBytes: 0 },
      ),
    ).toBeNull();
  });

  test("over TLS has a handshake's time more, and frames without an answer are no head", () => {
    const secure = { secure: true };
    expect(
      reasonOf(
        [
          [0, 300, 0],
          [15, 300, 0],
        ],
        secure,
      ),
    ).toBeNull();
    expect(
      reasonOf(
        [
          [0, 300, 0],
          [21, 300, 0],
        ],
        secure,
      ),
    ).toBe("head");
    const answered: Look[] = [
      [0, 300, 3000],
      [1, 900, 4000],
      [2, 931, 4000],
    ];
    expect(reasonOf([...answered, [60, 931, 4000]], secure)).toBeNull();
    expect(reasonOf([...answered, [80, 931, 4000]], secure)).toBe("head");
  });
});

describe("an answer", () => {
  test("that is taken slowly goes on; one that is not is ended", () => {
    const slow: Look[] = Array.from({ length: 20 }, (_, i) => [i * 10, 50, 1e6, i * 5000, true]);
    expect(reasonOf(slow)).toBeNull();
    const stuck: Look[] = Array.from({ length: 8 }, (_, i) => [i * 10, 50, 1e6, i * 100, true]);
    expect(reasonOf(stuck)).toBe("read");
    expect(reasonOf(stuck, { bodyBytes: 0 })).toBe("read");
  });

  test("of many small ones the last is always on its way: that is no standing still", () => {
    const small: Look[] = Array.from({ length: 200 }, (_, i) => [
      i,
      i * 90,
      i * 300,
      i * 300 - 300,
      true,
    ]);
    expect(reasonOf(small)).toBeNull();
  });

  test("a stream that is silent for hours is nobody's fault", () => {
    expect(
      reasonOf([
        [0, 50, 800],
        [9000, 50, 800],
        [9001, 50, 900],
        [20_000, 50, 900],
      ]),
    ).toBeNull();
  });
});

test("a body that stands still is ended; one that is whole may be thought about", () => {
  const body = { bodyBytes: 100_000 };
  expect(
    reasonOf(
      [
        [0, 1000, 0],
        [59, 1010, 0],
      ],
      body,
    ),
  ).toBeNull();
  expect(
    reasonOf(
      [
        [0, 1000, 0],
        [30, 1010, 0],
        [61, 1020, 0],
      ],
      body,
    ),
  ).toBe("body");
  expect(
    reasonOf(
      [
        [0, 1000, 0],
        [30, 9000, 0],
        [61, 9001, 0],
      ],
      body,
    ),
  ).toBeNull();
  expect(
    reasonOf(
      [
        [0, 1000, 0],
        [10, 101_000, 0],
        [100, 101_000, 0],
      ],
      body,
    ),
  ).toBeNull();
  // On a connection that was idle for long, the body has its time from its own beginning.
  expect(
    reasonOf(
      [
        [0, 100, 500],
        [300, 200, 500],
        [301, 210, 500],
      ],
      body,
    ),
  ).toBeNull();
});

describe("too many", () => {
  const holder = (client: string, looks: Look[], exempt = false) => ({
    client,
    exempt,
    watched: after(...looks).watched,
  });
  const idle = (client: string, atS: number) =>
    holder(client, [
      [0, 9, 9],
      [atS, 10, 10],
    ]);
  const half = (client: string) =>
    holder(client, [
      [0, 9, 0],
      [50, 10, 0],
    ]);

  test("of one client: half requests first, then who is idle longest, never who is busy", () => {
    const all = [idle("a", 10), idle("a", 20), half("a"), idle("a", 5), idle("b", 1)];
    const going = surplus(all, (one) => one === all[3], { all: 100, client: 2 });
    expect(going).toEqual([all[2], all[0]].map((one) => one as (typeof all)[0]));
  });

  test("of all, whose client they are does not matter; exempt ones count here only", () => {
    const all = [holder("home", [[0, 9, 9]], true), idle("a", 3), idle("b", 2), idle("c", 1)];
    expect(surplus(all, () => false, { all: 100, client: 1 })).toEqual([]);
    expect(surplus(all, () => false, { all: 3, client: 1 })).toEqual([all[0] as (typeof all)[0]]);
  });
});

describe("the filter of listening sockets", () => {
  const ranked = (...rules: [string, "deny" | "allow"][]): Ranked[] =>
    rules.map(([text, verdict]) => {
      const [address = "", bits] = text.split("/");
      const bytes = bytesOf(address) ?? new Uint8Array();
      return { text, bytes, bits: Number(bits ?? bytes.length * 8), verdict };
    });

  /** Runs the program as the kernel does, on a packet of this address. */
  function runs(steps: readonly Step[], address: string): boolean {
    const bytes = bytesOf(address) ?? new Uint8Array();
    const source = new DataView(bytes.buffer, bytes.byteOffset);
    const start = 0xfff00000 + (bytes.length === 4 ? 12 : 8);
    let a = 0;
    for (let at = 0; ; at++) {
      const step = steps[at];
      if (step === undefined) throw new Error("left the program");
      const [code, jt, jf, k] = step;
      if (code === 0x28) a = bytes.length === 4 ? 0x0800 : 0x86dd;
      else if (code === 0x20) a = source.getUint32(k - start);
      else if (code === 0x54) a = (a & k) >>> 0;
      else if (code === 0x15) at += a === k ? jt : jf;
      else if (code === 0x05) at += k;
      else return k !== 0;
    }
  }

  test("drops what is denied, by the narrowest network, and never this machine", () => {
    const { steps, whole } = filterOf(
      ranked(
        ["203.0.113.9", "allow"],
        ["203.0.113.0/25", "deny"],
        ["2001:db8::/47", "deny"],
        ["0.0.0.0/0", "allow"],
      ),
    );
    expect(whole).toBe(true);
    const passes = (address: string) => runs(steps, address);
    expect(
      ["203.0.113.9", "203.0.113.200", "127.0.0.1", "::1", "2001:db8:3::1"].map(passes),
    ).toEqual(Array.from({ length: 5 }, () => true));
    expect(["203.0.113.8", "2001:db8:1::1", "2001:db8:0:ffff::1"].map(passes)).toEqual([
      false,
      false,
      false,
    ]);
    const nobody = filterOf(ranked(["0.0.0.0/0", "deny"], ["::/0", "deny"])).steps;
    expect(["9.9.9.9", "2001:db8::1", "127.9.9.9", "::1"].map((a) => runs(nobody, a))).toEqual([
      false,
      false,
      true,
      true,
    ]);
  });

  test("has room for every rule there may be, and says so when it has not", () => {
    const rules = (count: number) =>
      ranked(
        ...Array.from({ length: count }, (_, i): [string, "deny"] => [
          `2001:db8:${i.toString(16)}::/63`,
          "deny",
        ]),
      );
    expect(filterOf(rules(400)).whole).toBe(true);
    const { steps, whole } = filterOf(rules(2000));
    expect([whole, steps.length <= filterStepsMax]).toEqual([false, true]);
  });
});

test("where many do not read, nobody has longer than a crowd may", () => {
  expect(readPatienceMs(stuckMax, 60)).toBe(60_000);
  expect(readPatienceMs(stuckMax + 1, 60)).toBe(crowdedReadS * 1000);
  expect(readPatienceMs(stuckMax + 1, 2)).toBe(2_000);
});
