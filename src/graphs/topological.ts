/** Items in an order in which each comes after what it depends on (Kahn 1962). */

/** Those that can be ordered, and those that wait for each other in a circle or for one that does. */
export function topological<T>(
  items: readonly T[],
  dependencies: (item: T) => Iterable<T>,
): { ordered: T[]; stuck: T[] } {
  const waiting = new Map<T, number>();
  const dependents = new Map<T, T[]>();
  for (const item of items) {
    const needed = new Set(dependencies(item));
    waiting.set(item, needed.size);
    for (const other of needed) {
      const list = dependents.get(other);
      if (list) list.push(item);
      else dependents.set(other, [item]);
    }
  }
  const ordered = items.filter((item) => waiting.get(item) === 0);
  // It grows while it is gone through.
  for (const item of ordered) {
    for (const dependent of dependents.get(item) ?? []) {
      const left = (waiting.get(dependent) ?? 0) - 1;
      waiting.set(dependent, left);
      if (left === 0) ordered.push(dependent);
    }
  }
  return { ordered, stuck: items.filter((item) => (waiting.get(item) ?? 0) > 0) };
}
