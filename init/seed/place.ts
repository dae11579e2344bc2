/**
 * Where in a YAML or JSON text a field stands, for messages that say which line is wrong. Pure.
 *
 * It follows the keys of the path through the text: each is looked for behind the one before, an
 * index among the entries of the list that begins there. Where it loses the way it stays at the
 * last place that it found, so the answer is never beyond the fault by more than its own object.
 */

/** The line, from 1, of the field at `path`; 1 when nothing of the path is there. */
export function lineOf(text: string, path: readonly (string | number)[]): number {
  let at = 0;
  for (const part of path) {
    const next = typeof part === "number" ? entryAt(text, at, part) : keyAt(text, at, part);
    if (next === null) break;
    at = next;
  }
  return text.slice(0, at).split("\n").length;
}

/** The place of a key behind `from`. */
function keyAt(text: string, from: number, key: string): number | null {
  const escaped = key.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
  const found = new RegExp(`(^|[\\s{,\\[-])(["']?)${escaped}\\2\\s*:`, "m").exec(text.slice(from));
  return found === null ? null : from + found.index + (found[1] ?? "").length;
}

/** The place of an entry of the list that begins behind `from`. */
function entryAt(text: string, from: number, index: number): number | null {
  const rest = text.slice(from);
  const block = /\n([ \t]*)- /.exec(rest);
  const flow = /\[/.exec(rest);
  if (block !== null && (flow === null || block.index < flow.index)) {
    const entries = [...rest.matchAll(new RegExp(`\n${block[1]}- `, "g"))];
    const found = entries[index];
    return found === undefined ? null : from + found.index + 1;
  }
  return flow === null ? null : flowEntryAt(text, from + flow.index, index);
}

/** The place of an entry of a list in brackets that opens at `open`. */
function flowEntryAt(text: string, open: number, index: number): number | null {
  let depth = 0;
  let count = 0;
  for (let at = open; at < text.length; at++) {
    const char = text[at] ?? "";
    if ("[{".includes(char)) depth++;
    else if ("]}".includes(char) && --depth === 0) return null;
    else if (char === "," && depth === 1) count++;
    const begun = depth === 1 ? /[^\s,[]/.test(char) : depth === 2 && "[{".includes(char);
    if (count === index && at > open && begun) return at;
  }
  return null;
}
