/** Options of `hub-pathway rl`. */
import { type Command, Option } from "commander";
import { localIds } from "../../rl/environments/ids.ts";
import { longestEpisode } from "../../rl/training/limits.ts";
import type { Output } from "../context.ts";
import { choice, choiceHelp, count, factor, seed, threads, whole } from "../flags.ts";
import type { EvalFlags, TrainFlags } from "../rl-command.ts";

const actions = () => import("../rl-command.ts");

const pythonHelp = "Python interpreter of gym: environments (default: HUB_PATHWAY_PYTHON, else python3)";

const environments = `
Environments: ${localIds.join(", ")}, minatar:A+B+… for a mix of grid games, and gym:ID for any of
Gymnasium (needs Python).`;

const trainExamples = `${environments}

Examples:
  hub-pathway rl train --env minatar:breakout --algorithm ppo --steps 1000000 --out runs/breakout
  hub-pathway hub add breakout runs/breakout --hub games
  hub-pathway rl train --env minatar:asterix --algorithm ppo --hub games --k 1 --out runs/asterix`;

export function addRlCommand(program: Command, output: () => Output): void {
  const rl = program.command("rl").description("reinforcement learning over a hub of agents");
  rl.command("train")
    .description("train an agent in an environment, alone or over a hub of agents")
    .requiredOption("--env <name>", "the environment")
    .requiredOption("--out <dir>", "folder of the run, made anew")
    .addOption(new Option("--algorithm <name>", "how it learns").choices(["ppo", "dqn"]).default("ppo"))
    .option("--steps <n>", "steps of the environment in all, over its copies", count, 500_000)
    .option("--copies <n>", "environments that are played side by side (default: 16 for ppo, 4 for dqn)", count)
    .option("--hub <dir>", "folder of a hub of agents: Hub-Pathway over them")
    .option("--k <n>", "activated agents for each observation", count)
    .option("--agent <name>", "continue with this one agent of the hub instead")
    .addOption(
      new Option(
        "--credit <name>",
        "what routes learn from: the loss through the models' weights, or the returns that follow them (default: weights; returns for ppo with --keep-heads)",
      ).choices(["weights", "returns"]),
    )
    .option("--choice <name=value>", choiceHelp, choice)
    .option(
      "--member-rate <factor>",
      "factor on the learning rate of the hub's agents; 0 leaves them (default: 1)",
      factor,
    )
    .option("--random-routes", "control: routes at random instead of the generator's")
    .option("--keep-heads", "the hub's agents begin with their own heads: for the actions that they know")
    .option("--network <name>", "architecture of a new agent (default: the usual one for what is seen)")
    .option("--config <name=value>", "a choice of that architecture; may be repeated", choice)
    .option("--set <name=value>", "a setting of the algorithm, such as lr=0.0005; may be repeated", choice)
    .option(
      "--eval-every <n>",
      "steps between two measurements of the policy, the best of which is kept; 0 for none (default: a tenth of --steps, at least 20000)",
      whole,
    )
    .option("--seed <n>", "moves weights, play and noise", seed, 0)
    .option("--resume", "continue the run in --out")
    .option("--threads <n>", "threads inside one operator", threads)
    .option("--python <path>", pythonHelp)
    .addHelpText("after", trainExamples)
    .action(async (flags: TrainFlags) => (await actions()).train(flags, output()));
  rl.command("eval <run>")
    .description("play whole episodes with a trained agent")
    .option("--episodes <n>", "episodes to play", count, 100)
    .option("--copies <n>", "environments that are played side by side", count, 10)
    .option("--max-steps <n>", "steps after which an episode counts as it is", count, longestEpisode)
    .option("--greedy", "always the most likely action, instead of one drawn by the policy")
    .option("--video <file>", "film the first episode as .gif or .webp, with the return and the active agents")
    .option("--last", "the policy at the end of training, instead of the best measured one")
    .option("--game <name>", "the game of a mix to play, such as breakout (default: all of them)")
    .option("--hub <dir>", "where the hub moved to")
    .option("--seed <n>", "of the environment; training has others", seed, 1_000_000)
    .option("--python <path>", pythonHelp)
    .addHelpText("after", "\nExample:\n  hub-pathway rl eval runs/asterix --episodes 100 --video asterix.gif --json")
    .action(async (run: string, flags: EvalFlags) => (await actions()).evaluateRun(run, flags, output()));
}
