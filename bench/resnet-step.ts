/** A training step of ResNet-50 (batch 16, 224 px, channels-last) against PyTorch eager, in turn in one run. */
import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { createBackbone } from "../src/models/index.ts";
import { Linear } from "../src/nn/index.ts";
import { SGD } from "../src/optim/index.ts";
import { autocast, Generator, ops, rand, randint, scope } from "../src/torch/index.ts";
import { type Figure, inTurn, median, ratioFigure, seconds } from "./figure.ts";

const [batch, side, classes] = [16, 224, 1000];
const stepsPerRound = 2;

/** Undefined when the given Python has no torch. */
export async function resnetStep(python: string, rounds: number): Promise<Figure[] | undefined> {
  const reference = await startReference(python);
  if (!reference) return undefined;
  try {
    const step = trainingStep();
    const figures: Figure[] = [];
    for (const precision of ["float32", "bfloat16"] as const) {
      const ours = () => seconds(() => Array.from({ length: stepsPerRound }, () => step(precision)));
      const theirs = () => reference.run(precision, stepsPerRound);
      await inTurn(1, ours, theirs);
      const [a, b] = await inTurn(rounds, ours, theirs);
      figures.push(
        ratioFigure(
          `ResNet-50 training step, ${precision}`,
          { what: "s, this engine", value: median(a) / stepsPerRound },
          { what: `s, PyTorch eager ${reference.version}`, value: median(b) / stepsPerRound },
          1.1,
          `batch ${batch}, ${side} px, channels-last, SGD nesterov, median of ${rounds} rounds in turn`,
        ),
      );
    }
    return figures;
  } finally {
    reference.stop();
  }
}

function trainingStep(): (precision: "float32" | "bfloat16") => void {
  const generator = new Generator(0);
  const backbone = createBackbone("resnet", { layers: [3, 4, 6, 3], block: "bottleneck" }, { generator });
  const head = new Linear(backbone.featureWidth, classes, { generator });
  backbone.to({ memory_format: "channels_last" });
  const params = [...backbone.parameters(), ...head.parameters()];
  const optimizer = new SGD([{ params, lr: 0.01, momentum: 0.9, nesterov: true, weight_decay: 1e-4 }]);
  const images = scope(() => rand([batch, 3, side, side], { generator }).contiguous("channels_last"));
  const targets = randint(0, classes, [batch], { generator });
  return (precision) => {
    const loss = scope(() =>
      autocast({ dtype: "bfloat16", enabled: precision === "bfloat16" }, () =>
        ops.cross_entropy_loss(head.forward(backbone.forward(images)), targets),
      ),
    );
    scope(() => {
      loss.backward();
      optimizer.step();
      optimizer.zeroGrad();
    });
    loss.dispose();
  };
}

interface Reference {
  version: string;
  run(precision: string, steps: number): Promise<number>;
  stop(): void;
}

async function startReference(python: string): Promise<Reference | undefined> {
  const script = fileURLToPath(new URL("reference/resnet50.py", import.meta.url));
  const child = spawn(python, [script, String(batch), String(side), String(classes)], {
    stdio: ["pipe", "pipe", "ignore"],
  });
  child.on("error", () => {});
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const ready = await lines.next();
  if (ready.done) return undefined;
  return {
    version: String(ready.value).split(" ")[1] ?? "",
    async run(precision, steps) {
      child.stdin.write(`${precision} ${steps}\n`);
      return Number((await lines.next()).value);
    },
    stop: () => child.kill(),
  };
}
