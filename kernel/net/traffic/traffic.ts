/**
 * What each route has answered: how often, how many bytes, how fast, how often in vain.
 *
 * Rules: a host is counted by itself only when it is somebody's, and so many at most; counting costs
 * no allocation; nothing goes back while the kernel runs.
 */
import { type Distribution, Histogram } from "../../histogram.ts";
import { routesCountedMax } from "./limits.ts";

/** Counts of one route. */
export class RouteTraffic {
  readonly host: string;
  requests = 0;
  bytes = 0;
  /** Answers of 500 and above. */
  errors = 0;
  readonly latency = new Histogram();

  constructor(host: string) {
    this.host = host;
  }

  note(status: number, ms: number, bytes: number | null): void {
    this.requests++;
    this.bytes += bytes ?? 0;
    if (status >= 500) this.errors++;
    this.latency.note(ms);
  }
}

/** One look at a route. */
export interface RouteUsage {
  readonly host: string;
  readonly requests: number;
  readonly bytes: number;
  readonly errors: number;
  readonly latency: Distribution;
}

export interface Traffic {
  /** Where a host's answers are counted. */
  of(host: string): RouteTraffic;
  /** Where answers are counted that are nobody's. */
  readonly other: RouteTraffic;
  usage(): RouteUsage[];
}

export function createTraffic(): Traffic {
  const routes = new Map<string, RouteTraffic>();
  const other = new RouteTraffic("(other)");
  return {
    of: (host) => {
      const known = routes.get(host);
      if (known !== undefined) return known;
      if (routes.size >= routesCountedMax) return other;
      const made = new RouteTraffic(host);
      routes.set(host, made);
      return made;
    },
    other,
    usage: () =>
      [...routes.values(), other].map(({ host, requests, bytes, errors, latency }) => ({
        ...{ host, requests, bytes, errors },
        latency: latency.distribution(),
      })),
  };
}
