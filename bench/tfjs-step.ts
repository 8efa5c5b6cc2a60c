/**
 * A training step of a small ResNet against TensorFlow.js, in turn in one run: the same network, weights, images and updates, so
 * that the losses of each step agree.
 */
import { createBackbone } from "../src/models/index.ts";
import { Linear } from "../src/nn/index.ts";
import { SGD } from "../src/optim/index.ts";
import { Generator, getNumThreads, ops, rand, randint, scope, setNumThreads } from "../src/torch/index.ts";
import { type Figure, inTurn, median, processorSeconds, ratioFigure } from "./figure.ts";
import { loadTfjs, tfjsStep, type Weights } from "./reference/tfjs.ts";

const [batch, side, classes] = [16, 48, 10];
const network = { layers: [2, 2, 2, 2], width: 32, stem: "small", stemStride: 2 };
const training = { lr: 0.01, momentum: 0.9 };

/** Losses that differ by more are of another computation: float32, and steps that follow each other. */
const largestDifference = 1e-2;

/** Undefined without a folder that has TensorFlow.js. */
export async function tfjsSteps(rounds: number, folder: string | undefined): Promise<Figure[] | undefined> {
  if (folder === undefined) return undefined;
  const tf = await loadTfjs(folder);
  const threads = getNumThreads();
  setNumThreads(1);
  try {
    const { step, weights, given } = ourStep();
    const other = tfjsStep(tf, weights, { ...network, stride: network.stemStride, ...training }, given);
    const losses: [number[], number[]] = [[], []];
    const timed = (at: 0 | 1, fn: () => number) => () => processorSeconds(() => void losses[at].push(fn()));
    await inTurn(1, timed(0, step), timed(1, other));
    const [ours, theirs] = await inTurn(rounds, timed(0, step), timed(1, other));
    const apart = Math.max(...losses[0].map((loss, i) => Math.abs(loss - (losses[1][i] ?? Number.NaN))));
    if (!(apart <= largestDifference)) throw new Error(`the losses differ by ${apart}: ${JSON.stringify(losses)}`);
    return [
      ratioFigure(
        `training step of a ResNet, batch ${batch}, ${side} px, against TensorFlow.js`,
        { what: "s, this engine", value: median(ours) },
        { what: `s, TensorFlow.js ${tf.version_core} on WebAssembly`, value: median(theirs) },
        1 / 20,
        `processor time, median of ${rounds} rounds in turn; losses of ${losses[0].length} steps differ by ${apart.toExponential(1)} at most`,
      ),
    ];
  } finally {
    setNumThreads(threads);
  }
}

function ourStep() {
  const generator = new Generator(0);
  const backbone = createBackbone("resnet", network, { generator });
  const head = new Linear(backbone.featureWidth, classes, { generator });
  const named = [...backbone.namedParameters(), ...[...head.namedParameters()].map(([name, p]) => [`head.${name}`, p])];
  const weights: Weights = new Map(
    (named as [string, ReturnType<typeof rand>][]).map(([name, parameter]) => {
      return [name, { values: Float32Array.from(parameter.toNumbers()), shape: [...parameter.shape] }];
    }),
  );
  backbone.to({ memory_format: "channels_last" });
  const optimizer = new SGD([{ params: [...backbone.parameters(), ...head.parameters()], ...training }]);
  const images = scope(() => rand([batch, 3, side, side], { generator }).contiguous("channels_last"));
  const targets = randint(0, classes, [batch], { generator });
  const step = (): number => {
    using loss = scope(() => ops.cross_entropy_loss(head.forward(backbone.forward(images)), targets));
    scope(() => {
      loss.backward();
      optimizer.step();
      optimizer.zeroGrad();
    });
    return loss.item();
  };
  const given = {
    images: Float32Array.from(scope(() => images.permute([0, 2, 3, 1]).contiguous().toNumbers())),
    shape: [batch, side, side, 3] as [number, number, number, number],
    targets: Int32Array.from(targets.toNumbers()),
    classes,
  };
  return { step, weights, given };
}
