/**
 * A terminal for tests of the command: gives it its input and keeps everything it says.
 */
import type { Terminal } from "../cli/terminal.ts";

export interface RecordingTerminal extends Terminal {
  readonly said: { out: string; err: string };
}

export interface RecordingOptions {
  readonly env?: Readonly<Record<string, string>>;
  readonly input?: string;
  /** Columns of a terminal; none when absent. */
  readonly columns?: number;
}

export function recordingTerminal(options: RecordingOptions = {}): RecordingTerminal {
  const said = { out: "", err: "" };
  const decoder = new TextDecoder();
  return {
    said,
    env: options.env ?? {},
    isTty: options.columns !== undefined,
    inputIsTty: false,
    columns: options.columns ?? null,
    color: false,
    pages: false,
    write: async (data) => {
      said.out += typeof data === "string" ? data : decoder.decode(data, { stream: true });
    },
    flush: async () => {},
    complain: (text) => {
      said.err += text;
    },
    input: () => new Blob([options.input ?? ""]).stream(),
    askHidden: () => {
      throw new Error("a test asked for a terminal");
    },
  };
}
