// @ts-check
/**
 * "Restore my machine from a bucket": one form beside the wizard. The first press shows the plan and
 * changes nothing; the second does it, and shows how far it is; then this page waits for the machine
 * to come back as the old one and leads to its shell. What was typed stays until it has worked.
 */
import { CallError, health, lines } from "./call.js";
import { codeProblem, grouped, regroup } from "./code.js";
import { byId, say } from "./dom.js";
import { bytes } from "./human.js";
import { urlBelow } from "./place.js";

const form = byId("restore", HTMLFormElement);
const wizard = byId("wizard", HTMLFormElement);
const button = byId("restore-go", HTMLButtonElement);
const cancel = byId("restore-cancel", HTMLButtonElement);
const plan = byId("restore-plan", HTMLElement);
const progress = byId("restore-progress", HTMLProgressElement);
const code = byId("restore-code", HTMLInputElement);

/** Milliseconds between two looks whether the machine is back. */
const lookMs = 500;

/** @param {string} name */
const field = (name) => byId(`restore-${name}`, HTMLInputElement);

/** @param {string} text */
const tell = (text) => say(byId("restore-error", HTMLElement), text);

/** A message as a sentence. @param {string} text */
const sentence = (text) => `${text[0]?.toUpperCase() ?? ""}${text.slice(1)}.`;

/** The plan has been shown for what is in the fields now. */
let agreed = false;

/** @param {boolean} on */
function show(on) {
  wizard.hidden = on;
  form.hidden = !on;
  if (on) {
    if (code.value === "") code.value = byId("code", HTMLInputElement).value;
    byId("restore-title", HTMLElement).focus();
  } else byId("code", HTMLInputElement).focus();
}

/** Back to where the plan has to be asked for. */
function forget() {
  agreed = false;
  plan.hidden = true;
  progress.hidden = true;
  say(byId("restore-status", HTMLElement), "");
  say(button, "Show the plan");
}

/** The file's bytes in base64, or null. */
async function keyText() {
  const file = field("key").files?.[0];
  if (file === undefined) return null;
  if (file.size !== 32) throw new Error("That is no machine.key: it has 32 bytes.");
  const key = new Uint8Array(await file.arrayBuffer());
  return btoa(String.fromCharCode(...key));
}

/** What is asked for, as the call wants it. @param {boolean} dryRun */
async function input(dryRun) {
  const key = await keyText();
  const named = { endpoint: "endpoint", region: "region", keyId: "id", secret: "secret", at: "at" };
  const given = Object.entries(named).flatMap(([name, id]) => {
    const value = field(id).value.trim();
    return value === "" ? [] : [[name, value]];
  });
  return {
    code: code.value,
    url: field("url").value.trim(),
    ...Object.fromEntries(given),
    ...(key === null ? {} : { key }),
    dryRun,
  };
}

/** Shows one step, or throws what ended them. @param {any} step @returns {string | null} */
function take(step) {
  if (step.error !== undefined) throw new CallError(step.error, 200, null);
  const many = step.of === 1 ? "1 database" : `${step.of} databases`;
  if (step.step === "planned") {
    say(byId("restore-what", HTMLElement), `${many}, ${bytes(step.sizeBytes)} to read,`);
    say(byId("restore-when", HTMLElement), `as of ${new Date(step.endsAt).toLocaleString()}.`);
    plan.hidden = false;
  }
  progress.max = step.of;
  progress.value = step.done;
  const status = byId("restore-status", HTMLElement);
  if (step.step === "made") say(status, `${step.done} of ${step.of} made and verified.`);
  if (step.step === "restored") say(status, "All there. The machine starts afresh…");
  return step.step === "restored" ? (step.domain ?? location.hostname) : null;
}

/** Until the machine is somebody's. */
async function back() {
  for (;;) {
    await new Promise((resolve) => setTimeout(resolve, lookMs));
    try {
      if ((await health()).mode !== "setup") return;
    } catch {
      // Between the two kernels nobody answers.
    }
  }
}

/** @param {string} domain */
function showRestored(domain) {
  const url = urlBelow(location, "os", domain);
  byId("restored-open", HTMLAnchorElement).href = `${url}/`;
  say(byId("restored-url", HTMLElement), url);
  say(byId("restored-domain", HTMLElement), domain);
  for (const name of ["code", "secret", "key"]) field(name).value = "";
  form.hidden = true;
  document.title = "It is back · fazt";
  byId("restored", HTMLElement).hidden = false;
  byId("restored-title", HTMLElement).focus();
}

/** What is missing, or null. */
function problem() {
  const wrong = codeProblem(code.value);
  if (wrong !== null) return { at: code, text: wrong };
  if (field("url").value.trim() !== "") return null;
  return { at: field("url"), text: "Name the bucket, such as s3://bucket/prefix." };
}

async function go() {
  const missing = problem();
  tell(missing?.text ?? "");
  if (missing !== null) return missing.at.focus();
  const dryRun = !agreed;
  button.disabled = true;
  cancel.disabled = true;
  say(button, dryRun ? "Looking…" : "Restoring…");
  progress.hidden = dryRun;
  try {
    /** @type {string | null} */
    let domain = null;
    const asked = await input(dryRun);
    for await (const step of lines(
      "driver.replica.restoreMachine",
      asked,
      new AbortController().signal,
    )) {
      domain = take(step) ?? domain;
    }
    if (domain !== null) {
      await back();
      return showRestored(domain);
    }
    agreed = true;
    say(button, "Restore this machine");
    say(byId("restore-status", HTMLElement), "Nothing has changed yet. Restore it?");
  } catch (error) {
    forget();
    if (error instanceof CallError) {
      tell(
        error.hint === null
          ? sentence(error.message)
          : `${sentence(error.message)} Please ${error.hint}.`,
      );
    } else tell(error instanceof Error ? error.message : String(error));
  } finally {
    button.disabled = false;
    cancel.disabled = false;
  }
}

byId("restore-open", HTMLButtonElement).addEventListener("click", () => show(true));
cancel.addEventListener("click", () => show(false));
form.addEventListener("submit", (event) => {
  event.preventDefault();
  if (!button.disabled) void go();
});
form.addEventListener("input", () => {
  if (!button.disabled) forget();
  tell("");
});
code.addEventListener("input", () => {
  const { value, caret } = regroup(code.value, code.selectionStart ?? code.value.length);
  if (value === code.value) return;
  code.value = grouped(value);
  code.setSelectionRange(caret, caret);
});
