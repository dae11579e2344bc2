/**
 * The network as an app's process meets it: `fetch` and Node's HTTP clients go through the kernel;
 * whatever would open a socket says that there is none, and what to do instead.
 *
 * Rules: this is courtesy and no wall (the sandbox has no network and refuses sockets by itself, as
 * EAFNOSUPPORT or ECONNREFUSED, which help nobody); modules of Node are loaded and spoken for only
 * when an app's code names them, because a visitor waits meanwhile.
 */
import { KernelError } from "./child-kernel.ts";

const fetchHint = "fetch goes through the kernel: fazt net egress allow APP HOST";
const serveHint = "export default { fetch }, and websocket: visitors come in by the kernel";

function refusal(what: string, hint: string): KernelError {
  const message = `cannot ${what}: an app has no network of its own`;
  return new KernelError({ code: "EPERM", message, hint, call: null });
}

const connecting = () => refusal("open a connection", fetchHint);
const listening = () => refusal("listen", serveHint);
const datagrams = () => refusal("open a UDP socket", fetchHint);

/** The globals: at once, before any code of the app is loaded. */
export function closeNetwork(fetch: typeof globalThis.fetch): void {
  globalThis.fetch = fetch;
  globalThis.WebSocket = NoSocket as unknown as typeof WebSocket;
  const refuse = (error: () => KernelError) => () => {
    throw error();
  };
  Object.assign(Bun, {
    connect: async () => refuse(connecting)(),
    listen: refuse(listening),
    serve: refuse(listening),
    udpSocket: async () => refuse(datagrams)(),
  });
}

/** A client of WebSockets would need a connection of its own. */
class NoSocket {
  constructor() {
    throw refusal("open a WebSocket", fetchHint);
  }
}

/** Which modules code asks for; a wrong guess costs some milliseconds. */
const named = (name: string, code: string): boolean =>
  new RegExp(`["'\`](?:node:)?(?:${name})["'\`]`).test(code);

/** Modules of Node that a bundle names: nobody else waits for them. */
export async function closeModules(entry: string): Promise<void> {
  const code = await Bun.file(entry).text();
  if (named("https?", code)) (await import("./child-http.ts")).installHttp();
  if (named("net|tls|https?|http2", code)) closeStreams();
  if (named("dgram", code)) closeDatagrams();
}

/** Something of Node's that tells its trouble by an event. */
interface Emitter {
  emit(event: "error", error: Error): boolean;
  destroy?(error: Error): unknown;
}

/** A method that fails as Node's own does: later, by an event. */
function failing(error: () => KernelError) {
  return function fail(this: Emitter): Emitter {
    const found = error();
    process.nextTick(() => {
      if (this.destroy === undefined) this.emit("error", found);
      else this.destroy(found);
    });
    return this;
  };
}

/** Modules of Node as the things that are changed here. */
interface Prototypes {
  readonly [name: string]: { readonly prototype: object };
}

function closeStreams(): void {
  const net: Prototypes = require("node:net");
  Object.assign(net["Socket"]?.prototype ?? {}, { connect: failing(connecting) });
  for (const module of [net, require("node:http") as Prototypes]) {
    Object.assign(module["Server"]?.prototype ?? {}, { listen: failing(listening) });
  }
}

function closeDatagrams(): void {
  const dgram: Prototypes = require("node:dgram");
  const fail = failing(datagrams);
  Object.assign(dgram["Socket"]?.prototype ?? {}, { bind: fail, connect: fail, send: fail });
}
