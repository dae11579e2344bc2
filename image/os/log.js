// @ts-check
/**
 * A live log: the last lines of an app and what comes after them, in a box that stays at its end
 * unless somebody scrolled up. Follows only while it is open and the page is seen.
 */
import { CallError, lines } from "./call.js";
import { make } from "./dom.js";
import { clock, logLine } from "./human.js";

const earlierLines = 60;
const shownLinesMax = 400;
const retryMs = 3000;

/** @param {{ at: number, app: string, level: string, text: string }} line */
function lineOf(line) {
  const { kind, text } = logLine(line);
  return make("p", { "data-kind": kind }, [
    make("time", { datetime: new Date(line.at).toISOString() }, [clock(line.at)]),
    make("span", {}, [text]),
  ]);
}

/** @param {string} app */
export function liveLog(app) {
  const label = `Log of ${app}`;
  const box = make("div", { class: "log", role: "log", tabindex: "0", "aria-label": label });
  box.setAttribute("aria-live", "off");
  /** @type {AbortController | null} */
  let following = null;
  let open = false;

  /** @param {Node} node */
  const add = (node) => {
    const atEnd = box.scrollHeight - box.scrollTop - box.clientHeight < 24;
    box.querySelector(".none")?.remove();
    box.append(node);
    while (box.childElementCount > shownLinesMax) box.firstElementChild?.remove();
    if (atEnd) box.scrollTop = box.scrollHeight;
  };

  /** @param {string} text */
  const note = (text) => {
    if (box.childElementCount === 0) box.append(make("p", { class: "none" }, [text]));
  };

  const follow = async (/** @type {AbortSignal} */ signal) => {
    box.replaceChildren();
    note("Nothing logged yet. New lines appear here.");
    const input = { app, follow: true, limit: earlierLines };
    for await (const line of lines("proc.logs", input, signal)) {
      if ("text" in line) add(lineOf(line));
    }
  };

  const update = () => {
    const wanted = open && document.visibilityState === "visible";
    if (!wanted) {
      following?.abort();
      following = null;
      return;
    }
    if (following !== null) return;
    const mine = new AbortController();
    following = mine;
    follow(mine.signal)
      .catch((error) => {
        if (error instanceof CallError) note(`The log cannot be read: ${error.message}.`);
      })
      .finally(() => {
        if (following !== mine) return;
        following = null;
        setTimeout(update, retryMs);
      });
  };

  document.addEventListener("visibilitychange", update);
  return {
    box,
    /** @param {boolean} wanted */
    show(wanted) {
      open = wanted;
      update();
    },
    close() {
      open = false;
      update();
      document.removeEventListener("visibilitychange", update);
    },
  };
}
