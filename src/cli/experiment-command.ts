/** hub-pathway experiment: the project's tables, cell by cell. */
import { once } from "node:events";
import { join } from "node:path";
import {
  CellStore,
  cleanWork,
  type Experiment,
  type ExperimentRequest,
  recordTestReading,
  reportText,
  saveReport,
  statusReport,
  work,
  workStatus,
} from "../compare/index.ts";
import { experiments, missingHubs } from "../experiments/index.ts";
import { requireWritableFolder, shellQuoted } from "../io/index.ts";
import { ConfigError, UserError } from "../torch/index.ts";
import { forwardSignals, startAgain } from "./children.ts";
import type { Output } from "./context.ts";
import { interruptedCode } from "./interrupt.ts";

export interface ExperimentFlags {
  seeds?: number;
  quick?: boolean;
  final?: boolean;
  tables?: boolean;
  only?: string[];
  jobs: number;
  worker?: boolean;
  expiry?: number;
  status?: boolean;
  hub?: string;
  data?: string;
  freezeMembers?: boolean;
  results: string;
  cache: string;
}

export async function experiment(name: string, flags: ExperimentFlags, output: Output): Promise<void> {
  const [one, other] = (["worker", "status", "tables"] as const).filter((flag) => flags[flag]);
  if (other) throw new ConfigError(`--${one} and --${other} exclude each other: leave one of them out`);
  const experiment = await findExperiment(name, flags);
  refuseForeign(experiment, flags);
  // Files of a quick run lie apart from results.
  const results = flags.quick ? join(flags.cache, "quick") : flags.results;
  for (const place of [join(results, "cells"), flags.cache]) requireWritableFolder(place);
  const request = requestOf(experiment, flags, results, output);
  if (flags.status) return sayStatus(experiment, request, output);
  if (flags.worker) return workHere(experiment, request, flags);
  request.cells.checkVersions();
  if (!flags.tables) {
    if (flags.jobs === 1) await workHere(experiment, request, flags);
    else await startWorkers(flags.jobs);
  }
  await cleanWork(experiment, request);
  const report = await experiment.report(request);
  const command = commandOf(experiment, flags);
  const files = saveReport(experiment, report, request, results, command);
  if (flags.final) recordTestReading(experiment.name, request, results, command);
  output.say(reportText(report));
  output.say(`\nwritten: ${Object.values(files).join(", ")}`);
  output.result({ experiment: experiment.name, ...files, ...(report.data as object) });
}

async function workHere(
  experiment: Experiment,
  request: ExperimentRequest,
  { expiry }: ExperimentFlags,
): Promise<void> {
  // What a process ends with gives its group back, so that others need not wait until it counts as dead.
  const stop = () => process.exit(interruptedCode);
  const signals = ["SIGINT", "SIGTERM", "SIGHUP"] as const;
  for (const signal of signals) process.on(signal, stop);
  try {
    await work(experiment, request, expiry);
  } finally {
    for (const signal of signals) process.off(signal, stop);
  }
}

/** Computes everything in so many processes. @throws UserError when one of them ends with an error */
async function startWorkers(count: number): Promise<void> {
  const workers = Array.from({ length: count }, () =>
    startAgain({ without: "--jobs", more: ["--worker"], stdio: ["ignore", "ignore", "inherit"] }),
  );
  using _signals = forwardSignals(workers);
  const ends = await Promise.all(workers.map((worker) => once(worker, "exit")));
  const [failed] = ends.map(([code]) => (code ?? interruptedCode) as number).filter((code) => code !== 0);
  if (failed === undefined) return;
  throw new UserError(`a worker ended with exit code ${failed}, for the reason above; finished cells are kept`);
}

async function sayStatus(experiment: Experiment, request: ExperimentRequest, output: Output): Promise<void> {
  const status = await workStatus(experiment, request);
  output.say(statusReport(status));
  output.result({ experiment: experiment.name, ...status });
}

/** @throws ConfigError for a name that is not listed, and for one whose hub this installation lacks */
async function findExperiment(name: string, { hub }: ExperimentFlags): Promise<Experiment> {
  const entry = Object.hasOwn(experiments, name) ? experiments[name] : undefined;
  if (!entry) throw new ConfigError(`no experiment "${name}"; there are: ${Object.keys(experiments).join(", ")}`);
  const missing = hub === undefined ? missingHubs(entry) : [];
  if (missing.length === 0) return entry.load();
  const where = entry.made ? `which \`${entry.made}\` makes in the repository` : "which only the repository has";
  throw new ConfigError(`${name} needs ${missing.join(", ")}, ${where}: name a hub with --hub`);
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
    ...(hub ? [`--hub ${shellQuoted(hub)}`] : []),
    ...(data ? [`--data ${shellQuoted(data)}`] : []),
    ...(freezeMembers ? ["--freeze-members"] : []),
  ];
  return parts.join(" ");
}
