/**
 * The errnos of certificates: what is not there, settings that cannot be, a disk that is full.
 */
import type { Case } from "./errno-world.ts";

export const certCases: readonly Case[] = [["net.cert.show", "ENOENT", { name: "none.example" }]];
