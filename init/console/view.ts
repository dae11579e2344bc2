/**
 * A state as the picture of it: which screen, and the small screens themselves. Pure.
 * The large ones are `welcome.ts` and `dashboard.ts`.
 */
import { durationText } from "../../cli/unit.ts";
import { dashboard } from "./dashboard.ts";
import { type Form, strengthOf } from "./form.ts";
import {
  bodyColumns,
  framed,
  type Look,
  type Picture,
  padded,
  plain,
  sign,
  styled,
  wrapped,
} from "./look.ts";
import { type Choice, choicesOf, type Screen, type State } from "./state.ts";
import { codeAlone, welcome } from "./welcome.ts";

function nameOfMachine({ facts }: State): string {
  if (facts === null) return "fazt";
  return `fazt ${facts.version}   ${facts.domain ?? facts.hostname}`;
}

function strengthLine(look: Look, form: Form): string {
  const found = strengthOf(form);
  if (found === null) return "";
  const full = sign(look, "■", "#").repeat(found.score);
  const bars = full + sign(look, "□", ".").repeat(4 - found.score);
  const style = found.score < 2 ? "bad" : found.score < 3 ? "warn" : "good";
  return `${styled(look, style, `${bars} ${found.label}.`)} ${found.advice}`;
}

function formView(look: Look, state: State, form: Form): Picture {
  const width = bodyColumns(look);
  const labels = Math.max(...form.fields.map(({ label }) => label.length)) + 2;
  const tight = look.rows < 16;
  const intro = form.intro === "" ? [] : wrapped(form.intro, width);
  const head = tight ? intro.slice(0, 2) : ["", ...intro, ""];
  const rows = form.fields.map(({ label, edit, secret, help, optional }, i) => {
    const value = secret ? sign(look, "•", "*").repeat([...edit.text].length) : edit.text;
    const note = edit.text === "" ? help || (optional ? "optional" : "") : "";
    const name = i === form.at ? styled(look, "bold", label) : styled(look, "dim", label);
    const room = width - labels;
    const shown =
      Bun.stringWidth(value) > room
        ? Bun.sliceAnsi(value, Bun.stringWidth(value) - room + 1)
        : value;
    return padded(name, labels) + (value === "" ? styled(look, "dim", note) : plain(look, shown));
  });
  const said =
    form.busy !== null
      ? [`${form.busy}${sign(look, "…", "...")}`]
      : form.refusal !== null
        ? wrapped(plain(look, form.refusal), width).map((line) => styled(look, "bad", line))
        : wrapped(strengthLine(look, form), width);
  const body = [...head, ...rows, ...(tight ? [] : [""]), ...said];
  const field = form.fields[form.at];
  const before = field?.edit.text.slice(0, field.edit.at) ?? "";
  const column = labels + (field?.secret ? [...before].length : Bun.stringWidth(before));
  const cursor =
    form.busy === null ? { row: head.length + form.at, column: Math.min(column, width - 1) } : null;
  const last = form.at === form.fields.length - 1;
  return framed(look, {
    title: form.title,
    state: look.columns < 60 ? "" : plain(look, nameOfMachine(state)),
    body,
    cursor,
    keys: [
      ["Enter", last ? "send" : "next"],
      ["Tab", "move"],
      ["Esc", "back"],
    ],
  });
}

const choiceWords: Readonly<Record<Choice, string>> = {
  recover: "Set a new root password",
  restore: "Restore from a replica",
  retry: "Try again",
  reset: "Erase everything",
  restart: "Restart the machine",
  poweroff: "Switch it off",
  "go-on": "Leave recovery",
};

function menuView(look: Look, state: State, screen: Extract<Screen, { name: "menu" }>): Picture {
  const width = bodyColumns(look);
  const { trouble } = state;
  const why =
    screen.kind === "recovery"
      ? ["You asked for recovery at the boot menu. What is done here is on record."]
      : [trouble?.message ?? "", ...(trouble?.hint == null ? [] : [`What to do: ${trouble.hint}`])];
  const lines = why.flatMap((text) => wrapped(plain(look, text), width));
  const choices = choicesOf(screen.kind, state.facts);
  const tight = look.rows < 16;
  const room = look.rows - 3 - choices.length - (tight ? 0 : 2);
  const entries = choices.map((choice, i) => {
    const text = `${i + 1}  ${choiceWords[choice]}`;
    return i === screen.at ? styled(look, "chosen", `${text} `) : text;
  });
  const head = lines.slice(0, Math.max(1, room));
  const body = tight ? [...head, ...entries] : ["", ...head, "", ...entries];
  const title =
    screen.kind === "recovery" ? "Recovery" : `The machine is not up: ${trouble?.target ?? ""}`;
  const word =
    screen.kind === "recovery"
      ? styled(look, "warn", "recovery")
      : styled(look, "bad", trouble?.code ?? "");
  const keys = [
    [look.unicode ? "↑↓" : "Tab", "choose"],
    ["Enter", "do it"],
  ] as const;
  return framed(look, { title, state: word, body, keys });
}

function startingView(look: Look, state: State): Picture {
  const forMs = state.now - state.silentSince;
  const waiting = forMs < 3000 ? "Starting." : `Starting: no answer for ${durationText(forMs)}.`;
  const slow =
    forMs < 20_000
      ? ""
      : "It is tried again and again; the journal of the unit fazt says what it does.";
  const body = ["", ...wrapped(waiting, bodyColumns(look)), ...wrapped(slow, bodyColumns(look))];
  return framed(look, { title: "fazt", state: styled(look, "warn", "starting"), body, keys: [] });
}

function noticeView(look: Look, title: string, lines: readonly string[]): Picture {
  const body = ["", ...lines.flatMap((line) => wrapped(plain(look, line), bodyColumns(look)))];
  return framed(look, { title, state: "", body, keys: [["Enter", "go on"]] });
}

/** The picture of a state. */
export function view(look: Look, state: State): Picture {
  const { screen } = state;
  const of = screen.name === "form" ? screen.form.kind : screen.name;
  return { ...viewOf(look, state), of };
}

function viewOf(look: Look, state: State): Picture {
  const { screen, facts } = state;
  switch (screen.name) {
    case "form":
      return formView(look, state, screen.form);
    case "menu":
      return menuView(look, state, screen);
    case "notice":
      return noticeView(look, screen.title, screen.lines);
    case "ending":
      return framed(look, { title: "fazt", state: "", body: ["", `${screen.words}.`], keys: [] });
    case "welcome":
      return facts === null ? startingView(look, state) : welcome(look, facts);
    case "code":
      return facts === null ? startingView(look, state) : codeAlone(look, facts);
    case "idle":
      return facts === null ? startingView(look, state) : dashboard(look, facts, state.now);
    default:
      return startingView(look, state);
  }
}
