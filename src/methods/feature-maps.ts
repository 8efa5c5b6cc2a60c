/** Outputs of convolutions inside a network, read and changed from outside while it runs. */
import { Conv2d, type Module } from "../nn/index.ts";
import { disposeTree, inferenceMode, keep, ops, scope, type Tensor, zeros } from "../torch/index.ts";

/** A convolution of a network: its position among all of its modules, and what it gives. */
export interface MapPlace {
  module: number;
  channels: number;
  /** Height times width. */
  pixels: number;
}

/** Watches the maps [n, c, h, w] that some convolutions of one network give. */
export class FeatureMaps {
  /** Changes the map of the given place before the network goes on with it. */
  change: ((map: Tensor, place: number) => Tensor) | undefined;
  readonly #maps: Tensor[] = [];

  /** @param places positions of the convolutions among the network's modules */
  constructor(network: Module, places: readonly MapPlace[]) {
    const modules = network.modules();
    for (const [place, { module }] of places.entries()) {
      const part = modules[module];
      if (!part) throw new RangeError(`the network has no module ${module}`);
      part.registerForwardHook((map) => {
        // A handle of its own: the network releases the one that it gets. Many rows may pass it in parts.
        this.#maps[place]?.dispose();
        this.#maps[place] = keep(ops.alias(map));
        return this.change?.(map, place);
      });
    }
  }

  /** Runs `fn` and gives it the maps of what ran last, which are released after it. */
  use<T>(fn: (maps: readonly Tensor[]) => T): T {
    try {
      return fn(this.#maps);
    } finally {
      disposeTree([...this.#maps]);
      this.#maps.length = 0;
    }
  }
}

/**
 * The last convolution that runs at each size of map, largest first: of a residual network, the end of each stage. Sizes
 * of one pixel are left out. @param side pixels of the images
 */
export function lastConvolutions(network: Module, side: number): MapPlace[] {
  const places = new Map<number, MapPlace>();
  const { training } = network;
  const device = network.parameters()[0]?.device;
  const removals = [...network.modules().entries()].flatMap(([module, part]) => {
    if (!(part instanceof Conv2d)) return [];
    const note = (map: Tensor): undefined => {
      const [, channels = 0, height = 0, width = 0] = map.shape;
      if (height * width > 1) places.set(height * width, { module, channels, pixels: height * width });
    };
    return part.registerForwardHook(note);
  });
  try {
    scope(() => {
      inferenceMode(() => network.eval().forward(zeros([1, 3, side, side], { device })));
    });
  } finally {
    for (const remove of removals) remove();
    network.train(training);
  }
  return [...places.values()].sort((a, b) => b.pixels - a.pixels);
}
