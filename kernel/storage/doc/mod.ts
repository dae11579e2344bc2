/**
 * Documents: JSON objects in collections of an app, with declared indexes, found by a small set of
 * operators. A part of storage.
 *
 * Invariants
 * 1. A field's name reaches SQL as a bound JSON path, never as text.
 * 2. A write and its index entries are one transaction; a version is never given twice.
 * 3. A page of results is bounded by count and bytes, and goes on from its cursor.
 */
export { createDocs, type Docs } from "./doc.ts";
