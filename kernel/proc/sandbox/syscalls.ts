/**
 * Numbers of the system calls that the filter speaks of: x86_64 (syscall_64.tbl of Linux) and
 * aarch64 (the generic table, asm-generic/unistd.h); null where an architecture has no such call.
 */
const table = {
  ptrace: [101, 117],
  process_vm_readv: [310, 270],
  process_vm_writev: [311, 271],
  kcmp: [312, 272],
  pidfd_getfd: [438, 438],
  process_madvise: [440, 440],
  migrate_pages: [256, 238],
  move_pages: [279, 239],
  fork: [57, null],
  vfork: [58, null],
  unshare: [272, 97],
  setns: [308, 268],
  mount: [165, 40],
  umount2: [166, 39],
  pivot_root: [155, 41],
  chroot: [161, 51],
  move_mount: [429, 429],
  open_tree: [428, 428],
  fsopen: [430, 430],
  fsconfig: [431, 431],
  fsmount: [432, 432],
  fspick: [433, 433],
  mount_setattr: [442, 442],
  bpf: [321, 280],
  perf_event_open: [298, 241],
  userfaultfd: [323, 282],
  add_key: [248, 217],
  request_key: [249, 218],
  keyctl: [250, 219],
  kexec_load: [246, 104],
  kexec_file_load: [320, 294],
  init_module: [175, 105],
  finit_module: [313, 273],
  delete_module: [176, 106],
  reboot: [169, 142],
  swapon: [167, 224],
  swapoff: [168, 225],
  syslog: [103, 116],
  acct: [163, 89],
  quotactl: [179, 60],
  quotactl_fd: [443, 443],
  settimeofday: [164, 170],
  clock_settime: [227, 112],
  clock_adjtime: [305, 266],
  adjtimex: [159, 171],
  lookup_dcookie: [212, 18],
  iopl: [172, null],
  ioperm: [173, null],
  modify_ldt: [154, null],
  sethostname: [170, 161],
  setdomainname: [171, 162],
  nfsservctl: [180, 42],
  open_by_handle_at: [304, 265],
  name_to_handle_at: [303, 264],
  fanotify_init: [300, 262],
  personality: [135, 92],
  mbind: [237, 235],
  set_mempolicy: [238, 237],
  set_mempolicy_home_node: [450, 450],
  shmget: [29, 194],
  semget: [64, 190],
  msgget: [68, 186],
  mq_open: [240, 180],
  clone3: [435, 435],
  memfd_create: [319, 279],
  memfd_secret: [447, 447],
  io_uring_setup: [425, 425],
  io_uring_enter: [426, 426],
  io_uring_register: [427, 427],
  socket: [41, 198],
  socketpair: [53, 199],
  clone: [56, 220],
  ioctl: [16, 29],
} as const satisfies Record<string, readonly [x86_64: number | null, aarch64: number | null]>;

export type SyscallName = keyof typeof table;

export interface Architecture {
  /** AUDIT_ARCH_* of <linux/audit.h>. */
  readonly audit: number;
  readonly numbers: Readonly<Record<SyscallName, number | null>> & {
    readonly clone: number;
    readonly ioctl: number;
  };
}

function column(index: 0 | 1): Architecture["numbers"] {
  const rows = Object.entries(table).map(([name, row]) => [name, row[index]]);
  return Object.fromEntries(rows) as Architecture["numbers"];
}

export const architectures = {
  x86_64: { audit: 0xc000003e, numbers: column(0) },
  aarch64: { audit: 0xc00000b7, numbers: column(1) },
} as const satisfies Record<string, Architecture>;
