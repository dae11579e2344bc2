/**
 * Programs the measurements start: each ends by its own process id, and says in its own words when
 * it could not start. Everything listens on 127.0.0.1.
 */

export interface Started extends AsyncDisposable {
  readonly pid: number;
  readonly stdout: ReadableStream<Uint8Array>;
}

const endMsMax = 10_000;

/** Starts a program; disposing asks it to end, and kills it when it does not. */
export function startProgram(
  argv: readonly string[],
  options: { env?: Record<string, string>; quiet?: boolean } = {},
): Started {
  const child = Bun.spawn([...argv], {
    stdio: ["ignore", "pipe", options.quiet === true ? "ignore" : "inherit"],
    env: { ...process.env, ...options.env },
  });
  return {
    pid: child.pid,
    stdout: child.stdout,
    [Symbol.asyncDispose]: async () => {
      child.kill("SIGTERM");
      const late = setTimeout(() => child.kill("SIGKILL"), endMsMax);
      await child.exited;
      clearTimeout(late);
    },
  };
}

/** The first line a program prints. The rest of its output is read and dropped. */
export async function firstLine(stdout: ReadableStream<Uint8Array>): Promise<string> {
  const chunks = stdout[Symbol.asyncIterator]();
  const decoder = new TextDecoder();
  let text = "";
  while (!text.includes("\n")) {
    const { done, value } = await chunks.next();
    if (done) throw new Error(`a program ended before it was ready: ${text}`);
    text += decoder.decode(value, { stream: true });
  }
  void drain(chunks);
  return text.slice(0, text.indexOf("\n"));
}

async function drain(chunks: AsyncIterator<unknown>): Promise<void> {
  while (!(await chunks.next()).done);
}

/** Runs a program to its end and gives its output; a failure throws what it said. */
export async function runProgram(argv: readonly string[]): Promise<string> {
  const child = Bun.spawn([...argv], { stdio: ["ignore", "pipe", "pipe"] });
  const [output, errors] = await Promise.all([child.stdout.text(), child.stderr.text()]);
  if ((await child.exited) !== 0) throw new Error(`${argv.join(" ")}: ${errors || output}`);
  return output;
}

/** A port nobody listens on now, for programs that cannot choose one themselves. */
export function freePort(): number {
  const listener = Bun.listen({ hostname: "127.0.0.1", port: 0, socket: { data() {} } });
  const { port } = listener;
  listener.stop(true);
  return port;
}

/** Resolves when a URL answers 200; throws after a while. */
export async function answering(url: string): Promise<void> {
  const until = performance.now() + endMsMax;
  for (;;) {
    const response = await fetch(url, { tls: { rejectUnauthorized: false } }).catch(() => null);
    await response?.arrayBuffer();
    if (response?.status === 200) return;
    if (performance.now() > until) throw new Error(`${url} does not answer`);
    await Bun.sleep(20);
  }
}

/** Resolves when a condition holds; throws after a while. */
export async function until(what: string, holds: () => Promise<boolean>): Promise<void> {
  const end = performance.now() + 3 * endMsMax;
  while (!(await holds())) {
    if (performance.now() > end) throw new Error(`it never came to be: ${what}`);
    await Bun.sleep(50);
  }
}
