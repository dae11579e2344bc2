/**
 * proc keeps no tables: what runs is not data. Whether an app was stopped by its owner is a fact
 * of the app (`apps.setStopped`), its output is in the log ring, its release in `apps`.
 */
import type { Migration } from "../storage/mod.ts";

export const migrations: readonly Migration[] = [];
