/** Changes to a JSON text that leave it JSON. */
import { interesting } from "./bytes.ts";
import type { Random } from "./random.ts";

type Json = null | boolean | number | string | Json[] | { [key: string]: Json };

/** One value with the container that it is in. */
interface Place {
  parent: Json[] | { [key: string]: Json };
  key: string | number;
}

const texts = ["", "0", "-1", "__proto__", "constructor", "../x", "/", "a\0b", "\u001b[2J", "\ud800", "x".repeat(5000)];

function placesIn(value: Json, places: Place[] = []): Place[] {
  if (typeof value !== "object" || value === null) return places;
  const keys: (string | number)[] = Array.isArray(value) ? [...value.keys()] : Object.keys(value);
  for (const key of keys) {
    places.push({ parent: value, key });
    placesIn(read({ parent: value, key }), places);
  }
  return places;
}

function read({ parent, key }: Place): Json {
  return (parent as Record<string | number, Json>)[key] ?? null;
}

/** `__proto__` too is a key like all others. */
function write({ parent, key }: Place, value: Json): void {
  Object.defineProperty(parent, key, { value, configurable: true, enumerable: true, writable: true });
}

function anyValue(random: Random, places: readonly Place[]): Json {
  const number = Number(random.pick(interesting));
  return random.pick<() => Json>([
    () => number,
    () => -number,
    () => number + 0.5,
    () => random.pick([1e300, -1e300, 1e-300, 0.1]),
    () => String(number),
    () => random.pick(texts),
    () => random.pick([null, true, false]),
    () => [],
    () => ({}),
    () => structuredClone(read(random.pick(places))),
    () => Array.from({ length: random.int(70) }, () => random.int(4)),
  ])();
}

function change(random: Random, places: readonly Place[]): void {
  const place = random.pick(places);
  const value = read(place);
  const { parent, key } = place;
  random.pick<() => void>([
    () => write(place, anyValue(random, places)),
    () => write(place, typeof value === "number" ? value + random.pick([-1, 1]) : anyValue(random, places)),
    () => {
      if (Array.isArray(parent)) parent.splice(Number(key), 1);
      else delete parent[key];
    },
    () => {
      if (Array.isArray(parent)) parent.splice(Number(key), 0, structuredClone(value));
      else write({ parent, key: random.pick([...texts, String(random.pick(places).key)]) }, value);
    },
    () => {
      const other = random.pick(places);
      const theirs = structuredClone(read(other));
      write(other, structuredClone(value));
      write(place, theirs);
    },
    () => write(place, random.chance(0.5) ? [value] : { [String(key)]: value }),
    () => write(place, typeof value === "string" ? value + random.pick(texts) : anyValue(random, places)),
  ])();
}

/** The text with a few values changed; texts that are no JSON stay as they are. */
export function mutateJson(random: Random, text: string): string {
  let root: Json;
  try {
    root = JSON.parse(text) as Json;
  } catch {
    return text;
  }
  for (let i = random.int(3); i >= 0; i--) {
    const places = placesIn(root);
    if (places.length === 0) return JSON.stringify(anyValue(random, [{ parent: [0], key: 0 }]));
    change(random, places);
  }
  const result = JSON.stringify(root);
  if (!random.chance(0.05)) return result;
  return result.replace(/\d+/, random.pick(["NaN", "Infinity", "01", "1e999", "-0", "0x1", "9".repeat(400)]));
}
