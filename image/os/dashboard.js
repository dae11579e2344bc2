// @ts-check
/**
 * The machine and its apps, asked anew every few seconds while the page is seen. The shell is a
 * client of the system calls like any other: nothing here that `fazt` on a terminal cannot do.
 */
import { CallError, call, health } from "./call.js";
import { showCerts } from "./certlist.js";
import { byId, icon, say } from "./dom.js";
import { bytes, count, duration, replicaText } from "./human.js";
import { createRow } from "./row.js";

const everyMs = 3000;

/** @typedef {import("./row.js").AppView} AppView */

/** @type {Record<string, string>} */
const healthWords = {
  ok: "All is well",
  degraded: "Degraded",
  "read-only": "Read-only",
  "cockpit-only": "Only this page answers",
};

/** What a mode means to the owner, and what to do. @type {Record<string, string>} */
const adviceOf = {
  degraded: "Memory is short, so nothing is kept for speed. Apps go on.",
  "read-only":
    "The disk is nearly full, so nothing more is written. Apps still read. Remove files, apps or " +
    "old releases and run fazt storage gc, or add disk.",
  "cockpit-only":
    "Memory is short, so all apps sleep and visitors are asked to come back. It ends by itself " +
    "when there is memory again.",
};

/** @param {any} now @param {any} storage */
function showMode(now, storage) {
  const banner = byId("mode", HTMLElement);
  const advice = adviceOf[now.status] ?? "";
  banner.hidden = advice === "";
  say(byId("mode-advice", HTMLElement), advice);
  const reason = storage.reason ?? "";
  say(byId("mode-reason", HTMLElement), reason === "" ? "" : `Now: ${reason}.`);
}

/** @param {any} now @param {any} storage */
function showMachine(now, storage) {
  const fine = now.status === "ok";
  const at = byId("health", HTMLElement);
  if (at.dataset["status"] !== (fine ? "good" : "bad")) {
    at.dataset["status"] = fine ? "good" : "bad";
    byId("health-icon", HTMLElement).replaceChildren(icon(fine ? "running" : "crashed"));
  }
  say(byId("health-text", HTMLElement), healthWords[now.status] ?? now.status);
  say(byId("uptime", HTMLElement), duration(now.uptimeMs));
  say(byId("version", HTMLElement), now.version);
  const { diskFreeBytes: free, diskTotalBytes: total } = storage;
  say(byId("disk", HTMLElement), `${bytes(free)} free`);
  const used = total > 0 ? (100 * (total - free)) / total : 0;
  byId("disk-used", SVGRectElement).setAttribute("width", used.toFixed(1));
}

/**
 * What the table shows, out of the lists of apps and of processes.
 * @param {any[]} apps @param {any[]} processes @param {Map<string, any>} releases
 * @returns {AppView[]}
 */
function join(apps, processes, releases) {
  const byAppId = new Map(processes.map((one) => [one.id, one]));
  return apps.map((app) => {
    const process = byAppId.get(app.id);
    return {
      id: app.id,
      name: app.name,
      url: app.url,
      state: process?.state ?? app.state,
      reason: process?.reason ?? null,
      rssBytes: process?.rssBytes ?? 0,
      requests: process?.requests ?? 0,
      releaseId: app.release,
      release: releases.get(app.release) ?? null,
    };
  });
}

/**
 * How an app is deployed: the first thing to read where there is none, the last where there are.
 * Moved only when that changes, or it would take the focus with it.
 * @param {string} title @param {boolean} first
 */
function showDeploy(title, first) {
  const heading = byId("deploy-title", HTMLElement);
  const section = byId("deploy", HTMLElement);
  const others = byId("certs", HTMLElement);
  const isFirst = section.nextElementSibling === others;
  say(heading, title);
  if (first && !isFirst) others.before(section);
  if (!first && isFirst) section.parentElement?.append(section);
}

/**
 * Starts asking; the answer stops it. `onSignedOut` is called when the session is over.
 * @param {() => void} onSignedOut
 */
export function startDashboard(onSignedOut) {
  const table = byId("apps", HTMLTableElement);
  /** @type {Map<string, { name: string, row: ReturnType<typeof createRow> }>} */
  const rows = new Map();
  /** Releases never change: each is asked for once. @type {Map<string, any>} */
  const releases = new Map();
  let stopped = false;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer;

  /** @param {AppView[]} apps */
  const showApps = (apps) => {
    const names = new Map(apps.map(({ id, name }) => [id, name]));
    for (const [id, { name, row }] of rows) {
      if (names.get(id) === name) continue;
      row.close();
      row.body.remove();
      rows.delete(id);
    }
    for (const app of apps) {
      const known = rows.get(app.id) ?? { name: app.name, row: createRow(app, perform) };
      if (!rows.has(app.id)) table.append(known.row.body);
      rows.set(app.id, known);
      known.row.update(app);
    }
    table.hidden = apps.length === 0;
    byId("empty", HTMLElement).hidden = apps.length > 0;
    say(byId("app-count", HTMLElement), count(apps.length));
    const sum = (/** @type {"requests" | "rssBytes"} */ key) =>
      apps.reduce((all, app) => all + app[key], 0);
    say(byId("requests", HTMLElement), count(sum("requests")));
    say(byId("memory", HTMLElement), bytes(sum("rssBytes")));
    const title = apps.length === 0 ? "Deploy your first app" : "Deploy another app";
    showDeploy(title, apps.length === 0);
    document.body.dataset["ready"] = "true";
  };

  /** @param {any[]} apps */
  const learnReleases = async (apps) => {
    const unknown = apps.filter(({ release }) => release !== null && !releases.has(release));
    for (const { id, release } of unknown) {
      const { current } = await call("app.info", { app: id });
      if (current !== null) releases.set(current.id, current);
      else releases.set(release, null);
    }
  };

  const refresh = async () => {
    const [now, storage, replica, certs, apps, processes] = await Promise.all([
      health(),
      call("storage.status"),
      call("driver.replica.status"),
      call("net.cert.ls"),
      call("app.ls"),
      call("proc.ls"),
    ]);
    await learnReleases(apps);
    if (stopped) return;
    showMachine(now, storage);
    showMode(now, storage);
    say(byId("replica", HTMLElement), replicaText(replica, Date.now()));
    showCerts(certs);
    showApps(join(apps, processes, releases));
    tell("");
  };

  /** @param {string} text */
  const tell = (text) => say(byId("shell-error", HTMLElement), text);

  /** @param {unknown} error */
  const failed = (error) => {
    if (stopped) return;
    if (error instanceof CallError && error.status === 401) return onSignedOut();
    const text = error instanceof CallError ? error.message : "the machine does not answer";
    tell(`${text[0]?.toUpperCase() ?? ""}${text.slice(1)}.`);
  };

  const tick = async () => {
    clearTimeout(timer);
    if (stopped || document.visibilityState !== "visible") return;
    await refresh().catch(failed);
    clearTimeout(timer);
    if (!stopped) timer = setTimeout(tick, everyMs);
  };

  /** Does something, says so or why not, and looks again. @type {import("./row.js").Perform} */
  const perform = async (words, act) => {
    try {
      await act();
      say(byId("announce", HTMLElement), words);
      await refresh();
    } catch (error) {
      failed(error);
    }
  };

  document.addEventListener("visibilitychange", tick);
  void tick();
  return () => {
    stopped = true;
    clearTimeout(timer);
    document.removeEventListener("visibilitychange", tick);
    for (const { row } of rows.values()) {
      row.close();
      row.body.remove();
    }
  };
}
