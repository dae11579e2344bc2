/** Counting: real reports of `bun test` run on files written here, and the ends it can come to. */
import { describe, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { closingLine, outcomeOf } from "./junit.ts";

const mixed = `
  import { describe, expect, test } from "bun:test";
  describe("outer & <b>", () => {
    test("right", () => expect(1).toBe(1));
    test("wrong", () => expect("a").toBe("b"));
    test.skip("later", () => {});
    test.todo("some day");
  });`;

/** Runs `bun test` on one file with `source` and gives what we count. */
async function run(source: string) {
  const folder = mkdtempSync(join(tmpdir(), "fazt-junit-"));
  writeFileSync(join(folder, "a.test.ts"), source);
  const report = join(folder, "report.xml");
  const command = ["test", "--reporter=junit", `--reporter-outfile=${report}`, "./a.test.ts"];
  const child = Bun.spawn([process.execPath, ...command], {
    cwd: folder,
    env: { ...process.env, NO_COLOR: "1" },
    stdio: ["ignore", "ignore", "pipe"],
  });
  const tail = await child.stderr.text();
  await child.exited;
  const written = await Bun.file(report).exists();
  return outcomeOf({
    files: ["a.test.ts"],
    report: written ? readFileSync(report, "utf8") : null,
    badEnd:
      child.signalCode?.toString() ?? (child.exitCode === 0 ? null : `exit code ${child.exitCode}`),
    tail,
  });
}

describe("outcomeOf", () => {
  test("counts passed, failed, skipped and todo, and keeps the failure's text", async () => {
    const outcome = await run(mixed);
    expect(outcome).toMatchObject({ passed: 1, skipped: 2 });
    expect(outcome.failures).toHaveLength(1);
    expect(outcome.failures[0]?.name).toBe("outer & <b> > wrong");
    expect(outcome.failures[0]?.text).toContain('Expected: "b"');
  });

  test("a file that does not load is a failure with its error", async () => {
    const outcome = await run('throw new Error("at load");');
    expect(outcome.passed).toBe(0);
    expect(outcome.failures).toHaveLength(1);
    expect(outcome.failures[0]?.text).toContain("at load");
  });

  test("a process that dies is a failure, whatever passed before", async () => {
    const source = `import { test } from "bun:test";
      test("fine", () => {});
      test("dies", () => process.kill(process.pid, "SIGKILL"));`;
    const outcome = await run(source);
    expect(outcome.failures).toHaveLength(1);
    expect(outcome.failures[0]?.text).toContain("SIGKILL");
  });

  test("an error between tests is a failure though every test passed", () => {
    const report = '<testcase name="x" classname="" file="a.test.ts" />';
    const process = { files: ["a.test.ts"], report, badEnd: "exit code 1", tail: "boom" };
    expect(outcomeOf(process)).toEqual({
      passed: 1,
      skipped: 0,
      failures: [{ file: "a.test.ts", name: "ended with exit code 1", text: "boom" }],
    });
  });

  test("a file without a test is a failure", () => {
    const outcome = outcomeOf({ files: ["a.test.ts"], report: "", badEnd: null, tail: "" });
    expect(outcome.failures.map(({ name }) => name)).toEqual(["reported no test"]);
  });
});

describe("closingLine", () => {
  const one = { passed: 2, skipped: 0, failures: [] };
  const other = { passed: 3, skipped: 1, failures: [{ file: "a", name: "b", text: "" }] };

  test("leaves skipped out when none was", () => {
    expect(closingLine([one])).toBe("2 passed, 0 failed");
    expect(closingLine([])).toBe("0 passed, 0 failed");
  });

  test("adds the outcomes up", () => {
    expect(closingLine([one, other])).toBe("5 passed, 1 failed, 1 skipped");
  });
});
