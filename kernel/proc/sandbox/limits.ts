/**
 * The named limits of the sandbox: what one process may use, whatever its manifest asks for. The
 * memory of an app is its manifest's, up to a share of the machine's.
 */
const mb = 1024 * 1024;

/** Bytes of /tmp: in memory, so they count against the app's own. */
export const tmpBytesMax = 16 * mb;
/** Files and directories of /tmp: each costs the machine about a kilobyte that no process owns. */
export const tmpFilesMax = 2048;
/** Descriptors of one process: it needs its socket and its volume. */
export const descriptorsMax = 1024;
/** Threads of one app, all its processes together: the runtime has a dozen, and some a core. */
export const threadsMax = 128;
/** Threads more for each processor of the machine. */
export const threadsPerCore = 8;
/** Queued signals of one app. */
export const signalsMax = 1024;
/** Share of the machine's memory that one app gets at most. */
export const memoryShareMax = 0.75;
/** Share of an app's memory above which the kernel reclaims hard (memory.high). */
export const memoryHighShare = 0.95;
/** Share of all processors that one app may use (cpu.max): the rest is the machine's own. */
export const cpuShareMax = 0.9;
/** Weight of the kernel's own group for processors and disk; apps' together have 100. */
export const kernelWeight = 1000;
/**
 * The same by version 1: all of it beside other programs, of which each has 1024, and within it the
 * kernel's part and the apps' together. As much for both: a kernel that has much to do needs them.
 */
export const ownShares = 4096;
export const kernelShares = 2048;
export const appsShares = 2048;
/**
 * Niceness where no control group shares processors out: of the greedy, a ninth of a normal part (it
 * counts against everything on the host, so it is not the most there is), and of heavy and light apps.
 */
export const niceOfGreedy = 10;
export const niceRange = 9;
/** Processors that a process takes from which on it gives way to everybody else. */
export const greedyShare = 0.8;
/**
 * The shortest time of which that is told, milliseconds; and by niceness, which counts against
 * everything on the host: a burst is no reason for it.
 */
export const lookMsMin = 20;
export const niceLookMsMin = 200;
/**
 * How often the kernel asks how long it had to wait for a processor itself, milliseconds, and from
 * which wait on it looks at once who takes them.
 */
export const quickMs = 25;
export const quickDelayMs = 1;
/** Processors below which it is calm, and how long it has to be, milliseconds. */
export const calmShare = 0.3;
export const calmMs = 5_000;
/**
 * How long it is remembered that an app's last process was greedy when it ended, milliseconds: one
 * that crashes again and again is started again after a minute at most.
 */
export const habitMs = 90_000;
/** How often memory is looked at where the host does not hold it: far from the limit, and near. */
export const watchFarMs = 200;
export const watchNearMs = 25;
/** Share of the limit from which on it is near. */
export const watchNearShare = 0.5;
/** Milliseconds the host may take to make the namespace of ids; the kernel waits for it. */
export const setupMsMax = 2_000;
/** Milliseconds it may take to make one sandbox: a loaded machine is slow. */
export const sandboxMsMax = 10_000;
/** Bytes of memory of the process that works on an app's volume beside it. */
export const volumeMemoryBytes = 512 * mb;
/** Bytes of memory of a process that reads what a stranger made: it holds a piece at a time. */
export const readerMemoryBytes = 256 * mb;
