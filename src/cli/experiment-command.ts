/** hub-pathway experiment: the project's tables, cell by cell. */
import { join } from "node:path";
import { type Command, InvalidArgumentError } from "commander";
import {
  CellStore,
  type Experiment,
  type ExperimentRequest,
  experiments,
  findExperiment,
  type Part,
  recordTestReading,
  reportText,
  runGroups,
  runProcesses,
  saveReport,
} from "../experiments/index.ts";
import { ConfigError } from "../torch/index.ts";
import type { Output } from "./context.ts";
import { requireCounts } from "./data-flags.ts";
import { number } from "./flags.ts";

interface ExperimentFlags {
  seeds?: number;
  quick?: boolean;
  final?: boolean;
  tables?: boolean;
  jobs: number;
  part?: Part;
  hub?: string;
  data?: string;
  freezeMembers?: boolean;
  results: string;
  cache: string;
}

function part(text: string): Part {
  const [, index, of] = /^(\d+)\/(\d+)$/.exec(text) ?? [];
  const [i, n] = [Number(index), Number(of)];
  if (!(i >= 1 && i <= n)) throw new InvalidArgumentError("not a part such as 1/2");
  return { index: i - 1, of: n };
}

export function addExperimentCommand(program: Command, output: () => Output): void {
  const names = experiments.map((one) => `  ${one.name.padEnd(18)} ${one.summary}`).join("\n");
  program
    .command("experiment <name>")
    .description(
      "compute one of the project's tables; finished cells are kept, so that it can be stopped and continued",
    )
    .option("--quick", "a small form that shows within minutes that everything runs")
    .option("--seeds <n>", "seeds 0 to n - 1 (default: the experiment's own number)", number)
    .option("--final", "read the test split, and note it in the results' ledger")
    .option("--tables", "tables of what is finished, without computing more")
    .option("--jobs <n>", "processes at a time, each with one thread", number, 1)
    .option("--part <i/n>", "only every n-th group of cells, from the i-th on, without tables", part)
    .option("--hub <dir>", "another hub than the experiment's own")
    .option("--data <dir|name>", "your own images, or a known data set, in place of the experiment's targets")
    .option("--freeze-members", "leave members as they are and train on their features: for hubs of large networks")
    .option("--results <dir>", "folder of tables, cells and ledger", "docs/results")
    .option("--cache <dir>", "folder for what is large and can be made again", "runs/experiments")
    .addHelpText("after", `\nExperiments:\n${names}\n\nExample:\n  hub-pathway experiment mixed-hub --seeds 5 --jobs 2`)
    .action((name: string, flags: ExperimentFlags) => run(findExperiment(name), flags, output()));
}

async function run(experiment: Experiment, flags: ExperimentFlags, output: Output): Promise<void> {
  requireCounts({ seeds: flags.seeds, jobs: flags.jobs });
  refuseForeign(experiment, flags);
  // What a quick run makes lies apart from results.
  const results = flags.quick ? join(flags.cache, "quick") : flags.results;
  const request = requestOf(experiment, flags, results, output);
  if (flags.part) return runGroups(experiment, request, flags.part);
  if (!flags.tables) {
    if (flags.jobs === 1) await runGroups(experiment, request, { index: 0, of: 1 });
    else await runProcesses([process.execPath, ...process.execArgv, ...process.argv.slice(1)], flags.jobs);
  }
  const report = await experiment.report(request);
  const command = commandOf(experiment, flags);
  const files = saveReport(experiment, report, request, results, command);
  if (flags.final) recordTestReading(experiment.name, request, results, command);
  output.say(reportText(report));
  output.say(`\nwritten: ${Object.values(files).join(", ")}`);
  output.result({ experiment: experiment.name, ...files, ...(report.data as object) });
}

/** @throws ConfigError for flags that have no meaning in an experiment with worlds or games of its own */
function refuseForeign({ name, selfContained, freezes }: Experiment, flags: ExperimentFlags): void {
  if (flags.freezeMembers && !freezes) throw new ConfigError(`${name} trains members: leave out --freeze-members`);
  const given = (["hub", "data", "final"] as const).filter((flag) => flags[flag]);
  if (!selfContained || given.length === 0) return;
  const list = given.map((flag) => `--${flag}`).join(" and ");
  throw new ConfigError(`${name} has its own hub and tasks, and no test split: leave out ${list}`);
}

function requestOf(experiment: Experiment, flags: ExperimentFlags, results: string, output: Output): ExperimentRequest {
  const { quick = false, final = false, hub, data, freezeMembers: frozen, cache } = flags;
  const seeds = Array.from({ length: flags.seeds ?? (quick ? 1 : experiment.seeds) }, (_, seed) => seed);
  const cells = new CellStore(join(results, "cells"));
  return { seeds, quick, final, hub, data, frozen, cells, cache, say: (text) => output.note(text) };
}

/** What makes the same table again. */
function commandOf(experiment: Experiment, { seeds, quick, final, hub, data, freezeMembers }: ExperimentFlags): string {
  const parts = [
    `hub-pathway experiment ${experiment.name}`,
    ...(quick ? ["--quick"] : []),
    `--seeds ${seeds ?? (quick ? 1 : experiment.seeds)}`,
    ...(final ? ["--final"] : []),
    ...(hub ? [`--hub ${hub}`] : []),
    ...(data ? [`--data ${data}`] : []),
    ...(freezeMembers ? ["--freeze-members"] : []),
  ];
  return parts.join(" ");
}
