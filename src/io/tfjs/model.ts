/** TensorFlow.js models as trainable networks. n images, H x W pixels, d features, S classes. */
import { inferenceMode, scope, type Tensor, UserError, zeros } from "../../torch/index.ts";
import { type GraphInput, GraphModel, type GraphModelOptions } from "../graph-model.ts";
import { type Choice, chooseFeatures } from "./features.ts";
import { Budget, Guard } from "./guard.ts";
import type { Parameters } from "./parameters.ts";
import { type Network, Program } from "./plan.ts";
import { shown } from "./text.ts";

/** Two, so that a network which works for one image only is found out. */
const probeImages = 2;
const largestSide = 4096;

/** A layers or graph model; weights are parameters under their names in the file, BatchNorm layers are children. */
export class TfjsModel extends GraphModel {
  readonly input: GraphInput;
  readonly featuresName: string;
  readonly featureWidth: number;
  readonly candidates: readonly string[];
  readonly files: readonly string[];
  readonly #network: Network;
  readonly #features: Program;
  readonly #scores: Program | undefined;
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
    this.#register(parameters, file);
    this.#held = [...parameters.held];
    this.input = inputOf(network, file);
    const side = this.input.size ?? options.size ?? 224;
    if (side > largestSide) throw new UserError(`${file} takes images of ${side} pixels; ${largestSide} are supported`);
    const { choice, scores } = this.#probe(side, options.features, file);
    this.featuresName = choice.name;
    this.featureWidth = choice.width;
    this.candidates = choice.candidates;
    this.#features = new Program({ file, steps: network.steps }, [choice.name]);
    this.#scores = scores === undefined ? undefined : new Program({ file, steps: network.steps }, [scores]);
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

  /** One run on blank images tells all shapes, and that the network works at all. */
  #probe(side: number, wish: string | undefined, file: string): { choice: Choice; scores: string | undefined } {
    const { outputs, steps, input, layout } = this.#network;
    const makes = new Set(steps.flatMap((step) => step.outputs));
    const wanted = [...new Set(wish !== undefined && makes.has(wish) ? [...outputs, wish] : outputs)];
    const shapes = new Map<string, readonly number[]>();
    this.eval();
    scope(() =>
      inferenceMode(() => {
        const blank = zeros(layout === "NHWC" ? [probeImages, side, side, 3] : [probeImages, 3, side, side]);
        const program = new Program({ file, steps }, wanted);
        program.run(new Map([[input, blank]]), new Budget(probeImages), (step, made) => {
          for (const [i, tensor] of made.entries()) {
            if (tensor.dtype === "float32") shapes.set(step.outputs[i] ?? "", tensor.shape);
          }
        });
      }),
    );
    this.train();
    const choice = chooseFeatures(this.#network, shapes, probeImages, wish, file);
    const [first = ""] = outputs;
    const shape = shapes.get(first);
    if (shape && shape[0] !== probeImages) {
      throw new UserError(
        `${file}: its output ${shown(first)} has the shape [${shape.join(", ")}] for ${probeImages} images: ` +
          "it fixes the number of images; export it with an open batch dimension",
      );
    }
    return { choice, scores: choice.name !== first && shape?.length === 2 ? first : undefined };
  }

  override forward(images: Tensor): Tensor {
    return scope(() => {
      const features = this.#run(this.#features, images);
      const map =
        features.dim() === 4 && this.#network.layout === "NCHW" ? [2, 3] : [1, 2].slice(0, features.dim() - 2);
      return map.length > 0 ? features.mean(map) : features;
    });
  }

  override classify(images: Tensor): Tensor | undefined {
    const program = this.#scores;
    return program && scope(() => this.#run(program, images));
  }

  #run(program: Program, images: Tensor): Tensor {
    const { size, layout } = this.input;
    const [n = 0, channels, height, width] = images.shape;
    if (images.dim() !== 4 || channels !== 3 || (size !== undefined && (height !== size || width !== size))) {
      const side = size ?? "H";
      throw new UserError(
        `${this.files[0]} takes images [n, 3, ${side}, ${size ?? "W"}], not [${images.shape.join(", ")}]`,
      );
    }
    const given = layout === "NHWC" ? images.permute([0, 2, 3, 1]) : images;
    const [result] = program.run(new Map([[this.#network.input, given]]), new Guard(n));
    return result as Tensor;
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
  if (inputShape.length > 0 && (inputShape.length !== 4 || (channels !== 3 && channels !== -1))) {
    throw new UserError(`${file}: its input ${shown(input)} is ${shape}, but only colour images are supported`);
  }
  if (height !== width)
    throw new UserError(`${file}: its images are ${height} x ${width}; only square ones are supported`);
  return { name: input, layout, size: height === -1 ? undefined : height };
}
