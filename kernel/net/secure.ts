/**
 * The TLS listener, whose certificates change while it runs. A running server cannot take new ones:
 * a successor is made on the same port, new connections are steered to it, and the old one answers
 * what it has, asks its clients to come again, and stops.
 *
 * Rules: there are two that listen at most, another kernel's among them, for what steers can name
 * the second alone; changes that come meanwhile are taken together after it;
 * a table that the runtime refuses changes nothing. WebSockets and streams stay with the old one
 * until they end.
 */
import type { Machine } from "../machine.ts";
import type { Desk, Server } from "./exchange.ts";
import { handOverMs } from "./limits.ts";
import { bindServer, bindSuccessor, type Serving } from "./listener.ts";
import { listenersOf, steerToNewest } from "./steer.ts";

/** A server and what its exchanges share. */
export interface Generation {
  readonly server: Server;
  readonly desk: Desk;
}

export interface SecureListener {
  /** The one that listens. */
  current(): Generation;
  /** Those that still answer, the current one among them. */
  all(): readonly Generation[];
  /** Makes a successor with the certificates of now. */
  swap(): void;
  /** The other kernel that had the address has gone. */
  alone(): void;
  /** Makes no successor any more; resolves when there is one that listens. */
  close(): Promise<void>;
}

export interface SecureOptions {
  readonly machine: Machine;
  /** Whether another kernel has the address, and hands over to this one. */
  readonly beside: boolean;
  /** What a generation does and shows, as of now; with a desk of its own. */
  make(): { readonly desk: Desk; readonly serving: Serving };
  /** What could not be done. */
  failed(error: unknown): void;
}

/** Opens it. EADDRINUSE, EACCES, EINVAL. */
export function openSecure(address: string, options: SecureOptions): SecureListener {
  const { machine, make, failed, beside } = options;
  const first = make();
  let current: Generation = {
    server: bindServer(address, first.serving, beside),
    desk: first.desk,
  };
  const generations = new Set([current]);
  let state: "steady" | "handing over" | "stale" | "closed" = beside ? "handing over" : "steady";
  let retired: Promise<void> = Promise.resolve();

  const steady = (): void => {
    const again = state === "stale";
    state = "steady";
    if (again) swap();
  };

  const retire = (old: Generation): void => {
    // Resolves when the last WebSocket of it has closed.
    void old.server.stop().then(() => generations.delete(old));
    if (state !== "closed") steady();
  };

  const swap = (): void => {
    if (state === "closed") return;
    if (state !== "steady") {
      state = "stale";
      return;
    }
    const before = listenersOf(current.server.port ?? 0);
    const { desk, serving } = make();
    const old = current;
    try {
      current = { server: bindSuccessor(old.server, serving), desk };
    } catch (error) {
      failed(error);
      return;
    }
    steerToNewest(old.server.port ?? 0, before);
    generations.add(current);
    old.desk.draining = true;
    state = "handing over";
    const { promise, resolve } = Promise.withResolvers<void>();
    retired = promise;
    machine.after(handOverMs, () => {
      retire(old);
      resolve();
    });
  };

  const alone = (): void => {
    if (generations.size === 1 && state !== "closed") steady();
  };
  const close = (): Promise<void> => {
    state = "closed";
    return retired;
  };

  return { current: () => current, all: () => [...generations], swap, alone, close };
}
