/**
 * Whether a program can be a kernel here at all: it is run once, beside the one that answers, and
 * looks at what it would work with (`upgrade-check`). Nobody is answered by it.
 *
 * Rules: it may add to the schema, which the program that runs does not mind (EDD), and changes
 * nothing else; it has a deadline.
 */
import { allMigrations } from "../../kernel/boot.ts";
import { realMachine } from "../../kernel/machine.ts";
import type { Order } from "../../kernel/proc/upgrade/mod.ts";
import { rehearse } from "../../kernel/storage/mod.ts";
import { version } from "../version.ts";

/** Milliseconds it may take. */
const checkMsMax = 20_000;

interface Checked {
  readonly version: string;
  readonly schemaVersion: number;
}

/** Runs the check of a program; throws what is wrong with it, in words. */
export async function checkProgram(
  program: readonly string[],
  { dataDir, order }: { readonly dataDir: string; readonly order: Pick<Order, "version"> },
): Promise<void> {
  let child: Bun.Subprocess<"ignore", "pipe", "pipe">;
  try {
    const stdio: ["ignore", "pipe", "pipe"] = ["ignore", "pipe", "pipe"];
    child = Bun.spawn([...program, "upgrade-check", dataDir], { stdio });
  } catch (error) {
    throw new Error(`it cannot be run: ${(error as Error).message}`);
  }
  let late = false;
  const timer = setTimeout(() => {
    late = true;
    child.kill("SIGKILL");
  }, checkMsMax);
  const [said, errors] = await Promise.all([child.stdout.text(), child.stderr.text()]);
  const code = await child.exited;
  clearTimeout(timer);
  if (late)
    throw new Error(`it hung when it was tried, and was ended after ${checkMsMax / 1000} s`);
  if (code !== 0) {
    const [line = ""] = errors.trim().split("\n").slice(-1);
    throw new Error(line === "" ? `it ended with exit code ${code} when it was tried` : line);
  }
  const found = checkedOf(said);
  if (found?.version === order.version) return;
  throw new Error(`it says that it is ${found?.version ?? "nothing"}, and not ${order.version}`);
}

function checkedOf(text: string): Checked | null {
  try {
    return JSON.parse(text) as Checked;
  } catch {
    return null;
  }
}

/** The life of the program that is checked. Answers the exit code. */
export async function runCheck([dataDir = ""]: readonly string[]): Promise<number> {
  try {
    const machine = realMachine();
    const schemaVersion = rehearse({ machine, dataDir, migrations: allMigrations() });
    process.stdout.write(`${JSON.stringify({ version, schemaVersion } satisfies Checked)}\n`);
    return 0;
  } catch (error) {
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
    return 1;
  }
}
