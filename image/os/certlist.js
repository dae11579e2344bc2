// @ts-check
/** The page's list of certificates: what is well in a sentence, what is not one by one. */
import { goodText, troubles } from "./cert.js";
import { byId, icon, make, say } from "./dom.js";

/** @typedef {import("./cert.js").Trouble} Trouble */
/** @typedef {import("./cert.js").Cert} Cert */

/** More than this are only counted. */
const troublesMax = 20;

/** @type {Record<string, { word: string, icon: import("./dom.js").IconName, tone: string }>} */
const looks = {
  expired: { word: "Expired", icon: "crashed", tone: "bad" },
  failing: { word: "Failing", icon: "crashed", tone: "bad" },
  coming: { word: "On its way", icon: "waiting", tone: "fair" },
};

/** @param {Trouble} trouble */
function item({ name, state, reason, next }) {
  const look = looks[state] ?? { word: state, icon: "waiting", tone: "calm" };
  const words = make("span", { class: "state", "data-tone": look.tone }, [
    icon(look.icon),
    look.word,
  ]);
  const more = [reason, next].filter((one) => one !== "").map((one) => make("p", {}, [one]));
  return make("li", {}, [make("strong", {}, [name]), words, ...more]);
}

/** Shows them; nothing where no authority is asked for any. @param {readonly Cert[]} certs */
export function showCerts(certs) {
  const now = Date.now();
  const good = goodText(certs, now);
  const bad = troubles(certs, now);
  byId("certs", HTMLElement).hidden = good === "" && bad.length === 0;
  const rest = bad.length - troublesMax;
  say(
    byId("certs-good", HTMLElement),
    rest > 0 ? `${good} ${rest} more are not: fazt net cert ls`.trim() : good,
  );
  const list = byId("certs-trouble", HTMLElement);
  const shown = bad.slice(0, troublesMax);
  const key = JSON.stringify(shown);
  list.hidden = bad.length === 0;
  if (list.dataset["shown"] === key) return;
  list.dataset["shown"] = key;
  list.replaceChildren(...shown.map(item));
}
