// @ts-check
/**
 * The machine's versions: what runs, whether there is a newer one, the way back, the slots, and what
 * was tried with how far it came and why it did not stay. Somebody without the rights to ask sees
 * none of it. While kernels change nobody answers for a moment: what is shown stays.
 */
import { CallError, call } from "./call.js";
import { carefulButton } from "./detail.js";
import { byId, make, say } from "./dom.js";
import { ago, duration } from "./human.js";

const restingMs = 60_000;
const underWayMs = 1500;
const triedShown = 10;

/**
 * @typedef {object} Tried
 * @property {string} id @property {number} at @property {string} outcome @property {string} sentence
 * @property {number | null} tookMs @property {{ phase: string, at: number }[]} phases
 * @property {string[]} lastLines
 */

/** @param {string} text */
const told = (text) => say(byId("upgrade-said", HTMLElement), text);

/** @param {unknown} error */
function refused(error) {
  if (!(error instanceof CallError)) throw error;
  const { message, hint } = error;
  told(`${message[0]?.toUpperCase() ?? ""}${message.slice(1)}.${hint === null ? "" : ` ${hint}.`}`);
}

/** @param {Tried} tried */
function triedItem({ at, outcome, sentence, tookMs, phases, lastLines }) {
  const when = [ago(at, Date.now()), ...(tookMs === null ? [] : [`took ${duration(tookMs)}`])];
  const item = make("li", { "data-outcome": outcome }, [
    make("p", {}, [sentence]),
    make("small", {}, [when.join(" · ")]),
  ]);
  if (outcome === "committed") return item;
  const way = phases.map(({ phase }) => phase).join(" › ");
  item.append(make("p", { class: "way" }, [`Came as far as: ${way}`]));
  if (lastLines.length === 0) return item;
  const label = "The last lines it said";
  item.append(make("pre", { tabindex: "0", "aria-label": label }, [lastLines.join("\n")]));
  return item;
}

/** The places programs and systems are in, a sentence each. @param {any} slots */
function slotItems({ places, system }) {
  const programs = places
    .filter((/** @type {any} */ { version }) => version !== null)
    .map((/** @type {any} */ { place, version, role }) => {
      const name = place === "base" ? "Program as installed" : `Program in slot ${place}`;
      const state = { active: "runs", previous: "a rollback goes there", idle: "kept" }[
        /** @type {"active"} */ (role)
      ];
      return make("li", {}, [`${name}: ${version}, ${state}`]);
    });
  const systems = (system ?? []).map((/** @type {any} */ { slot, version, running, trial }) => {
    const state = running ? "runs" : trial ? "is tried at the next start" : "kept";
    const on = running && trial ? ", on trial" : "";
    return make("li", {}, [`System in slot ${slot}: ${version ?? "empty"}, ${state}${on}`]);
  });
  return [...programs, ...systems];
}

/** @param {any} channel */
function channelText({ channel, from, check, automatic, window, zone, checkedAt, problem }) {
  if (from === null)
    return "Nothing looks for newer versions: no source is set (fazt proc channel --from URL).";
  const looked = checkedAt === null ? "not looked yet" : `looked ${ago(checkedAt, Date.now())}`;
  const wrong = problem === null ? "" : `, which failed: ${problem}`;
  const often = check ? "once a day" : "only when asked";
  const itself = automatic
    ? `A newer one is installed by itself between ${window.replace("-", " and ")} (${zone}).`
    : "Nothing is installed by itself.";
  return `Channel ${channel}, looked for ${often}: ${looked}${wrong}. ${itself}`;
}

/** Begins to show them; the answer stops it. */
export function startUpgrades() {
  const section = byId("upgrades", HTMLElement);
  const actions = byId("upgrade-actions", HTMLElement);
  let stopped = false;
  let shownActions = "";
  /** A release that a look by hand has found. @type {string | null} */
  let offered = null;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer;

  /** @param {() => Promise<void>} act */
  const perform = async (act) => {
    try {
      await act();
    } catch (error) {
      refused(error);
    }
    await tick();
  };

  const look = make("button", { type: "button", class: "button small" }, ["Look for a newer one"]);
  look.addEventListener("click", () =>
    perform(async () => {
      look.disabled = true;
      const found = await call("proc.upgrade.check").finally(() => {
        look.disabled = false;
      });
      offered = found.suits ? found.version : null;
      told(found.suits ? `${found.version} is there. ${found.notes}` : `${found.reason}.`);
    }),
  );

  /** @param {string | null} newer @param {any} rollbackTo @param {boolean} busy */
  const showActions = (newer, rollbackTo, busy) => {
    const key = JSON.stringify([newer, rollbackTo, busy]);
    if (key === shownActions) return;
    shownActions = key;
    const begin = (/** @type {string} */ name) => () =>
      perform(async () => {
        told("");
        await call(name);
      });
    const buttons = [look];
    if (newer !== null) {
      const start = begin("proc.upgrade.start");
      buttons.push(carefulButton(`Install ${newer}`, `Really install ${newer}?`, start));
    }
    if (rollbackTo !== null) {
      const { version } = rollbackTo;
      const restarts = rollbackTo.part === "system" ? " The machine restarts." : "";
      const question = `Really back to ${version}?${restarts}`;
      buttons.push(carefulButton(`Go back to ${version}`, question, begin("proc.rollback")));
    }
    for (const button of buttons) button.disabled = busy;
    actions.replaceChildren(...buttons);
  };

  const refresh = async () => {
    const [slots, channel, tried] = await Promise.all([
      call("proc.slots"),
      call("proc.channel.show"),
      call("proc.upgrade.history", { limit: triedShown }),
    ]);
    if (stopped) return false;
    section.hidden = false;
    const newer = channel.found?.suits ? channel.found.version : offered;
    const busy = slots.last?.outcome === "under way";
    const state = busy || slots.last?.outcome === "reverted" ? ` ${slots.last.sentence}` : "";
    say(byId("upgrade-now", HTMLElement), `This machine runs fazt ${slots.running}.${state}`);
    say(byId("upgrade-channel", HTMLElement), channelText(channel));
    showActions(newer === slots.running ? null : newer, slots.rollbackTo, busy);
    byId("upgrade-slots", HTMLElement).replaceChildren(...slotItems(slots));
    const none = make("li", {}, ["No upgrade was tried yet."]);
    const items = tried.length === 0 ? [none] : tried.map(triedItem);
    byId("upgrade-tried", HTMLElement).replaceChildren(...items);
    showNewer(channel.found);
    return busy;
  };

  const tick = async () => {
    clearTimeout(timer);
    if (stopped) return;
    const busy = await refresh().catch((error) => {
      if (!(error instanceof CallError)) throw error;
      return error.status === 0 || error.status >= 500;
    });
    clearTimeout(timer);
    if (!stopped) timer = setTimeout(tick, busy ? underWayMs : restingMs);
  };

  void tick();
  return () => {
    stopped = true;
    clearTimeout(timer);
    section.hidden = true;
  };
}

/** Tells at the top that there is a newer version. @param {any} found */
function showNewer(found) {
  const notice = byId("newer", HTMLElement);
  notice.hidden = found === null || !found.suits;
  if (found === null || !found.suits) return;
  const notes = found.notes === "" ? "" : ` ${found.notes}`;
  say(byId("newer-text", HTMLElement), `fazt ${found.version} is there.${notes}`);
}
