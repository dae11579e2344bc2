/**
 * What the system itself answers on the OS host and on the control socket: the calls under `/sys/`
 * (POST, see `http.ts`), tools at `/mcp` (`agent/`), and the few fixed documents (GET): health,
 * version, metrics, OpenAPI, `/llms.txt`.
 *
 * Health, version and the API's description need no credentials; metrics name apps and do.
 */
import type { Kernel } from "../kernel.ts";
import { createMcp, llmsText } from "./agent/mod.ts";
import { type CallDescription, describe } from "./describe.ts";
import { authorise, type Dispatcher } from "./dispatch.ts";
import { health } from "./health.ts";
import { type Channel, createHttpBridge, identify } from "./http.ts";
import { metrics } from "./metrics.ts";
import { openapi } from "./openapi.ts";
import { errorResponse } from "./reply.ts";

/** Whether a path is the system's own, and not a page's. */
export const isSys = (pathname: string): boolean =>
  pathname.startsWith("/sys/") || pathname === "/mcp" || pathname === "/llms.txt";

/** Answers a request whose path `isSys`. */
export type Sys = (request: Request, url: URL, channel: Channel) => Promise<Response>;

/** Metrics as the dispatcher judges a call. */
const metricsCall = { needs: "proc:read", effect: "read", surfaces: ["http"] } as const;

const plainText = { "content-type": "text/plain; charset=utf-8" };
const openMetrics = "application/openmetrics-text; version=1.0.0; charset=utf-8";

export function createSys(at: { kernel: Kernel; dispatcher: Dispatcher; bootedAtMs: number }): Sys {
  const { kernel, dispatcher, bootedAtMs } = at;
  const { security, version } = kernel;
  const bridge = createHttpBridge(dispatcher, security);
  // Rendered when it is first asked for: nobody who boots should wait for it.
  let rendered: CallDescription[] | null = null;
  const table = () => {
    rendered ??= describe(dispatcher.calls);
    return rendered;
  };
  let tools: ReturnType<typeof createMcp> | null = null;

  const documents: Record<string, (request: Request, url: URL, channel: Channel) => Response> = {
    "/sys/health": () => {
      const now = health(kernel, bootedAtMs);
      const status = now.status === "cockpit-only" ? 503 : 200;
      return Response.json(now, { status, headers: { "cache-control": "no-store" } });
    },
    "/sys/version": () => Response.json({ version: kernel.version }),
    "/sys/openapi.json": (_, url) => Response.json(openapi(table(), { version, url: url.origin })),
    "/llms.txt": () => new Response(llmsText(table(), version), { headers: plainText }),
    "/sys/metrics": (request, _, channel) => {
      const caller = identify(request, channel, kernel.security);
      // Of a machine that is not claimed they say nothing that its health does not.
      const refused = authorise(caller, metricsCall, true);
      if (refused !== null) throw refused;
      const text = metrics(kernel, dispatcher.stats(), bootedAtMs);
      return new Response(text, { headers: { "content-type": openMetrics } });
    },
  };

  return async (request, url, channel) => {
    if (url.pathname === "/mcp") {
      tools ??= createMcp({ dispatcher, security, table: table(), version });
      return tools(request, channel);
    }
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
