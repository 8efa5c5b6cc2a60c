/** Random numbers that depend on keys alone (seed, epoch, sample, purpose): no order of calls can change them. */

/** Mixes integers into 32 well-spread bits (the finaliser of MurmurHash3, Appleby 2011, over a running sum). */
export function hashKeys(...keys: readonly number[]): number {
  let h = 0x9e3779b9;
  for (const key of keys) {
    h = mix(h ^ mix((key >>> 0) + 0x7f4a7c15));
    h = mix(h ^ Math.floor(key / 0x1_0000_0000));
  }
  return h >>> 0;
}

function mix(value: number): number {
  let h = value | 0;
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return h ^ (h >>> 16);
}

/** A stream of numbers in [0, 1) for the given keys. */
export function keyedRandom(...keys: readonly number[]): () => number {
  const base = hashKeys(...keys);
  let counter = 0;
  return () => hashKeys(base, counter++) / 0x1_0000_0000;
}

/** The elements in a random order that keys alone decide (Fisher-Yates). */
export function shuffled<T>(values: readonly T[], random: () => number): T[] {
  const result = [...values];
  for (let i = result.length - 1; i > 0; i--) {
    const j = Math.floor(random() * (i + 1));
    [result[i], result[j]] = [result[j] as T, result[i] as T];
  }
  return result;
}
