/** Forward passes of 64 images at 224 px without gradients, sixteen at a time as a member runs them (src/hub/member.ts), against all at once. */
import { createBackbone } from "../src/models/index.ts";
import { FoldedNorms } from "../src/nn/index.ts";
import { cat, Generator, inferenceMode, rand, scope } from "../src/torch/index.ts";
import { type Figure, inTurn, median, ratioFigure, seconds } from "./figure.ts";

const [images, atOnce, side] = [64, 16, 224];

const networks: readonly [name: string, architecture: string, config: Readonly<Record<string, unknown>>][] = [
  ["ResNet-18", "resnet", { layers: [2, 2, 2, 2], block: "basic" }],
  ["ResNet-50", "resnet", { layers: [3, 4, 6, 3], block: "bottleneck" }],
  ["MobileNetV2", "mobilenet-v2", {}],
  ["DenseNet-121", "densenet", {}],
];

export async function cacheParts(rounds: number): Promise<Figure[]> {
  using generator = new Generator(0);
  using all = scope(() => rand([images, 3, side, side], { generator }).contiguous("channels_last"));
  const figures: Figure[] = [];
  for (const [name, architecture, config] of networks) {
    using network = createBackbone(architecture, config, { generator });
    network.eval();
    network.to({ memory_format: "channels_last" });
    using folds = new FoldedNorms();
    const pass = (rows: number) => (): number =>
      seconds(() =>
        scope(() => {
          const starts = Array.from({ length: images / rows }, (_, i) => i * rows);
          const forward = (first: number) => network.forward(all.narrow(0, first, rows));
          inferenceMode(() => folds.run(() => cat(starts.map((first) => scope(() => forward(first))))));
        }),
      );
    await inTurn(1, pass(atOnce), pass(images));
    const [parts, whole] = await inTurn(rounds, pass(atOnce), pass(images));
    figures.push(
      ratioFigure(
        `features of ${images} images by ${name} at ${side} px, ${atOnce} at a time against all at once`,
        { what: "s, in parts", value: median(parts) },
        { what: "s, at once", value: median(whole) },
        undefined,
        `median of ${rounds} rounds in turn`,
      ),
    );
  }
  return figures;
}
