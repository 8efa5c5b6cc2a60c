/** Constants that hide places, such as the mask of attention in shifted windows, and are therefore not trained. */
import { ops, scope, type Tensor } from "../../torch/index.ts";
import { present } from "../features.ts";
import { HostArray, isFloating, kindOf, toTensor } from "../values.ts";
import { Constants } from "./constants.ts";
import { fixedOf, fold } from "./fold.ts";
import type { Graph, GraphNode } from "./graph.ts";

/** At most this is no weight but minus infinity in a mask; published files have -100 and lower. */
const maskedOut = -100;
/** Nodes that the search may compute; chains that make masks have about a hundred each. */
const maximumNodes = 50_000;

/** Looks at values that do not depend on the images. */
export class MaskSearch {
  readonly #graph: Graph;
  readonly #producers: ReadonlyMap<number, GraphNode>;
  readonly #order: ReadonlyMap<GraphNode, number>;
  readonly #known = new Map<number, boolean>();
  #left = maximumNodes;

  constructor(graph: Graph, nodes: readonly GraphNode[]) {
    this.#graph = graph;
    this.#producers = new Map(nodes.flatMap((node) => present(node.outputs).map((slot) => [slot, node] as const)));
    this.#order = new Map(nodes.map((node, i) => [node, i]));
  }

  /** True when a slot's value is a mask. */
  isMask(slot: number): boolean {
    const known = this.#known.get(slot) ?? this.#look(slot);
    this.#known.set(slot, known);
    return known;
  }

  #look(slot: number): boolean {
    const constant = this.#graph.constants.get(slot);
    if (constant instanceof HostArray) return false;
    if (constant) return isFloating(constant.dtype) && scope(() => hidesPlaces(constant.read()));
    const chain = this.#chain(slot);
    const constants = new Constants();
    try {
      for (const input of new Set(chain.flatMap(({ inputs }) => present(inputs)))) {
        const source = this.#graph.constants.get(input);
        if (source) constants.set(input, fixedOf(source));
      }
      return scope(() => {
        fold(this.#graph, chain, constants, [slot]);
        const value = constants.get(slot, "float32", "cpu");
        return value !== undefined && kindOf(value) === "float" && hidesPlaces(toTensor(value, "float32", "cpu"));
      });
    } finally {
      constants.dispose();
    }
  }

  /** The nodes that a slot depends on, in order; none when the search has taken too long. */
  #chain(slot: number): GraphNode[] {
    const found = new Set<GraphNode>();
    const open = [slot];
    for (let next = open.pop(); next !== undefined; next = open.pop()) {
      const node = this.#producers.get(next);
      if (!node || found.has(node)) continue;
      if (this.#left === 0) return [];
      this.#left -= 1;
      found.add(node);
      for (const input of present(node.inputs)) open.push(input);
    }
    return [...found].sort((a, b) => (this.#order.get(a) ?? 0) - (this.#order.get(b) ?? 0));
  }
}

/** Only 0 and one number that is as good as minus infinity; or, between places and places, only 0. */
function hidesPlaces(tensor: Tensor): boolean {
  return scope(() => {
    if (tensor.numel() < 2) return false;
    const least = tensor.min().item();
    const isSquare = tensor.dim() >= 2 && tensor.size(-1) === tensor.size(-2);
    if (!(least <= maskedOut) && !(isSquare && least === 0)) return false;
    return ops.logical_or(tensor.eq(0), tensor.eq(least)).all().item() === 1;
  });
}
