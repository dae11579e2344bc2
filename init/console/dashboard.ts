/**
 * The idle screen of a claimed machine: where it is, how it is, what it runs, what went wrong.
 * Pure.
 */
import { bytesText, durationText, timeText } from "../../cli/unit.ts";
import type { AppFact, Facts, Room } from "./facts.ts";
import {
  bodyColumns,
  cut,
  framed,
  frameRows,
  type Look,
  type Picture,
  padded,
  plain,
  type Style,
  sign,
  styled,
} from "./look.ts";

const statusWords: Readonly<Record<string, readonly [Style, string]>> = {
  ok: ["good", "all is well"],
  degraded: ["warn", "degraded"],
  "read-only": ["bad", "read-only: the disk is nearly full"],
  "cockpit-only": ["bad", "only the OS shell answers"],
};

/** States of an app, in the order they are listed: what needs a look first. */
const appStyles: Readonly<Record<string, Style>> = {
  crashed: "bad",
  backoff: "bad",
  starting: "warn",
  draining: "warn",
  stopped: "dim",
  running: "good",
  sleeping: "dim",
  static: "dim",
};
const appOrder = Object.keys(appStyles);

/** A bar of `width` columns. */
function bar(look: Look, { usedBytes, totalBytes }: Room, width: number): string {
  const share = totalBytes === 0 ? 0 : Math.min(1, usedBytes / totalBytes);
  const full = Math.round(share * width);
  const style: Style = share > 0.8 ? "bad" : share > 0.6 ? "warn" : "good";
  const done = styled(look, style, sign(look, "█", "#").repeat(full));
  return done + styled(look, "dim", sign(look, "░", ".").repeat(width - full));
}

function meter(look: Look, label: string, room: Room): string {
  const amount = `${bytesText(room.usedBytes)} of ${bytesText(room.totalBytes)}`;
  if (look.columns < 60 || !look.moves) return `${label.padEnd(7)} ${amount}`;
  return `${padded(styled(look, "dim", label), 10)} ${bar(look, room, 20)} ${amount}`;
}

/** How many apps are in which state, and those that need a look by name. */
function appLines(look: Look, apps: readonly AppFact[], rows: number): string[] {
  if (apps.length === 0) return [styled(look, "dim", "no apps yet: fazt app deploy")];
  const rank = ({ state }: AppFact) => appOrder.indexOf(state);
  const sorted = [...apps].sort((a, b) => rank(a) - rank(b) || (a.name < b.name ? -1 : 1));
  const width = Math.min(28, Math.max(...apps.map(({ name }) => name.length)));
  const fits = sorted.length <= rows ? sorted : sorted.slice(0, Math.max(0, rows - 1));
  const lines = fits.map(({ name, state, reason, rssBytes }) => {
    const dot = styled(look, appStyles[state] ?? "dim", sign(look, "●", "*"));
    const memory = rssBytes > 0 ? bytesText(rssBytes).padStart(7) : "".padStart(7);
    const why = reason === null ? "" : `  ${plain(look, reason)}`;
    return `${dot} ${padded(cut(look, plain(look, name), width), width)}  ${state.padEnd(9)}${memory}${why}`;
  });
  const left = sorted.length - fits.length;
  return left > 0 ? [...lines, styled(look, "dim", `and ${left} more: fazt proc ls`)] : lines;
}

function troubleLines(look: Look, facts: Facts, now: number): string[] {
  const recovered =
    facts.recoveredAt === null
      ? []
      : [`root password replaced at the console: ${timeText(facts.recoveredAt, now).trim()}`];
  const certificates = facts.certificates.map((text) => `certificate ${text}`);
  const upgrade = facts.upgrade === null ? [] : [facts.upgrade];
  const urgent = [...recovered, ...certificates, ...upgrade].map((text) =>
    styled(look, "bad", plain(look, text)),
  );
  const errors = facts.errors.map(
    ({ at, text }) => `${styled(look, "dim", timeText(at, now).trim())} ${plain(look, text)}`,
  );
  return [...urgent, ...errors];
}

function heading(look: Look, text: string): string {
  return styled(look, "accent", text);
}

/** Where the machine answers: its OS shell by name, and its addresses. */
function placeLines(look: Look, facts: Facts): string[] {
  const base = facts.urls[0];
  const first = base === undefined ? null : new URL(base);
  const port = first === null || first.port === "" ? "" : `:${first.port}`;
  const shell = first === null ? [] : [`${first.protocol}//os.${facts.domain}${port}/`];
  const hosts = facts.urls.map((url) => new URL(url).hostname.replace(/^\[|\]$/g, ""));
  const addresses = hosts.length === 0 ? styled(look, "warn", "no network") : hosts.join("  ");
  return [...shell, addresses];
}

/** The dashboard. */
export function dashboard(look: Look, facts: Facts, now: number): Picture {
  const [style, words] = statusWords[facts.status] ?? ["warn", facts.status];
  const up = `up ${durationText(facts.uptimeMs)}`;
  const small = look.rows < 20;
  const room = look.rows - frameRows;
  const trouble = troubleLines(look, facts, now);
  const top = [
    ...placeLines(look, facts),
    ...(small ? [] : [""]),
    meter(look, "Memory", facts.memory),
    meter(look, "Disk", facts.disk),
  ];
  const spare = room - top.length - (small ? 0 : 2);
  const troubleRows = Math.min(trouble.length, small ? 1 : 4);
  const headed = troubleRows === 0 ? 0 : troubleRows + (small ? 0 : 2);
  const apps = appLines(look, facts.apps, Math.max(1, spare - headed));
  const body = [
    ...top,
    ...(small ? [] : ["", heading(look, `Apps (${facts.apps.length})`)]),
    ...apps,
    ...(troubleRows === 0 || small ? [] : ["", heading(look, "Errors")]),
    ...trouble.slice(0, troubleRows),
  ];
  const title = plain(look, `fazt ${facts.version}   ${facts.domain ?? facts.hostname}`);
  // What changes by itself is left out where lines can only be added.
  const shown = look.columns < 60 ? facts.status : look.moves ? `${words}, ${up}` : words;
  const width = bodyColumns(look);
  return framed(look, {
    title,
    state: styled(look, style, shown),
    body: body.map((line) => cut(look, line, width)),
    keys: [["Enter", "log in"]],
  });
}
