/**
 * What of the system an app's process may call, as a filter for seccomp(2): a program of classic
 * BPF over `struct seccomp_data`, made here.
 *
 * Rules
 * 1. What is refused answers an errno and never kills, so that a runtime falls back.
 * 2. Refused is what reaches past the process: other processes, namespaces, mounts, the kernel's
 *    own interfaces, and every socket. Memory that no process owns (System V, memfd) is refused
 *    too, because nobody would be charged for it.
 * 3. A process starts no other: only a thread may be cloned. clone3 hides its flags behind a
 *    pointer, so it does not exist here; C libraries then use clone.
 * 4. Calls of another architecture (i386 and x32 on x86_64) do not exist.
 */
import { type Architecture, architectures, type SyscallName } from "./syscalls.ts";

/** Errno numbers of Linux. */
const EPERM = 1;
const ENOSYS = 38;
const EAFNOSUPPORT = 97;

const refused: readonly SyscallName[] = [
  // Other processes and their memory.
  ...(["ptrace", "process_vm_readv", "process_vm_writev", "kcmp", "pidfd_getfd"] as const),
  ...(["process_madvise", "migrate_pages", "move_pages", "fork", "vfork"] as const),
  // Namespaces and mounts, old and new interface.
  ...(["unshare", "setns", "mount", "umount2", "pivot_root", "chroot", "move_mount"] as const),
  ...(["open_tree", "fsopen", "fsconfig", "fsmount", "fspick", "mount_setattr"] as const),
  // The kernel's own: programs, modules, keys, time, disks, logs.
  ...(["bpf", "perf_event_open", "userfaultfd", "add_key", "request_key", "keyctl"] as const),
  ...(["kexec_load", "kexec_file_load", "init_module", "finit_module", "delete_module"] as const),
  ...(["reboot", "swapon", "swapoff", "syslog", "acct", "quotactl", "quotactl_fd"] as const),
  ...(["settimeofday", "clock_settime", "clock_adjtime", "adjtimex", "lookup_dcookie"] as const),
  ...(["iopl", "ioperm", "modify_ldt", "sethostname", "setdomainname", "nfsservctl"] as const),
  // Files by handle, which know no root directory; watching a whole file system.
  ...(["open_by_handle_at", "name_to_handle_at", "fanotify_init"] as const),
  // A process of another shape; memory placement.
  ...(["personality", "mbind", "set_mempolicy", "set_mempolicy_home_node"] as const),
  // Memory and queues that outlive their process.
  ...(["shmget", "semget", "msgget", "mq_open"] as const),
];

const absent: readonly SyscallName[] = [
  ...(["clone3", "memfd_create", "memfd_secret"] as const),
  // Its operations on sockets go around a filter on `socket`.
  ...(["io_uring_setup", "io_uring_enter", "io_uring_register"] as const),
];

const sockets: readonly SyscallName[] = ["socket", "socketpair"];

/** CLONE_THREAD, and every flag that makes a namespace (clone(2)). */
const cloneThread = 0x00010000;
const cloneNamespaces = 0x7e020080;
/** Typing into a terminal, selecting on a console: ioctl_tty(2), ioctl_console(2). */
const terminalIoctls = [0x5412, 0x541c];
/** Bit of every call of the x32 interface. */
const x32 = 0x40000000;

/** One instruction of classic BPF: `struct sock_filter`. */
type Instruction = readonly [code: number, ifTrue: number, ifFalse: number, value: number];

/** Offsets in `struct seccomp_data`; of arguments, the low half (both are little-endian). */
const at = { call: 0, architecture: 4, argument: (index: number) => 16 + 8 * index } as const;

const load = (offset: number): Instruction => [0x20, 0, 0, offset];
const equals = (value: number, ifTrue: number, ifFalse: number): Instruction => [
  0x15,
  ifTrue,
  ifFalse,
  value,
];
const atLeast = (value: number, ifTrue: number, ifFalse: number): Instruction => [
  0x35,
  ifTrue,
  ifFalse,
  value,
];
const anyBit = (value: number, ifTrue: number, ifFalse: number): Instruction => [
  0x45,
  ifTrue,
  ifFalse,
  value,
];
const answer = (value: number): Instruction => [0x06, 0, 0, value];
const allow = answer(0x7fff0000);
const fail = (errno: number): Instruction => answer(0x00050000 | errno);

/** The filter as instructions. */
function filter({ audit, numbers }: Architecture): Instruction[] {
  const program: Instruction[] = [
    load(at.architecture),
    equals(audit, 1, 0),
    fail(ENOSYS),
    load(at.call),
    atLeast(x32, 0, 1),
    fail(ENOSYS),
  ];
  const all = (names: readonly SyscallName[], errno: number) => {
    for (const name of names) {
      const number = numbers[name];
      if (number !== null) program.push(equals(number, 0, 1), fail(errno));
    }
  };
  all(sockets, EAFNOSUPPORT);
  all(absent, ENOSYS);
  all(refused, EPERM);
  program.push(
    equals(numbers.clone, 0, 5),
    load(at.argument(0)),
    anyBit(cloneThread, 0, 2),
    anyBit(cloneNamespaces, 1, 0),
    allow,
    fail(EPERM),
  );
  const ioctls = terminalIoctls.map((value, i) => equals(value, terminalIoctls.length - i, 0));
  program.push(
    equals(numbers.ioctl, 0, ioctls.length + 3),
    load(at.argument(1)),
    ...ioctls,
    allow,
    fail(EPERM),
  );
  program.push(allow);
  return program;
}

/** The filter as bubblewrap reads it: `struct sock_filter` after `struct sock_filter`. */
export function filterBytes(architecture: Architecture = architectures[nativeName()]): Uint8Array {
  const program = filter(architecture);
  const view = new DataView(new ArrayBuffer(program.length * 8));
  for (const [index, [code, ifTrue, ifFalse, value]] of program.entries()) {
    view.setUint16(index * 8, code, true);
    view.setUint8(index * 8 + 2, ifTrue);
    view.setUint8(index * 8 + 3, ifFalse);
    view.setUint32(index * 8 + 4, value, true);
  }
  return new Uint8Array(view.buffer);
}

function nativeName(): keyof typeof architectures {
  return process.arch === "arm64" ? "aarch64" : "x86_64";
}
