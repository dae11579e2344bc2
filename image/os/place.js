// @ts-check
/**
 * Names and addresses of this machine: what a domain may be, and the URLs that follow from it.
 * Pure; the kernel checks again (kernel/security/claim.ts).
 */

/** A domain as it is kept: no scheme, path, port or final dot. @param {string} text */
export function tidyDomain(text) {
  const name = text
    .trim()
    .toLowerCase()
    .replace(/^[a-z]+:\/\//, "")
    .replace(/[/:?#].*$/, "")
    .replace(/\.$/, "");
  // For letters beyond ASCII (RFC 5891); what no name may hold is told as it was typed.
  const url = /[\s%]/.test(name) ? null : URL.parse(`http://${name}`);
  return url?.hostname ?? name;
}

/** Whether a host name is an address and not a name. @param {string} host */
export function isAddress(host) {
  return /^\d{1,3}(\.\d{1,3}){3}$/.test(host) || host.startsWith("[");
}

/** Whether only this very computer is meant. @param {string} host */
export function isLocal(host) {
  return (
    host === "localhost" || host.endsWith(".localhost") || /^127\./.test(host) || host === "[::1]"
  );
}

/** What is wrong with a domain, or null. @param {string} text */
export function domainProblem(text) {
  const name = tidyDomain(text);
  if (name === "") return "Type a domain, or “localhost” to try fazt on this computer.";
  if (isAddress(name)) return "An address has no names below it: apps need a domain name.";
  const labels = name.split(".");
  const shaped = labels.every((label) => /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/.test(label));
  if (!shaped || name.length > 189)
    return "A domain is letters, digits and hyphens with dots between.";
  if (labels.length < 2 && name !== "localhost") {
    return "A domain has a dot, as in “example.com”; the only one without is “localhost”.";
  }
  return null;
}

/** What is wrong with a mail address, or null. @param {string} text */
export function emailProblem(text) {
  const email = text.trim();
  if (email === "") return "Type your e-mail address.";
  const domain = /^[^\s@]+@([^\s@]+)$/.exec(email)?.[1];
  const fine = domain !== undefined && domainProblem(domain) === null;
  return fine ? null : "That does not look like an address, such as me@example.com.";
}

/**
 * What to suggest: what the machine was told, else the name this page was opened by.
 * @param {string} told @param {string} host
 */
export function suggestedDomain(told, host) {
  if (told !== "") return told;
  if (isLocal(host) || isAddress(host) || !host.includes(".")) return "localhost";
  return host.replace(/^os\./, "");
}

/**
 * The URL of a host below the domain, at the port and scheme of `here`.
 * @param {{ protocol: string, port: string }} here @param {string} name @param {string} domain
 */
export function urlBelow(here, name, domain) {
  return `${here.protocol}//${name}.${domain}${here.port === "" ? "" : `:${here.port}`}`;
}
