/**
 * One question to a provider's HTTP interface: JSON both ways, a bearer's secret, a time limit, and
 * failures in the words of who failed.
 */
import { ProviderError } from "./provider.ts";

/** The longest an answer may take, in ms. */
const answerMsMax = 30_000;

export interface Web {
  /** The body of the answer; null on 404. ProviderError on anything else that is no success. */
  ask<T>(method: string, path: string, body?: unknown): Promise<T | null>;
}

export function createWeb(base: string, provider: string, authorization: string): Web {
  return {
    ask: async <T>(method: string, path: string, body?: unknown) => {
      const said = `${provider} (${method} ${path.split("?")[0]})`;
      const response = await fetch(base + path, {
        method,
        headers: { authorization, "content-type": "application/json" },
        ...(body !== undefined && { body: JSON.stringify(body) }),
        signal: AbortSignal.timeout(answerMsMax),
      }).catch((error: unknown) => {
        throw new ProviderError(`cannot reach ${said}: ${String(error)}`, true);
      });
      const text = await response.text().catch((error: unknown) => {
        if (!response.ok) return "";
        throw new ProviderError(`cannot read the answer of ${said}: ${String(error)}`, true);
      });
      if (response.status === 404) return null;
      if (response.ok) return read<T>(text, said);
      const transient = response.status >= 500 || response.status === 429;
      const words = oneLine(text) || "no reason given";
      throw new ProviderError(`${said} refused with ${response.status}: ${words}`, transient);
    },
  };
}

function read<T>(text: string, said: string): T {
  try {
    return (text === "" ? {} : JSON.parse(text)) as T;
  } catch {
    throw new ProviderError(`${said} answered what is no JSON: ${oneLine(text)}`, true);
  }
}

const oneLine = (text: string): string => text.replace(/\s+/g, " ").slice(0, 300);

/** The value of a TXT record in a zone file: one quoted string. */
export const quoted = (value: string): string => `"${value}"`;

/** The part of a name before its zone; `@` for the zone itself. */
export function below(name: string, zone: string): string {
  return name === zone ? "@" : name.slice(0, -zone.length - 1);
}

export function noZone(provider: string, name: string): ProviderError {
  return new ProviderError(`${provider} has no zone for "${name}": is the token for it?`, false);
}
