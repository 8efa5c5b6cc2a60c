/** A training step of ResNet-50 (224 px, channels-last) against PyTorch, eager and compiled by inductor, in turn in one run. */
import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { createBackbone } from "../src/models/index.ts";
import { Linear } from "../src/nn/index.ts";
import { SGD } from "../src/optim/index.ts";
import { autocast, Generator, ops, rand, randint, scope, type Tensor } from "../src/torch/index.ts";
import { type Figure, inTurn, median, ratioFigure, seconds } from "./figure.ts";

const [pixels, classes] = [224, 1000];

/** What one round is: a GPU is not busy with few images, nor timed well by few steps. */
const loadOf = (device: string, isQuick: boolean) =>
  device === "cpu" ? { batch: isQuick ? 4 : 16, steps: isQuick ? 1 : 2 } : { batch: 128, steps: 10 };

const sides = [
  { side: "eager", what: "PyTorch eager", goals: { float32: 0.8, bfloat16: 0.8 } },
  { side: "compile", what: "torch.compile", goals: { float32: 0.9, bfloat16: 0.85 } },
] as const;

/** Undefined when the given Python has no torch. */
export async function resnetStep(python: string, isQuick: boolean, device: string): Promise<Figure[] | undefined> {
  const rounds = isQuick ? 2 : 5;
  const { batch, steps } = loadOf(device, isQuick);
  const reference = await startReference(python, batch, device);
  if (!reference) return undefined;
  try {
    const step = trainingStep(batch, device);
    const figures: Figure[] = [];
    for (const { side, what, goals } of sides) {
      for (const precision of ["float32", "bfloat16"] as const) {
        const ours = () => seconds(() => step(precision, steps));
        const theirs = () => reference.run(side, precision, steps);
        try {
          await inTurn(1, ours, theirs);
        } catch (error) {
          console.error(`left out: ResNet-50 against ${what}: ${(error as Error).message}`);
          break;
        }
        const [a, b] = await inTurn(rounds, ours, theirs);
        figures.push(
          ratioFigure(
            `ResNet-50 training step, ${precision}, against ${what}`,
            { what: "s, this engine", value: median(a) / steps },
            { what: `s, ${what} ${reference.version}`, value: median(b) / steps },
            device === "cpu" ? goals[precision] : 1.1,
            `${device}, batch ${batch}, ${pixels} px, channels-last, SGD nesterov, median of ${rounds} rounds in turn`,
          ),
        );
      }
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
  const images = scope(() =>
    rand([batch, 3, pixels, pixels], { generator }).to({ device }).contiguous("channels_last"),
  );
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
  /** Seconds. @throws what keeps PyTorch from it */
  run(side: string, precision: string, steps: number): Promise<number>;
  stop(): void;
}

async function startReference(python: string, batch: number, device: string): Promise<Reference | undefined> {
  const script = fileURLToPath(new URL("reference/resnet50.py", import.meta.url));
  const child = spawn(python, [script, String(batch), String(pixels), String(classes), device], {
    stdio: ["pipe", "pipe", "ignore"],
  });
  child.on("error", () => {});
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const ready = await lines.next();
  if (ready.done) return undefined;
  return {
    version: String(ready.value).split(" ")[1] ?? "",
    async run(side, precision, steps) {
      child.stdin.write(`${side} ${precision} ${steps}\n`);
      const answer = String((await lines.next()).value);
      if (Number.isNaN(Number(answer))) throw new Error(answer);
      return Number(answer);
    },
    stop: () => child.kill(),
  };
}
