/**
 * Everything under `/sys/` on the OS host and on the control socket: the calls (POST, see
 * `http.ts`) and the few fixed documents (GET): health, version, metrics, OpenAPI.
 *
 * Health, version and the API's description need no credentials; metrics name apps and do.
 */
import { allows } from "../caller.ts";
import { SysError } from "../errno.ts";
import type { Kernel } from "../kernel.ts";
import { describe } from "./describe.ts";
import type { Dispatcher } from "./dispatch.ts";
import { health } from "./health.ts";
import { type Channel, createHttpBridge, identify } from "./http.ts";
import { metrics } from "./metrics.ts";
import { openapi } from "./openapi.ts";
import { errorResponse } from "./reply.ts";

/** Answers a request whose path begins with `/sys/`. */
export type Sys = (request: Request, url: URL, channel: Channel) => Promise<Response>;

const openMetrics = "application/openmetrics-text; version=1.0.0; charset=utf-8";

export function createSys(at: { kernel: Kernel; dispatcher: Dispatcher; bootedAtMs: number }): Sys {
  const { kernel, dispatcher, bootedAtMs } = at;
  const bridge = createHttpBridge(dispatcher, kernel.security);

  const documents: Record<string, (request: Request, url: URL, channel: Channel) => Response> = {
    "/sys/health": () => {
      const now = health(kernel, bootedAtMs);
      const status = now.status === "cockpit-only" ? 503 : 200;
      return Response.json(now, { status, headers: { "cache-control": "no-store" } });
    },
    "/sys/version": () => Response.json({ version: kernel.version }),
    "/sys/openapi.json": (_, url) =>
      Response.json(
        openapi(describe(dispatcher.calls), { version: kernel.version, url: url.origin }),
      ),
    "/sys/metrics": (request, _, channel) => {
      const caller = identify(request, channel, kernel.security);
      if (!allows(caller.grants, "proc:read")) {
        throw new SysError("ENOKEY", "metrics need the capability proc:read", {
          hint: "send a token: Authorization: Bearer fazt_…",
        });
      }
      const text = metrics(kernel, dispatcher.stats(), bootedAtMs);
      return new Response(text, { headers: { "content-type": openMetrics } });
    },
  };

  return async (request, url, channel) => {
    const document = documents[url.pathname];
    if (document === undefined || !["GET", "HEAD"].includes(request.method)) {
      return await bridge(request, url, channel);
    }
    try {
      return document(request, url, channel);
    } catch (error) {
      return errorResponse(error, null);
    }
  };
}
