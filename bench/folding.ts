/** Features of eight images by each model of a hub: convolutions folded with what follows them, against layer by layer. */
import { loadMembers, openHub } from "../src/hub/index.ts";
import { FoldedNorms } from "../src/nn/index.ts";
import { Generator, inferenceMode, rand, scope } from "../src/torch/index.ts";
import { type Figure, inTurn, median, processorSeconds, ratioFigure } from "./figure.ts";

const [images, passes] = [8, 2];

export async function folding(rounds: number, hub: string): Promise<Figure[]> {
  using generator = new Generator(0);
  const figures: Figure[] = [];
  for (const member of loadMembers(openHub(hub))) {
    const { name, entry } = member;
    const { size } = entry.input;
    using x = scope(() => rand([images, 3, size, size], { generator }));
    member.backbone.eval();
    using folds = new FoldedNorms();
    const pass = () => scope(() => inferenceMode(() => void member.features(x)));
    const plain = () => processorSeconds(() => Array.from({ length: passes }, pass)) / passes;
    const folded = () => processorSeconds(() => Array.from({ length: passes }, () => folds.run(pass))) / passes;
    await inTurn(1, folded, plain);
    const [ours, other] = await inTurn(rounds, folded, plain);
    figures.push(
      ratioFigure(
        `features of ${images} images by ${name}`,
        { what: "s, folded", value: median(ours) },
        { what: "s, layer by layer", value: median(other) },
        1,
        `processor time, median of ${rounds} rounds in turn`,
      ),
    );
    member.dispose();
  }
  return figures;
}
