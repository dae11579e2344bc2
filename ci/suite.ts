/**
 * Which test files there are, and in which groups they run.
 *
 * Tests beside the code run in one process a folder, several folders at once. What uses the whole
 * machine (a kernel with its listeners, a browser, a machine that loses power) runs one file after
 * another, when nothing else runs.
 */

export interface Group {
  readonly name: string;
  readonly files: readonly string[];
  /** Runs alone, after the groups that run side by side. */
  readonly alone: boolean;
  /** The longest that one test, and the whole process, may take. */
  readonly testTimeoutMs: number;
  readonly groupTimeoutMs: number;
}

const roots = "{kernel,init,cli,ci,tests}/**/*.test.ts";
const aloneFolders = ["integration", "browser", "faults", "boot", "upgrade"].map(
  (name) => `tests/${name}/`,
);
const minuteMs = 60_000;

/** All test files below `base`, as paths from it, in order. */
export function testFiles(base: string): string[] {
  return [...new Bun.Glob(roots).scanSync(base)]
    .filter((file) => !/(^|\/)(fixtures|templates|node_modules)\//.test(file))
    .sort();
}

/**
 * The groups that `filters` choose from `files`: a filter is a part of a path, and none means all.
 * The groups that run alone come last.
 */
export function groupsOf(files: readonly string[], filters: readonly string[]): Group[] {
  const chosen = files.filter(
    (file) => filters.length === 0 || filters.some((part) => file.includes(part)),
  );
  const isAlone = (file: string) => aloneFolders.some((folder) => file.startsWith(folder));
  const folders = Map.groupBy(
    chosen.filter((file) => !isAlone(file)),
    (file) => file.slice(0, file.lastIndexOf("/")),
  );
  const together = [...folders].map(([name, members]) => ({
    name,
    files: members,
    alone: false,
    testTimeoutMs: minuteMs / 2,
    groupTimeoutMs: 8 * minuteMs,
  }));
  const alone = chosen.filter(isAlone).map((file) => ({
    name: file,
    files: [file],
    alone: true,
    testTimeoutMs: 5 * minuteMs,
    groupTimeoutMs: 15 * minuteMs,
  }));
  return [...together, ...alone];
}
