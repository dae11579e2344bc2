/**
 * The errnos of events, cron and one-shots: payloads that are too large, emitters and subscribers
 * that have all they may have.
 */
import { type Caller, localOwner } from "../../kernel/caller.ts";
import {
  keptEventsMax,
  oneShotsMax,
  payloadBytesMax,
  subscriptionsMax,
} from "../../kernel/proc/event/limits.ts";
import type { Case, World } from "./errno-world.ts";

const large = "x".repeat(payloadBytesMax);

/** Makes a call as the process of `server`. */
const asServer = ({ k }: World, name: string, input: object): Promise<unknown> => {
  const { id: appId, releaseId } = k.kernel.app.get("server");
  const from: Caller = { ...localOwner("socket"), kind: "app", via: "app", appId, releaseId };
  return k.call(name, input, { from: { ...from, userId: null, grants: ["proc:self"] } });
};

export const eventCases: readonly Case[] = [
  ["proc.events", "ENOENT", { app: "none" }],
  ["proc.jobs", "ENOENT", { app: "none" }],
  ["proc.emit", "EFBIG", (w) => asServer(w, "proc.emit", { name: "x", payload: large })],
  [
    "proc.emit",
    "EDQUOT",
    async (w) => {
      const appId = w.k.kernel.app.get("server").id;
      const full = "INSERT INTO event_room VALUES (?, ?, 0)";
      await w.k.kernel.storage.write((tx) => tx.run(full, appId, keptEventsMax));
      return asServer(w, "proc.emit", { name: "x" });
    },
  ],
  [
    "proc.on",
    "EDQUOT",
    async (w) => {
      for (let i = 0; i <= subscriptionsMax; i++) await asServer(w, "proc.on", { name: `n${i}` });
    },
  ],
  [
    "proc.schedule",
    "EFBIG",
    (w) => asServer(w, "proc.schedule", { path: "/", afterMs: 1e6, payload: large }),
  ],
  [
    "proc.schedule",
    "EDQUOT",
    async (w) => {
      const later = { path: "/", afterMs: 1e6 };
      const calls = Array.from({ length: oneShotsMax + 1 }, () =>
        asServer(w, "proc.schedule", later),
      );
      await Promise.all(calls);
    },
  ],
];
