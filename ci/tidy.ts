/**
 * The style gate: `file:line: rule: message → what to do` for everything that breaks a rule of how
 * fazt is written and that formatter, linter and compiler do not see (`any`, `enum`, default
 * exports and unused names are theirs). Exit 1 when there is a finding. The rules are in
 * `ci/tidy/`, one file a subject, each tested in `ci/tidy.test.ts`.
 */
import { existsSync, readFileSync } from "node:fs";
import manifest from "../package.json";
import { tidy } from "./tidy/tidy.ts";
import { root } from "./with.mjs";

const pattern = "{kernel,init,cli,ci,tests,image}/**/*.{ts,tsx,mjs}";
/** Apps and inputs of tests: written as apps are, not as the system is. */
const foreign = /(^|\/)(fixtures|templates|golden|node_modules)\//;
const naming = ["package.json", ".ci/run", ".github/workflows/ci.yml", "mkosi.conf"];

function read(path: string): string {
  return readFileSync(root + path, "utf8");
}

/** Sources that scripts name: `ci/x.ts` by its path, or as the `x` of `ci/with.mjs x`. */
function namedOutside(): string[] {
  const text = naming.filter((path) => existsSync(root + path)).map(read);
  const programs = [...text.join("\n").matchAll(/ci\/with\.mjs ([\w-]+)/g)];
  const paths = [...text.join("\n").matchAll(/[\w-]+(?:\/[\w-]+)*\.(?:ts|mjs)/g)];
  return [...programs.map(([, name]) => `ci/${name}.ts`), ...paths.map(([path]) => path)];
}

const names = [...new Bun.Glob(pattern).scanSync(root)].filter((path) => !foreign.test(path));
const findings = tidy({
  files: Object.fromEntries(names.sort().map((path) => [path, read(path)])),
  roots: ["init/main.ts", ...namedOutside()],
  packages: Object.keys(manifest.dependencies),
});
for (const { path, line, rule, message, remedy } of findings) {
  console.log(`${path}:${line}: ${rule}: ${message} → ${remedy}`);
}
console.log(`${names.length} files, ${findings.length} findings`);
process.exit(findings.length === 0 ? 0 : 1);
