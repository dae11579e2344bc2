/**
 * Counts what a test process did, from the JUnit file that `bun test` writes and from how the
 * process ended.
 *
 * 1. A test is passed, failed or skipped (`skip` and `todo`); nothing else is counted.
 * 2. A test file that reported no test has failed: it did not load, or its process died.
 * 3. A process that ended badly without saying which test failed is itself one failure.
 */

export interface Failure {
  readonly file: string;
  readonly name: string;
  /** What a person reads to find the mistake; may be empty. */
  readonly text: string;
}

export interface Outcome {
  readonly passed: number;
  readonly skipped: number;
  readonly failures: readonly Failure[];
}

/** One process of `bun test`, after its end. */
export interface TestProcess {
  /** The files it was told to run, as paths from the root. */
  readonly files: readonly string[];
  /** The JUnit report, or null when none was written. */
  readonly report: string | null;
  /** The end in words, or null for exit code 0: `exit code 1`, `signal SIGSEGV`. */
  readonly badEnd: string | null;
  /** The last lines of what it printed. */
  readonly tail: string;
}

const testcase = /<testcase ([^>]*?)(?:\/>|>([\s\S]*?)<\/testcase>)/g;
const failureElement = /<(?:failure|error)\b([^>]*?)(?:\/>|>([\s\S]*?)<\/(?:failure|error)>)/;
const entities: Readonly<Record<string, string>> = { lt: "<", gt: ">", quot: '"', apos: "'" };

function decode(text: string): string {
  return text
    .replace(/&#(\d+);/g, (_, code: string) => String.fromCodePoint(Number(code)))
    .replace(/&(lt|gt|quot|apos);/g, (_, name: string) => entities[name] ?? "")
    .replaceAll("&amp;", "&");
}

function attribute(attributes: string, name: string): string {
  return decode(new RegExp(`\\b${name}="([^"]*)"`).exec(attributes)?.[1] ?? "");
}

function readReport(report: string): Outcome & { readonly files: ReadonlySet<string> } {
  const failures: Failure[] = [];
  const files = new Set<string>();
  let passed = 0;
  let skipped = 0;
  for (const [, attributes = "", body = ""] of report.matchAll(testcase)) {
    const file = attribute(attributes, "file");
    files.add(file);
    const failure = failureElement.exec(body);
    if (failure) {
      const text = decode(failure[2] ?? "") || attribute(failure[1] ?? "", "message");
      const group = attribute(attributes, "classname");
      const name = attribute(attributes, "name");
      failures.push({ file, name: group === "" ? name : `${group} > ${name}`, text });
    } else if (body.includes("<skipped")) skipped++;
    else passed++;
  }
  return { passed, skipped, failures, files };
}

/** What a process of `bun test` did, by the three rules above. */
export function outcomeOf({ files, report, badEnd, tail }: TestProcess): Outcome {
  const read = readReport(report ?? "");
  const failures = [...read.failures];
  const silent = files.filter((file) => !read.files.has(file));
  silent.forEach((file, index) => {
    const text = index === 0 ? `${badEnd ?? "exit code 0"}, last output:\n${tail}` : "";
    failures.push({ file, name: "reported no test", text });
  });
  if (badEnd !== null && failures.length === 0) {
    failures.push({ file: files.join(" "), name: `ended with ${badEnd}`, text: tail });
  }
  return { passed: read.passed, skipped: read.skipped, failures };
}

/** The line that ends a test run: `N passed, N failed`, with `, N skipped` when some were. */
export function closingLine(outcomes: readonly Outcome[]): string {
  const sum = (count: (outcome: Outcome) => number) =>
    outcomes.reduce((total, outcome) => total + count(outcome), 0);
  const skipped = sum((outcome) => outcome.skipped);
  const counts = `${sum((one) => one.passed)} passed, ${sum((one) => one.failures.length)} failed`;
  return skipped === 0 ? counts : `${counts}, ${skipped} skipped`;
}
