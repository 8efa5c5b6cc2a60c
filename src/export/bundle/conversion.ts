/** Members' files in the precision that was asked for. */
import type { OnnxRuntime } from "../../runtime/index.ts";
import { ConfigError } from "../../torch/index.ts";
import type { OpenedRun, RunData } from "../../train/index.ts";
import { withFloat16 } from "../precision/float16.ts";
import type { Precision } from "../precision/graph.ts";
import type { GateOptions } from "./gate.ts";
import { calibrated, trainingImages } from "./ranges.ts";

export class Conversion implements Disposable {
  readonly #convert: (bytes: Uint8Array) => Uint8Array | Promise<Uint8Array>;
  readonly #images: RunData | undefined;

  private constructor(convert: (bytes: Uint8Array) => Uint8Array | Promise<Uint8Array>, images?: RunData) {
    this.#convert = convert;
    this.#images = images;
  }

  /** @throws UserError for integers without training images; ConfigError without onnxruntime-node, which has to run the files */
  static async open(
    run: OpenedRun,
    precision: Precision,
    ort: OnnxRuntime | undefined,
    { data, signal }: GateOptions,
  ): Promise<Conversion> {
    if (precision === "float32") return new Conversion((bytes) => bytes);
    if (!ort) {
      throw new ConfigError(`--precision ${precision} needs onnxruntime-node, whose answers it stores: npm install it`);
    }
    if (precision === "float16") return new Conversion(withFloat16);
    const images = await trainingImages(run, data);
    const { imageSize } = images;
    return new Conversion((bytes) => calibrated(bytes, imageSize, ort, images.batches, signal), images);
  }

  of(bytes: Uint8Array): Uint8Array | Promise<Uint8Array> {
    return this.#convert(bytes);
  }

  [Symbol.dispose](): void {
    this.#images?.dispose();
  }
}
