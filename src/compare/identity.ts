/**
 * Identities of cells: what differs from versioned defaults, in one spelling. A new option whose default is what was done
 * before changes no key; what changes the figures of the same request raises a version, which is part of the key.
 */

/** JSON without undefined values, the keys of objects in order. */
export function canonicalText(value: unknown): string {
  return JSON.stringify(value, (_, part: unknown) => (isRecord(part) ? sorted(part) : part)) ?? "null";
}

/** The entries of a record that differ from the defaults. */
export function changesFrom(defaults: object, value: object): Record<string, unknown> {
  const usual = new Map<string, unknown>(Object.entries(defaults));
  const changed = Object.entries(value).filter(
    ([name, part]) => part !== undefined && canonicalText(part) !== canonicalText(usual.get(name)),
  );
  return Object.fromEntries(changed);
}

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

const sorted = (record: Record<string, unknown>) =>
  Object.fromEntries(Object.entries(record).sort(([a], [b]) => (a < b ? -1 : 1)));
