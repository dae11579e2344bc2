/**
 * Visitors of a machine whose program is replaced under them: `wrk` over HTTP/1.1, HTTP/2 over TLS,
 * a new connection for every request, WebSockets and server-sent events. Each goes on until it is
 * told to stop, and tells what it did not get.
 */
import { connect } from "node:http2";
import { run } from "../process.ts";
import type { Box } from "./machine.ts";

/** What one kind of visitor has seen. */
export interface Told {
  readonly requests: number;
  readonly failures: readonly string[];
  /** Times it was told to come again, of those that are told. */
  readonly ends?: number;
}

interface Visit {
  readonly box: Box;
  /** False: come to an end. */
  goesOn(): boolean;
}

/** Failures that are kept, of each kind. */
const failuresKept = 5;

class Book {
  requests = 0;
  readonly failures: string[] = [];

  fail(what: unknown): void {
    if (this.failures.length < failuresKept) this.failures.push(String(what));
  }

  get told(): Told {
    return { requests: this.requests, failures: this.failures };
  }
}

/** Connections that stay open, one request after the other, as fast as they are answered. */
export async function wrk({ box, goesOn }: Visit): Promise<Told> {
  const book = new Book();
  const header = ["-H", `Host: blog.localhost:${box.port}`];
  while (goesOn()) {
    const about = ["-t1", "-c8", "-d4s", "--timeout", "30s", ...header];
    const { stdout } = await run(["wrk", ...about, `http://127.0.0.1:${box.port}/`]);
    book.requests += Number(/(\d+) requests in/.exec(stdout)?.[1] ?? 0);
    const bad = /Non-2xx.*|Socket errors: .*/.exec(stdout)?.[0];
    if (bad !== undefined) book.fail(`wrk: ${bad}`);
  }
  return book.told;
}

/** A connection for each request. */
export async function newcomers({ box, goesOn }: Visit): Promise<Told> {
  const book = new Book();
  while (goesOn()) {
    book.requests++;
    try {
      const answer = await box.get("shop", "/", { keepalive: false });
      await answer.arrayBuffer();
      if (answer.status !== 200) book.fail(`status ${answer.status}`);
    } catch (error) {
      book.fail(error);
    }
  }
  return book.told;
}

/** What h2load says at its end: how many of its requests there were, and what became of them. */
const h2loadSaid =
  /(\d+) total, \d+ started, (\d+) done, (\d+) succeeded, (\d+) failed, (\d+) errored/;

/** Over TLS by a client that is not ours, four new connections for some hundred requests each. */
function h2load(kind: readonly string[]) {
  return async ({ box, goesOn }: Visit): Promise<Told> => {
    const book = new Book();
    const address = `--connect-to=127.0.0.1:${box.tlsPort}`;
    const command = ["h2load", "-c4", "-n400", ...kind, address];
    while (goesOn()) {
      const { stdout, stderr } = await run([...command, `https://blog.localhost:${box.tlsPort}/`]);
      const [, total, , succeeded] = h2loadSaid.exec(stdout) ?? [];
      book.requests += Number(succeeded ?? 0);
      if (total === undefined || total !== succeeded) book.fail(`h2load: ${stdout}${stderr}`);
    }
    return book.told;
  };
}

export const secureLoad = h2load(["--h1"]);
export const multiplexedLoad = h2load(["-m10"]);

/** One request on an HTTP/2 connection; false: the server had said that it takes no more there. */
function ask(session: ReturnType<typeof connect>, authority: string): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const stream = session.request({ ":path": "/", ":authority": authority });
    let status = 0;
    stream.on("response", (headers) => {
      status = Number(headers[":status"]);
    });
    stream.on("error", (error: Error & { code?: string }) => {
      // It was told while this one was on its way: nothing was done with it.
      if (error.code === "ERR_HTTP2_GOAWAY_SESSION") resolve(false);
      else reject(error);
    });
    stream.on("close", () => {
      if (status === 200) resolve(true);
      // RFC 9113, 8.7: refused before anything was done with it, so that it is asked again.
      else if (status === 0 && stream.rstCode === 7) resolve(false);
      else reject(new Error(`status ${status}, reset ${stream.rstCode}`));
    });
    stream.resume();
    stream.end();
  });
}

/** Times a request is asked again, each on a new connection, because nothing was done with it. */
const againMax = 2;

/** HTTP/2 over TLS, four connections, each of them as long as the server keeps it. */
export async function multiplexers({ box, goesOn }: Visit): Promise<Told> {
  const book = new Book();
  const authority = `blog.localhost:${box.tlsPort}`;
  const connection = async (): Promise<void> => {
    let refusals = 0;
    while (goesOn()) {
      const session = connect(`https://127.0.0.1:${box.tlsPort}`, { rejectUnauthorized: false });
      let open = true;
      const over = () => {
        open = false;
      };
      for (const event of ["goaway", "close", "error"]) session.on(event, over);
      while (open && goesOn()) {
        try {
          open = await ask(session, authority);
          refusals = open ? 0 : refusals + 1;
          if (open) book.requests++;
          if (refusals > againMax) book.fail(`HTTP/2: refused ${refusals} times in a row`);
        } catch (error) {
          open = false;
          // Thrown where it was told before this one was begun: it is asked again as well.
          const unsent = (error as { code?: string }).code === "ERR_HTTP2_GOAWAY_SESSION";
          refusals++;
          if (!unsent || refusals > againMax) book.fail(`HTTP/2: ${error}`);
        }
      }
      session.close();
    }
  };
  await Promise.all(Array.from({ length: 4 }, connection));
  return book.told;
}

/** WebSockets that come again when they are told to; every other end is a failure. */
export async function talkers({ box, goesOn }: Visit): Promise<Told> {
  const book = new Book();
  let ends = 0;
  const talk = async (): Promise<void> => {
    while (goesOn()) {
      const headers = { host: `blog.localhost:${box.port}` };
      // As Bun has it: headers are no part of the standard.
      const socket = new WebSocket(`ws://127.0.0.1:${box.port}/`, { headers } as never);
      const closed = Promise.withResolvers<number>();
      const opened = Promise.withResolvers<boolean>();
      socket.onopen = () => opened.resolve(true);
      socket.onclose = ({ code }) => {
        opened.resolve(false);
        closed.resolve(code);
      };
      if (!(await opened.promise)) {
        book.fail(`WebSocket: not opened, ${await closed.promise}`);
        continue;
      }
      book.requests++;
      while (goesOn() && socket.readyState === WebSocket.OPEN) {
        await Promise.race([closed.promise, Bun.sleep(100)]);
      }
      if (socket.readyState === WebSocket.OPEN) socket.close();
      else {
        const code = await closed.promise;
        if (code === 1012) ends++;
        else book.fail(`WebSocket: closed with ${code}`);
      }
    }
  };
  await Promise.all(Array.from({ length: 5 }, talk));
  return { ...book.told, ends };
}

/** Readers of events: a stream may end, the next one must come. */
export async function listeners({ box, goesOn }: Visit): Promise<Told> {
  const book = new Book();
  const listen = async (): Promise<void> => {
    while (goesOn()) {
      const answer = await box.get("blog", "/events", { keepalive: false }).catch(String);
      if (typeof answer === "string" || answer.status !== 200) {
        book.fail(`events: ${typeof answer === "string" ? answer : answer.status}`);
        continue;
      }
      book.requests++;
      try {
        for await (const _part of answer.body ?? []) if (!goesOn()) break;
      } catch {
        // Cut, as every long stream is in the end: an EventSource comes again.
      }
    }
  };
  await Promise.all(Array.from({ length: 3 }, listen));
  return book.told;
}
