// @ts-check
/**
 * The end of the wizard: the way to the OS shell, and what to do when that way does not lead there
 * yet. The page cannot try it (its policy lets it ask nobody but its own origin), so it explains.
 */
import { byId, say } from "./dom.js";
import { isLocal, urlBelow } from "./place.js";

/** Shows it, for the domain that was chosen and the token the claim gave. @param {string} domain @param {string} token */
export function showDone(domain, token) {
  const url = urlBelow(location, "os", domain);
  const open = byId("open", HTMLAnchorElement);
  // The fragment never travels: only the shell's own page reads it.
  open.href = `${url}/#ticket=${token}`;
  say(byId("done-url", HTMLElement), url);
  say(byId("done-domain", HTMLElement), domain);
  const local = isLocal(domain);
  byId("done-local", HTMLElement).hidden = !local || isLocal(location.hostname);
  byId("done-dns", HTMLElement).hidden = local || `.${location.hostname}`.endsWith(`.${domain}`);
  say(byId("dns-name", HTMLElement), domain);
  say(byId("dns-wildcard", HTMLElement), `*.${domain}`);
  for (const cell of document.querySelectorAll(".dns-value")) {
    say(cell, isLocal(location.hostname) ? "this machine's address" : location.hostname);
  }
  for (const item of byId("steps", HTMLElement).querySelectorAll("li")) {
    item.removeAttribute("aria-current");
    item.classList.add("past");
  }
  document.title = "It is yours · fazt";
  byId("done", HTMLElement).hidden = false;
  byId("done-title", HTMLElement).focus();
}
