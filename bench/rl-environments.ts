/** Steps a second of the environments that play in this process, with random actions, on one core. */
import {
  type LocalEnvironment,
  type LocalId,
  localIds,
  makeLocalEnvironment,
  RandomStream,
} from "../src/rl/environments/index.ts";
import { type Figure, median, seconds } from "./figure.ts";

const copies = 64;
/** What the project promises of Breakout; of the others, that they never hold up the network that plays them. */
const leastOf = (id: LocalId) => (id === "minatar:breakout" ? 1e6 : 250_000);

export function rlEnvironments(rounds: number, batches: number): Figure[] {
  return localIds.map((id) => environmentSpeed(id, rounds, batches));
}

function environmentSpeed(id: LocalId, rounds: number, batches: number): Figure {
  const environment = makeLocalEnvironment(id, { n: copies });
  const random = new RandomStream(1);
  const round = () => seconds(() => play(environment, random, batches));
  round();
  const least = leastOf(id);
  const ours = (copies * batches) / median(Array.from({ length: rounds }, round));
  return {
    name: `${id}, random actions`,
    ours: { what: "environment steps a second", value: ours },
    other: { what: "steps a second wanted", value: least },
    ratio: ours / least,
    goal: `at least ${least} a second`,
    met: ours >= least,
    note: `batches of ${copies} on one core, drawing the actions included, median of ${rounds} rounds`,
  };
}

function play(environment: LocalEnvironment, random: RandomStream, batches: number): void {
  const { n } = environment.actionSpace;
  const actions = new Int32Array(copies);
  for (let batch = 0; batch < batches; batch++) {
    for (let i = 0; i < copies; i++) actions[i] = random.below(n);
    environment.step(actions);
  }
}
