/** ONNX graphs as trainable networks. n images, H x W pixels, d features, S classes. */
import { arange, inferenceMode, ops, scope, Tensor, UserError } from "../../torch/index.ts";
import { type GraphInput, GraphModel, type GraphModelOptions } from "../graph-model.ts";
import { chooseFeatures } from "./features.ts";
import type { Images } from "./input.ts";
import type { Network } from "./network.ts";
import { Program, type Shapes } from "./program.ts";
import { isFloating } from "./values.ts";

/** How far features of the same images may be apart in batches of different sizes. */
const batchTolerance = 1e-3;

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
  readonly #network: Network;
  readonly #features: Program;
  readonly #scores: Program | undefined;
  /** For a file with a fixed batch: that, and the shapes of a run with it. */
  readonly #reference: { readonly shapes: Shapes; readonly declared: number } | undefined;

  /**
   * Takes over what is in the network, unless it throws.
   * @throws UserError when it cannot run on images, or has no tensor that can serve as features
   */
  constructor(network: Network, images: Images, wanted: readonly number[], options: GraphModelOptions) {
    super();
    const { graph } = network;
    const { batch, ...input } = images;
    this.#network = network;
    this.input = input;
    this.files = graph.files;
    this.#register();
    this.eval();
    const { shapes, floating } = this.#probe(wanted, batch ?? 2, options.size ?? 224);
    const choice = chooseFeatures(graph, floating, batch ?? 2, options.features);
    this.featuresName = graph.names[choice.slot] ?? "";
    this.featureWidth = choice.width;
    this.candidates = choice.candidates;
    this.#features = new Program(network, [choice.slot]);
    this.#scores = choice.scores === undefined ? undefined : new Program(network, [choice.scores]);
    this.#reference = batch === undefined ? undefined : { shapes, declared: batch };
    if (batch !== undefined) this.#checkBatch(batch, options.size ?? 224);
    this.train();
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

  /** One run tells all shapes, and that the network works at all. */
  #probe(wanted: readonly number[], n: number, side: number): { shapes: Shapes; floating: Shapes } {
    const shapes = new Map<number, readonly number[]>();
    const floating = new Map<number, readonly number[]>();
    scope(() =>
      inferenceMode(() =>
        new Program(this.#network, wanted).run(this.#arranged(pattern(n, this.input.size ?? side)), {
          watch: (slot, value) => {
            shapes.set(slot, value.shape);
            if (value instanceof Tensor && isFloating(value.dtype)) floating.set(slot, value.shape);
          },
        }),
      ),
    );
    return { shapes, floating };
  }

  /** A file with a fixed batch must give the same features to the same images in a larger one. */
  #checkBatch(batch: number, side: number): void {
    const apart = scope(() =>
      inferenceMode(() => {
        const images = pattern(2 * batch, this.input.size ?? side);
        const halves = [images.narrow(0, 0, batch), images.narrow(0, batch, batch)].map((half) => this.forward(half));
        const together = this.forward(images);
        return halves.every((half, i) => {
          const difference = together
            .narrow(0, i * batch, batch)
            .sub(half)
            .abs()
            .max()
            .item();
          return difference <= batchTolerance * (half.abs().max().item() + 1e-6);
        });
      }),
    );
    if (apart) return;
    throw new UserError(
      `${this.files[0]} is made for ${batch} image(s) at a time and gives others different features: ` +
        "export the network with a dynamic batch",
    );
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
    const { size } = this.input;
    const [n = 0, channels, height, width] = images.shape;
    const fits = size === undefined || (height === size && width === size);
    if (images.dim() !== 4 || channels !== 3 || !fits) {
      const side = size ?? "H";
      throw new UserError(`${this.files[0]} takes images [n, 3, ${side}, ${size ?? "W"}], not [${images.shape}]`);
    }
    const [value] = program.run(this.#arranged(images), { reference: this.#reference });
    if (value instanceof Tensor && value.dim() >= 2 && value.size(0) === n) return value;
    throw new UserError(`${this.files[0]} gives [${value?.shape}] for ${n} images, not a row for each`);
  }

  #arranged(images: Tensor): Tensor {
    return this.input.layout === "NHWC" ? images.permute([0, 2, 3, 1]) : images;
  }

  override dispose(): void {
    super.dispose();
    this.#network.constants.dispose();
  }
}

/** Images that differ from each other, without zeros, the same in every run. */
function pattern(n: number, side: number): Tensor {
  const numbers = arange(0, n * 3 * side * side, 1, { dtype: "float32" });
  return ops
    .sin(
      numbers
        .mul(0.7)
        .add(ops.sin(numbers.mul(1e-3)))
        .add(0.3),
    )
    .view([n, 3, side, side]);
}
