// @ts-check
/**
 * The OS shell: who is there, and then the machine and its apps. The wizard leads here with a
 * token in the fragment (`#ticket=…`), which is out of the address and of history before anything
 * else happens, and is exchanged for a session cookie.
 *
 * A session had for that token ends with it, so the token is removed at sign-out and not before.
 */
import { CallError, call } from "./call.js";
import { startDashboard } from "./dashboard.js";
import { byId, say, wireCopyButtons } from "./dom.js";
import { showNotices } from "./notice.js";
import { isLocal } from "./place.js";
import { startUpgrades } from "./upgrade.js";

/** Whether this browser has signed in; only a memory, so that nobody is asked in vain. */
const signedInKey = "fazt-signed-in";
/** The setup token's id, while the session is one that was had for it. */
const ticketKey = "fazt-setup-token";
const domain = location.hostname.replace(/^os\./, "");

const signin = byId("signin", HTMLElement);
const shell = byId("shell", HTMLElement);
const user = byId("user", HTMLInputElement);
const password = byId("password", HTMLInputElement);
const button = byId("login-button", HTMLButtonElement);

/** @type {(() => void) | null} */
let stopDashboard = null;

function takeTicket() {
  const ticket = new URLSearchParams(location.hash.slice(1)).get("ticket");
  if (location.hash !== "") history.replaceState(null, "", location.pathname);
  return ticket;
}

/** @param {string} text */
function tellLogin(text) {
  say(byId("login-error", HTMLElement), text);
}

function showSignin(text = "") {
  stopDashboard?.();
  stopDashboard = null;
  localStorage.removeItem(signedInKey);
  document.title = `Sign in · ${domain}`;
  shell.hidden = true;
  signin.hidden = false;
  tellLogin(text);
  password.value = "";
  (user.value === "" ? user : password).focus();
}

function showShell() {
  localStorage.setItem(signedInKey, "yes");
  document.title = `${domain} · fazt`;
  signin.hidden = true;
  shell.hidden = false;
  void showNotices();
  const stopUpgrades = startUpgrades();
  const stopApps = startDashboard(() => showSignin("Your session is over. Please sign in again."));
  stopDashboard = () => {
    stopApps();
    stopUpgrades();
  };
}

/** What to say of a login that was refused. @param {unknown} error */
function refusalText(error) {
  if (!(error instanceof CallError)) return "Something went wrong on this page. Please reload it.";
  if (error.code === "EKEYREJECTED") return "That is not the right name and password.";
  if (error.code === "EAGAIN") {
    return `Too many tries. Please wait ${error.retryAfterS ?? 60} seconds and try again.`;
  }
  return `${error.message[0]?.toUpperCase() ?? ""}${error.message.slice(1)}.`;
}

/** @param {SubmitEvent} event */
async function login(event) {
  event.preventDefault();
  if (button.disabled) return;
  if (password.value === "") {
    tellLogin("Type the password.");
    return password.focus();
  }
  button.disabled = true;
  tellLogin("");
  try {
    await call("security.login", { user: user.value.trim(), password: password.value });
    password.value = "";
    showShell();
    byId("apps-title", HTMLElement).focus();
  } catch (error) {
    tellLogin(refusalText(error));
    password.select();
    password.focus();
  } finally {
    button.disabled = false;
  }
}

/** Ends the session, and the setup token with which it began. */
async function logout() {
  const ticket = sessionStorage.getItem(ticketKey);
  sessionStorage.removeItem(ticketKey);
  try {
    if (ticket !== null) await call("security.token.rm", { id: ticket });
    await call("security.logout");
  } catch (error) {
    if (!(error instanceof CallError)) throw error;
    // A session that is over, or a machine that is gone: this page forgets it either way.
  }
  showSignin();
}

/** @param {string} ticket */
async function enterWith(ticket) {
  try {
    await call("security.login", { token: ticket });
    const tokens = await call("security.token.ls");
    const own = tokens.find((/** @type {{ name: string }} */ { name }) => name === "setup");
    if (own !== undefined) sessionStorage.setItem(ticketKey, own.id);
    showShell();
  } catch (error) {
    if (!(error instanceof CallError)) throw error;
    showSignin("That link has been used up. Please sign in with the root password.");
  }
}

async function resume() {
  if (localStorage.getItem(signedInKey) === null) return showSignin();
  try {
    await call("security.whoami");
    showShell();
  } catch (error) {
    showSignin(error instanceof CallError && error.status === 401 ? "" : refusalText(error));
  }
}

for (const place of document.querySelectorAll("[data-domain]")) say(place, domain);
byId("remote", HTMLElement).hidden = isLocal(domain);
say(byId("command-login", HTMLElement), `fazt security login ${location.origin}`);
wireCopyButtons();
byId("login", HTMLFormElement).addEventListener("submit", login);
byId("logout", HTMLButtonElement).addEventListener("click", () => void logout());
const ticket = takeTicket();
await (ticket === null ? resume() : enterWith(ticket));
