/**
 * Events inside an app's process: `kernel.proc.on(name, handler)`.
 *
 * Rules: a handler is known from the moment `on` is called, so one set at the top of the module is
 * there before the first event; every handler that a name matches is called, and the event counts
 * as taken when all have resolved; a process without a handler says so.
 */

/** An event as a handler gets it. */
export interface AppEvent {
  /** The same at every attempt: what has been done for it need not be done again. */
  readonly id: number;
  readonly name: string;
  readonly payload: unknown;
  /** Unix ms. */
  readonly at: number;
}

export type EventHandler = (event: AppEvent) => unknown;

/** The handlers of one process. */
export class EventHandlers {
  readonly #handlers = new Map<string, Set<EventHandler>>();
  readonly #space: string;

  constructor(app: string) {
    this.#space = `app:${app}.`;
  }

  add(name: string, handler: EventHandler): void {
    const full = this.#full(name);
    const known = this.#handlers.get(full);
    if (known === undefined) this.#handlers.set(full, new Set([handler]));
    else known.add(handler);
  }

  remove(name: string): void {
    this.#handlers.delete(this.#full(name));
  }

  #full(name: string): string {
    return /^(app:|system\.)/.test(name) ? name : this.#space + name;
  }

  /** Answers for the kernel: 204 taken, 500 a handler failed, 501 there is none. */
  async deliver(request: Request): Promise<Response> {
    const { headers } = request;
    const name = headers.get("x-fazt-event") ?? "";
    const handlers = this.#matching(name);
    if (handlers.length === 0) return new Response(null, { status: 501 });
    const event: AppEvent = {
      id: Number(headers.get("x-fazt-event-id")),
      name,
      payload: await request.json(),
      at: Number(headers.get("x-fazt-event-at")),
    };
    const ends = await Promise.allSettled(handlers.map(async (handler) => handler(event)));
    const failures = ends.filter((end) => end.status === "rejected");
    for (const { reason } of failures) console.error(reason);
    return new Response(null, { status: failures.length === 0 ? 204 : 500 });
  }

  #matching(name: string): EventHandler[] {
    const found = new Set<EventHandler>();
    for (const [pattern, handlers] of this.#handlers) {
      const hears = pattern.endsWith(".*")
        ? name.startsWith(pattern.slice(0, -1))
        : pattern === name;
      if (hears) for (const handler of handlers) found.add(handler);
    }
    return [...found];
  }
}
