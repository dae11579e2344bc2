/**
 * YAML that somebody else wrote. The parser's own words are not passed on: they may quote the text.
 */
import { SysError } from "../../kernel/errno.ts";

/** What the text says. EBADMSG naming the file. */
export function parseYaml(name: string, text: string): unknown {
  try {
    return Bun.YAML.parse(text);
  } catch {
    throw new SysError("EBADMSG", `cannot read "${name}": it is not YAML`);
  }
}
