/**
 * Bytes as they arrive, as lines of text. A line that does not end is bounded, so that a peer cannot
 * fill the memory.
 */
import { SysError } from "../kernel/errno.ts";

/** One reply line holds at most one value of a call: 16 MiB is more than any. */
const lineCharsMax = 16 * 1024 * 1024;

/** Every line that is not empty, without its end. */
export async function* splitLines(chunks: AsyncIterable<Uint8Array>): AsyncIterable<string> {
  const decoder = new TextDecoder();
  let rest = "";
  for await (const chunk of chunks) {
    const parts = (rest + decoder.decode(chunk, { stream: true })).split("\n");
    rest = parts.pop() ?? "";
    if (rest.length > lineCharsMax) {
      throw new SysError("EFBIG", `cannot read the stream: a line of over ${lineCharsMax} bytes`);
    }
    yield* parts.filter((line) => line.trim() !== "");
  }
  const last = rest + decoder.decode();
  if (last.trim() !== "") yield last;
}
