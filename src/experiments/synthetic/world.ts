/**
 * A world in which the best members for every input are known. Each of m domains has its own texture (the cue, channel
 * 0). Channel 1 is a grid of m tiles, and expert i sees tile i alone. The tiles of a domain's good experts show the
 * true class; another tile shows it with the world's reliability, else a class drawn at random. All tiles look alike:
 * only the cue says which to trust. Channel 2, and everything else, is Gaussian noise.
 * N images, S side, m members and domains, C classes.
 */
import { Generator, keyedRandom, scope, seedOf, type Tensor, tensor } from "../../torch/index.ts";

export interface World {
  /** Members m, as many as domains; at most 16. */
  members: number;
  /** At most 7. */
  classes: number;
  /** Good experts of each domain: domain r has the experts r, r + 1, … (modulo m). */
  good: number;
  /** Strength of a class's pattern, in standard deviations of the noise along it. */
  signal: number;
  /** Strength of the cue, in the same unit. */
  cue: number;
  /** Probability that a tile of another expert shows the true class, besides by chance. */
  reliability: number;
}

export interface Sample {
  /** [N, 3, S, S], around 0.5. */
  images: Tensor;
  labels: number[];
  domains: number[];
}

/** Standard deviation of the pixels' noise. */
export const pixelNoise = 0.1;
/** Side of a tile, pixels. */
export const tileSide = 8;
/** Frequencies of the cues run from 1 to this in both directions. */
const cueFrequencies = 4;

/** Tiles in a row of the grid. */
export const tilesInRow = 4;
/** Side S of the images. */
export const imageSide = tileSide * tilesInRow;
/** Side of a view of the images that shows the cues and no class: every class pattern sums to zero over its pixels. */
export const blindView = imageSide / 2;
/** Frequencies of the class patterns within a tile; each has a 4, whose wave two neighbouring pixels cancel. */
const classFrequencies = [
  [4, 0],
  [0, 4],
  [4, 1],
  [1, 4],
  [4, 2],
  [2, 4],
  [4, 4],
] as const;

/** The k best members of a domain's images, the good experts first. */
export function bestMembers(world: World, domain: number, k: number): number[] {
  return Array.from({ length: k }, (_, i) => (domain + i) % world.members);
}

/** A cosine of unit norm over a square, row-major [side * side]: of different frequencies they are orthogonal. */
function cosine(side: number, fx: number, fy: number): Float64Array {
  const wave = (position: number, frequency: number) =>
    Math.sqrt((frequency === 0 ? 1 : 2) / side) * Math.cos((Math.PI * (position + 0.5) * frequency) / side);
  return Float64Array.from({ length: side * side }, (_, i) => wave(i % side, fx) * wave(Math.floor(i / side), fy));
}

/** The classes' patterns within a tile, [C][tileSide²]. */
export function classPatterns(classes: number): Float64Array[] {
  return classFrequencies.slice(0, classes).map(([fx, fy]) => cosine(tileSide, fx, fy));
}

/** The domains' textures, [m][S²]. */
export function cuePatterns(world: World): Float64Array[] {
  return Array.from({ length: world.members }, (_, r) =>
    cosine(imageSide, 1 + (r % cueFrequencies), 1 + Math.floor(r / cueFrequencies)),
  );
}

/** Images that seed and purpose alone decide. The caller disposes them. */
export function draw(world: World, count: number, seed: number, purpose: string): Sample {
  const random = keyedRandom(seedOf(seed, purpose));
  const below = (n: number) => Math.floor(random() * n);
  const pixels = imageSide ** 2;
  const [patterns, cues] = [classPatterns(world.classes), cuePatterns(world)];
  const signals = new Float32Array(count * 3 * pixels);
  const labels: number[] = [];
  const domains: number[] = [];
  for (let n = 0; n < count; n++) {
    const [label, domain] = [below(world.classes), below(world.members)];
    labels.push(label);
    domains.push(domain);
    const offset = n * 3 * pixels;
    for (const [i, value] of cues[domain]?.entries() ?? []) signals[offset + i] = world.cue * value;
    const good = new Set(bestMembers(world, domain, world.good));
    for (let tile = 0; tile < world.members; tile++) {
      const chance = below(world.classes);
      const shown = good.has(tile) || random() < world.reliability ? label : chance;
      paint(signals, offset + pixels, tile, world.signal, patterns[shown] as Float64Array);
    }
  }
  const images = scope(() => {
    using generator = new Generator(seedOf(seed, `${purpose}/noise`));
    const image = tensor(signals, { shape: [count, 3, imageSide, imageSide] });
    return image
      .add(image.clone().normal_(0, 1, { generator }))
      .mul(pixelNoise)
      .add(0.5);
  });
  return { images, labels, domains };
}

/** Writes a pattern into a tile of one channel. */
function paint(into: Float32Array, channel: number, tile: number, strength: number, pattern: Float64Array): void {
  const corner = tileCorner(tile);
  for (const [i, value] of pattern.entries()) {
    const [x, y] = [corner.x + (i % tileSide), corner.y + Math.floor(i / tileSide)];
    into[channel + y * imageSide + x] = strength * value;
  }
}

/** Upper left pixel of a tile. */
export function tileCorner(tile: number): { x: number; y: number } {
  return { x: tileSide * (tile % tilesInRow), y: tileSide * Math.floor(tile / tilesInRow) };
}

/** The domain whose cue is strongest in each image: no router can read the cue better. */
export function readCue(world: World, images: Tensor): number[] {
  return scope(() => {
    const cues = tensor(cuePatterns(world).map((cue) => [...cue]));
    const evidence = images.select(1, 0).flatten(1).matmul(cues.t());
    return evidence.argmax(1).toNumbers();
  });
}

// ---- what is known in closed form

/**
 * Probability that the largest of n standard normal variables is the one whose mean is `strength` instead of zero: how
 * often one of n orthogonal patterns in white noise is read correctly.
 */
export function detection(n: number, strength: number): number {
  const step = 1e-3;
  const density = (z: number) => Math.exp(-0.5 * z * z) / Math.sqrt(2 * Math.PI);
  let below = 0;
  let total = 0;
  for (let z = -9; z < strength + 9; z += step) {
    below += step * density(z + step / 2);
    total += step * density(z + step - strength) * below ** (n - 1);
  }
  return total;
}

/** Accuracy of expert i on the images of a domain, with the best head there is. */
export function expertAccuracy(world: World, expert: number, domain: number): number {
  const read = detection(world.classes, world.signal);
  if (bestMembers(world, domain, world.good).includes(expert)) return read;
  const shows = world.reliability + (1 - world.reliability) / world.classes;
  return shows * read + ((1 - shows) * (1 - read)) / (world.classes - 1);
}

/** Accuracy along the best routes, one for each good expert, with the best heads: their evidence adds up. */
export function bestAccuracy(world: World): number {
  return detection(world.classes, Math.sqrt(world.good) * world.signal);
}
