/** Apps and releases as the calls answer them, with what proc and net know of them. */
import type { Kernel } from "../kernel.ts";
import type { App, Release } from "./app.ts";
import type { RolledOut } from "./rollout.ts";

export function describeApp(kernel: Kernel, app: App) {
  return {
    name: app.name,
    id: app.id,
    state: kernel.proc.status(app).state,
    url: kernel.net.urlOf(app.name),
    release: app.releaseId,
    createdAt: app.createdAt,
    routes: kernel.net.routes.ls().flatMap((route) => (route.appId === app.id ? [route.host] : [])),
  };
}

/** The release requests go to, or null before the first deploy. */
export function currentRelease(kernel: Kernel, app: App): Release | null {
  return app.releaseId === null ? null : kernel.app.release(app.releaseId);
}

export function describeRelease(app: App, release: Release) {
  return {
    id: release.id,
    number: release.number,
    current: release.id === app.releaseId,
    createdAt: release.createdAt,
    message: release.message,
    files: release.fileCount,
    sizeBytes: release.sizeBytes,
  };
}

export function describeRollout(kernel: Kernel, { app, release, created }: RolledOut) {
  return {
    app: app.name,
    id: app.id,
    release: release.id,
    number: release.number,
    url: kernel.net.urlOf(app.name),
    files: release.fileCount,
    created,
  };
}
