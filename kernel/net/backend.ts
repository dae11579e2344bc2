/**
 * An app as a backend: its files first, then its server, then 404.
 *
 * Rules: a file never wakes a process; a WebSocket is never answered with a file; bodies flow
 * within their limits; an app that breaks costs its own request and nothing else.
 */
import type { Proc, RequestMeta } from "../proc/mod.ts";
import {
  type AppHost,
  type Exchange,
  fail,
  finish,
  refuse,
  retime,
  untime,
  upgraded,
} from "./exchange.ts";
import { inFlightMax, pathsRememberedMax, webSocketsMax } from "./limits.ts";
import { refusals } from "./page.ts";
import { cleanRequest, isLong, meter, type Rates } from "./proxy.ts";
import { asksForSocket, handshakeHeaders, type Link } from "./socket.ts";

export type Answer = Response | undefined | Promise<Response | undefined>;

/** What an app's server is reached through, and how much is under way. */
export interface Backend {
  readonly proc: Proc;
  readonly rates: Rates;
  /** Requests and WebSockets under way on every listener. */
  inFlight(): number;
  webSockets(): number;
}

/** Answers a request for an app. */
export function answerApp(backend: Backend, exchange: Exchange, host: AppHost): Answer {
  const { request, pathname } = exchange;
  const { site, hasServer } = host;
  if (host.release === null) return refuse(exchange, refusals.notDeployed);
  const socket = hasServer && asksForSocket(request);
  const reads = request.method === "GET" || request.method === "HEAD";
  const file = reads && !socket ? (site?.answer(request, pathname) ?? null) : null;
  if (file instanceof Response) return answerFile(exchange, host, file);
  if (file !== null) {
    return file.then(
      (response) => answerFile(exchange, host, response),
      (error: unknown) => fail(exchange, error),
    );
  }
  if (hasServer) return answerServer(backend, exchange, { host, socket });
  if (!reads) return refuse(exchange, refusals.method);
  const notFound = site?.notFound(request, pathname) ?? null;
  return notFound === null ? refuse(exchange, refusals.notFound) : finish(exchange, notFound);
}

/** Answers with a file, and remembers its URL so that the next time takes the short way. */
function answerFile(exchange: Exchange, host: AppHost, response: Response): Response {
  const { url } = exchange.request;
  const long = isLong(response.headers, false);
  if (long) untime(exchange);
  // A query makes as many URLs as a client likes; those take the longer way.
  const plain = response.status === 200 && !long && !/[?#]/.test(url);
  if (plain && host.files.size < pathsRememberedMax) {
    const { pathname } = exchange;
    host.files.set(url, { pathname, tally: { n: 0, first: null, ms: 0 } });
  }
  return finish(exchange, response);
}

async function answerServer(
  backend: Backend,
  exchange: Exchange,
  { host, socket }: { host: AppHost; socket: boolean },
): Promise<Response | undefined> {
  const { request, desk } = exchange;
  const rate = host.release?.manifest.rate ?? null;
  if (rate !== null && !backend.rates(host.app.id, exchange.address, rate)) {
    return refuse(exchange, refusals.tooMany);
  }
  const full =
    backend.inFlight() > inFlightMax || (socket && backend.webSockets() >= webSocketsMax);
  if (full) return refuse(exchange, refusals.busy);
  const metered = meter(request, desk.machine);
  if (metered === null) return refuse(exchange, refusals.tooLarge);
  if (metered.refused !== null) untime(exchange);
  cleanRequest(metered.request.headers);
  const handshake = socket ? makeHandshake(exchange) : null;
  let streams = false;
  const meta: RequestMeta = {
    id: exchange.id,
    address: exchange.address,
    userId: null,
    upgrade: handshake?.upgrade ?? null,
    // A stream may take, and be silent for, as long as it likes (contract: streams exempt).
    streams: () => {
      streams = true;
      untime(exchange);
    },
  };
  try {
    const answer = backend.proc.fetch(host.app, metered.request, meta);
    // When the body is refused, what becomes of the app's answer matters no more.
    if (metered.refused !== null) answer.catch(() => undefined);
    const first = await (metered.refused ? Promise.race([answer, metered.refused]) : answer);
    if (handshake?.done() === true) return upgraded(exchange);
    if (!(first instanceof Response)) return refuse(exchange, first);
    if (metered.refused !== null && !streams) retime(exchange);
    return finish(exchange, first);
  } catch (error) {
    return handshake?.done() === true ? upgraded(exchange) : fail(exchange, error);
  }
}

/** The upgrade an app may make of this request, and whether it has. */
function makeHandshake(exchange: Exchange) {
  const { request, server, id } = exchange;
  let done = false;
  const upgrade: NonNullable<RequestMeta["upgrade"]> = (agreed) => {
    const headers = handshakeHeaders(agreed.headers);
    headers.set("x-request-id", id);
    // Else the listener would agree to the first protocol the client offers.
    if (!headers.has("sec-websocket-protocol")) request.headers.delete("sec-websocket-protocol");
    const data: Link = { pipe: agreed.socket, closing: false };
    done = server.upgrade(request, { headers, data });
    return done;
  };
  return { upgrade, done: () => done };
}
