/** A training step of ResNet-50 (224 px, channels-last) against PyTorch eager, in turn in one run. */
import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { createBackbone } from "../src/models/index.ts";
import { Linear } from "../src/nn/index.ts";
import { SGD } from "../src/optim/index.ts";
import { autocast, Generator, ops, rand, randint, scope, type Tensor } from "../src/torch/index.ts";
import { type Figure, inTurn, median, ratioFigure, seconds } from "./figure.ts";

const [side, classes] = [224, 1000];

/** What one round is: a GPU is not busy with few images, nor timed well by few steps. */
const loadOf = (device: string) => (device === "cpu" ? { batch: 16, steps: 2 } : { batch: 128, steps: 10 });

/** Undefined when the given Python has no torch. */
export async function resnetStep(python: string, rounds: number, device: string): Promise<Figure[] | undefined> {
  const { batch, steps } = loadOf(device);
  const reference = await startReference(python, batch, device);
  if (!reference) return undefined;
  try {
    const step = trainingStep(batch, device);
    const figures: Figure[] = [];
    for (const precision of ["float32", "bfloat16"] as const) {
      const ours = () => seconds(() => step(precision, steps));
      const theirs = () => reference.run(precision, steps);
      await inTurn(1, ours, theirs);
      const [a, b] = await inTurn(rounds, ours, theirs);
      figures.push(
        ratioFigure(
          `ResNet-50 training step, ${precision}`,
          { what: "s, this engine", value: median(a) / steps },
          { what: `s, PyTorch eager ${reference.version}`, value: median(b) / steps },
          1.1,
          `${device}, batch ${batch}, ${side} px, channels-last, SGD nesterov, median of ${rounds} rounds in turn`,
        ),
      );
    }
    return figures;
  } finally {
    reference.stop();
  }
}

/** Steps of training; they are over when the function returns. */
function trainingStep(batch: number, device: string): (precision: "float32" | "bfloat16", steps: number) => void {
  const generator = new Generator(0);
  const backbone = createBackbone("resnet", { layers: [3, 4, 6, 3], block: "bottleneck" }, { generator });
  const head = new Linear(backbone.featureWidth, classes, { generator });
  backbone.to({ memory_format: "channels_last", device });
  head.to({ device });
  const params = [...backbone.parameters(), ...head.parameters()];
  const optimizer = new SGD([{ params, lr: 0.01, momentum: 0.9, nesterov: true, weight_decay: 1e-4 }]);
  const images = scope(() => rand([batch, 3, side, side], { generator }).to({ device }).contiguous("channels_last"));
  const targets = scope(() => randint(0, classes, [batch], { generator }).to({ device }));
  const step = (precision: string): Tensor => {
    const loss = scope(() =>
      autocast({ device, dtype: "bfloat16", enabled: precision === "bfloat16" }, () =>
        ops.cross_entropy_loss(head.forward(backbone.forward(images)), targets),
      ),
    );
    scope(() => {
      loss.backward();
      optimizer.step();
      optimizer.zeroGrad();
    });
    return loss;
  };
  return (precision, steps) => {
    for (let i = 0; i < steps; i++) {
      using loss = step(precision);
      if (i === steps - 1) loss.item();
    }
  };
}

interface Reference {
  version: string;
  run(precision: string, steps: number): Promise<number>;
  stop(): void;
}

async function startReference(python: string, batch: number, device: string): Promise<Reference | undefined> {
  const script = fileURLToPath(new URL("reference/resnet50.py", import.meta.url));
  const child = spawn(python, [script, String(batch), String(side), String(classes), device], {
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
