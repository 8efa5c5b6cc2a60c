/** TensorFlow.js models as trainable networks. n images, H x W pixels, d features, S classes. */
import { quoted } from "../../io/index.ts";
import { scope, type Tensor, UserError } from "../../torch/index.ts";
import type { Batch } from "../batch.ts";
import {
  arranged,
  type GraphInput,
  GraphModel,
  type GraphModelOptions,
  oneByOne,
  oneByOneNote,
  runsOneByOne,
} from "../graph-model.ts";
import type { Found } from "../probe.ts";
import { type Network, Program } from "../program.ts";
import { discover } from "./discover.ts";
import { Guard } from "./guard.ts";
import type { Parameters } from "./parameters.ts";

const largestSide = 4096;

/** A layers or graph model; weights are parameters under their names in the file, BatchNorm layers are children. */
export class TfjsModel extends GraphModel {
  readonly input: GraphInput;
  readonly featuresName: string;
  readonly featureWidth: number;
  readonly candidates: readonly string[];
  readonly files: readonly string[];
  override readonly notes: readonly string[];
  readonly #network: Network;
  readonly #features: Program;
  readonly #scores: Program | undefined;
  readonly #fixed: Found<string>["fixed"];
  #oneByOne = false;
  /** Tensors that are part of the graph, not of the state. */
  readonly #held: readonly Tensor[];

  /**
   * Takes over all tensors of `parameters`.
   * @throws UserError when the network cannot run on images, or has no tensor that can serve as features
   */
  constructor(network: Network, parameters: Parameters, files: readonly string[], options: GraphModelOptions) {
    super();
    const [file = ""] = files;
    this.files = files;
    this.#network = network;
    this.input = inputOf(network, file);
    const { size = 224 } = options;
    const sides = this.input.sides ?? ([size, size] as const);
    if (Math.max(...sides) > largestSide) {
      throw new UserError(`${file} takes images of ${sides.join(" x ")} pixels; ${largestSide} are supported`);
    }
    for (const norm of parameters.norms.values()) norm.eval();
    const found = discover(network, parameters, file, this.input, options.features, sides);
    this.#register(parameters, file);
    this.#held = [...parameters.held];
    this.featuresName = found.features;
    this.featureWidth = found.width;
    this.candidates = found.candidates;
    const plan = { file, steps: network.steps };
    this.#features = new Program(plan, [found.features]);
    this.#scores = found.scores === undefined ? undefined : new Program(plan, [found.scores]);
    this.#fixed = found.fixed;
    this.eval();
    const runs = (part: Tensor): Tensor => this.forward(part);
    this.#oneByOne = found.fixed !== undefined && runsOneByOne(found.fixed.declared, sides, file, runs);
    this.train();
    this.notes = this.#oneByOne ? [...found.notes, oneByOneNote] : found.notes;
    if (options.device !== undefined) this.to({ device: options.device });
  }

  #register(parameters: Parameters, file: string): void {
    for (const [name, tensor] of parameters.trained) this.parameter(name, tensor);
    for (const [name, tensor] of parameters.fixed) this.buffer(name, tensor);
    for (const [name, norm] of parameters.norms) this.module(name, norm);
    const own = parameters.trained.size + parameters.fixed.size;
    const inNorms = [...parameters.norms.values()].reduce((sum, norm) => sum + norm.stateDict().size, 0);
    if (this.stateDict().size !== own + inNorms) throw new UserError(`${file}: two weights would have the same name`);
  }

  override forward(images: Tensor): Tensor {
    return scope(() => {
      const features = this.#run(this.#features, images);
      const map = features.dim() === 4 && this.#network.channel === 1 ? [2, 3] : [1, 2].slice(0, features.dim() - 2);
      return map.length > 0 ? features.mean(map) : features;
    });
  }

  override classify(images: Tensor): Tensor | undefined {
    const program = this.#scores;
    return program && scope(() => this.#run(program, images));
  }

  #run(program: Program, images: Tensor): Tensor {
    const file = this.files[0] ?? "";
    const given = arranged(images, this.input, file);
    return this.#oneByOne
      ? oneByOne(given, (image) => this.#batch(program, image, file))
      : this.#batch(program, given, file);
  }

  #batch(program: Program, images: Tensor, file: string): Tensor {
    const n = images.size(0);
    const fixed = this.#fixed;
    const batch: Batch | undefined =
      fixed && fixed.declared !== n ? { declared: fixed.declared, actual: n } : undefined;
    const reference = fixed && batch && { batch, shapes: fixed.shapes };
    const [result] = program.run(new Map([[this.#network.input, images]]), new Guard(n), { reference });
    if (result && result.dim() >= 2 && result.size(0) === n) return result;
    throw new UserError(`${file} gives [${result?.shape}] for ${n} images, not a row for each`);
  }

  override dispose(): void {
    super.dispose();
    for (const tensor of this.#held) tensor.dispose();
  }
}

function inputOf(network: Network, file: string): GraphInput {
  const { inputShape, layout, input } = network;
  const [, ...rest] = inputShape;
  const [height = -1, width = -1, channels = -1] = layout === "NHWC" ? rest : [rest[1], rest[2], rest[0]];
  const shape = `[${inputShape.map((size) => (size === -1 ? "?" : size)).join(", ")}]`;
  const channelCount = channels === -1 ? 3 : channels;
  if (inputShape.length > 0 && (inputShape.length !== 4 || (channelCount !== 3 && channelCount !== 1))) {
    throw new UserError(`${file}: its input ${quoted(input)} is ${shape}; colour or grey images are needed`);
  }
  const [h, w] = [height === -1 ? width : height, width === -1 ? height : width];
  const sides = h === -1 || w === -1 ? undefined : ([h, w] as const);
  return { name: input, layout, channels: channelCount === 1 ? 1 : 3, sides };
}
