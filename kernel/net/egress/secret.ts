/**
 * Secrets in an app's requests: a header says `{{NAME}}`, and the kernel puts the value there on
 * its way out, only towards the host the owner gave it for. The app never has it.
 *
 * Rules: pure; a name that is not there, or is for another host, is refused and never sent as it
 * stands; after a redirect to a host it is not for, the header is left out.
 */
import { covers, type Pattern, type Target } from "./pattern.ts";

export interface Secret {
  readonly name: string;
  readonly pattern: Pattern;
  value(): string;
}

export type HeaderLines = readonly (readonly [name: string, value: string])[];

/** `lines` with secrets in place; `hidden` names those that were not for this target. */
export interface Filled {
  readonly lines: [string, string][];
  readonly hidden: string[];
  /** Whether any secret was put in: such answers are not cached. */
  readonly used: boolean;
}

const place = /\{\{([A-Za-z_][A-Za-z0-9_]{0,63})\}\}/g;

export function fill(lines: HeaderLines, secrets: readonly Secret[], target: Target): Filled {
  const filled: Filled["lines"] = [];
  const hidden: string[] = [];
  let used = false;
  for (const [name, value] of lines) {
    let whole = true;
    const text = value.replace(place, (_all, wanted: string) => {
      const secret = secrets.find((one) => one.name === wanted && covers(one.pattern, target));
      if (secret === undefined) {
        whole = false;
        hidden.push(wanted);
        return "";
      }
      used = true;
      return secret.value();
    });
    if (whole) filled.push([name, text]);
  }
  return { lines: filled, hidden, used };
}
