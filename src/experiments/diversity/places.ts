/** The map of experiment diversity: kinds of input in the target, labels a class, and capacity of a member. */
import { type ExperimentRequest, images, protocolOf, Setting, type Target, targetsOf } from "../../compare/index.ts";
import { type Hub, openHub } from "../../hub/index.ts";

export interface Place {
  target: Target;
  hub: Hub;
  /** Labels a class, at most. */
  labels: number;
  capacity: string;
  /** Everything is trained here, and not only predicted. */
  isTrained: boolean;
}

/** Epochs of heads and generator. */
const epochs = 8;
/** Seeds of predictions where nothing is trained. */
const predictedSeeds = 1;

/** Two of the ten scripts, five of them, one for each member, and all. */
const mixes: readonly (readonly [kinds: number, source: string])[] = [
  [2, mixOf("thai", "georgian")],
  [5, mixOf("latin", "hebrew", "thai", "devanagari", "georgian")],
  [10, "scripts"],
];

/** Every two scripts that different members know, in the hub's order. */
function scriptPairs({ manifest }: Hub): [string, string][] {
  const known = manifest.members.map(({ pretraining }) =>
    (pretraining?.data ?? "").split(", ").map((name) => name.replace("scripts-source-", "")),
  );
  return known.flatMap((own, i) => {
    const others = known.slice(i + 1).flat();
    return own.flatMap((first) => others.map((second): [string, string] => [first, second]));
  });
}

function mixOf(...scripts: readonly string[]): string {
  return scripts.map((script) => `scripts-${script}`).join("+");
}

const pictures: readonly (readonly [kinds: number, source: string])[] = [
  [2, "emoji+greek"],
  [3, "emoji+greek+fashion-mnist"],
  [4, "emoji+greek+fashion-mnist+desktop-icons"],
];

/**
 * Places where everything is trained: those of a predicted gap, and some of none. Of pairs of scripts whose kinds are named in
 * 97 % of images or more, all whose prediction by seed 0 is over three points, and as controls all that should lose two.
 */
const trained = new Set([
  "scripts-5-kinds-8-labels narrow",
  "pictures-2-kinds-40-labels wide",
  "pictures-4-kinds-10-labels wide",
  "pictures-4-kinds-40-labels wide",
  "scripts-2-kinds-8-labels narrow",
  "scripts-cyrillic-georgian-8-labels narrow",
  "scripts-arabic-georgian-8-labels narrow",
  "scripts-latin-georgian-8-labels narrow",
  "scripts-latin-hebrew-8-labels narrow",
  "scripts-cyrillic-hebrew-8-labels narrow",
  "scripts-hebrew-arabic-8-labels narrow",
  "scripts-hebrew-georgian-8-labels narrow",
  "scripts-greek-malayalam-8-labels narrow",
  "scripts-devanagari-georgian-8-labels narrow",
  "scripts-thai-malayalam-8-labels narrow",
  "scripts-latin-bengali-8-labels narrow",
  "scripts-cyrillic-thai-8-labels narrow",
  "scripts-devanagari-malayalam-8-labels narrow",
  "scripts-thai-bengali-8-labels narrow",
  "scripts-cyrillic-arabic-8-labels narrow",
  "scripts-thai-devanagari-8-labels narrow",
  "scripts-hebrew-devanagari-8-labels narrow",
  "scripts-hebrew-bengali-8-labels narrow",
  "scripts-arabic-devanagari-8-labels narrow",
]);

function allPlaces(): Place[] {
  const hubs = { narrow: openHub("hubs/scripts"), wide: openHub("hubs/specialists") };
  const scripts = (what: string, source: string, labels: number, capacity: "narrow" | "wide") => {
    const data = { ...images, augment: "none" as const, imageSize: 32, source, split: { trainPerClass: labels } };
    return { name: `scripts-${what}-${labels}-labels`, data, labels, capacity };
  };
  const characters = (["narrow", "wide"] as const).flatMap((capacity) =>
    mixes.flatMap(([kinds, source]) => [4, 8].map((labels) => scripts(`${kinds}-kinds`, source, labels, capacity))),
  );
  const pairs = scriptPairs(hubs.narrow)
    .filter((pair) => !mixes.some(([, source]) => source === mixOf(...pair)))
    .map((pair) => scripts(pair.join("-"), mixOf(...pair), 8, "narrow"));
  const drawn = pictures.flatMap(([kinds, source]) =>
    [10, 40].map((labels) => {
      const split = { trainPerClass: labels, validationPerClass: 40, validationFraction: 0.2, testFraction: 0.2 };
      const data = { ...images, augment: "none" as const, source, split };
      return { name: `pictures-${kinds}-kinds-${labels}-labels`, data, labels, capacity: "wide" as const };
    }),
  );
  return [...characters, ...pairs, ...drawn].map(({ name, data, capacity, labels }) => ({
    target: { name, data },
    hub: hubs[capacity],
    labels,
    capacity,
    isTrained: trained.has(`${name} ${capacity}`),
  }));
}

/** The map, or the user's own hub and images as one place. */
export function placesOf(request: ExperimentRequest): Place[] {
  const { hub, data } = request;
  if (hub === undefined && data === undefined) return allPlaces();
  const opened = openHub(hub ?? "hubs/starter");
  const targets = targetsOf(request);
  return targets.map((target) => ({ target, hub: opened, labels: 0, capacity: opened.manifest.name, isTrained: true }));
}

/** Settings of a place, one for each seed that it takes. */
export function settingsOf(request: ExperimentRequest, { target, hub, isTrained }: Place): Setting[] {
  const { quick, seeds } = request;
  const { target: sized, ...protocol } = protocolOf(hub, target, { quick, frozen: true });
  const limited = quick ? sized : { ...sized, limits: { validation: 1000, test: 1000 } };
  const own = { ...protocol, target: limited, epochs: quick ? 1 : epochs };
  return seeds.filter((seed) => isTrained || seed < predictedSeeds).map((seed) => new Setting(own, seed, hub));
}
