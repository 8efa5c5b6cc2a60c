/** Graphs of files as trainable networks, the same for ONNX and TensorFlow.js. n images, d features, S classes. */
import { scope, Tensor, UserError } from "../torch/index.ts";
import {
  arranged,
  type GraphInput,
  GraphModel,
  type GraphModelOptions,
  oneByOne,
  oneByOneNote,
  runsOneByOne,
} from "./graph-model.ts";
import type { GraphFile, Network } from "./network.ts";
import { discover, type Found } from "./probe.ts";
import { Program } from "./program.ts";

/**
 * The trainable network of a graph. The caller disposes it.
 * @throws UserError when nothing can serve as features, or what is needed cannot be run on images
 */
export function openNetwork<V>(graph: GraphFile<V>, options: GraphModelOptions): GraphModel {
  const { size = 224, features, device } = options;
  const sides = graph.images.sides ?? ([size, size] as const);
  return scope(() => {
    const found = discover(graph, features, sides);
    try {
      const model = new NetworkModel(graph, found);
      model.tryBatches(sides);
      return device === undefined ? model : model.to({ device });
    } catch (error) {
      found.network.dispose();
      throw error;
    }
  });
}

/** Weights are parameters under their names in the file, BatchNorm layers are children. */
class NetworkModel<V> extends GraphModel {
  readonly input: GraphInput;
  readonly featuresName: string;
  readonly featureWidth: number;
  readonly candidates: readonly string[];
  readonly files: readonly string[];
  override notes: readonly string[];
  readonly #found: Found<V>;
  readonly #features: Program<V>;
  readonly #scores: Program<V> | undefined;
  /** Dimensions of the pixels in a map. */
  readonly #mapDims: readonly number[];
  #oneByOne = false;

  /** Takes over what is in the network, unless it throws. @throws UserError when two of its weights have the same name */
  constructor(graph: GraphFile<V>, found: Found<V>) {
    super();
    const { network, features, scores } = found;
    const { batch: _, ...input } = graph.images;
    this.#found = found;
    this.input = input;
    this.files = graph.files;
    this.featuresName = graph.nameOf(features);
    this.featureWidth = found.width;
    this.candidates = found.candidates.map(graph.nameOf);
    this.notes = found.notes;
    this.#mapDims = graph.channel === 1 ? [2, 3] : [1, 2];
    this.#features = new Program(network, [features]);
    this.#scores = scores === undefined ? undefined : new Program(network, [scores]);
    this.#register(network);
  }

  #register({ parameters, buffers, norms, file }: Network<V>): void {
    for (const [name, tensor] of parameters) this.parameter(name, tensor);
    for (const [name, tensor] of buffers) this.buffer(name, tensor);
    for (const [name, norm] of norms) this.module(name, norm);
    const inNorms = [...norms.values()].reduce((sum, norm) => sum + norm.stateDict().size, 0);
    if (this.stateDict().size === parameters.size + buffers.size + inNorms) return;
    throw new UserError(`${file}: two of its weights would have the same name`);
  }

  /**
   * Finds out, for a file that fixes its batch, if its images have to run one by one.
   * @throws UserError when it takes no other number of images than the file's
   */
  tryBatches(sides: readonly [number, number]): void {
    const { fixed, network } = this.#found;
    this.eval();
    const run = (images: Tensor): Tensor => this.forward(images);
    this.#oneByOne = fixed !== undefined && runsOneByOne(fixed.declared, sides, network.file, run);
    this.train();
    if (this.#oneByOne) this.notes = [...this.notes, oneByOneNote];
  }

  override forward(images: Tensor): Tensor {
    return scope(() => {
      const features = this.#run(this.#features, images);
      if (features.dim() === 2) return features;
      return features.mean(features.dim() === 3 ? [1] : this.#mapDims);
    });
  }

  override classify(images: Tensor): Tensor | undefined {
    const program = this.#scores;
    return program && scope(() => this.#run(program, images));
  }

  #run(program: Program<V>, images: Tensor): Tensor {
    const { fixed, network } = this.#found;
    const run = (group: Tensor): Tensor => {
      const n = group.size(0);
      const [value] = program.run(group, { fixed });
      if (value instanceof Tensor && value.dim() >= 2 && value.size(0) === n) return value;
      throw new UserError(`${network.file} gives [${value?.shape}] for ${n} images, not a row for each`);
    };
    const given = arranged(images, this.input, network.file);
    return this.#oneByOne ? oneByOne(given, run) : run(given);
  }

  override dispose(): void {
    super.dispose();
    this.#found.network.release();
  }
}
