/** TorchScript files as trainable models. n images, d features. */

import { reasonOf } from "../io/index.ts";
import { inferenceMode, Script, scope, type Tensor, UserError, zeros } from "../torch/index.ts";
import { GraphModel, type GraphModelOptions } from "./graph-model.ts";

/**
 * A program whose output serves as features. It stays in evaluation mode while it is trained (running statistics, no
 * dropout): its layers cannot be told apart from outside, so no BatchNorm policy can reach them.
 */
export class TorchScriptModel extends GraphModel {
  readonly input = { name: "input", layout: "NCHW", channels: 3, sides: undefined } as const;
  readonly featuresName = "output";
  readonly candidates = ["output"] as const;
  readonly files: readonly string[];
  readonly featureWidth: number;
  readonly #script: Script;

  constructor(script: Script, path: string, size: number, device: string | undefined) {
    super();
    script.kept = true;
    this.#script = script;
    this.files = [path];
    // First, because it may throw, and registered tensors would be left behind.
    this.featureWidth = scope(() =>
      inferenceMode(() => this.forward(zeros([1, 3, size, size], { device })).shape[1] ?? 0),
    );
    for (const { name, tensor, parameter } of script.tensors()) {
      if (parameter && /^float|^bfloat/.test(tensor.dtype)) this.parameter(name, tensor);
      else this.buffer(name, tensor);
    }
  }

  override forward(images: Tensor): Tensor {
    return scope(() => {
      const output = this.#script.forward(images);
      const rows = output.dim() === 4 ? output.mean([2, 3]) : output;
      if (rows.dim() === 2 && rows.size(0) === images.size(0)) return rows;
      throw new UserError(
        `${this.files[0]}: the program gives [${output.shape}] for [${images.shape}]; a hub's member must give ` +
          "features [n, d] or [n, d, h, w]: export the network without its classifier or its post-processing",
      );
    });
  }

  override dispose(): void {
    super.dispose();
    this.#script.dispose();
  }
}

/**
 * Loads a TorchScript program. It can do whatever libtorch can, files included: ask the user first.
 * @throws UserError when it is no program, takes no images, gives no features, or has nothing to train
 */
export function openTorchScript(path: string, options: GraphModelOptions = {}): TorchScriptModel {
  const { device, size = 224, features } = options;
  if (features !== undefined && features !== "output") {
    throw new UserError(`${path}: a TorchScript program has no inner tensor "${features}" to name; leave it out`);
  }
  let model: TorchScriptModel | undefined;
  let script: Script | undefined;
  try {
    script = Script.load(path, device);
    model = new TorchScriptModel(script, path, size, device);
  } catch (error) {
    script?.dispose();
    if (error instanceof UserError) throw error;
    throw new UserError(`${path} cannot be used as a TorchScript program: ${reasonOf(error)}`, { cause: error });
  }
  if (model.parameters().length > 0) return model;
  model.dispose();
  throw new UserError(
    `${path} has no parameters, so nothing of it can be trained: it was frozen (torch.jit.freeze); export it unfrozen`,
  );
}
