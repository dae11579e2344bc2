// @ts-check
/** What opens below an app's row: its live log, and its releases with the way back to them. */
import { call } from "./call.js";
import { make } from "./dom.js";
import { ago } from "./human.js";
import { liveLog } from "./log.js";

/**
 * @typedef {object} Release
 * @property {string} id @property {number} number @property {boolean} current
 * @property {number} createdAt @property {string} message
 */

/**
 * A button that asks once more before it does what it says.
 * @param {string} label @param {string} question @param {() => Promise<void>} act
 */
export function carefulButton(label, question, act) {
  const button = make("button", { type: "button", class: "button small" }, [label]);
  let asked = false;
  const calm = () => {
    asked = false;
    button.textContent = label;
  };
  button.addEventListener("blur", calm);
  button.addEventListener("click", async () => {
    if (!asked) {
      asked = true;
      button.textContent = question;
      return;
    }
    button.disabled = true;
    await act();
    button.disabled = false;
    calm();
  });
  return button;
}

/**
 * @param {Release} release @param {(release: Release) => Promise<void>} rollback
 * @param {boolean} newer than the current one
 */
function releaseItem(release, rollback, newer) {
  const words = [ago(release.createdAt, Date.now()), release.message].filter((one) => one !== "");
  const text = make("span", {}, [
    make("strong", {}, [`#${release.number}`]),
    " ",
    make("small", {}, [words.join(" · ")]),
  ]);
  const end = release.current
    ? make("span", { class: "tag" }, ["current"])
    : newer
      ? carefulButton("Switch", `Switch to #${release.number}?`, () => rollback(release))
      : carefulButton("Roll back", `Back to #${release.number}?`, () => rollback(release));
  return make("li", {}, [text, end]);
}

/**
 * @param {string} app
 * @param {(words: string, act: () => Promise<unknown>) => Promise<void>} perform
 */
export function createDetail(app, perform) {
  const log = liveLog(app);
  const list = make("ol", { class: "releases", tabindex: "0", "aria-label": `Releases of ${app}` });
  const panel = make("div", { class: "panel" }, [
    make("div", {}, [make("h3", {}, ["Log, live"]), log.box]),
    make("div", {}, [make("h3", {}, ["Releases"]), list]),
  ]);

  /** @param {Release} release */
  const rollback = (release) =>
    perform(`${app} is at release ${release.number}`, () =>
      call("app.rollback", { app, release: release.id }),
    );

  return {
    panel,
    async refresh() {
      /** @type {Release[]} */
      const releases = await call("app.releases", { app });
      const at = releases.find(({ current }) => current)?.number ?? 0;
      const items = releases.map((one) => releaseItem(one, rollback, one.number > at));
      list.replaceChildren(...items.slice(0, 20));
    },
    show: log.show,
    close: log.close,
  };
}
