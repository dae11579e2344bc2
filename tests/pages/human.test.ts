// Figures and log lines as the shell page shows them.
import { expect, test } from "bun:test";
import { ago, bytes, count, duration, logLine, replicaText } from "../../image/os/human.js";

const secondMs = 1000;
const hourMs = 3600 * secondMs;

test("bytes", () => {
  expect([0, 512, 1536, 2 ** 20, 35_815_424, 999 * 2 ** 30].map(bytes)).toEqual([
    "0 B",
    "512 B",
    "1.5 KB",
    "1 MB",
    "34.2 MB",
    "999 GB",
  ]);
});

test("durations in their two largest units", () => {
  const cases = [0, 59 * secondMs, 61 * secondMs, hourMs, 1.5 * hourMs, 24 * hourMs, 76 * hourMs];
  expect(cases.map(duration)).toEqual([
    "0 s",
    "59 s",
    "1 min",
    "1 h",
    "1 h 30 min",
    "1 d",
    "3 d 4 h",
  ]);
});

test("how long ago, loosely", () => {
  const now = 1_800_000_000_000;
  expect(ago(now - 5 * secondMs, now)).toBe("just now");
  expect(ago(now - 1.5 * hourMs, now)).toBe("1 h ago");
  expect(ago(now - 76 * hourMs, now)).toBe("3 d ago");
});

test("counts have narrow spaces between thousands", () => {
  expect(count(1_234_567)).toBe("1\u202f234\u202f567");
});

test("a line of the access log is a sentence, any other is itself", () => {
  const access = (text: string, level = "info") => logLine({ app: "access", level, text });
  expect(access('{"method":"GET","path":"/a","status":200,"ms":0.4}')).toEqual({
    kind: "access",
    text: "GET /a → 200, 0.4 ms",
  });
  expect(access('{"method":"GET","path":"/","status":502,"ms":9,"n":3}', "error")).toEqual({
    kind: "error",
    text: "GET / → 502, 9 ms × 3",
  });
  expect(access('{"app":"blog","status":404,"n":70}').text).toBe("404 × 70, not listed one by one");
  expect(access("not json").text).toBe("not json");
  expect(logLine({ app: "blog", level: "warn", text: "slow" })).toEqual({
    kind: "warn",
    text: "warn: slow",
  });
  expect(logLine({ app: "blog", level: "info", text: "{}" }).text).toBe("{}");
});

test("the replica in words: none, how it stands, and how the last drill went", () => {
  const now = 10_000_000;
  const drill = (ok: boolean) => ({ at: now - 7_200_000, ok });
  expect(replicaText({ state: "off", lastDrill: null }, now)).toBe("none");
  expect(replicaText({ state: "ok", lastDrill: null }, now)).toBe("ok, not tried out yet");
  expect(replicaText({ state: "ok", lastDrill: drill(true) }, now)).toBe(
    "ok, restore tried 2 h ago",
  );
  expect(replicaText({ state: "ok", lastDrill: drill(false) }, now)).toBe("restore FAILED 2 h ago");
});
