/**
 * The deeds that must be refused, by app, and the refusal of each: an errno, or a word of the
 * message where the runtime has no errno. A deed is asked for at its own path of the app, replies
 * with what came of it and says the same in the log.
 */

/** A deed's name and what its outcome must match. */
export type Refusals = Readonly<Record<string, RegExp>>;

const absent = /^ENOENT/;
const refused = /^EPERM/;
const missing = /^ENOSYS/;
const noSocket = /EAFNOSUPPORT/;
const readOnly = /^EROFS/;

/** Of `reach`: what is not its own is not there. */
const reach: Refusals = {
  "etc-passwd": absent,
  "etc-shadow": absent,
  "etc-raw": absent,
  "proc-1-environ": absent,
  "proc-1-root": absent,
  "proc-self-root": absent,
  "proc-self-cwd": absent,
  "proc-self-mem": absent,
  "proc-processes": /nothing found/,
  "proc-mounts": absent,
  "proc-sysrq": /^(ENOENT|EROFS|EACCES)/,
  "proc-sys": absent,
  sys: absent,
  "dev-kmsg": absent,
  "dev-disk": /nothing found/,
  "dev-shm": /^(ENOENT|EROFS)/,
  "dev-tty": /^(ENOENT|ENXIO|EROFS|EACCES)/,
  mknod: refused,
  "data-db": absent,
  "machine-key": absent,
  "run-directory": absent,
  "other-volumes": absent,
  "volume-parent": /nothing found/,
  "whole-tree": /nothing found/,
  environment: /nothing found/,
  "other-files": /^(ENOENT|EACCES)/,
  "other-files-up": /^(ENOENT|EACCES|EINVAL)/,
  "other-release": /^(ENOENT|EACCES)/,
  "other-status": /^(ENOENT|EACCES)/,
  "other-keys": /^(ENOENT|EACCES|EINVAL)/,
  "owner-home": /^(ENOENT|EACCES)/,
  "owner-calls": /^(EPERM|EACCES|ENOSYS)/,
  "owner-token": /^(EPERM|EACCES|ENOSYS)/,
  "host-file-call": /^(ENOENT|EACCES)/,
  "write-root": readOnly,
  "write-runtime": /^(EROFS|ETXTBSY|EACCES)/,
  "write-app": readOnly,
  "runtime-link": /nothing found/,
};

export const refusals: Readonly<Record<string, Refusals>> = { reach };
void refused; void missing; void noSocket;
