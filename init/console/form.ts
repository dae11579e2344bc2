/**
 * The console's dialogues: fields that are filled in one after another. Pure.
 *
 * Rules: Enter goes to the next field and sends after the last; a field that cannot be right is told
 * at once, the kernel has the last word; secrets are shown as dots and forgotten with the form.
 */
import { type Edit, edited, editOf, emptyEdit } from "../../cli/edit.ts";
import type { Key } from "../../cli/key.ts";
import { strength } from "../../image/os/strength.js";

export type FormKind = "claim" | "login" | "recover" | "restore" | "reset";

export interface Field {
  readonly name: string;
  readonly label: string;
  readonly edit: Edit;
  readonly secret: boolean;
  readonly optional: boolean;
  readonly help: string;
}

export interface Form {
  readonly kind: FormKind;
  readonly title: string;
  readonly intro: string;
  readonly fields: readonly Field[];
  /** The field that keys go to. */
  readonly at: number;
  /** What is being done with the answers; no key counts until it is done. */
  readonly busy: string | null;
  readonly refusal: string | null;
}

function field(name: string, label: string, rest: Partial<Field> = {}): Field {
  return { name, label, edit: emptyEdit, secret: false, optional: false, help: "", ...rest };
}

const newPass = [
  field("rootPass", "Root password", { secret: true, help: "at least 10 characters" }),
  field("again", "Once more", { secret: true }),
];

/** What must be typed before everything is erased. */
const eraseWords = "erase everything";

type Blank = Pick<Form, "title" | "intro" | "fields">;

const forms: Readonly<Record<FormKind, Blank>> = {
  claim: {
    title: "Make this machine yours",
    intro: "The domain's DNS must lead here; localhost does for a try.",
    fields: [
      field("domain", "Domain", { help: "such as example.com" }),
      field("email", "E-mail", { help: "for certificates" }),
      ...newPass,
    ],
  },
  login: {
    title: "Log in",
    intro: "",
    fields: [field("password", "Root password", { secret: true })],
  },
  recover: {
    title: "A new root password",
    intro: "Every session and token ends, and the owner is told that this happened.",
    fields: newPass,
  },
  restore: {
    title: "Restore a machine from its replica",
    intro: "What is on this machine is replaced.",
    fields: [
      field("from", "Bucket", { help: "s3://BUCKET/PREFIX" }),
      field("endpoint", "Endpoint", { optional: true, help: "for a server not Amazon's" }),
      field("region", "Region", { optional: true }),
      field("keyId", "Key id", { optional: true }),
      field("secret", "Secret", { optional: true, secret: true }),
      field("machineKey", "Machine key", {
        optional: true,
        secret: true,
        help: "base64 of machine.key; without it secrets are lost",
      }),
    ],
  },
  reset: {
    title: "Erase everything",
    intro: `All apps, files, users and keys of this machine are gone for good. Type: ${eraseWords}`,
    fields: [field("confirm", "Confirm")],
  },
};

/** A dialogue with nothing filled in. */
export function newForm(kind: FormKind): Form {
  return { kind, ...forms[kind], at: 0, busy: null, refusal: null };
}

/** The answers by name. */
export function valuesOf({ fields }: Form): Readonly<Record<string, string>> {
  return Object.fromEntries(
    fields.map(({ name, edit, secret }) => [name, secret ? edit.text : edit.text.trim()]),
  );
}

/** What a guesser of the password knows already. */
function aboutOf(form: Form, known: readonly string[]): string[] {
  const { domain = "", email = "" } = valuesOf(form);
  return [...known, domain, email].filter((one) => one !== "");
}

/** How strong the password being typed is; null where none is. `known` as `aboutOf`. */
export function strengthOf(form: Form, known: readonly string[] = []) {
  const typed = form.fields.find(({ name }) => name === "rootPass")?.edit.text;
  return typed === undefined || typed === "" ? null : strength(typed, aboutOf(form, known));
}

/** What is wrong with the answer of a field, or null. */
function problemOf(form: Form, { name, label, edit, optional }: Field): string | null {
  if (edit.text.trim() === "" && !optional) return `${label} is missing.`;
  const values = valuesOf(form);
  if (name === "domain" && !/^[^\s.]+(\.[^\s.]+)+$|^localhost$/.test(values["domain"] ?? "")) {
    return "A domain is a name such as example.com, or localhost.";
  }
  if (name === "email" && !/^\S+@\S+$/.test(values["email"] ?? "")) {
    return "An e-mail address is such as me@example.com.";
  }
  if (name === "rootPass") {
    const found = strengthOf(form);
    return found === null || found.enough ? null : found.advice;
  }
  if (name === "again" && values["again"] !== values["rootPass"]) return "These two differ.";
  if (name === "confirm" && values["confirm"] !== eraseWords) return `Type: ${eraseWords}`;
  return null;
}

/** What a key asks of the dialogue. */
export type FormAsked = "send" | "cancel" | null;

function toField(form: Form, at: number): Form {
  return { ...form, at: Math.max(0, Math.min(form.fields.length - 1, at)), refusal: null };
}

function entered(form: Form): { form: Form; asked: FormAsked } {
  const bad = form.fields.slice(0, form.at + 1).findIndex((one) => problemOf(form, one) !== null);
  const field = form.fields[bad];
  if (field !== undefined) {
    return { form: { ...toField(form, bad), refusal: problemOf(form, field) }, asked: null };
  }
  if (form.at < form.fields.length - 1) return { form: toField(form, form.at + 1), asked: null };
  return { form, asked: "send" };
}

/** The dialogue after a key. */
export function pressedIn(form: Form, key: Key): { form: Form; asked: FormAsked } {
  const name = key.kind === "name" ? key.name : "";
  if (form.busy !== null) return { form, asked: null };
  if (name === "escape" || name === "ctrl-c" || name === "ctrl-d") return { form, asked: "cancel" };
  if (name === "enter") return entered(form);
  if (name === "tab" || name === "down") return { form: toField(form, form.at + 1), asked: null };
  if (name === "back-tab" || name === "up")
    return { form: toField(form, form.at - 1), asked: null };
  const fields = form.fields.map((one, i) => {
    if (i !== form.at) return one;
    return { ...one, edit: edited(one.edit, key) ?? one.edit };
  });
  return { form: { ...form, fields, refusal: null }, asked: null };
}

const fieldOfRefusal: readonly (readonly [RegExp, string])[] = [
  [/password/i, "rootPass"],
  [/e-mail/i, "email"],
  [/domain/i, "domain"],
];

/** The dialogue after the kernel refused: its words, at the field they are about. */
export function refused(form: Form, message: string): Form {
  const name = fieldOfRefusal.find(([words]) => words.test(message))?.[1];
  const at = form.fields.findIndex((one) => one.name === name);
  const fields = form.fields.map((one) =>
    form.kind === "login" ? { ...one, edit: editOf("") } : one,
  );
  return { ...form, fields, at: at < 0 ? form.at : at, busy: null, refusal: message };
}
