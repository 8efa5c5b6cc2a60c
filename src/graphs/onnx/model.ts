/** ONNX graphs as trainable networks. n images, H x W pixels, d features, S classes. */
import { scope, Tensor, UserError } from "../../torch/index.ts";
import {
  arranged,
  type GraphInput,
  GraphModel,
  type GraphModelOptions,
  oneByOne,
  oneByOneNote,
  runsOneByOne,
} from "../graph-model.ts";
import type { Discovery } from "./discover.ts";
import type { Images } from "./input.ts";
import type { Network } from "./network.ts";
import { Program } from "./program.ts";

/**
 * A network of an ONNX file. Weights (see trained.ts) are parameters under their names in the file, BatchNormalization
 * nodes are BatchNorm2d children; other constants are part of the graph and not of its state.
 */
export class OnnxModel extends GraphModel {
  readonly input: GraphInput;
  readonly featuresName: string;
  readonly featureWidth: number;
  readonly candidates: readonly string[];
  readonly files: readonly string[];
  override readonly notes: readonly string[];
  readonly #network: Network;
  readonly #features: Program;
  readonly #scores: Program | undefined;
  readonly #fixed: Discovery["fixed"];
  #oneByOne = false;

  /**
   * Takes over what is in the network, unless it throws.
   * @throws UserError when it cannot run on images, or two of its weights have the same name
   */
  constructor(found: Discovery, images: Images, options: GraphModelOptions) {
    super();
    const { network, fixed } = found;
    const { batch: _, ...input } = images;
    const nameOf = (slot: number): string => network.graph.names[slot] ?? "";
    this.#network = network;
    this.input = input;
    this.files = network.graph.files;
    this.#register();
    this.featuresName = nameOf(found.features);
    this.featureWidth = found.width;
    this.candidates = found.candidates.map(nameOf);
    this.#features = new Program(network, [found.features]);
    this.#scores = found.scores === undefined ? undefined : new Program(network, [found.scores]);
    this.#fixed = fixed;
    const { size = 224 } = options;
    this.eval();
    const sides = input.sides ?? ([size, size] as const);
    const runs = (part: Tensor): Tensor => this.forward(part);
    this.#oneByOne = fixed !== undefined && runsOneByOne(fixed.declared, sides, this.files[0] ?? "", runs);
    this.train();
    this.notes = this.#oneByOne ? [...found.notes, oneByOneNote] : found.notes;
    if (options.device !== undefined) this.to({ device: options.device });
  }

  #register(): void {
    const { graph, parameters, norms } = this.#network;
    for (const [slot, tensor] of parameters) this.parameter(graph.names[slot] ?? "", tensor);
    const layers = new Map(Array.from(norms.values(), ({ name, layer }) => [name, layer]));
    for (const [name, layer] of layers) this.module(name, layer);
    const inLayers = [...layers.values()].reduce((sum, layer) => sum + layer.stateDict().size, 0);
    if (this.stateDict().size === parameters.size + inLayers) return;
    throw new UserError(`${graph.path}: two of its weights would have the same name`);
  }

  override forward(images: Tensor): Tensor {
    return scope(() => {
      const features = this.#run(this.#features, images);
      if (features.dim() === 2) return features;
      return features.mean(features.dim() === 4 ? [2, 3] : [1]);
    });
  }

  override classify(images: Tensor): Tensor | undefined {
    const program = this.#scores;
    return program && scope(() => this.#run(program, images));
  }

  #run(program: Program, images: Tensor): Tensor {
    const file = this.files[0] ?? "";
    const shown = arranged(images, this.input, file);
    const run = (group: Tensor): Tensor => {
      const n = group.size(0);
      const [value] = program.run(group, { reference: this.#fixed });
      if (value instanceof Tensor && value.dim() >= 2 && value.size(0) === n) return value;
      throw new UserError(`${file} gives [${value?.shape}] for ${n} images, not a row for each`);
    };
    return this.#oneByOne ? oneByOne(shown, run) : run(shown);
  }

  override dispose(): void {
    super.dispose();
    this.#network.constants.dispose();
  }
}
