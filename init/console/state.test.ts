/** The console's state machine: what each event makes of each screen, and what is asked to be done. */
import { describe, expect, test } from "bun:test";
import { readKeys } from "../../cli/key.ts";
import { broken, claimed, noon, stateAfter, unclaimed } from "../../tests/console.ts";
import { certificateTrouble, memoryOf, urlsOf } from "./facts.ts";
import { spokenBy } from "./host.ts";
import { type State, step } from "./state.ts";
import { lookOf } from "./terminal.ts";

const minuteMs = 60_000;

function press(state: State, text: string) {
  const actions = [];
  let now = state;
  for (const key of readKeys(text).keys) {
    const next = step(now, { kind: "key", key });
    now = next.state;
    actions.push(...next.actions);
  }
  return { state: now, actions, screen: now.screen.name };
}

const pass = "gravel otter lamp seven";
const answers = `\rexample.com\rme@example.com\r${pass}\r${pass}\r`;

describe("a machine without an owner", () => {
  test("is claimed with the answers, and a second Enter meanwhile does nothing", () => {
    const sent = press(stateAfter(unclaimed, ""), `${answers}\r\r`);
    expect(sent.actions).toEqual([
      {
        kind: "send",
        form: "claim",
        values: { domain: "example.com", email: "me@example.com", rootPass: pass, again: pass },
      },
    ]);
    const done = step(sent.state, { kind: "done", words: "yours" });
    expect(done.state.screen).toMatchObject({ name: "notice", lines: ["yours"] });
  });

  test("a refusal is told at its field, and the answers stay", () => {
    const { state } = press(stateAfter(unclaimed, ""), answers);
    const words = 'Cannot use domain "example.com": not a DNS name.';
    const { screen } = step(state, { kind: "refused", words }).state;
    expect(screen).toMatchObject({ form: { at: 0, busy: null, refusal: words } });
    expect(JSON.stringify(screen)).toContain("me@example.com");
  });

  test("claimed by somebody else while the dialogue is open: the dashboard", () => {
    const { state } = press(stateAfter(unclaimed, ""), "\rexample");
    const seen = step(state, { kind: "facts", facts: claimed, trouble: null });
    expect(seen.state.screen.name).toBe("idle");
  });

  test("a new code is shown as it comes", () => {
    const before = stateAfter(unclaimed, "");
    const facts = { ...unclaimed, setupCode: "AAAA-BBBB-CCCC" };
    const { state } = step(before, { kind: "facts", facts, trouble: null });
    expect(state).toMatchObject({ screen: { name: "welcome" }, facts });
  });
});

describe("a claimed machine", () => {
  test("does nothing for who has not logged in", () => {
    for (const keys of ["q", "r", "1", "\x1b[A", "\t", "\x03", "\x04", "reset"]) {
      const { screen, actions } = press(stateAfter(claimed, ""), keys);
      expect([keys, screen, actions]).toEqual([keys, "idle", []]);
    }
  });

  test("opens the shell after a login and asks again after it", () => {
    const sent = press(stateAfter({ ...claimed, recoveredAt: 7 }, ""), `\r${pass}\r`);
    expect(sent.actions).toMatchObject([{ form: "login", values: { password: pass } }]);
    const { state, actions } = step(sent.state, { kind: "done", words: null });
    expect(actions).toEqual([{ kind: "shell", recoveredAt: 7 }]);
    expect(step(state, { kind: "done", words: null }).state.screen.name).toBe("idle");
  });

  test("a wrong password opens nothing and is forgotten", () => {
    const { state } = press(stateAfter(claimed, ""), `\r${pass}\r`);
    const next = step(state, { kind: "refused", words: "Wrong password." });
    expect(next.actions).toEqual([]);
    expect(JSON.stringify(next.state)).not.toContain(pass);
  });

  test("a dialogue nobody types into is left, with what was typed", () => {
    const { state } = press(stateAfter(claimed, ""), "\rgravel");
    const still = step(state, { kind: "tick", now: noon + 2 * minuteMs });
    expect(still.state.screen.name).toBe("form");
    const left = step(state, { kind: "tick", now: noon + 4 * minuteMs });
    expect(left.state.screen.name).toBe("idle");
    expect(JSON.stringify(left.state)).not.toContain("gravel");
  });
});

describe("recovery", () => {
  const asked = () => stateAfter(claimed, "", { recovery: true });

  test("sets a password, and is over then", () => {
    const sent = press(asked(), `1${pass}\r${pass}\r`);
    expect(sent.actions).toMatchObject([{ form: "recover" }]);
    const done = step(sent.state, { kind: "done", words: "replaced" }).state;
    expect(done).toMatchObject({ recovery: false, screen: { name: "notice" } });
    expect(press(done, "\r").screen).toBe("idle");
  });

  test("erases only when the words are typed", () => {
    expect(press(asked(), "3yes\r").actions).toEqual([]);
    const { actions } = press(asked(), "3erase everything\r");
    expect(actions).toMatchObject([{ form: "reset", values: { confirm: "erase everything" } }]);
  });

  test("can be left, restarted and switched off", () => {
    expect(press(asked(), "6").screen).toBe("idle");
    expect(press(asked(), "4").actions).toEqual([{ kind: "restart" }]);
    expect(press(asked(), "\x1b[A\x1b[A\r").actions).toEqual([{ kind: "poweroff" }]);
  });
});

describe("trouble", () => {
  test("is told while no kernel answers, and gone when one does", () => {
    const state = stateAfter(null, "", { trouble: broken });
    expect(state.screen).toMatchObject({ name: "menu", kind: "trouble" });
    expect(press(state, "1").actions).toEqual([{ kind: "retry" }]);
    const well = step(state, { kind: "facts", facts: claimed, trouble: null });
    expect(well.state.screen.name).toBe("idle");
  });

  test("a kernel that goes away is waited for", () => {
    const gone = step(stateAfter(claimed, ""), { kind: "facts", facts: null, trouble: null });
    expect(gone.state.screen.name).toBe("starting");
  });
});

describe("facts", () => {
  const names = { hostname: "fazt", mdnsName: "fazt.local", addresses: ["192.0.2.7", "fe80::1"] };
  test("a short address stands before a long one", () => {
    const both = { ...names, addresses: ["2001:db8::7", "192.0.2.7"] };
    expect(urlsOf({ http: "http://localhost" }, both)).toEqual([
      "http://192.0.2.7/",
      "http://[2001:db8::7]/",
      "http://fazt.local/",
    ]);
  });
  test.each([
    [{ http: "http://localhost" }, ["http://192.0.2.7/", "http://fazt.local/"]],
    [
      { http: "http://localhost:8080", https: "https://localhost:8443" },
      ["https://192.0.2.7:8443/", "https://fazt.local:8443/"],
    ],
    [{ http: "http://127.0.0.1:9" }, ["http://127.0.0.1:9/"]],
    [{ http: null }, []],
  ])("%j", (listening, urls) => expect(urlsOf(listening, names)).toEqual(urls));

  test("memory, certificates, the kernel's command line", () => {
    const meminfo = "MemTotal:  1000 kB\nMemFree: 1 kB\nMemAvailable:  400 kB\n";
    expect(memoryOf(meminfo)).toEqual({ totalBytes: 1_024_000, usedBytes: 614_400 });
    const cert = { name: "a.org", issuer: "acme", fingerprint: "" };
    const dayMs = 24 * 60 * minuteMs;
    const list = [1, 8, -1].map((days) => ({ ...cert, expiresAt: noon + days * dayMs + 1 }));
    expect(certificateTrouble(list, noon)).toEqual(["a.org: ends in 1 day", "a.org: expired"]);
    const line = "quiet fazt.appliance fazt.recovery\n";
    expect(spokenBy(line)).toEqual({ appliance: true, recovery: true });
    expect(spokenBy("no.fazt.recovery")).toEqual({ appliance: false, recovery: false });
  });
});

test.each([
  [
    { TERM: "linux" },
    { corner: { row: 50, column: 132 }, signColumns: 2 },
    [132, true, true, true],
  ],
  [{ TERM: "vt220" }, { corner: { row: 24, column: 80 }, signColumns: 2 }, [80, true, true, false]],
  [{ TERM: "xterm" }, { corner: { row: 24, column: 80 }, signColumns: 4 }, [80, true, false, true]],
  [{ TERM: "vt220" }, { corner: null, signColumns: null }, [80, false, false, false]],
  [{ TERM: "linux" }, { corner: { row: 1, column: 1 }, signColumns: 2 }, [80, true, true, true]],
  [
    { TERM: "xterm", NO_COLOR: "1" },
    { corner: { row: 24, column: 80 }, signColumns: 2 },
    [80, true, true, false],
  ],
] as const)("a terminal %j that answers %j", (env, answered, expected) => {
  const { columns, moves, unicode, color } = lookOf(env, answered, null);
  expect([columns, moves, unicode, color]).toEqual([...expected]);
});
