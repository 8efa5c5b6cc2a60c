/** Batches for pre-training: RGBA images of one or more source data sets, augmented twice, over random backgrounds. */
import {
  type AugmentOptions,
  augment,
  augmentations,
  fetchDataset,
  ImageStore,
  openDataset,
} from "../../../src/data/index.ts";
import {
  cat,
  hashKeys,
  int64,
  keyedRandom,
  ops,
  scope,
  shuffled,
  type Tensor,
  tensor,
} from "../../../src/torch/index.ts";
import { randomBackgrounds, recolour, type Views } from "./objectives.ts";

/** Items of one class that an epoch takes at most: a quarter of the drawings are buttons and stars. */
const perClass = 200;
/** Items without a class that an epoch takes at most. */
const unlabelled = 2500;
/** One group in ten is held out. */
const heldOutOf = 10;

const crop: AugmentOptions = {
  ...augmentations.none,
  minimumArea: 0.35,
  aspect: 1.5,
  flip: 0.5,
  rotation: 12,
  shear: 5,
};
const colours: AugmentOptions = {
  ...augmentations.none,
  brightness: 0.3,
  contrast: 0.3,
  saturation: 0.4,
  hue: 0.08,
  grey: 0.1,
};
/** Letters lose their meaning when mirrored. */
const upright = { ...crop, flip: 0, minimumArea: 0.5 };

interface Entry {
  store: ImageStore;
  position: number;
  label: number;
  /** Black drawings are painted in a random colour. */
  monochrome: boolean;
  mirrored: boolean;
}

const isCharacters = (name: string) => ["glyphs", "latin"].includes(name) || name.startsWith("scripts-source");
const isMonochrome = (name: string) => isCharacters(name) || name === "mdi-icons";

export class SourceBatches {
  readonly classes: number;
  readonly #train: Entry[] = [];
  readonly heldOut: readonly Entry[];
  readonly #stores: ImageStore[] = [];
  readonly #seed: number;

  private constructor(parts: { entries: Entry[]; held: Entry[]; stores: ImageStore[]; classes: number; seed: number }) {
    this.#train = parts.entries;
    this.heldOut = parts.held;
    this.#stores = parts.stores;
    this.classes = parts.classes;
    this.#seed = parts.seed;
  }

  static async open(names: readonly string[], size: number, seed: number): Promise<SourceBatches> {
    const parts = { entries: [] as Entry[], held: [] as Entry[], stores: [] as ImageStore[], classes: 0, seed };
    for (const name of names) {
      await fetchDataset(name, (text) => console.error(text));
      const dataset = await openDataset(name);
      const store = await ImageStore.open(dataset, { size, channels: 4, skipBad: true });
      parts.stores.push(store);
      for (const [position, item] of dataset.items.entries()) {
        if (store.skipped.has(position)) continue;
        const label = item.label < 0 ? -1 : parts.classes + item.label;
        const [monochrome, mirrored] = [isMonochrome(name), !isCharacters(name)];
        const entry = { store, position, label, monochrome, mirrored };
        const held = hashKeys(...Buffer.from(item.group ?? item.id)) % heldOutOf === 0;
        (held ? parts.held : parts.entries).push(entry);
      }
      parts.classes += dataset.classes.length;
    }
    return new SourceBatches(parts);
  }

  /** Entries of an epoch, in order: classes are capped, so that no folder drowns the rest. */
  epochEntries(epoch: number, labelledOnly: boolean): Entry[] {
    const order = shuffled(this.#train, keyedRandom(this.#seed, epoch, 1));
    return capped(order, labelledOnly);
  }

  heldOutEntries(labelledOnly: boolean): Entry[] {
    return capped(shuffled(this.heldOut, keyedRandom(this.#seed, 2)), labelledOnly);
  }

  /** Views of the given entries; `key` makes them differ from epoch to epoch. */
  async views(entries: readonly Entry[], paired: boolean, key: number): Promise<Views> {
    const raw = await Promise.all(entries.map((entry) => entry.store.batch([entry.position])));
    const views = scope(() => {
      const rgba = premultiply(
        paint(
          cat(raw, 0)
            .to({ dtype: "float32" })
            .mul_(1 / 255),
          entries,
          keyedRandom(this.#seed, key, 3),
        ),
      );
      const positions = entries.map((entry) => entry.position);
      const mirrored = entries.every((entry) => entry.mirrored);
      const view = (salt: number) => {
        const moved = augment(rgba, positions, mirrored ? crop : upright, this.#seed + salt, key);
        const backgrounds = randomBackgrounds(entries.length, keyedRandom(this.#seed, key, 4 + salt), 0.4);
        const alpha = moved.narrow(1, 3, 1);
        const behind = tensor(backgrounds, { shape: [entries.length, 3, 1, 1] });
        const flat = moved.narrow(1, 0, 3).add(behind.mul(alpha.neg().add(1)));
        return {
          images: normalise(augment(flat, positions, colours, this.#seed + salt, key)),
          alpha: alpha.squeeze(1),
        };
      };
      const first = view(0);
      return {
        first: first.images,
        alpha: first.alpha.contiguous(),
        second: paired ? view(1000).images : undefined,
        labels: int64(entries.map((entry) => entry.label)),
      };
    });
    for (const part of raw) part.dispose();
    return views;
  }

  dispose(): void {
    for (const store of this.#stores) store.dispose();
  }
}

function capped(order: readonly Entry[], labelledOnly: boolean): Entry[] {
  const counts = new Map<number, number>();
  return order.filter(({ label }) => {
    if (label < 0 && labelledOnly) return false;
    const count = (counts.get(label) ?? 0) + 1;
    counts.set(label, count);
    return count <= (label < 0 ? unlabelled : perClass);
  });
}

function paint(rgba: Tensor, entries: readonly Entry[], random: () => number): Tensor {
  if (!entries.some((entry) => entry.monochrome)) return rgba;
  const mask = tensor(
    Uint8Array.from(entries, (entry) => (entry.monochrome ? 1 : 0)),
    { shape: [entries.length, 1, 1, 1] },
  );
  return ops.where(mask.to({ dtype: "bool" }), recolour(rgba, random), rgba);
}

/** Colours times alpha: what lies under transparent pixels must not bleed in when pixels are interpolated. */
function premultiply(rgba: Tensor): Tensor {
  const alpha = rgba.narrow(1, 3, 1);
  return cat([rgba.narrow(1, 0, 3).mul(alpha), alpha], 1);
}

export const normalisation = { mean: [0.5, 0.5, 0.5], std: [0.5, 0.5, 0.5] };

function normalise(images: Tensor): Tensor {
  return images.sub(0.5).mul(2).contiguous("channels_last");
}
