/**
 * `fazt security login` and `logout`: a password becomes a token of this computer, kept in
 * hosts.json; the password itself is kept nowhere.
 */
import { hostname } from "node:os";
import { SysError } from "../kernel/errno.ts";
import { type Client, createClient } from "./client.ts";
import type { LocalCommand } from "./command.ts";
import { answer, type Context, lookOf } from "./context.ts";
import { readHosts, writeHosts } from "./hosts.ts";
import { parameter } from "./parameter.ts";
import { withSecrets } from "./secret.ts";
import { originOf } from "./target.ts";
import { timeText } from "./unit.ts";
import { UsageError } from "./usage.ts";

type Run = LocalCommand["run"];

/** The name a machine is remembered by: its domain. */
function nameOf(url: string): string {
  return new URL(url).host.replace(/^os\./, "");
}

interface LoggedIn {
  readonly cookie: string;
  readonly user: { readonly name: string; readonly capabilities: readonly string[] };
}

async function openSession(
  client: Client,
  who: { user: string; password: string },
): Promise<LoggedIn> {
  const response = await client.raw("security.login", who);
  const cookie = (response.headers.getSetCookie()[0] ?? "").split(";")[0] ?? "";
  const { user } = (await response.json()) as Pick<LoggedIn, "user">;
  if (cookie === "") throw new SysError("EIO", "the machine gave no session");
  return { cookie, user };
}

interface Made {
  readonly id: string;
  readonly token: string;
  readonly expiresAt: number | null;
}

/** A token named after this computer, with the rights of the user. */
async function makeToken(client: Client, { cookie, user }: LoggedIn): Promise<Made> {
  const wanted = { name: hostname().slice(0, 64), capabilities: user.capabilities };
  return (await client.json("security.token.add", wanted, { cookie })) as Made;
}

const login: Run = async (context, args) => {
  const { terminal } = context;
  const url = originOf(String(args.input["url"]));
  const input = await withSecrets(terminal, {
    parameters: loginCommand.parameters,
    args,
    confirm: false,
  });
  const client = createClient({ kind: "remote", url, token: null }, context.table);
  const user = String(input["user"] ?? "root");
  const session = await openSession(client, { user, password: String(input["rootPass"]) });
  const made = await makeToken(client, session).finally(() =>
    // The session has served; that it may stay open when the line breaks does no harm.
    client.json("security.logout", {}, { cookie: session.cookie }).catch(() => undefined),
  );
  const { id: tokenId, token, expiresAt } = made;
  const host = nameOf(url);
  writeHosts(terminal.env, {
    ...readHosts(terminal.env),
    [host]: { url, token, tokenId, expiresAt },
  });
  const until = expiresAt === null ? "" : ` until ${timeText(expiresAt, lookOf(terminal).now)}`;
  const text = `logged in to ${host} as ${session.user.name}${until}\ntry: fazt app ls --host ${host}`;
  const json = { host, url, user: session.user.name, tokenId, expiresAt };
  await answer(context, args.globals, { json, text });
  return 0;
};

/** Which of the machines is meant: the one named, or the only one. */
function chosen(context: Context, named: unknown): string {
  const names = Object.keys(readHosts(context.terminal.env));
  if (named !== undefined) {
    const given = String(named);
    const name = names.includes(given) ? given : nameOf(originOf(given));
    if (names.includes(name)) return name;
    throw new SysError("ENOENT", `not logged in to ${given}`, { hint: known(names) });
  }
  const [only] = names;
  if (only !== undefined && names.length === 1) return only;
  throw new UsageError(`log out of which machine?`, known(names));
}

const known = (names: readonly string[]): string =>
  names.length === 0 ? "logged in to none" : `logged in to ${names.join(", ")}`;

const logout: Run = async (context, args) => {
  const { terminal, table } = context;
  const name = chosen(context, args.input["host"]);
  const { [name]: host, ...others } = readHosts(terminal.env);
  if (host === undefined) return 1;
  const client = createClient({ kind: "remote", url: host.url, token: host.token }, table);
  let ended = true;
  try {
    await client.json("security.token.rm", { id: host.tokenId });
  } catch (error) {
    // Forgotten here all the same; the token is then left to end by itself.
    ended = false;
    const reason = error instanceof SysError ? error.message : String(error);
    terminal.complain(`fazt: the token is forgotten here but could not be ended: ${reason}\n`);
  }
  writeHosts(terminal.env, others);
  const json = { host: name, ended };
  await answer(context, args.globals, { json, text: `logged out of ${name}` });
  return 0;
};

const loginCommand: LocalCommand = {
  words: ["security", "login"],
  summary: "Log in to a machine, so that --host can name it",
  manual:
    "Asks for the password on the terminal, makes a token named after this computer with the " +
    "user's rights, and keeps it in hosts.json below the XDG configuration directory, readable " +
    "by you alone. A user needs security:write for it; others bring a token in FAZT_TOKEN.",
  parameters: [
    parameter("url", "address of the machine's OS host, or its domain", {
      required: true,
      positional: true,
    }),
    parameter("user", "name of the user", { default: "root" }),
    parameter("rootPass", "the user's password", { required: true, secret: true, fromFile: true }),
  ],
  examples: [{ say: "Work with a machine from here", line: "security login example.com" }],
  run: login,
};

const logoutCommand: LocalCommand = {
  words: ["security", "logout"],
  summary: "End this computer's token of a machine and forget it",
  parameters: [
    parameter("host", "name of the machine; may be left out when there is one", {
      positional: true,
    }),
  ],
  examples: [{ say: "No longer", line: "security logout example.com" }],
  run: logout,
};

export const loginCommands: readonly LocalCommand[] = [loginCommand, logoutCommand];
