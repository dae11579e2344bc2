/**
 * `npm run check`: the one gate, equal to CI's. Types, lint and format, and the style gate with
 * dependency direction, dead and duplicated code, side by side. Prints each part's outcome and
 * time, and what a failed part said; exit 1 when one failed.
 */
import { root } from "./with.mjs";

interface Part {
  readonly name: string;
  readonly command: readonly string[];
}

const bin = `${root}node_modules/.bin/`;

const parts: readonly Part[] = [
  { name: "types", command: [`${bin}tsc`, "--noEmit", "-p", "."] },
  { name: "types of pages", command: [`${bin}tsc`, "--noEmit", "-p", "image/os"] },
  { name: "lint and format", command: [`${bin}biome`, "check", "--error-on-warnings", "."] },
  { name: "tidy", command: [process.execPath, "ci/tidy.ts"] },
];

async function passes({ name, command }: Part): Promise<boolean> {
  const startedMs = performance.now();
  const child = Bun.spawn([...command], {
    cwd: root,
    stdio: ["ignore", "pipe", "pipe"],
  });
  const [output, errors] = await Promise.all([child.stdout.text(), child.stderr.text()]);
  const passed = (await child.exited) === 0;
  const seconds = ((performance.now() - startedMs) / 1000).toFixed(1);
  console.log(`${passed ? "ok  " : "FAIL"} ${name.padEnd(20)} ${seconds} s`);
  if (!passed) console.log(output + errors);
  return passed;
}

const outcomes = await Promise.all(parts.map(passes));
process.exit(outcomes.every(Boolean) ? 0 : 1);
