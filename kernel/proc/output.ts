/**
 * An app's output as log lines. A line of a unit separator and a letter (see child.ts) says what
 * level the lines after it have; a line without end is cut at `logLineCharsMax`. What comes faster
 * than it may is not read: the app waits for its own output, and costs nobody else anything.
 */
import type { Machine } from "../machine.ts";
import type { LogLevel } from "../storage/mod.ts";
import { logLineCharsMax, outputBurstBytes, outputBytesPerSecond } from "./limits.ts";

const levels: Readonly<Record<string, LogLevel>> = {
  "\u001fd": "debug",
  "\u001fi": "info",
  "\u001fw": "warn",
  "\u001fe": "error",
};

/** How the kernel's own lines about an app begin, whatever is put before it. */
const kernelMark = /^[\s\p{C}]*\[kernel\]/u;

/** What an app printed, so that it is never taken for what the kernel says of it. */
export function ownLine(text: string): string {
  return kernelMark.test(text) ? `[app] ${text}` : text;
}

/** Reads a stream to its end, telling every line with its level. */
export async function readLines(
  stream: AsyncIterable<Uint8Array>,
  first: LogLevel,
  told: (level: LogLevel, text: string) => void,
): Promise<void> {
  const decoder = new TextDecoder();
  let level = first;
  let rest = "";
  const line = (text: string) => {
    const marked = levels[text];
    if (marked !== undefined) level = marked;
    else told(level, text);
  };
  for await (const bytes of stream) {
    rest += decoder.decode(bytes, { stream: true });
    const lines = rest.split("\n");
    rest = lines.pop() ?? "";
    for (const text of lines) line(text.endsWith("\r") ? text.slice(0, -1) : text);
    while (rest.length > logLineCharsMax) {
      line(rest.slice(0, logLineCharsMax));
      rest = rest.slice(logLineCharsMax);
    }
  }
  if (rest !== "") line(rest);
}

/** The same bytes, read no faster than output may come. */
export async function* paced(
  machine: Pick<Machine, "monotonicMs" | "after">,
  stream: ReadableStream<Uint8Array>,
): AsyncGenerator<Uint8Array> {
  let left = outputBurstBytes;
  let at = machine.monotonicMs();
  for await (const bytes of stream) {
    yield bytes;
    const now = machine.monotonicMs();
    left = Math.min(outputBurstBytes, left + ((now - at) / 1000) * outputBytesPerSecond);
    at = now;
    left -= bytes.length;
    if (left >= 0) continue;
    const waitMs = (-left / outputBytesPerSecond) * 1000;
    await new Promise<void>((resolve) => machine.after(waitMs, resolve));
  }
}
