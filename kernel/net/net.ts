/**
 * The net domain's interface: the listener, the routing table and the access log.
 *
 * Rules: the Host decides the app, exact before wildcard; an unknown host learns nothing (421);
 * forwarded headers are set here and never believed; bodies and replies are streamed with
 * back-pressure; the OS shell answers whatever the apps do.
 */
export interface RouteInfo {
  readonly host: string;
  readonly app: string;
  readonly appId: string;
  /** `name`: follows from the app's name and the domain; `added`: by the owner; `manifest`. */
  readonly origin: "name" | "added" | "manifest";
}

/** Answers requests for the OS host (and every host while unclaimed); given by boot. */
export type OsHandler = (
  request: Request,
  context: { address: string | null; secure: boolean; requestId: string; unclaimed: boolean },
) => Response | Promise<Response>;

export interface Listening {
  /** Base URL people can open, such as `http://127.0.0.1:8080`. */
  readonly url: string;
  readonly port: number;
}

export interface NetStatus {
  readonly http: string | null;
  readonly requests: number;
  readonly connections: number;
  readonly webSockets: number;
}

export interface Net {
  /** Opens the HTTP listener. EADDRINUSE with who to ask in the hint, EINVAL. */
  listen(address: string, os: OsHandler): Listening;
  routes: {
    ls(): RouteInfo[];
    /** EEXIST when another app has the host, EINVAL. */
    add(host: string, appId: string): Promise<RouteInfo>;
    rm(host: string): Promise<void>;
  };
  status(): NetStatus;
  /** The public URL of an app on this machine. */
  urlOf(appName: string): string;
  /** Stops accepting, lets requests finish (bounded), closes WebSockets with 1012. */
  close(): Promise<void>;
}
