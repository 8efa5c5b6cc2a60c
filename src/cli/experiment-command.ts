/** hub-pathway experiment: the project's tables, cell by cell. */
import { join } from "node:path";
import {
  CellStore,
  type Experiment,
  type ExperimentRequest,
  type Part,
  recordTestReading,
  reportText,
  runGroups,
  runProcesses,
  saveReport,
} from "../compare/index.ts";
import { experiments, missingHubs } from "../experiments/index.ts";
import { requireWritableFolder } from "../io/index.ts";
import { ConfigError } from "../torch/index.ts";
import type { Output } from "./context.ts";

export interface ExperimentFlags {
  seeds?: number;
  quick?: boolean;
  final?: boolean;
  tables?: boolean;
  only?: string[];
  jobs: number;
  part?: Part;
  hub?: string;
  data?: string;
  freezeMembers?: boolean;
  results: string;
  cache: string;
}

export async function experiment(name: string, flags: ExperimentFlags, output: Output): Promise<void> {
  const experiment = await findExperiment(name, flags);
  refuseForeign(experiment, flags);
  // Files of a quick run lie apart from results.
  const results = flags.quick ? join(flags.cache, "quick") : flags.results;
  for (const place of [join(results, "cells"), flags.cache]) requireWritableFolder(place);
  const request = requestOf(experiment, flags, results, output);
  if (flags.part) return runGroups(experiment, request, flags.part);
  request.cells.prepare();
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

/** @throws ConfigError for a name that is not listed, and for one whose hub this installation lacks */
async function findExperiment(name: string, { hub }: ExperimentFlags): Promise<Experiment> {
  const entry = Object.hasOwn(experiments, name) ? experiments[name] : undefined;
  if (!entry) throw new ConfigError(`no experiment "${name}"; there are: ${Object.keys(experiments).join(", ")}`);
  const missing = hub === undefined ? missingHubs(entry) : [];
  if (missing.length === 0) return entry.load();
  throw new ConfigError(`${name} needs ${missing.join(", ")}, which only the repository has: name a hub with --hub`);
}

/** @throws ConfigError for flags that have no meaning in an experiment with worlds or games of its own */
function refuseForeign({ name, selfContained, freezes, hasLines }: Experiment, flags: ExperimentFlags): void {
  if (flags.only && !hasLines)
    throw new ConfigError(`${name} has no lines that could be computed alone: leave out --only`);
  if (flags.freezeMembers && !freezes) throw new ConfigError(`${name} trains members: leave out --freeze-members`);
  const given = (["hub", "data", "final"] as const).filter((flag) => flags[flag]);
  if (!selfContained || given.length === 0) return;
  const list = given.map((flag) => `--${flag}`).join(" and ");
  throw new ConfigError(`${name} has its own hub and tasks, and no test split: leave out ${list}`);
}

function requestOf(experiment: Experiment, flags: ExperimentFlags, results: string, output: Output): ExperimentRequest {
  const { quick = false, final = false, hub, data, freezeMembers: frozen, only, cache } = flags;
  const seeds = Array.from({ length: flags.seeds ?? (quick ? 1 : experiment.seeds) }, (_, seed) => seed);
  const say = (text: string) => output.note(text);
  const cells = new CellStore(join(results, "cells"), say);
  return { seeds, quick, final, hub, data, frozen, only, cells, cache, say };
}

/** The command line that makes the same table again. */
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
