/**
 * What of a folder is not deployed: what no release needs, and what `.faztignore` names.
 *
 * A line of `.faztignore` is a glob. Without a slash it names files and folders at any depth, with
 * one it is relative to the app; a final `/` means folders only; `!` takes an earlier line back;
 * `#` is a comment. The last line that matches decides.
 */

/** Whether a path of the app (relative, `/`-separated) stays behind. */
export type Ignore = (path: string, isFolder: boolean) => boolean;

interface Rule {
  readonly glob: Bun.Glob;
  readonly byName: boolean;
  readonly foldersOnly: boolean;
  readonly ignored: boolean;
}

/** Names beginning with a dot stay behind, but for this one (RFC 8615). */
const servedDotName = ".well-known";

function alwaysIgnored(name: string): boolean {
  return name === "node_modules" || (name.startsWith(".") && name !== servedDotName);
}

function ruleOf(line: string): Rule | null {
  const text = line.trim();
  if (text === "" || text.startsWith("#")) return null;
  const ignored = !text.startsWith("!");
  const pattern = ignored ? text : text.slice(1);
  const foldersOnly = pattern.endsWith("/");
  const bare = foldersOnly ? pattern.slice(0, -1) : pattern;
  const anchored = bare.startsWith("/") ? bare.slice(1) : bare;
  return { glob: new Bun.Glob(anchored), byName: !bare.includes("/"), foldersOnly, ignored };
}

/** The rules of a `.faztignore`, after the ones that always hold. */
export function ignoreRules(text: string): Ignore {
  const rules = text.split(/\r?\n/).flatMap((line) => ruleOf(line) ?? []);
  return (path, isFolder) => {
    const name = path.slice(path.lastIndexOf("/") + 1);
    if (alwaysIgnored(name)) return true;
    const last = rules.findLast(
      (rule) => (isFolder || !rule.foldersOnly) && rule.glob.match(rule.byName ? name : path),
    );
    return last?.ignored ?? false;
  };
}
