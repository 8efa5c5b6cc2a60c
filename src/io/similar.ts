/** The names that somebody may have meant by another one. */

const mostShown = 3;

/** Known names that are like a wrong one, the likest first: few letters differ, or one is a part of the other. */
export function similarNames(wrong: string, known: readonly string[]): string[] {
  const lower = wrong.toLowerCase().slice(0, 100);
  const rated = known.map((name) => ({ name, changes: changesBetween(lower, name.toLowerCase()) }));
  const isPart = (name: string) => lower.length > 2 && name.toLowerCase().includes(lower);
  return rated
    .filter(({ name, changes }) => isPart(name) || changes <= Math.max(2, name.length / 4))
    .toSorted((a, b) => Number(isPart(b.name)) - Number(isPart(a.name)) || a.changes - b.changes)
    .slice(0, mostShown)
    .map(({ name }) => name);
}

/** Letters to insert, delete or replace between two words (Levenshtein). */
function changesBetween(from: string, to: string): number {
  let row = Array.from({ length: to.length + 1 }, (_, j) => j);
  for (const [i, letter] of [...from].entries()) {
    const next = [i + 1];
    for (let j = 0; j < to.length; j++) {
      next.push(Math.min((row[j] ?? 0) + (letter === to[j] ? 0 : 1), (row[j + 1] ?? 0) + 1, (next[j] ?? 0) + 1));
    }
    row = next;
  }
  return row[to.length] ?? 0;
}
