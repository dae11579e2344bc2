/**
 * An app as a backend: its files first, then its server, then 404.
 *
 * Rules: a file never wakes a process; a WebSocket is never answered with a file; bodies flow
 * within their limits; an app that breaks costs its own request and nothing else.
 */
import type { Proc, RequestMeta } from "../proc/mod.ts";
import type { Clients } from "./client/mod.ts";
import {
  type AppHost,
  type Exchange,
  fail,
  finish,
  pass,
  refuse,
  retime,
  untime,
  upgraded,
} from "./exchange.ts";
import { crowdedAbove, inFlightMax, inFlightReserved, pathsRememberedMax } from "./limits.ts";
import { type Page, refusals, tooMany } from "./page.ts";
import { isLong, meter, passesOf } from "./proxy.ts";
import { asksForSocket, handshakeHeaders, type Link } from "./socket.ts";

export type Answer = Response | undefined | Promise<Response | undefined>;

/** What an app's server is reached through, and how much is under way. */
export interface Backend {
  readonly proc: Proc;
  readonly clients: Clients;
  /** Whether there is a place for one more long answer; takes it. */
  takePlace(): boolean;
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
  if (file instanceof Response) return answerFile(backend, exchange, { host, response: file });
  if (file !== null) {
    return file.then(
      (response) => answerFile(backend, exchange, { host, response }),
      (error: unknown) => fail(exchange, error),
    );
  }
  if (hasServer) return answerServer(backend, exchange, { host, socket });
  if (!reads) return refuse(exchange, refusals.method);
  const notFound = site?.notFound(request, pathname) ?? null;
  return notFound === null ? refuse(exchange, refusals.notFound) : finish(exchange, notFound);
}

/** Answers with a file, and remembers its URL so that the next time takes the short way. */
function answerFile(
  backend: Backend,
  exchange: Exchange,
  { host, response }: { host: AppHost; response: Response },
): Response {
  const { url } = exchange.request;
  const long = isLong(response.headers, false);
  if (long && !backend.takePlace()) {
    void response.body?.cancel();
    return refuse(exchange, refusals.busy);
  }
  if (long) untime(exchange);
  // A query makes as many URLs as a client likes; those take the longer way.
  const plain = response.status === 200 && !long && !/[?#]/.test(url);
  if (plain && host.files.size < pathsRememberedMax) {
    const { pathname } = exchange;
    host.files.set(url, { pathname, tally: { n: 0, first: null, ms: 0 } });
  }
  return finish(exchange, response);
}

function answerServer(
  backend: Backend,
  exchange: Exchange,
  { host, socket }: { host: AppHost; socket: boolean },
): Answer {
  const { request, desk } = exchange;
  if (host.policies.length > 0) {
    const { client } = exchange.visitor;
    const { method } = request;
    const asked = { owner: host.app.id, client, method, pathname: exchange.pathname };
    const judgement = backend.clients.judge(host.policies, asked);
    if (judgement?.admitted === false) return refuse(exchange, tooMany(judgement.headers));
    exchange.rateHeaders = judgement?.headers ?? null;
  }
  const webSockets = backend.webSockets();
  const inFlight = backend.inFlight() - webSockets;
  if (inFlight > crowdedAbove && isGreedy(backend, exchange)) {
    return refuse(exchange, refusals.busy);
  }
  const { webSocketsMax } = backend.clients.limits;
  const full = inFlight > inFlightMax || (socket && webSockets >= webSocketsMax);
  if (full && backend.proc.underWay(host.app) >= inFlightReserved) {
    return refuse(exchange, refusals.busy);
  }
  // A body may go on after the answer: until then its connection waits for nothing.
  const sender = { ...exchange.peer };
  const ended = () => desk.underWay.delete(sender);
  const metered = meter(request, desk.machine, ended);
  if (metered === null) return refuse(exchange, refusals.tooLarge);
  const { refused } = metered;
  if (refused !== null) {
    desk.underWay.add(sender);
    untime(exchange);
  }
  const passage = new Passage(exchange, { timed: refused === null, socket });
  const answer = backend.proc.fetch(host.app, metered.request, passage);
  // When the body is refused, what becomes of the app's answer matters no more.
  if (refused !== null) answer.catch(() => undefined);
  const first = refused === null ? answer : Promise.race([answer, refused]);
  return first.then(
    (reply) => passage.end(reply),
    (error: unknown) => passage.fail(error),
  );
}

/** Whether a client has more than its share under way. */
function isGreedy({ clients }: Backend, { desk, visitor }: Exchange): boolean {
  if (visitor.exempt) return false;
  let count = 0;
  for (const { client } of desk.underWay) if (client === visitor.client) count++;
  return count > clients.limits.clientInFlightMax;
}

/** A request on its way to an app's server and back: what proc is told of it, and tells. */
class Passage implements RequestMeta {
  readonly id: string;
  readonly address: string | null;
  readonly userId = null;
  readonly upgrade: RequestMeta["upgrade"];
  readonly passes: (name: string) => boolean;
  readonly #exchange: Exchange;
  readonly #handshake: Handshake | null;
  /** Whether the listener's timer is on the request. */
  readonly #timed: boolean;
  #streams = false;
  /** Whether the reply is the app's own, and the bytes of its body where they are known. */
  #replied = false;
  #bodyBytes: number | null = null;

  constructor(exchange: Exchange, about: { timed: boolean; socket: boolean }) {
    this.#exchange = exchange;
    this.#timed = about.timed;
    this.#handshake = about.socket ? makeHandshake(exchange) : null;
    this.id = exchange.id;
    this.address = exchange.visitor.address;
    this.upgrade = this.#handshake?.upgrade ?? null;
    this.passes = passesOf(exchange.request.headers);
  }

  /** A stream may take, and be silent for, as long as it likes (contract: streams exempt). */
  streams(): void {
    this.#streams = true;
    untime(this.#exchange);
  }

  replied(bodyBytes: number | null): void {
    this.#replied = true;
    this.#bodyBytes = bodyBytes;
  }

  end(first: Response | Page): Response | undefined {
    const exchange = this.#exchange;
    if (this.#handshake?.done() === true) return upgraded(exchange);
    if (!(first instanceof Response)) return refuse(exchange, first);
    if (!this.#timed && !this.#streams) retime(exchange);
    return this.#replied ? pass(exchange, first, this.#bodyBytes) : finish(exchange, first);
  }

  fail(error: unknown): Response | undefined {
    const exchange = this.#exchange;
    return this.#handshake?.done() === true ? upgraded(exchange) : fail(exchange, error);
  }
}

interface Handshake {
  readonly upgrade: NonNullable<RequestMeta["upgrade"]>;
  done(): boolean;
}

/** The upgrade an app may make of this request, and whether it has. */
function makeHandshake(exchange: Exchange): Handshake {
  const { request, server, id } = exchange;
  let done = false;
  const upgrade: Handshake["upgrade"] = (agreed) => {
    const headers = handshakeHeaders(agreed.headers);
    headers.set("x-request-id", id);
    // Else the listener would agree to the first protocol the client offers.
    if (!headers.has("sec-websocket-protocol")) request.headers.delete("sec-websocket-protocol");
    const data: Link = { pipe: agreed.socket, peer: exchange.peer, closing: false };
    done = server.upgrade(request, { headers, data });
    return done;
  };
  return { upgrade, done: () => done };
}
