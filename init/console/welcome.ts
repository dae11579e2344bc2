/**
 * The screens of a machine that belongs to nobody: how to make it one's own, and the QR code.
 * Pure.
 */
import type { Facts } from "./facts.ts";
import {
  bodyColumns,
  type Frame,
  framed,
  frameRows,
  type Look,
  type Picture,
  padded,
  plain,
  styled,
  wrapped,
} from "./look.ts";
import { qrLines, setupLink } from "./qr.ts";

const labelWidth = 13;

/** A label and its values, one below the other. */
function labelled(look: Look, label: string, values: readonly string[]): string[] {
  const narrow = look.columns < 60;
  const width = narrow ? 6 : labelWidth;
  const shown = narrow ? label.slice(0, 4) : label;
  return values.map((value, i) => padded(styled(look, "dim", i === 0 ? shown : ""), width) + value);
}

/** A fingerprint in lines of `perLine` bytes. */
function fingerprintLines(fingerprint: string, perLine: number): string[] {
  const bytes = fingerprint.split(":");
  const lines: string[] = [];
  for (let at = 0; at < bytes.length; at += perLine) {
    lines.push(bytes.slice(at, at + perLine).join(":"));
  }
  return lines;
}

function offline(look: Look): string[] {
  return labelled(look, "Open", [styled(look, "warn", "no network yet: is the cable in?")]);
}

function details(look: Look, facts: Facts, width: number): string[] {
  const narrow = width < 40;
  const urls = facts.urls.slice(0, narrow ? 1 : 3);
  const code = styled(look, "bold", facts.setupCode ?? "");
  const lines = urls.length === 0 ? offline(look) : labelled(look, "Open", urls);
  if (!narrow) lines.push("");
  lines.push(...labelled(look, narrow ? "Code" : "Setup code", [code]));
  if (facts.fingerprint === null) return lines;
  if (!narrow) lines.push("");
  const perLine = Math.floor((width - (narrow ? 6 : labelWidth) + 1) / 3);
  const even = perLine >= 16 ? 16 : perLine >= 8 ? 8 : 4;
  lines.push(...labelled(look, "Fingerprint", fingerprintLines(facts.fingerprint, even)));
  return lines;
}

const keys = (look: Look): Frame["keys"] =>
  look.columns < 60
    ? [
        ["Enter", "set up"],
        ["R", "restore"],
        ["Q", "QR"],
      ]
    : [
        ["Enter", "set it up here"],
        ["R", "restore from a replica"],
        ["Q", "QR code alone"],
      ];

/** Nobody's machine. */
export function welcome(look: Look, facts: Facts): Picture {
  const width = bodyColumns(look);
  const url = facts.urls[0];
  const room = { columns: width - 44, rows: look.rows - frameRows };
  const link = url === undefined ? "" : setupLink(url, facts.setupCode ?? "", false);
  const code = link === "" || !look.unicode ? [] : qrLines(link, look, room);
  const codeWidth = Math.max(0, ...code.map((line) => Bun.stringWidth(line)));
  const textWidth = code.length > 0 ? width - codeWidth - 2 : width;
  const words =
    "This machine belongs to nobody yet. Open its address and make it yours with the code.";
  const said =
    look.rows < 16
      ? wrapped("Nobody's machine yet: make it yours.", width)
      : ["", ...wrapped(words, textWidth), ""];
  const text = [...said, ...details(look, facts, textWidth)];
  const rows = Math.max(text.length, code.length);
  const body = Array.from({ length: rows }, (_, i) => {
    const right = code[i];
    return right === undefined ? (text[i] ?? "") : padded(text[i] ?? "", textWidth + 2) + right;
  });
  const title = plain(look, `fazt ${facts.version}   ${facts.hostname}`);
  return framed(look, {
    title,
    state: styled(look, "warn", "not claimed"),
    body,
    keys: keys(look),
  });
}

/** The QR code with the screen to itself, with the code where there is room for both. */
export function codeAlone(look: Look, facts: Facts): Picture {
  const room = { columns: look.columns, rows: look.rows - 1 };
  const url = facts.urls[0];
  if (url === undefined) return { lines: ["", " There is no address to open yet."], cursor: null };
  const code = facts.setupCode ?? "";
  const large = qrLines(setupLink(url, code, false), look, room);
  const lines = large.length > 0 ? large : qrLines(setupLink(url, code, true), look, room);
  if (lines.length > 0) return { lines: [...lines, ` ${code}`], cursor: null };
  const words = `The terminal is too small for a QR code. Open ${url} and type ${code}`;
  return {
    lines: ["", ...wrapped(words, look.columns - 2).map((line) => ` ${line}`)],
    cursor: null,
  };
}
