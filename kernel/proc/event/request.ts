/**
 * The kernel's own requests to an app: an event, a cron run, a one-shot. What they are is said by
 * marks that no client can set, because proc keeps every `x-fazt-` header of a client's away.
 */
import type { App } from "../../app/mod.ts";
import type { Machine } from "../../machine.ts";
import { NotRunning, type Proc, type RequestMeta } from "../mod.ts";

export interface Errand {
  readonly path: string;
  /** JSON. */
  readonly body: string;
  readonly marks: Readonly<Record<string, string>>;
}

/** `down`: it cannot be had now, and has not been asked. */
export type Outcome =
  | { readonly kind: "answered"; readonly status: number }
  | { readonly kind: "broke" | "down"; readonly reason: string };

/** Asks an app; an app that sleeps is woken. Never throws. */
export async function ask(
  { machine, proc }: { machine: Machine; proc: Pick<Proc, "ask"> },
  app: App,
  errand: Errand,
): Promise<Outcome> {
  const meta: RequestMeta = {
    id: machine.id("req"),
    address: null,
    userId: null,
    upgrade: null,
    marks: errand.marks,
  };
  const request = new Request(`http://${app.name}.localhost${errand.path}`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: errand.body,
  });
  try {
    const response = await proc.ask(app, request, meta);
    // The rest of the answer is of no use to anybody; how that ends does not matter.
    response.body?.cancel().catch(() => undefined);
    return { kind: "answered", status: response.status };
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    return { kind: error instanceof NotRunning ? "down" : "broke", reason };
  }
}
