/**
 * Makes the call a command stands for and shows its reply: JSON as it is, or rendered for people;
 * streams line by line as they arrive; bytes to standard output or a file.
 */
import type { CallDescription } from "../kernel/syscall/mod.ts";
import type { CallOptions, Client } from "./client.ts";
import type { Command } from "./command.ts";
import { type Context, clientOf, lookOf, say } from "./context.ts";
import { uploadBody, writeWhole } from "./file.ts";
import { createKeyboard } from "./keyboard.ts";
import { roundLines, roundText, showRounds, untilQuit } from "./live.ts";
import type { Arguments } from "./parse.ts";
import { lineText, replyText } from "./render.ts";
import { withSecrets } from "./secret.ts";
import { UsageError } from "./usage.ts";

async function optionsOf(
  { terminal, signal }: Context,
  call: CallDescription,
  args: Arguments,
): Promise<CallOptions> {
  if (!call.upload) return { signal };
  if (args.upload !== null && args.upload !== "-") {
    return { signal, body: await uploadBody(args.upload) };
  }
  if (terminal.inputIsTty) terminal.complain("reading what you type; Ctrl-D ends it\n");
  return { signal, body: terminal.input() };
}

/** One call, ready to be made. */
interface Ready {
  readonly context: Context;
  readonly call: CallDescription;
  readonly args: Arguments;
  readonly client: Client;
  readonly input: unknown;
  readonly options: CallOptions;
}

async function showBytes({ context, call, args, client, input, options }: Ready): Promise<void> {
  const chunks = client.bytes(call.name, input, options);
  const { output } = args.globals;
  if (output !== null) {
    await writeWhole(output, chunks);
    return;
  }
  for await (const chunk of chunks) await context.terminal.write(chunk);
}

/** Ended by one more signal. */
function withSignal(options: CallOptions, signal?: AbortSignal): CallOptions {
  if (signal === undefined) return options;
  return {
    ...options,
    signal: AbortSignal.any([signal, ...(options.signal ? [options.signal] : [])]),
  };
}

async function showLines(ready: Ready): Promise<void> {
  const { context, call, args, client, input, options } = ready;
  const look = lookOf(context.terminal);
  const rounds = call.name.endsWith(".top") && !args.globals.json;
  if (rounds && !context.terminal.isTty) {
    return await showRounds(client.lines(call.name, input, options), async (round) => {
      const lines = roundLines(round, call.output, look);
      if (lines.length > 0) await say(context, lines.join("\n"));
    });
  }
  if (rounds) {
    const rows = process.stdout.rows || Number(process.env["LINES"]) || 24;
    await context.terminal.write("\x1b[2J");
    const follow = { ...(input as object), follow: true };
    const show = (signal?: AbortSignal) =>
      showRounds(client.lines(call.name, follow, withSignal(options, signal)), (round) =>
        context.terminal.write(roundText(round, call.output, { ...look, rows })),
      );
    return context.terminal.inputIsTty ? await untilQuit(createKeyboard(), show) : await show();
  }
  for await (const line of client.lines(call.name, input, options)) {
    await say(
      context,
      args.globals.json ? JSON.stringify(line) : lineText(line, call.output, look),
    );
  }
}

async function showValue({ context, call, args, client, input, options }: Ready): Promise<void> {
  const value = await client.json(call.name, input, options);
  if (args.globals.json) return await say(context, JSON.stringify(value));
  const lines = replyText(value, call.output, lookOf(context.terminal));
  const more = moreText(call, input, value);
  if (lines.length > 0) await say(context, lines.join("\n"));
  if (more !== null) context.terminal.complain(more);
  if (lines.length > 0) return;
  if (context.terminal.isTty) context.terminal.complain("(none)\n");
}

/** Of a page that is as long as it may be: how to go on. Null when there is no more. Pure. */
function moreText(call: CallDescription, input: unknown, value: unknown): string | null {
  type Field = { readonly default?: unknown };
  const fields = (call.input["properties"] ?? {}) as { after?: Field; limit?: Field };
  const limit = (input as { limit?: unknown }).limit ?? fields.limit?.default;
  const paged = fields.after !== undefined && Array.isArray(value);
  const last: unknown = paged && value.length === limit ? value.at(-1) : undefined;
  const { key, path } = Object(last) as { key?: unknown; path?: unknown };
  const name = typeof key === "string" ? key : String(path ?? "").replace(/^.*\//s, "");
  return name === "" ? null : `there may be more: --after ${JSON.stringify(name)}\n`;
}

/** Makes the call and shows its reply. */
export async function runCall(
  context: Context,
  command: Command,
  args: Arguments,
): Promise<number> {
  const { call } = command;
  if (call === null) return 0;
  if (args.globals.output !== null && call.reply !== "bytes") {
    throw new UsageError("only bytes are written with --output", "redirect the output: > FILE");
  }
  const client = clientOf(context, args.globals);
  const input = await withSecrets(context.terminal, {
    parameters: command.parameters,
    args,
    confirm: true,
  });
  const options = await optionsOf(context, call, args);
  const ready: Ready = { context, call, args, client, input, options };
  await { bytes: showBytes, lines: showLines, json: showValue }[
    call.reply as "bytes" | "lines" | "json"
  ](ready);
  return 0;
}
