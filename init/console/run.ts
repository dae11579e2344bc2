/**
 * `fazt console`: what runs on the screen and the serial line of the appliance, and on any terminal
 * against any kernel of this machine.
 *
 * The thin shell of `state.ts`: keys, facts and time go in as events; pictures are painted, actions
 * done, their ends go in as events again. Ends when the terminal hangs up.
 */
import { createClient, Refusal } from "../../cli/client.ts";
import { createKeyboard, type Keyboard } from "../../cli/keyboard.ts";
import { table } from "../../cli/table.ts";
import { timeText } from "../../cli/unit.ts";
import { controlSocketPath, surroundings } from "../../kernel/data-dir.ts";
import { SysError } from "../../kernel/errno.ts";
import { launcher } from "../launcher.ts";
import { type ConsoleOptions, consoleOptions } from "../options.ts";
import { readTrouble } from "../trouble.ts";
import { gather } from "./facts.ts";
import { thisHost } from "./host.ts";
import type { Look } from "./look.ts";
import { paint, type Shown } from "./paint.ts";
import { type Desk, perform } from "./perform.ts";
import { type Action, type Event, firstState, type State, step } from "./state.ts";
import { examine } from "./terminal.ts";
import { view } from "./view.ts";

/** How often the machine is looked at, in ms; a calm screen, and a code that is current. */
const lookEveryMs = 2000;

const ignore = (): void => {};

/** How often all of the screen is painted, in ms: others write to a console too. */
const wholeEveryMs = 30_000;
/** How often a line is asked what it is, in ms. */
const askEveryMs = 60_000;

class Console {
  readonly #options: ConsoleOptions;
  readonly #keyboard: Keyboard = createKeyboard();
  readonly #desk: Desk;
  #look: Look = { columns: 80, rows: 24, color: false, unicode: false, moves: false };
  #shown: Shown = null;
  #paintedAt = 0;
  #askedAt = 0;
  #state: State;

  constructor(options: ConsoleOptions) {
    const { dataDir } = options;
    this.#options = options;
    const host = thisHost(options.commandLine);
    const target = { kind: "local", dataDir, socket: controlSocketPath(dataDir) } as const;
    const program = launcher().command.slice(0, -1);
    this.#desk = { client: createClient(target, table), host, dataDir, program };
    this.#state = firstState(Date.now(), host.recovery);
  }

  async run(): Promise<number> {
    this.#keyboard.open();
    this.#look = await examine(this.#keyboard, process.env);
    process.stdout.on("resize", this.#resized);
    // Ctrl-C in the shell reaches every process of the terminal; here it means nothing.
    process.on("SIGINT", ignore);
    const looking = setInterval(() => void this.#observe(), lookEveryMs);
    try {
      await this.#observe();
      while (!this.#keyboard.gone) await this.#turn();
      return 0;
    } finally {
      clearInterval(looking);
      process.stdout.off("resize", this.#resized);
      process.off("SIGINT", ignore);
      if (this.#look.moves) process.stdout.write("\x1b[0m\x1b[?25h\r\n");
      this.#keyboard.close();
    }
  }

  /** One key, or the time that has passed without one. */
  async #turn(): Promise<void> {
    this.#paint();
    const key = await this.#keyboard.read(lookEveryMs);
    await this.#take({ kind: "tick", now: Date.now() });
    if (key === null || key.kind === "cursor") return;
    if (!this.#look.moves) await this.#examineAgain();
    await this.#take({ kind: "key", key });
  }

  /** A line that nobody had a terminal at is asked again when somebody comes to it. */
  async #examineAgain(): Promise<void> {
    const { screen, now } = this.#state;
    const idle = screen.name === "idle" || screen.name === "welcome";
    if (!idle || process.env["TERM"] === "dumb" || now - this.#askedAt < askEveryMs) return;
    this.#askedAt = now;
    const look = await examine(this.#keyboard, process.env);
    if (look.moves) this.#shown = null;
    this.#look = look;
  }

  async #observe(): Promise<void> {
    if (this.#state.screen.name === "shell") return;
    const facts = await gather(this.#desk.client, Date.now()).catch(() => null);
    const trouble = facts === null ? readTrouble() : null;
    await this.#take({ kind: "tick", now: Date.now() });
    await this.#take({ kind: "facts", facts, trouble });
    this.#paint();
  }

  async #take(event: Event): Promise<void> {
    const { state, actions } = step(this.#state, event);
    this.#state = state;
    for (const action of actions) await this.#act(action);
  }

  async #act(action: Action): Promise<void> {
    if (action.kind === "redraw") {
      this.#look = await examine(this.#keyboard, process.env);
      this.#shown = null;
      return;
    }
    this.#paint();
    if (action.kind === "shell") return await this.#shell(action.recoveredAt);
    try {
      const words = await this.#do(action);
      await this.#take({ kind: "done", words });
    } catch (error) {
      await this.#take({ kind: "refused", words: toldOf(error) });
    }
    void this.#observe();
  }

  async #do(action: Exclude<Action, { kind: "shell" | "redraw" }>): Promise<string | null> {
    const { host } = this.#desk;
    if (action.kind === "send") return await perform(this.#desk, action.form, action.values);
    if (action.kind === "retry") {
      // A disk that came late: its mounts were given up at boot. None is no reason not to try.
      await host.systemctl("start", "var-lib-fazt.mount").catch(ignore);
      await host.systemctl("restart", "--no-block", "fazt.service");
    }
    if (action.kind === "restart") await host.systemctl("reboot");
    if (action.kind === "poweroff") await host.systemctl("poweroff");
    return null;
  }

  /** The shell has the terminal until it ends; then whoever comes has to log in again. */
  async #shell(recoveredAt: number | null): Promise<void> {
    const { dataDir, program } = this.#desk;
    this.#keyboard.close();
    const clear = this.#look.moves ? "\x1b[0m\x1b[2J\x1b[H\x1b[?25h" : "\r\n";
    const when = recoveredAt === null ? "" : timeText(recoveredAt, Date.now()).trim();
    const told = when === "" ? "" : `The root password was replaced at this console: ${when}.\n`;
    const seen = when === "" ? "" : `Was that you? Then say so: security acknowledge\n`;
    process.stdout.write(clear + told + seen);
    const { columns, rows } = this.#look;
    const idle = ["--idle", `${this.#options.idleMs}ms`];
    const child = Bun.spawn([...program, "shell", "--data", dataDir, ...idle], {
      // What it complains of is for the person: our own standard error is the journal.
      stdio: ["inherit", "inherit", 1],
      env: {
        ...process.env,
        ...(this.#look.moves ? {} : { TERM: "dumb" }),
        FAZT_DATA: dataDir,
        XDG_STATE_HOME: `${dataDir}/run/console`,
        COLUMNS: String(columns),
        LINES: String(rows),
      },
    });
    await child.exited;
    this.#keyboard.open();
    this.#shown = null;
    await this.#take({ kind: "done", words: null });
    await this.#observe();
  }

  readonly #resized = (): void => {
    const { columns, rows } = process.stdout;
    if (!this.#look.moves || !(columns > 0 && rows > 0)) return;
    this.#look = { ...this.#look, columns, rows };
    this.#shown = null;
    this.#paint();
  };

  #paint(): void {
    if (this.#state.screen.name === "shell") return;
    const next = view(this.#look, this.#state);
    const now = Date.now();
    const whole = this.#look.moves && now - this.#paintedAt > wholeEveryMs;
    if (whole) this.#paintedAt = now;
    if (this.#shown !== null && this.#shown.of !== next.of && this.#look.moves) this.#shown = null;
    const shown = whole && this.#shown !== null ? { ...this.#shown, lines: [] } : this.#shown;
    const out = paint(this.#look, shown, next);
    this.#shown = next;
    if (out !== "") process.stdout.write(out);
  }
}

/** A refusal in the words of the dialogue. */
function toldOf(error: unknown): string {
  if (error instanceof Refusal && error.code === "EKEYREJECTED") {
    return "Wrong password. Forgotten? Restart the machine and choose recovery in the boot menu.";
  }
  if (!(error instanceof SysError)) return error instanceof Error ? error.message : String(error);
  const said = `${error.message[0]?.toUpperCase() ?? ""}${error.message.slice(1)}.`;
  const { hint } = error;
  return hint === null ? said : `${said} ${hint[0]?.toUpperCase() ?? ""}${hint.slice(1)}.`;
}

/** The command. */
export async function runConsole(args: readonly string[]): Promise<number> {
  if (!process.stdin.isTTY) {
    throw new SysError("EINVAL", "cannot be a console: standard input is no terminal", {
      hint: "commands for a script go to: fazt shell",
    });
  }
  return await new Console(consoleOptions(args, surroundings())).run();
}
