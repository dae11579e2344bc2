/**
 * What the listener itself answers: the landing page, redirects, and every refusal, as pages
 * (kernel/page.ts).
 */
import type { Page } from "../page.ts";

/** Every refusal of the listener, by what went wrong. */
export const refusals = {
  badHost: {
    status: 400,
    code: "EINVAL",
    title: "Bad request",
    text: "The request does not name one valid host.",
  },
  badTarget: {
    status: 400,
    code: "EINVAL",
    title: "Bad request",
    text: "The request does not name a path on this server.",
  },
  badFraming: {
    status: 400,
    code: "EINVAL",
    title: "Bad request",
    text: "The request does not say in one way how long its body is.",
    headers: { connection: "close" },
  },
  unknownHost: {
    status: 421,
    code: "ENOENT",
    title: "Nothing here",
    text: "This server does not answer for this host name.",
  },
  notFound: {
    status: 404,
    code: "ENOENT",
    title: "Page not found",
    text: "There is nothing at this address.",
  },
  notDeployed: {
    status: 404,
    code: "ENOENT",
    title: "Nothing here yet",
    text: "This app has not been deployed yet.",
  },
  method: {
    status: 405,
    code: "EINVAL",
    title: "Method not allowed",
    text: "Files are read with GET or HEAD.",
    headers: { allow: "GET, HEAD" },
  },
  forbiddenMethod: {
    status: 405,
    code: "EINVAL",
    title: "Method not allowed",
    text: "This method is never answered here.",
    headers: { allow: "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS" },
  },
  tooLarge: {
    status: 413,
    code: "EFBIG",
    title: "Too large",
    text: "The body of the request is larger than this server takes.",
    headers: { connection: "close" },
  },
  tooSlow: {
    status: 408,
    code: "ETIMEDOUT",
    title: "Too slow",
    text: "The body of the request took too long to arrive.",
    headers: { connection: "close" },
  },
  broken: {
    status: 502,
    code: "EIO",
    title: "Something broke",
    text: "The app could not answer this request. The number below is in its log.",
  },
  denied: {
    status: 403,
    code: "EACCES",
    title: "Not for you",
    text: "This server does not answer clients of your network.",
    headers: { connection: "close" },
  },
  busy: {
    status: 503,
    code: "EAGAIN",
    title: "Busy",
    text: "This server has as many requests as it takes. Please try again in a moment.",
    headers: { "retry-after": "2" },
  },
  cockpitOnly: {
    status: 503,
    code: "EAGAIN",
    title: "Out of breath",
    text: "This server is short of memory and answers only its owner. Please try again in a minute.",
    headers: { "retry-after": "60" },
  },
} as const satisfies Record<string, Page>;

/** The answer to a request that is to be made at another URL. */
export function moved(url: string, permanent = true): Page {
  return {
    status: permanent ? 308 : 307,
    code: null,
    title: "Moved",
    text: "This page is at another address.",
    link: { href: url, label: "Go there" },
    headers: { location: url },
  };
}

/** The answer to a client that asks too often; the headers say how often it may. */
export function tooMany(headers: Readonly<Record<string, string>>): Page {
  return {
    status: 429,
    code: "EAGAIN",
    title: "Too many requests",
    text: `You ask more often than you may here. Please try again in ${headers["retry-after"]} s.`,
    headers,
  };
}

/** The page of an app that is being worked on. */
export function resting(retryAfterS: number): Page {
  return {
    status: 503,
    code: "EAGAIN",
    title: "Back soon",
    text: "This app is being worked on. Please try again in a few minutes.",
    headers: { "retry-after": String(retryAfterS) },
  };
}

/** The landing page of a claimed machine: says what it is and where its owner goes. */
export function landing(osUrl: string): Page {
  return {
    status: 200,
    code: null,
    title: "This is a fazt machine",
    text: "It runs its owner's apps. There is nothing at this address itself.",
    link: { href: osUrl, label: "Sign in as the owner" },
  };
}
