/**
 * `npm test [-- PART_OF_PATH…]`: everything that asserts.
 *
 * Without a filter it also brings the system packages (in CI always), builds `dist/fazt` and runs
 * `npm run check`, each a counted item. The last line is `N passed, N failed` (`, N skipped` when
 * some were); the exit code is 1 when anything failed or nothing ran. What each group printed stays
 * in `dist/test/`.
 */
import { closeSync, existsSync, mkdirSync, openSync, readFileSync, rmSync } from "node:fs";
import { availableParallelism } from "node:os";
import { build } from "./build.ts";
import { ensureSystem } from "./install.ts";
import { closingLine, type Outcome, outcomeOf } from "./junit.ts";
import { type Group, groupsOf, testFiles } from "./suite.ts";
import { root } from "./with.mjs";

const reports = `${root}dist/test/`;
const tailLines = 60;

interface Item {
  readonly name: string;
  readonly alone: boolean;
  run(): Promise<Outcome>;
}

/** An item that is one thing, passed or failed: null, or the text of its failure. */
function single(name: string, work: () => Promise<string | null>): Item {
  const run = async (): Promise<Outcome> => {
    const text = await work().catch((error: Error) => error.message);
    if (text === null) return { passed: 1, skipped: 0, failures: [] };
    return { passed: 0, skipped: 0, failures: [{ file: name, name: "failed", text }] };
  };
  return { name, alone: false, run };
}

/** Runs Bun with its output in `dist/test/NAME.log` and gives how it ended. */
async function runBun(name: string, args: readonly string[], timeoutMs: number) {
  const log = `${reports}${name}.log`;
  const output = openSync(log, "w");
  const child = Bun.spawn([process.execPath, ...args], {
    cwd: root,
    env: { ...process.env, NO_COLOR: "1" },
    stdio: ["ignore", output, output],
    timeout: timeoutMs,
    killSignal: "SIGKILL",
  });
  const startedMs = performance.now();
  const code = await child.exited;
  closeSync(output);
  const late = performance.now() - startedMs >= timeoutMs;
  const end = late ? `no end after ${timeoutMs / 1000} s` : `signal ${child.signalCode}`;
  const badEnd = child.signalCode !== null ? end : code === 0 ? null : `exit code ${code}`;
  const lines = readFileSync(log, "utf8").trimEnd().split("\n");
  return { badEnd, tail: lines.slice(-tailLines).join("\n") };
}

async function runCheck(): Promise<string | null> {
  const { badEnd, tail } = await runBun("check", ["ci/check.ts"], 10 * 60_000);
  return badEnd === null ? null : tail;
}

async function runGroup(group: Group): Promise<Outcome> {
  const name = group.name.replaceAll("/", "-");
  const reportPath = `${reports}${name}.xml`;
  rmSync(reportPath, { force: true });
  const options = [`--timeout=${group.testTimeoutMs}`, "--reporter=junit"];
  const files = group.files.map((file) => `./${file}`);
  const args = ["test", ...options, `--reporter-outfile=${reportPath}`, ...files];
  const end = await runBun(name, args, group.groupTimeoutMs);
  const report = existsSync(reportPath) ? readFileSync(reportPath, "utf8") : null;
  return outcomeOf({ files: group.files, report, ...end });
}

/** Runs an item, says how it went, and gives its outcome. */
async function perform(item: Item): Promise<Outcome> {
  const startedMs = performance.now();
  const outcome = await item.run();
  const seconds = ((performance.now() - startedMs) / 1000).toFixed(1);
  const verdict = outcome.failures.length === 0 ? "ok  " : "FAIL";
  console.log(`${verdict} ${item.name.padEnd(40)} ${closingLine([outcome])}, ${seconds} s`);
  for (const { file, name, text } of outcome.failures) {
    console.log(`\n  ${file}: ${name}\n${text.trimEnd().replace(/^/gm, "    ")}\n`);
  }
  return outcome;
}

/** Runs the items, at most `width` of them at a time. */
async function performAll(items: readonly Item[], width: number): Promise<Outcome[]> {
  const waiting = items.values();
  const outcomes: Outcome[] = [];
  const worker = async () => {
    for (const item of waiting) outcomes.push(await perform(item));
  };
  await Promise.all(Array.from({ length: width }, worker));
  return outcomes;
}

async function main(filters: readonly string[]): Promise<number> {
  mkdirSync(reports, { recursive: true });
  const groups = groupsOf(testFiles(root), filters);
  if (groups.length === 0) console.error(`no test file matches "${filters.join(" ")}"`);
  const first = [single("build", () => build().then(() => null))];
  const missingText = async () => {
    const names = ensureSystem("test").map(({ name }) => name);
    return names.length === 0 ? null : `missing: ${names.join(" ")}`;
  };
  const fresh = filters.length === 0 || process.env["CI"] === "true";
  if (fresh) first.unshift(single("system packages", missingText));
  const items: Item[] = groups.map((group) => ({
    name: group.name,
    alone: group.alone,
    run: () => runGroup(group),
  }));
  if (filters.length === 0) items.unshift(single("check", runCheck));
  const outcomes = [
    ...(await performAll(groups.length === 0 ? [] : first, 1)),
    ...(await performAll(
      items.filter((item) => !item.alone),
      availableParallelism(),
    )),
    ...(await performAll(
      items.filter((item) => item.alone),
      1,
    )),
  ];
  console.log(closingLine(outcomes));
  const ran = groups.length > 0 && outcomes.some((outcome) => outcome.passed > 0);
  return ran && outcomes.every((outcome) => outcome.failures.length === 0) ? 0 : 1;
}

process.exit(await main(process.argv.slice(2)));
