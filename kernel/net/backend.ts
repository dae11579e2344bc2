/**
 * An app as a backend: its files first, then its server, then 404.
 *
 * Rules: a file never wakes a process; a WebSocket is never answered with a file; bodies flow
 * within their limits; an app that breaks costs its own request and nothing else.
 */

import type { Page } from "../page.ts";
import type { Proc, RequestMeta } from "../proc/mod.ts";
import type { Clients } from "./client/mod.ts";
import {
  type AppHost,
  type Exchange,
  fail,
  fileBytes,
  finish,
  pass,
  refuse,
  retime,
  searchOf,
  untime,
  upgraded,
} from "./exchange.ts";
import {
  crowdedAbove,
  inFlightMax,
  inFlightReserved,
  pathsRememberedMax,
  restFactor,
  urlCharsRememberedMax,
} from "./limits.ts";
import { moved, refusals, tooMany } from "./page.ts";
import { withoutPrefix, withPrefix } from "./prefix.ts";
import { drain, endingWith, isLong, meter, passesOf } from "./proxy.ts";
import { asksForSocket, handshakeHeaders, type Link } from "./socket.ts";
import type { Turns } from "./turn.ts";

export type Answer = Response | undefined | Promise<Response | undefined>;

/** What an app's server is reached through, and how much is under way. */
export interface Backend {
  readonly proc: Proc;
  readonly clients: Clients;
  /** Whether there is a place for one more long answer; takes it. */
  takePlace(): boolean;
  /** When a long answer may begin. */
  readonly turns: Turns;
  /** Requests and WebSockets under way on every listener. */
  inFlight(): number;
  webSockets(): number;
}

/** Answers a request for an app. */
export function answerApp(backend: Backend, exchange: Exchange, host: AppHost): Answer {
  const { request } = exchange;
  const { site, hasServer, prefix } = host;
  const pathname = exchange.pathname.slice(prefix.length);
  // Links relative to the front page must be below the prefix.
  if (prefix !== "" && pathname === "")
    return refuse(exchange, moved(`${prefix}/${searchOf(request.url)}`));
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
): Response | Promise<Response> {
  const { url } = exchange.request;
  backend.proc.answers(exchange.startedMs);
  relocate(host, response);
  const long = isLong(response.headers, false);
  if (long && !backend.takePlace()) {
    void response.body?.cancel();
    return refuse(exchange, refusals.busy);
  }
  if (long) {
    untime(exchange);
    const turn = backend.turns();
    return turn === null ? finish(exchange, response) : turn.then(() => finish(exchange, response));
  }
  // A query makes as many URLs as a client likes; those take the longer way.
  const plain = response.status === 200 && !/[?#]/.test(url);
  if (plain && url.length <= urlCharsRememberedMax && host.files.size < pathsRememberedMax) {
    const { pathname } = exchange;
    host.files.set(url, { pathname, tally: { n: 0, first: null, ms: 0 } });
  }
  const asked = {
    request: exchange.request,
    pathname: exchange.pathname.slice(host.prefix.length),
  };
  const bytes = host.site === null ? null : fileBytes(host.site, response, asked);
  return finish(exchange, response, bytes);
}

/** Leads to a path of an app that has a part of its host where that path is. */
function relocate({ prefix }: AppHost, response: Response): void {
  if (prefix === "") return;
  const location = response.headers.get("location");
  if (location !== null) response.headers.set("location", withPrefix(location, prefix));
}

/** The request as an app sees it that has a part of its host: as if it were the whole. */
function requestBelow(request: Request, prefix: string): Request {
  if (prefix === "") return request;
  const { method, body, signal } = request;
  const headers = new Headers(request.headers);
  headers.set("x-forwarded-prefix", prefix);
  const init = { method, headers, signal, ...(body !== null && { body }) };
  return new Request(withoutPrefix(request.url, prefix), init);
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
  const ended = () => void desk.senders.delete(sender);
  const restMs = backend.clients.limits.headS * restFactor * 1000;
  const watch = { machine: desk.machine, restMs, whole: isSecure(request), ended };
  const metered = meter(requestBelow(request, host.prefix), watch);
  if (metered === null) {
    const page = refuse(exchange, refusals.tooLarge);
    return watch.whole ? endingWith(page, drain(request.body, watch)) : page;
  }
  const { refused, pending } = metered;
  if (refused !== null) {
    desk.senders.add(sender);
    untime(exchange);
  }
  const passage = new Passage(exchange, { timed: refused === null, socket });
  const answer = backend.proc.fetch(host.app, metered.request, passage);
  // When the body is refused, what becomes of the app's answer matters no more.
  if (refused !== null) answer.catch(() => undefined);
  const first = refused === null ? answer : Promise.race([answer, refused]);
  return first.then(
    (reply) => {
      const answer = passage.end(reply);
      const body = pending();
      return answer === undefined || body === null ? answer : endingWith(answer, body);
    },
    (error: unknown) => passage.fail(error),
  );
}

const isSecure = ({ url }: Request): boolean => url.startsWith("https:");

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
    const passes = passesOf(exchange.request.headers);
    const part = exchange.host?.prefix ?? "";
    // Not the client's word: it was set by `requestBelow`.
    this.passes = part === "" ? passes : (name) => name === "x-forwarded-prefix" || passes(name);
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
    if (exchange.host !== null) relocate(exchange.host, first);
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
