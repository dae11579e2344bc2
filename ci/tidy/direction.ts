/**
 * Who may import whom: downwards only, and other domains through their front page.
 *
 *   kernel/*.ts <- storage <- security, fs <- app <- proc, net, driver <- syscall <- boot <- init
 *
 * 1. Another domain or part is entered by its `mod.ts`; the call table and boot also read its
 *    `calls.ts`, tests its `limits.ts`, and init enters `child.ts` or `child-….ts`, another process.
 * 2. Peers of one level know each other by `import type` only: boot hands them to each other.
 * 3. `kernel/kernel.ts` is types only, for those that see the whole kernel: calls, table, boot.
 * 4. The command knows of the kernel its errnos, the place of its data, the nearest name, the
 *    schema of `app.json` and the types of the call table.
 * 5. Nothing shipped imports from ci/ or tests/, and it needs only packages that are shipped.
 */
import type { Finding, Import, Source } from "./source.ts";
import { isTest } from "./source.ts";

const levels: Readonly<Record<string, number>> = {
  leaf: 0,
  storage: 1,
  security: 2,
  fs: 2,
  app: 3,
  proc: 4,
  net: 4,
  driver: 4,
  syscall: 5,
  boot: 6,
  init: 7,
  cli: 7,
};

const isShipped = (path: string) => /^(kernel|init|cli|image)\//.test(path) && !isTest(path);
const isDomain = (area: string) => (levels[area] ?? 0) >= 1 && (levels[area] ?? 0) <= 5;

/** The part of the tree a path belongs to: a domain's name, or `leaf`, `boot`, `init`, `cli`… */
function areaOf(path: string): string {
  const [top = "", second = ""] = path.split("/");
  if (top !== "kernel") return top;
  if (path === "kernel/boot.ts") return "boot";
  return second.endsWith(".ts") ? "leaf" : second;
}

/** The folder of a file. */
const folderOf = (path: string): string => path.slice(0, path.lastIndexOf("/"));

/** Whether the file lies in a part of a domain, `kernel/<domain>/<part>/`. */
const inPart = (path: string): boolean => path.split("/").length > 3;

/** Why the file may not enter the other's domain or part this way, or null. */
function pastFrontPage(from: string, to: string): string | null {
  const inside = to.slice(to.lastIndexOf("/") + 1);
  if (!isDomain(areaOf(to)) || inside === "mod.ts" || folderOf(from) === folderOf(to)) return null;
  if (areaOf(from) === areaOf(to) && !inPart(to)) return null;
  if (areaOf(from) === "cli" && leavesOfCommand.test(to)) return null;
  const readsCalls = ["syscall", "boot", "ci", "tests"].includes(areaOf(from)) || isTest(from);
  if (inside === "calls.ts" && (readsCalls || from.endsWith("/calls.ts"))) return null;
  if (inside === "limits.ts" && (areaOf(from) === "tests" || isTest(from))) return null;
  if (/^child(-[a-z]+)?\.ts$/.test(inside) && areaOf(from) === "init") return null;
  return `goes past the front page of ${areaOf(to)} → import its mod.ts`;
}

/** Rule 3. */
function wholeKernel(from: string, { typeOnly }: Import): string | null {
  if (!typeOnly) return "takes a value from kernel/kernel.ts → import type";
  const sees = ["leaf", "syscall", "boot", "init"].includes(areaOf(from));
  if (sees || from.endsWith("/calls.ts")) return null;
  return "sees the whole kernel → take the one domain it needs as an argument";
}

/** Rule 4. */
const leavesOfCommand = /^kernel\/(errno|nearest|data-dir|app\/manifest)\.ts$/;

function fromCommand(to: string, { typeOnly }: Import): string | null {
  if (leavesOfCommand.test(to)) return null;
  if (to === "kernel/syscall/mod.ts" && typeOnly) return null;
  return "the command holds other code than its own → ask the kernel by a call";
}

/** Why a shipped file may not import another source, or null. */
function shippedRefusal(from: string, to: string, taken: Import): string | null {
  const [fromArea, toArea] = [areaOf(from), areaOf(to)];
  if (fromArea === toArea) return null;
  if (toArea === "ci" || toArea === "tests") return `ships ${toArea}/ → move what it needs`;
  if (fromArea === "cli") return fromCommand(to, taken);
  if (to === "kernel/kernel.ts") return wholeKernel(from, taken);
  if (from === "kernel/kernel.ts") {
    return isDomain(toArea) && taken.typeOnly ? null : "kernel/kernel.ts is types only";
  }
  const [fromLevel = 0, toLevel = 0] = [levels[fromArea], levels[toArea]];
  if (fromLevel > toLevel || (fromArea === "init" && toArea === "cli")) return null;
  if (fromLevel === toLevel && taken.typeOnly) return null;
  return fromLevel === toLevel
    ? `${fromArea} and ${toArea} are peers → import type; boot hands them to each other`
    : `${toArea} is above ${fromArea} → imports point downwards only`;
}

const builtIn = /^(bun$|bun:|node:)/;

/** Every import of one file that breaks a rule. `packages` are those that are shipped. */
export function direction(source: Source, packages: readonly string[]): Finding[] {
  const { path: from } = source;
  return source.imports.flatMap((taken) => {
    const finding = (text: string): Finding[] => {
      const [message = "", remedy = "see ci/tidy/direction.ts"] = text.split(" → ");
      return [{ path: from, line: taken.line, rule: "direction", message, remedy }];
    };
    const { target, specifier } = taken;
    if (target === null) {
      const name = specifier.split("/", specifier.startsWith("@") ? 2 : 1).join("/");
      const known = builtIn.test(specifier) || packages.includes(name);
      if (known || taken.typeOnly || !isShipped(from)) return [];
      return finding(
        `"${name}" is not among the dependencies → add it to package.json, or do without`,
      );
    }
    if (!/\.(ts|tsx|mjs)$/.test(target)) return [];
    const past = pastFrontPage(from, target);
    if (past !== null) return finding(`"${specifier}" ${past}`);
    const refusal = isShipped(from) ? shippedRefusal(from, target, taken) : null;
    return refusal === null ? [] : finding(`"${specifier}": ${refusal}`);
  });
}
