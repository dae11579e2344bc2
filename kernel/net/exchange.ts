/**
 * One request under way, and the ways it ends: finished with an answer, refused with a page, or
 * broken. Each ends exactly one way, with its id on the answer and its line in the access log.
 */
import type { App, Release } from "../app/mod.ts";
import type { Site } from "../fs/mod.ts";
import type { Machine } from "../machine.ts";
import type { Page, Pages } from "../page.ts";
import type { Storage } from "../storage/mod.ts";
import type { Access, AccessLog, Tally } from "./access.ts";
import type { Policy, Visitor } from "./client/mod.ts";
import type { UnderWay } from "./guard/mod.ts";
import { parseHost } from "./host.ts";
import { refusals } from "./page.ts";
import type { Link } from "./socket.ts";
import type { RouteTraffic, Traffic } from "./traffic/mod.ts";

export type Server = Bun.Server<Link>;

/** What every exchange shares. */
export interface Desk {
  readonly machine: Machine;
  readonly storage: Storage;
  readonly access: AccessLog;
  readonly pages: Pages;
  readonly traffic: Traffic;
  /** Requests that have no answer yet. */
  readonly underWay: Set<UnderWay>;
  /** Those whose bodies are still coming, also after the answer. */
  readonly senders: Set<UnderWay>;
  /** Seconds of the listener's timer. */
  readonly idleS: number;
  /** Once true, every answer closes its connection. */
  draining: boolean;
  /** Whom the machine answers; the same on every listener. */
  readonly reach: { /** While true: nobody but the OS host's visitors. */ cockpitOnly: boolean };
}

/** An app as one host sees it; made once a host table. */
export interface AppHost {
  readonly name: string;
  /** The part of the host that is the app's, such as `/blog`; "" for all of it. */
  readonly prefix: string;
  readonly app: App;
  readonly release: Release | null;
  readonly site: Site | null;
  readonly hasServer: boolean;
  /** Strict-Transport-Security (RFC 6797) of its answers, or null. */
  readonly hsts: string | null;
  /** Where its answers are counted. */
  readonly traffic: RouteTraffic;
  /** How often its server may be asked. */
  readonly policies: readonly Policy[];
  /** URLs that a file has answered. */
  readonly files: Map<string, KnownFile>;
}

export interface KnownFile {
  readonly pathname: string;
  readonly tally: Tally;
}

/** One request under way. */
export interface Exchange {
  readonly desk: Desk;
  readonly id: string;
  readonly request: Request;
  readonly server: Server;
  readonly peer: UnderWay;
  readonly startedMs: number;
  /** The Host header as it came. */
  readonly hostHeader: string | null;
  /** The path as the client sent it, without query and fragment. */
  readonly pathname: string;
  /** Who asks; its address is the client's own, also behind a trusted proxy. */
  readonly visitor: Visitor;
  /** How it stands with the app's rates, for the answer; null: there is nothing to tell. */
  rateHeaders: Readonly<Record<string, string>> | null;
  /** Strict-Transport-Security of the answer, or null. */
  hsts: string | null;
  /** The app it is for, once that is known. */
  host: AppHost | null;
}

/** Exempts an exchange from the listener's timer, which bytes that flow do not put back. */
export function untime({ server, request }: Exchange): void {
  server.timeout(request, 0);
}

/** Puts an exchange that was exempt under the timer again, for its answer and for what follows. */
export function retime({ server, request, desk }: Exchange): void {
  server.timeout(request, desk.idleS);
}

/** Ends an exchange with an answer; `bytes` of its body where its head does not say so. */
export function finish(exchange: Exchange, response: Response, bytes?: number | null): Response {
  const { desk, id, hsts } = exchange;
  response.headers.set("x-request-id", id);
  if (exchange.rateHeaders !== null) tellRate(exchange.rateHeaders, response);
  if (hsts !== null) response.headers.set("strict-transport-security", hsts);
  if (desk.draining) response.headers.set("connection", "close");
  desk.access.note(accessOf(exchange, response.status, sizeOf(response) ?? bytes ?? null));
  return response;
}

/** Ends an exchange with an app's own reply, which has its id already; the same, cheaper. */
export function pass(exchange: Exchange, response: Response, bytes: number | null): Response {
  const { desk, hsts } = exchange;
  if (exchange.rateHeaders !== null) tellRate(exchange.rateHeaders, response);
  if (hsts !== null) response.headers.set("strict-transport-security", hsts);
  if (desk.draining) response.headers.set("connection", "close");
  desk.access.note(accessOf(exchange, response.status, bytes ?? sizeOf(response)));
  return response;
}

function tellRate(headers: Readonly<Record<string, string>>, { headers: to }: Response): void {
  for (const [name, value] of Object.entries(headers)) to.set(name, value);
}

/** Ends an exchange with a page of the kernel's own. */
export function refuse(exchange: Exchange, page: Page): Response {
  return finish(exchange, exchange.desk.pages(exchange.request, page, exchange.id));
}

/** Ends an exchange that failed: the cause goes to the log, its number to the client. */
export function fail(exchange: Exchange, error: unknown): Response {
  const detail = error instanceof Error ? (error.stack ?? error.message) : String(error);
  exchange.desk.storage.logs.append({
    app: "kernel",
    appId: exchange.host?.app.id ?? null,
    releaseId: exchange.host?.release?.id ?? null,
    level: "error",
    text: `request ${exchange.id} failed: ${detail}`,
  });
  return refuse(exchange, refusals.broken);
}

/** Ends an exchange whose connection has become a WebSocket. */
export function upgraded(exchange: Exchange): undefined {
  exchange.desk.access.note(accessOf(exchange, 101, null));
}

/**
 * The bytes of a file's answer: of one held in memory the head says nothing before it is sent.
 * Conditions and errors have no body to speak of.
 */
export function fileBytes(
  site: Site,
  response: Response,
  { request, pathname }: { request: Request; pathname: string },
): number | null {
  const whole = response.status === 200 && request.method === "GET";
  return sizeOf(response) ?? (whole ? site.sizeOf(request, pathname) : null);
}

/** The bytes of an answer's body where its head says so. */
function sizeOf(response: Response): number | null {
  const length = response.headers.get("content-length");
  return length === null ? null : Number(length);
}

/** The path of a request's URL as it was sent, without query and fragment. */
export function pathOf(url: string): string {
  const start = url.startsWith("/") ? 0 : url.indexOf("/", "https://".length);
  if (start < 0) return "";
  const path = url.slice(start);
  const end = path.search(/[?#]/);
  return end < 0 ? path : path.slice(0, end);
}

/** Where an answer is counted that is no app's: the OS host's by its name, the rest together. */
function trafficOf({ desk: { traffic }, hostHeader }: Exchange, status: number): RouteTraffic {
  const name = parseHost(hostHeader);
  return name?.startsWith("os.") && status !== 421 ? traffic.of(name) : traffic.other;
}

/** The query of a URL, with its question mark. */
export function searchOf(url: string): string {
  const query = url.indexOf("?");
  return query < 0 ? "" : url.slice(query);
}

/** Every way to end goes through here, once. */
function accessOf(exchange: Exchange, status: number, bytes: number | null): Access {
  const { desk, request, host, peer } = exchange;
  desk.underWay.delete(peer);
  return {
    id: exchange.id,
    host: host?.name ?? parseHost(exchange.hostHeader) ?? "",
    method: request.method,
    path: exchange.pathname,
    status,
    bytes,
    ms: desk.machine.monotonicMs() - exchange.startedMs,
    app: host?.app ?? null,
    client: desk.access.nameOf(exchange.visitor.address),
    traffic: host?.traffic ?? trafficOf(exchange, status),
  };
}
