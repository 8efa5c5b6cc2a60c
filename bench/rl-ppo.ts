/** PPO, play and updates together, against the same PPO in PyTorch eager, in turn in one run. */
import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { buildNetwork, usualNetwork } from "../src/rl/agents/build.ts";
import { EpisodeMeter } from "../src/rl/algorithms/episodes.ts";
import { defaultPpoOptions, Ppo } from "../src/rl/algorithms/ppo.ts";
import {
  actionNames,
  LocalEnvironment,
  makeLocalEnvironment,
  observationForm,
  type Rules,
  type VectorEnvironment,
} from "../src/rl/index.ts";
import { getNumThreads, setNumThreads } from "../src/torch/index.ts";
import { type Figure, inTurn, median, ratioFigure } from "./figure.ts";

const [copies, rollout, epochs, minibatches] = [16, 128, 4, 4];
const updatesPerRound = 2;
const stepsPerRound = updatesPerRound * copies * rollout;

/** Random bits in the shape of MinAtar's grids, drawn once: play that costs nothing. */
function bits(): VectorEnvironment {
  const pool = Float32Array.from({ length: 64 * 400 }, (_, i) =>
    Math.imul(i + 1, 0x9e3779b1) >>> 0 < 2 ** 32 / 20 ? 1 : 0,
  );
  const rules: Rules<{ at: number; over: boolean }> = {
    id: "bits",
    observationSpace: { kind: "box", shape: [4, 10, 10], dtype: "float32", low: 0, high: 1 },
    actions: ["0", "1", "2", "3", "4", "5"],
    maxSteps: Number.POSITIVE_INFINITY,
    start: (random) => ({ at: random.below(64), over: false }),
    step(state, action) {
      state.at = (state.at + 1) % 64;
      state.over = state.at % 32 === 0;
      return action === state.at % 6 ? 1 : 0;
    },
    observe: (state, out, at) => out.set(pool.subarray(state.at * 400, (state.at + 1) * 400), at),
  };
  return new LocalEnvironment(rules, { n: copies });
}

async function learner(environment: VectorEnvironment): Promise<Ppo> {
  const form = observationForm(environment);
  const names = actionNames(environment);
  const kind = "policy-and-value";
  const network = buildNetwork(usualNetwork(form, kind), { form, actions: names, kind, seed: 0, hub: undefined });
  const setting = {
    environment,
    form,
    actions: names.length,
    network,
    episodes: new EpisodeMeter(copies),
    totalSteps: 1e9,
  };
  const ppo = new Ppo(setting, { ...defaultPpoOptions, rollout, epochs, minibatches });
  ppo.observations = await environment.reset();
  return ppo;
}

/** Undefined when the given Python has no torch. */
export async function rlPpo(python: string, rounds: number): Promise<Figure[] | undefined> {
  const script = fileURLToPath(new URL("reference/ppo.py", import.meta.url));
  const sizes = [copies, rollout, epochs, minibatches, 1].map(String);
  const child = spawn(python, [script, ...sizes], { stdio: ["pipe", "pipe", "ignore"] });
  child.on("error", () => {});
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const ready = await lines.next();
  if (ready.done) return undefined;
  const threads = getNumThreads();
  setNumThreads(1);
  const version = String(ready.value).split(" ")[1] ?? "";
  try {
    const figures: Figure[] = [];
    const tasks = { cartpole: makeLocalEnvironment("cartpole", { n: copies }), bits: bits() };
    for (const [name, environment] of Object.entries(tasks)) {
      const ppo = await learner(environment);
      const ours = async () => {
        const began = performance.now();
        for (let i = 0; i < updatesPerRound; i++) await ppo.advance();
        return (performance.now() - began) / 1000;
      };
      const theirs = async () => {
        child.stdin.write(`${name} ${updatesPerRound}\n`);
        return Number((await lines.next()).value);
      };
      await inTurn(1, ours, theirs);
      const [a, b] = await inTurn(rounds, ours, theirs);
      figures.push(
        ratioFigure(
          `PPO, ${name === "bits" ? "MinAtar's network on random grids" : "CartPole"}, 10,000 steps`,
          { what: "s, this engine", value: (median(a) / stepsPerRound) * 1e4 },
          { what: `s, PyTorch eager ${version}`, value: (median(b) / stepsPerRound) * 1e4 },
          1,
          `${copies} copies, rollouts of ${rollout} steps, ${epochs} epochs of ${minibatches} minibatches, play included; one thread each: these networks are too small for more`,
        ),
      );
      ppo.dispose();
    }
    return figures;
  } finally {
    child.kill();
    setNumThreads(threads);
  }
}
