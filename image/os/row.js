// @ts-check
/**
 * One app in the table: a row that is updated in place, so that focus and selection stay, and a
 * second row below it that opens. State is told by an icon and a word, never by colour alone.
 */
import { call } from "./call.js";
import { createDetail } from "./detail.js";
import { icon, make, say } from "./dom.js";
import { ago, bytes, count } from "./human.js";

/**
 * @typedef {object} AppView what the table knows of one app
 * @property {string} id @property {string} name @property {string} url @property {string} state
 * @property {string | null} reason @property {number} rssBytes @property {number} requests
 * @property {string | null} releaseId
 * @property {{ number: number, createdAt: number } | null} release
 */

/** @typedef {(words: string, act: () => Promise<unknown>) => Promise<void>} Perform */

/** @type {Record<string, { word: string, icon: import("./dom.js").IconName, tone: string }>} */
const states = {
  static: { word: "Static site", icon: "static", tone: "good" },
  running: { word: "Running", icon: "running", tone: "good" },
  starting: { word: "Starting", icon: "waiting", tone: "fair" },
  draining: { word: "Finishing", icon: "waiting", tone: "fair" },
  sleeping: { word: "Asleep", icon: "sleeping", tone: "calm" },
  stopped: { word: "Stopped", icon: "stopped", tone: "calm" },
  backoff: { word: "Waits to restart", icon: "waiting", tone: "fair" },
  crashed: { word: "Crashed", icon: "crashed", tone: "bad" },
};

/** A cell with the table's own role, which survives the layout as cards. @param {string} css @param {string} label */
function cell(css, label = "") {
  return make("td", { role: "cell", class: css, ...(label === "" ? {} : { "data-label": label }) });
}

/** @param {string} label @param {string} app */
function action(label, app) {
  const whose = make("span", { class: "offscreen" }, [` ${app}`]);
  return make("button", { type: "button", class: "button small" }, [label, whose]);
}

/** @param {AppView} app @param {Perform} perform */
function createActions({ name }, perform) {
  const start = action("Start", name);
  const stop = action("Stop", name);
  const restart = action("Restart", name);
  const wire = (
    /** @type {HTMLButtonElement} */ button,
    /** @type {string} */ words,
    /** @type {string} */ callName,
  ) => {
    button.addEventListener("click", async () => {
      for (const one of [start, stop, restart]) one.disabled = true;
      await perform(`${name} ${words}`, () => call(callName, { app: name }));
      for (const one of [start, stop, restart]) one.disabled = false;
      // The button may be gone now; whoever works by keyboard goes on at its place.
      if (button.hidden) (button === stop ? start : stop).focus();
    });
  };
  wire(start, "was started", "proc.startApp");
  wire(stop, "was stopped", "proc.stop");
  wire(restart, "was restarted", "proc.restart");
  return {
    buttons: [start, stop, restart],
    /** @param {string} state */
    update(state) {
      const down = state === "stopped" || state === "crashed";
      start.hidden = state === "static" || !down;
      stop.hidden = state === "static" || down;
      restart.hidden = state === "static" || down || state === "sleeping";
    },
  };
}

/** Shows a state in its cell, only when it has changed. @param {HTMLElement} at @param {AppView} app */
function showState(at, { state, reason }) {
  const key = `${state} ${reason ?? ""}`;
  if (at.dataset["shown"] === key) return;
  at.dataset["shown"] = key;
  const look = states[state] ?? { word: state, icon: "waiting", tone: "calm" };
  const words = make("span", { class: "state", "data-tone": look.tone }, [
    icon(look.icon),
    look.word,
  ]);
  const trouble = state === "crashed" || state === "backoff" || state === "stopped";
  const why = trouble && reason !== null ? [make("small", { class: "reason" }, [reason])] : [];
  at.replaceChildren(words, ...why);
}

/** @param {AppView} first @param {Perform} perform */
export function createRow(first, perform) {
  const { name, id } = first;
  const link = make("a", { href: first.url }, [name]);
  const address = make("small", {}, [first.url.replace(/^https?:\/\//, "").replace(/\/$/, "")]);
  const state = cell("state-cell");
  const memory = cell("figure", "Memory");
  const requests = cell("figure", "Requests");
  const releaseNumber = make("span");
  const releaseTime = make("small");
  const release = cell("release", "Release");
  release.append(make("span", {}, [releaseNumber, " ", releaseTime]));
  const actions = createActions(first, perform);
  const more = action("Details", name);
  more.setAttribute("aria-expanded", "false");
  more.setAttribute("aria-controls", `detail-${id}`);
  const buttons = make("div", { class: "actions" }, [...actions.buttons, more]);
  const last = cell("actions-cell");
  last.append(buttons);
  const head = make("th", { scope: "row", role: "rowheader" }, [link, address]);
  const row = make("tr", { class: "app", role: "row" }, [
    ...[head, state, memory, requests, release, last],
  ]);

  const detail = createDetail(name, perform);
  const under = make("tr", { class: "detail", role: "row", id: `detail-${id}`, hidden: "" }, [
    make("td", { role: "cell", colspan: "6" }, [detail.panel]),
  ]);
  let shownRelease = "";
  const refreshDetail = () => void detail.refresh().catch(() => undefined);
  more.addEventListener("click", () => {
    under.hidden = !under.hidden;
    more.setAttribute("aria-expanded", String(!under.hidden));
    if (!under.hidden) refreshDetail();
    detail.show(!under.hidden);
  });

  return {
    body: make("tbody", { role: "rowgroup" }, [row, under]),
    /** @param {AppView} app */
    update(app) {
      showState(state, app);
      say(memory, app.rssBytes > 0 ? bytes(app.rssBytes) : "–");
      say(requests, app.state === "static" ? "–" : count(app.requests));
      say(releaseNumber, app.release === null ? "none yet" : `#${app.release.number}`);
      say(releaseTime, app.release === null ? "" : ago(app.release.createdAt, Date.now()));
      actions.update(app.state);
      if (!under.hidden && shownRelease !== (app.releaseId ?? "")) refreshDetail();
      shownRelease = app.releaseId ?? "";
    },
    close: detail.close,
  };
}
