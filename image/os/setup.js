// @ts-check
/**
 * The setup wizard: five steps and the end. Values live in the fields, so going back and forth
 * loses nothing; a step is left forwards only when its field is right; what the machine refuses is
 * shown at the step it is about. The code may come in the address (`#code=…`), which is then
 * taken out of it.
 */
import { CallError, claim } from "./call.js";
import { codeProblem, grouped, regroup } from "./code.js";
import { byId, say } from "./dom.js";
import { showDone } from "./done.js";
import {
  domainProblem,
  emailProblem,
  isLocal,
  suggestedDomain,
  tidyDomain,
  urlBelow,
} from "./place.js";
import { whereItBelongs } from "./refusal.js";
import { strength } from "./strength.js";

/** @typedef {import("./refusal.js").Step} Step */

/** @type {readonly Step[]} */
const order = ["code", "password", "domain", "email", "review"];

const form = byId("wizard", HTMLFormElement);
const back = byId("back", HTMLButtonElement);
const next = byId("next", HTMLButtonElement);
const progress = byId("progress", HTMLElement);
const fields = {
  code: byId("code", HTMLInputElement),
  password: byId("password", HTMLInputElement),
  domain: byId("domain", HTMLInputElement),
  email: byId("email", HTMLInputElement),
};

/** @type {Step} */
let current = "code";
/** The furthest step reached: history does not lead beyond it. */
let reached = 0;

const about = () => [tidyDomain(fields.domain.value), fields.email.value];

/** @type {Record<Exclude<Step, "review">, () => string | null>} */
const problems = {
  code: () => codeProblem(fields.code.value),
  password: () => {
    const { value } = fields.password;
    const { enough, label } = strength(value, about());
    if (enough) return null;
    if (value === "") return "Type a password.";
    return label === "Weak" ? "This password is too easy to guess." : "This password is too short.";
  },
  domain: () => domainProblem(fields.domain.value),
  email: () => emailProblem(fields.email.value),
};

/** Shows or clears the message of a step. @param {Step} step @param {string} text */
function tell(step, text) {
  say(byId(`${step}-error`, HTMLElement), text);
  if (step === "review") return;
  if (text === "") fields[step].removeAttribute("aria-invalid");
  else fields[step].setAttribute("aria-invalid", "true");
}

/** Whether a step's answer will do; else says why. @param {Step} step */
function passes(step) {
  if (step === "review") return true;
  const problem = problems[step]();
  tell(step, problem ?? "");
  return problem === null;
}

/** The step after this one; who comes back to change an answer goes on to the review. @param {Step} step */
function following(step) {
  return reached === order.length - 1 ? "review" : (order[order.indexOf(step) + 1] ?? "review");
}

/** Shows a step and puts the focus where one goes on. @param {Step} step */
function show(step) {
  current = step;
  const at = order.indexOf(step);
  reached = Math.max(reached, at);
  for (const fieldset of form.querySelectorAll("fieldset")) {
    fieldset.hidden = fieldset.dataset["step"] !== step;
  }
  for (const item of byId("steps", HTMLElement).querySelectorAll("li")) {
    const place = order.indexOf(/** @type {Step} */ (item.dataset["step"]));
    item.classList.toggle("past", place < at);
    if (place === at) item.setAttribute("aria-current", "step");
    else item.removeAttribute("aria-current");
  }
  back.hidden = at === 0;
  say(next, step === "review" ? "Claim this machine" : "Continue");
  say(progress, `Step ${at + 1} of ${order.length}`);
  if (step === "review") showAnswers();
  if (step === "domain") showPlaces();
  focusStep(step);
}

/** @param {Step} step */
function focusStep(step) {
  if (step !== "review") fields[step].focus();
  else {
    const heading = form.querySelector('fieldset[data-step="review"] h2');
    if (heading instanceof HTMLElement) heading.focus();
  }
}

/** Goes to a step and remembers it, so that the browser's own Back works. @param {Step} step */
function go(step) {
  if (step !== current) history.pushState({ step }, "");
  show(step);
}

function showAnswers() {
  say(byId("answer-code", HTMLElement), fields.code.value);
  const { length } = fields.password.value;
  const { label } = strength(fields.password.value, about());
  say(byId("answer-password", HTMLElement), `${label}, ${length} characters`);
  say(byId("answer-domain", HTMLElement), tidyDomain(fields.domain.value));
  say(byId("answer-email", HTMLElement), fields.email.value.trim());
}

/** The addresses that follow from the domain as it stands. */
function showPlaces() {
  const domain = tidyDomain(fields.domain.value);
  const fine = domainProblem(domain) === null;
  const shown = fine ? domain : "…";
  showPlace("preview-os", "os", shown);
  showPlace("preview-app", "blog", shown);
  const far = fine && isLocal(domain) && !isLocal(location.hostname);
  const note = far
    ? "Careful: this page was opened from another computer, and “localhost” answers on the machine itself only."
    : fine && isLocal(domain)
      ? "Nothing to set up: browsers lead every name below localhost to this computer."
      : fine
        ? `Let ${domain} and *.${domain} point to this machine. That can be done later, too.`
        : "";
  say(byId("domain-note", HTMLElement), note);
}

/** @param {string} id @param {string} name @param {string} domain */
function showPlace(id, name, domain) {
  const strong = document.createElement("b");
  strong.textContent = name;
  const [before, after] = urlBelow(location, "\n", domain).split("\n");
  byId(id, HTMLElement).replaceChildren(before ?? "", strong, after ?? "");
}

/** @type {ReturnType<typeof setTimeout> | undefined} */
let announcing;

function showStrength() {
  const { score, label, advice } = strength(fields.password.value, about());
  byId("strength", HTMLElement).dataset["score"] = String(score);
  say(byId("strength-label", HTMLElement), label);
  say(byId("strength-advice", HTMLElement), advice);
  // Spoken when typing pauses, not with each key.
  clearTimeout(announcing);
  announcing = setTimeout(() => say(byId("strength-live", HTMLElement), `Strength: ${label}`), 900);
}

async function claimMachine() {
  const domain = tidyDomain(fields.domain.value);
  next.disabled = true;
  back.disabled = true;
  say(next, "Claiming…");
  say(progress, "Claiming this machine");
  try {
    const { token } = await claim({
      code: fields.code.value,
      rootPass: fields.password.value,
      domain,
      email: fields.email.value.trim(),
    });
    fields.password.value = "";
    fields.code.value = "";
    form.hidden = true;
    showDone(domain, token);
  } catch (error) {
    if (!(error instanceof CallError)) throw error;
    const { step, text } = whereItBelongs(error);
    go(step);
    tell(step, text);
    if (step === "code") fields.code.select();
  } finally {
    next.disabled = false;
    back.disabled = false;
    say(next, current === "review" ? "Claim this machine" : "Continue");
  }
}

function wire() {
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    if (next.disabled) return;
    if (!passes(current)) return focusStep(current);
    if (current !== "review") return go(following(current));
    const wrong = order.find((step) => !passes(step));
    if (wrong === undefined) void claimMachine();
    else go(wrong);
  });
  back.addEventListener("click", () => go(order[order.indexOf(current) - 1] ?? "code"));
  for (const button of form.querySelectorAll("button[data-change]")) {
    button.addEventListener("click", () =>
      go(/** @type {Step} */ (button.getAttribute("data-change"))),
    );
  }
  for (const [name, field] of Object.entries(fields)) {
    field.addEventListener("input", () => tell(/** @type {Step} */ (name), ""));
  }
  window.addEventListener("popstate", ({ state }) => {
    const step = order.find((one) => one === state?.step) ?? "code";
    if (!form.hidden && order.indexOf(step) <= reached) show(step);
  });
  wireFields();
}

function wireFields() {
  const { code, password, domain } = fields;
  code.addEventListener("input", () => {
    const { value, caret } = regroup(code.value, code.selectionStart ?? code.value.length);
    if (value === code.value) return;
    code.value = value;
    code.setSelectionRange(caret, caret);
  });
  password.addEventListener("input", showStrength);
  domain.addEventListener("input", showPlaces);
  domain.addEventListener("change", () => {
    domain.value = tidyDomain(domain.value);
  });
  const toggle = byId("show", HTMLButtonElement);
  toggle.addEventListener("click", () => {
    const shown = password.type === "text";
    password.type = shown ? "password" : "text";
    toggle.setAttribute("aria-pressed", String(!shown));
    say(toggle, shown ? "Show" : "Hide");
  });
}

/** The code out of the address, which forgets it. */
function takeCode() {
  const given = new URLSearchParams(location.hash.slice(1)).get("code");
  const asked = new URLSearchParams(location.search).get("code");
  const code = grouped(given ?? asked ?? "");
  if (code !== "") fields.code.value = code;
  history.replaceState({ step: "code" }, "", location.pathname);
}

const told = document.querySelector('meta[name="fazt-domain"]')?.getAttribute("content") ?? "";
wire();
takeCode();
fields.domain.value = suggestedDomain(told, location.hostname);
showStrength();
form.hidden = false;
show("code");
