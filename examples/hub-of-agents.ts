/**
 * A hub of agents: train two on games of their own, then play a third game through routes over both.
 *
 *   npx tsx examples/hub-of-agents.ts [folder] [steps of each training]
 *
 * Some hundred thousand steps (minutes) show learning; docs/reinforcement-learning.md has the experiment at full size.
 */
import { join } from "node:path";
import {
  type AlgorithmPlan,
  addAgentOfRun,
  makeEnvironment,
  type NetworkPlan,
  observationForm,
  openAgent,
  outputKind,
  playEpisodes,
  trainAgent,
  usualNetwork,
  usualPpoOptions,
} from "hub-pathway/rl";

const [folder = "runs/agents", steps = "100000"] = process.argv.slice(2);
const hub = join(folder, "hub");

/** Trains one agent into its own folder. @param network what is trained; the usual one for the game when left out */
async function trainOn(environment: string, network?: NetworkPlan): Promise<string> {
  const game = await makeEnvironment(environment);
  const form = observationForm(game);
  await game.close();
  const algorithm: AlgorithmPlan = { name: "ppo", options: usualPpoOptions(form) };
  const out = join(folder, environment.replace(":", "-"));
  const { meanReturn, episodes } = await trainAgent({
    environment,
    environmentOptions: {},
    algorithm,
    network: network ?? usualNetwork(form, outputKind(algorithm.name)),
    hub: network && hub,
    copies: 16,
    totalSteps: Number(steps),
    seed: 0,
    out,
    resume: false,
    emit: () => {},
  });
  console.log(`${environment}: mean return ${meanReturn?.toFixed(2) ?? "unknown"} after ${episodes} episodes`);
  return out;
}

for (const game of ["breakout", "freeway"]) {
  const run = await trainOn(`minatar:${game}`);
  await addAgentOfRun({ hub, name: game, run });
}

// The generator looks at each observation and activates k of the agents; new heads serve the new game's actions.
const network: NetworkPlan = { kind: "pathway", config: { k: 1 }, memberRate: 1, randomRoutes: false };
const run = await trainOn("minatar:asterix", network);

const copies = 4;
const agent = await openAgent(run, { copies, seed: 1 });
const { environment, form, actions } = agent;
const kind = outputKind(agent.run.algorithm.name);
const played = await playEpisodes({
  environment,
  network: agent.network,
  form,
  actions: actions.length,
  kind,
  episodes: 8,
  greedy: false,
});
agent.network.dispose();
await environment.close();
const mean = played.returns.reduce((sum, one) => sum + one, 0) / played.returns.length;
const shares = played.shares?.map((share, i) => `${agent.network.memberNames[i]} ${(100 * share).toFixed(0)} %`);
console.log(
  `asterix: mean return ${mean.toFixed(2)} of ${played.returns.length} episodes; activated: ${shares?.join(", ")}`,
);
