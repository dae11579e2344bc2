/**
 * The deeds that must be refused, by app, and the refusal of each: its errno, or words of the
 * message where the runtime gives none. A deed is asked for at its own path of the app, replies
 * with what came of it and says the same in the log.
 */

/** Deeds by name, and what the outcome of each must match. */
type Refusals = Readonly<Record<string, RegExp>>;

const absent = /^ENOENT/;
const empty = /nothing found/;
const refused = /^EPERM/;
const missing = /^ENOSYS/;
const readOnly = /^EROFS/;
const unseen = /^(EACCES|ENOENT)/;
const owners = /^(EPERM|EACCES)/;
/** What opens a socket says why it cannot; the message is the app's programmer's. */
const noNetwork = /^EPERM: cannot .*: an app has no network of its own/;
const noSocket = /^EAFNOSUPPORT/;
const notAllowed = /^EACCES: .* not among the hosts it may reach/;
const near = /^EACCES: .* is not on the public internet/;

/** What is not its own is not there. */
const reach: Refusals = {
  "etc-passwd": absent,
  "etc-shadow": absent,
  "etc-raw": absent,
  "proc-1-environ": absent,
  "proc-1-root": absent,
  "proc-self-root": absent,
  "proc-self-cwd": absent,
  "proc-self-mem": absent,
  "proc-processes": empty,
  "proc-mounts": absent,
  "proc-sysrq": /^(ENOENT|EROFS)/,
  "proc-sys": absent,
  sys: absent,
  "dev-kmsg": absent,
  "dev-disk": empty,
  "dev-shm": /^(ENOENT|EROFS)/,
  "dev-tty": /^(ENOENT|EROFS)/,
  mknod: refused,
  "data-db": absent,
  "machine-key": absent,
  "run-directory": absent,
  "other-volumes": absent,
  "volume-parent": empty,
  "whole-tree": empty,
  environment: empty,
  "other-files": unseen,
  "other-files-up": /^EINVAL/,
  "other-release": unseen,
  "other-status": unseen,
  "other-keys": owners,
  "owner-home": unseen,
  "owner-calls": owners,
  "owner-token": owners,
  "host-file-call": unseen,
  "write-root": readOnly,
  "write-runtime": /^(EROFS|ETXTBSY|EACCES)/,
  "write-app": /^(EROFS|EACCES)/,
  "runtime-link": empty,
};

/** There are no sockets: neither to other machines nor to this one, nor in its file system. */
const network: Refusals = {
  internet: noNetwork,
  loopback: noNetwork,
  "loopback-name": noNetwork,
  metadata: noNetwork,
  ipv6: noNetwork,
  "ipv6-loopback": noNetwork,
  "ipv6-mapped": noNetwork,
  "node-net": noNetwork,
  "node-http": notAllowed,
  fetch: notAllowed,
  "fetch-metadata": notAllowed,
  "fetch-unix": notAllowed,
  "bun-fetch": noSocket,
  websocket: noNetwork,
  dns: /^EAI_AGAIN/,
  "dns-server": /^ECONNREFUSED/,
  udp: noNetwork,
  "node-udp": noNetwork,
  "listen-bun": noNetwork,
  "listen-unix": noNetwork,
  "listen-net": noNetwork,
  "control-socket": noNetwork,
  "abstract-socket": noNetwork,
  "raw-unix": noSocket,
  "raw-inet": noSocket,
  "raw-inet6": noSocket,
  "raw-netlink": noSocket,
  "raw-packet": noSocket,
  "raw-crypto": noSocket,
  "raw-vsock": noSocket,
  "raw-pair": noSocket,
};

/**
 * By the kernel it may fetch from every host and port, and still from no near address. Names that
 * mean one, at once or at the second question (rebinding), are in tests/integration/egress.test.ts.
 */
const fetch: Refusals = {
  loopback: near,
  "loopback-short": near,
  "loopback-decimal": near,
  "loopback-hex": near,
  "loopback-octal": near,
  "loopback-other": near,
  "loopback-name": near,
  "loopback-dot": near,
  "any-address": near,
  "ipv6-loopback": near,
  "ipv6-any": near,
  "ipv6-mapped": near,
  "ipv6-mapped-hex": near,
  "ipv6-translated": near,
  "ipv6-local": near,
  "ipv6-unique": near,
  metadata: near,
  "metadata-ipv6": near,
  private: near,
  "private-172": near,
  "private-192": near,
  carrier: near,
  multicast: near,
  broadcast: near,
  "user-in-url": /^EINVAL: .* credentials in the URL/,
  "node-client": near,
  file: /^EINVAL: .* not an http or https URL/,
  "other-scheme": /^EINVAL: .* not an http or https URL/,
  "control-socket": near,
  proxy: near,
};

/** The system's own calls, by bun:ffi, by a native addon and by machine code made in the app. */
const system: Refusals = {
  ptrace: refused,
  "ptrace-me": refused,
  "process-vm": refused,
  kcmp: refused,
  mount: refused,
  "mount-new": refused,
  "open-tree": refused,
  umount: refused,
  "pivot-root": refused,
  chroot: refused,
  unshare: refused,
  "unshare-net": refused,
  setns: refused,
  "clone-user": refused,
  clone3: missing,
  fork: refused,
  bpf: refused,
  "perf-event": refused,
  "add-key": refused,
  keyctl: refused,
  "request-key": refused,
  "io-uring": missing,
  "io-uring-register": missing,
  userfaultfd: refused,
  "userfaultfd-user": refused,
  personality: refused,
  "open-by-handle": refused,
  "name-to-handle": refused,
  fanotify: refused,
  memfd: missing,
  "shared-memory": refused,
  semaphores: refused,
  "message-queue": refused,
  "posix-queue": refused,
  "pidfd-getfd": refused,
  "kexec-load": refused,
  "init-module": refused,
  reboot: refused,
  swapon: refused,
  syslog: refused,
  settime: refused,
  hostname: refused,
  "io-ports": refused,
  ldt: refused,
  quota: refused,
  // Root has no name in the app's namespace.
  setuid: /^(EINVAL|EPERM)/,
  setgroups: refused,
  capset: refused,
  priority: /^(EACCES|EPERM)/,
  realtime: refused,
  // There is nobody but itself to send a signal to.
  "signal-all": /^(ESRCH|EPERM)/,
  "signal-kernel": /^ESRCH/,
  "raise-limits": refused,
  "raise-file-size": refused,
  "terminal-input": refused,
  "terminal-output": refused,
  "terminal-socket": refused,
  "console-select": refused,
  "inherited-sockets": empty,
  "inherited-doors": empty,
  "spawn-bun": /^(EAFNOSUPPORT|EPERM)/,
  "spawn-node": /^(EAFNOSUPPORT|EPERM)/,
  "addon-memory": /^ERR_DLOPEN_FAILED/,
  "addon-volume": /^(ERR_DLOPEN_FAILED|EACCES)|nothing found/,
  compiled: empty,
};

/** The disk: memory is bounded in bytes and files, the volume is three files of bounded size. */
const disk: Refusals = {
  "fill-root": readOnly,
  "fill-app": /^(EROFS|EACCES)/,
  "fill-dev": readOnly,
  "fill-memory": /^ENOSPC/,
  "litter-memory": /^ENOSPC/,
  "fill-volume": /^(EACCES|EPERM)/,
  "litter-volume": /^(EACCES|EPERM)/,
  "directory-volume": /^(EACCES|EPERM)/,
  "extend-database": /^EFBIG/,
  "allocate-database": /^(EFBIG|E27)/,
};

/** Who it is, it cannot say. */
const forge: Refusals = {
  "event-of-neighbour": refused,
  "event-of-system": refused,
  "hear-neighbour": /^EACCES/,
  "hear-all": /^(EINVAL|EACCES)/,
  "call-as-owner": owners,
  "cross-kv": owners,
  "own-grants": owners,
};

/** The place of its database is the kernel's: nothing is put there. */
const links: Refusals = {
  symlink: /^(EACCES|EPERM)/,
  fifo: /^(EACCES|EPERM)/,
  directory: /^(EACCES|EPERM)/,
  "symlink-log": /^(EACCES|EPERM)/,
  "hardlink-runtime": /^(EXDEV|EACCES|EPERM)/,
  "hardlink-app": /^(EXDEV|EACCES|EPERM)/,
  "hardlink-own": /^(EACCES|EPERM)/,
  moved: /^(EACCES|EPERM)/,
};

export const refusals: Readonly<Record<string, Refusals>> = {
  reach,
  network,
  fetch,
  system,
  disk,
  forge,
  links,
};
