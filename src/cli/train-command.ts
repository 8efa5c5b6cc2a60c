/** hub-pathway train: one method on one data set. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import { taskKinds } from "../data/index.ts";
import { readContract } from "../distributed/index.ts";
import { findHub, type HubManifest, memberBytes, openHub, readManifest } from "../hub/index.ts";
import { shown as shownName, writeFileAtomic } from "../io/index.ts";
import { chooseSettings, freeRunFolder } from "../library/index.ts";
import { findMethod } from "../methods/index.ts";
import { amount, duration, type RoutingVerdict, routingVerdict, runReport, targetReport } from "../report/index.ts";
import {
  ConfigError,
  findDevice,
  getNumThreads,
  Interrupted,
  type ProcessGroup,
  setNumThreads,
} from "../torch/index.ts";
import {
  type BatchSource,
  type ClassifierOutcome,
  completedChoices,
  defaultViews,
  type Emit,
  prepareData,
  type RequestedOptions,
  type RunOutcome,
  requestedOptionShape,
  resumedRequest,
  type TargetOutcome,
  type TrainRequest,
  trainOnRank,
  trainRun,
  withTemperature,
} from "../train/index.ts";
import { readConfig, writeConfig } from "./config-file.ts";
import { aloud, type Output } from "./context.ts";
import { dataRequest, squashed } from "./data-flags.ts";
import { afterStep, sayInterrupted, stopping, withInterrupt } from "./interrupt.ts";
import { nextCommands } from "./next-commands.ts";
import { type PlanContext, sayPlan, usualPictureSide } from "./plan.ts";
import { countProgress } from "./progress.ts";
import { inRankFolder, onRanks, type RankFlags, type RankPlace, startedRanks } from "./ranks.ts";
import { kebab, resolveSettings } from "./settings.ts";
import { commandLine } from "./shell.ts";
import { terminal } from "./terminal.ts";
import { type FitCourse, TrainProgress } from "./train-progress.ts";
import { methodChoices, type TrainSettings, trainShape } from "./train-settings.ts";
import { targetVerdictLines, verdictLines } from "./verdict.ts";

/** Flags that were given on the command line; everything else has its default. */
export type TrainFlags = Partial<TrainSettings> & RankFlags & { resume?: string | true; config?: string };

type Ranks = Pick<TrainRequest, "group" | "shardsAt">;

/** Settings with what has no default of its own. */
type Ready = TrainSettings & { data: string; out: string };

export async function train(images: string | undefined, flags: TrainFlags, output: Output): Promise<void> {
  const { nproc = 1, rankTimeout, ...written } = flags;
  const contract = readContract();
  const isShared = nproc > 1 || contract !== undefined;
  await onRanks(
    { contract, nproc, rankTimeout, remark, ready: () => asked(images, written, isShared) },
    output,
    (wish, own, group) => {
      const { given, place } = wish;
      if (!group) return begun(given, place, own);
      const { shardMembers = false } = given;
      const ranks = { ...place, shardMembers, isRestarted: contract?.restarts !== 0 };
      return inRankFolder(group, ranks, (rank) => begun(given, rank, own, group));
    },
  );

  function remark({ given: { shardMembers }, place: { out } }: Wish): string {
    if (!existsSync(join(out, "run.json"))) return "nothing was written";
    return `go on with: ${resuming(out, nproc, shardMembers)}`;
  }
}

/** Command that goes on with a run; for ranks of a launcher its own words are to be said again. */
function resuming(out: string, nproc: number, shardMembers = false): string {
  const ranks = nproc > 1 ? ["--nproc", String(nproc), ...(shardMembers ? ["--shard-members"] : [])] : [];
  return commandLine("train", "--resume", out, ...ranks);
}

/** A training as its command line has it. */
interface Wish {
  given: Partial<TrainSettings>;
  place: Pick<RankPlace, "out" | "resumes">;
}

/** @throws ConfigError for a command line that contradicts itself, or that several ranks cannot have */
function asked(images: string | undefined, flags: Omit<TrainFlags, keyof RankFlags>, isShared: boolean): Wish {
  const { resume, config, ...line } = flags;
  const written = config === undefined ? line : { ...readConfig(config), ...line };
  if (images !== undefined && line.data !== undefined && images !== line.data) {
    throw new ConfigError(`the images are ${images}, and --data is ${line.data}: leave one of them out`);
  }
  const given = images === undefined ? written : { ...written, data: images };
  const out = resume === undefined ? settled(given).out : resumedFolder(resume, given);
  const place = { out, resumes: resume !== undefined };
  if (given.shardMembers && !isShared) {
    throw new ConfigError(
      "--shard-members gives each of several processes some models: add --nproc, or use a launcher",
    );
  }
  if (isShared) requireRanks(given, place.resumes);
  if (given.threads !== undefined) setNumThreads(given.threads);
  return { given, place };
}

/** @throws ConfigError for settings that several ranks cannot have */
function requireRanks({ out, device = "cpu" }: Partial<TrainSettings>, resumes: boolean): void {
  if (out === undefined && !resumes) {
    throw new ConfigError("several ranks train one run: name its folder with --out, so that all mean the same");
  }
  if (device === "cpu") return;
  throw new ConfigError(`several ranks train on processors, over Gloo, and --device is ${device}: leave it out`);
}

/** @throws ConfigError when no folder is named, or two */
function resumedFolder(resume: string | true, given: Partial<TrainSettings>): string {
  const out = resume === true ? given.out : resume;
  if (out === undefined) throw new ConfigError("which run is to be resumed? Name its folder: --resume RUN");
  if (given.out !== undefined && given.out !== out) {
    throw new ConfigError(`--resume names ${out}, and --out ${given.out}: leave --out out`);
  }
  return out;
}

function begun(
  given: Partial<TrainSettings>,
  { out, resumes, shardsAt, ...places }: RankPlace,
  output: Output,
  group?: ProcessGroup,
): Promise<void> {
  const ranks = { group, shardsAt };
  if (resumes) return goOn(out, { ...places, ...given }, output, ranks);
  return start({ ...settled(given), out }, output, ranks);
}

/** @throws ConfigError for settings that contradict each other */
function settled(given: Partial<TrainSettings>): Ready {
  const settings = { ...resolveSettings(trainShape, {}), ...given };
  const { data, iterations, epochs, validationFraction, testFraction } = settings;
  if (data === undefined) throw new ConfigError(`which images? Name their folder: ${commandLine("train", "./photos")}`);
  if (iterations !== undefined && epochs !== undefined) {
    throw new ConfigError("--iterations and --epochs both say how long to train: leave one of them out");
  }
  if (validationFraction + testFraction >= 1) {
    throw new ConfigError(
      "--validation-fraction and --test-fraction leave no image to train: their sum must be below 1",
    );
  }
  checkAuto(given);
  return { ...settings, data, out: settings.out ?? freeRunFolder(data) };
}

/** Settings that --auto chooses. */
const chosenByAuto = [
  "method",
  "members",
  "member",
  "preset",
  "k",
  "tune",
  "freezeMembers",
  "views",
  "epochs",
  "iterations",
];

/** @throws ConfigError for settings that --auto would choose, or that need it */
function checkAuto(given: Partial<TrainSettings>): void {
  if (!given.auto) {
    if (given.minutes !== undefined)
      throw new ConfigError("--minutes is the time for --auto: add it, or leave both out");
    return;
  }
  const named = chosenByAuto.filter((name) => Object.hasOwn(given, name));
  if (named.length === 0) return;
  throw new ConfigError(
    `--auto chooses ${named.map((name) => `--${kebab(name)}`).join(" and ")}: leave one or the other out`,
  );
}

const usualMinutes = 10;

/** Settings with what --auto chose, and the time by which training has to end; both say why. */
async function automatic(
  settings: Ready,
  output: Output,
  device: string | undefined,
): Promise<{ settings: Ready; endsBy: number }> {
  const { minutes = usualMinutes, hub: place, trust, validationFraction } = settings;
  const all = 60 * minutes;
  const began = Date.now();
  const hub = openHub(place, { trust, device });
  const takes = { who: "train --auto", kinds: taskKinds };
  const data = await prepareData({ ...dataRequest(settings, place, settings), takes, device });
  try {
    const options = trainOptions(settings);
    const seconds = all - (Date.now() - began) / 1000;
    const onMember = (name: string) => terminal.progress(`comparing  ${shownName(name)}`);
    const choose = (signal: AbortSignal) =>
      chooseSettings({ hub, data, options, validationFraction, seconds, onMember, signal });
    const { settings: chosen, reasons } = await withInterrupt(choose, stopping);
    for (const reason of reasons) output.say(reason);
    const size = settings.imageSize ?? chosen.imageSize;
    const single = chosen.members.length === 1 ? { member: chosen.members[0] } : {};
    return {
      settings: { ...settings, ...chosen, ...single, auto: false, minutes: undefined, imageSize: size },
      // What is measured after training takes time too.
      endsBy: began + 900 * all,
    };
  } finally {
    data.dispose();
  }
}

/** Found on hubs of unequal models (docs/results: router, credit, photographs). */
const remarkOnOne =
  "with --k 1 models are hardly compared, and a weak one may get all images: --credit losses compares them first";

/** The members that a run chooses from, as far as its hub has them. */
function manifestOf({ hub, members }: Ready): HubManifest {
  const manifest = readManifest(findHub(hub));
  return { ...manifest, members: manifest.members.filter(({ name }) => members?.includes(name) ?? true) };
}

async function start(given: Ready, output: Output, ranks: Ranks): Promise<void> {
  const device = findDevice(given.device);
  if (given.auto && ranks.group)
    throw new ConfigError("--auto measures one process: leave it out, or train without ranks");
  const { settings, endsBy } = given.auto
    ? await automatic(given, output, device)
    : { settings: given, endsBy: undefined };
  const { hub, data, out, hubMemory, trust, imageSize, members } = settings;
  requireRoom(hub, hubMemory);
  const [method, options, own] = [findMethod(settings.method), trainOptions(settings), methodChoices(settings)];
  const choices = completedChoices(method, own, manifestOf(settings), options);
  if (method.name === "hub-pathway" && choices["k"] === 1 && choices["credit"] === undefined) output.note(remarkOnOne);
  const request = {
    method,
    choices,
    hub,
    members,
    endsBy,
    data: dataRequest(settings, hub, settings),
    options,
    out,
    resume: false,
    hubMemory,
    trust,
    device,
    ...ranks,
  };
  const pictureSide = await usualPictureSide(data, settings.task);
  const isAutomatic = given.auto;
  const shown = { sizeIsChosen: imageSize !== undefined, isAutomatic, pictureSide, device, out, source: data };
  const decided = Object.entries(choices).filter(([name]) => !Object.hasOwn(own, name));
  const whole = { ...settings, ...Object.fromEntries(decided) };
  const keep = (): void =>
    writeConfig(join(out, "config.yaml"), whole, `train --config ${out}/config.yaml trains the same again`);
  await watched(shown, output, (session) => {
    return { ...request, ...session, emit: onFirstStep(session.emit, keep) };
  });
}

/** The same events, and a call once the run has begun: until then it has no folder. */
function onFirstStep(emit: Emit, begun: () => void): Emit {
  let isBegun = false;
  return (event) => {
    if (event.type === "step" && !isBegun) {
      isBegun = true;
      begun();
    }
    emit(event);
  };
}

/** @throws ConfigError for a budget in which the largest model of the hub has no room, even alone */
function requireRoom(hub: string, hubMemory: number | undefined): void {
  if (hubMemory === undefined) return;
  const dir = findHub(hub);
  const sizes = readManifest(dir).members.map((entry) => ({ name: entry.name, bytes: memberBytes(dir, entry) ?? 0 }));
  const largest = sizes.reduce((first, other) => (other.bytes > first.bytes ? other : first), { name: "", bytes: 0 });
  if (hubMemory >= largest.bytes) return;
  throw new ConfigError(
    `--hub-memory is ${hubMemory} bytes, and ${shownName(largest.name)} alone has ${largest.bytes}: give at least that`,
  );
}

/** Continues a run; what was written beside its folder must be as the run has it, and --epochs may be more. */
async function goOn(out: string, given: Partial<TrainSettings>, output: Output, ranks: Ranks): Promise<void> {
  const { method, hub, data, epochs, hubMemory, trust } = given;
  const device = findDevice(given.device ?? "cpu");
  const { trainPerClass, validationFraction, testFraction, imageSize, augment, skipBad, duplicates } = given;
  const { cropScale, cropFrom, task } = given;
  const { epochs: _own, ...options } = optionsOf(given);
  const request = {
    method: findMethod,
    hub,
    data,
    epochs,
    given: {
      method,
      choices: methodChoices(given),
      options,
      data: present({ task, imageSize, fit: squashed(given.fit), augment, cropScale, cropFrom, skipBad, duplicates }),
      split: present({ trainPerClass, validationFraction, testFraction }),
    },
    onProgress: countProgress("decoding"),
    hubMemory,
    trust,
    device,
    ...ranks,
  };
  const shown = { sizeIsChosen: undefined, pictureSide: undefined, device, out, source: data };
  await watched(shown, output, (session) => resumedRequest(out, { ...request, ...session }));
}

type Shown = Pick<PlanContext, "sizeIsChosen" | "isAutomatic" | "pictureSide" | "device"> & {
  out: string;
  source: string | undefined;
};

/** Runs a training, shows it, and says what it is worth, which is the first rank's to do. */
async function watched(
  { out, source, ...context }: Shown,
  output: Output,
  request: (session: Pick<TrainRequest, "emit" | "signal" | "measuring">) => TrainRequest,
): Promise<void> {
  const progress = new TrainProgress();
  let named = { method: "", hub: "" };
  const emit: Emit = (event) => {
    if (event.type === "start") named = event;
    if (event.type === "plan") {
      sayPlan(event, { ...context, method: named.method, hub: named.hub, threads: getNumThreads() }, output);
    }
    progress.emit(event);
  };
  let isTrained = false;
  let shardMembers = false;
  try {
    await withInterrupt(
      async (signal) => {
        const given = request({ emit, signal, measuring: countProgress });
        shardMembers = given.shardsAt !== undefined;
        if (given.group && given.group.rank > 0) return trainOnRank(given);
        let routing: Verdict;
        const outcome = await trainRun(given, async (trained, validation) => {
          isTrained = true;
          progress.stop();
          routing = await verdictOf(trained, validation, signal);
        });
        await finish(outcome, { out, source, routing }, progress, output);
      },
      afterStep,
      aloud(output),
    );
  } catch (error) {
    progress.stop();
    if (!(error instanceof Interrupted)) throw error;
    if (isTrained) {
      sayInterrupted(out, true, commandLine("report", out), output, "the run is trained and saved, without its report");
    } else {
      sayInterrupted(out, existsSync(join(out, "run.json")), resuming(out, startedRanks(), shardMembers), output);
    }
  }
}

async function finish(
  outcome: RunOutcome,
  { out, source, routing }: Pick<Shown, "out" | "source"> & { routing: Verdict },
  { courses }: TrainProgress,
  output: Output,
): Promise<void> {
  const { folder, data, predictor } = outcome;
  const report = folder.file("report.html");
  try {
    const { html, lines, result } = outcome.calibration
      ? await classPage(outcome, courses, routing)
      : await targetPage(outcome, courses, routing);
    writeFileAtomic(report, [html]);
    if (data.skipped > 0) output.warn(`${data.skipped} images could not be read and were left out`);
    for (const line of lines) output.say(line);
    const { trainingFlops, seconds } = outcome;
    output.say(`${amount(trainingFlops)}FLOPs of training in ${duration(seconds)}, report: ${report}`);
    output.say(`next:\n  ${nextCommands(out, source, data, routing).join("\n  ")}`);
    output.result({ ...result, trainingFlops, trainingSeconds: seconds, out, report });
  } finally {
    predictor.dispose();
    data.dispose();
    outcome.hub.residency?.dispose();
  }
}

/** What is said of a finished training, and its page. */
interface Page {
  html: string;
  lines: string[];
  result: object;
}

type Verdict = RoutingVerdict | undefined;

async function classPage(outcome: ClassifierOutcome, courses: readonly FitCourse[], verdict: Verdict): Promise<Page> {
  const { summary, calibration } = outcome;
  const evaluation = withTemperature(outcome.validation, calibration.temperature);
  const confidence = { calibration, rawError: calibration.calibrationErrors[0] };
  const { html } = await runReport({ ...pageOf(outcome), summary, evaluation, verdict, confidence });
  const lines = verdictLines({ summary, courses, keep: keepOf(outcome), routing: verdict });
  return { html, lines, result: { ...summary, ...(verdict && { routingVerdict: verdict }) } };
}

async function targetPage(outcome: TargetOutcome, courses: readonly FitCourse[], verdict: Verdict): Promise<Page> {
  const { task, summary, validation: evaluation } = outcome;
  const html = await targetReport({ ...pageOf(outcome), summary, evaluation, task, verdict });
  const lines = targetVerdictLines({ summary, courses, keep: keepOf(outcome), routing: verdict });
  return { html, lines, result: { ...summary, ...(verdict && { routingVerdict: verdict }) } };
}

/** @throws Interrupted after the signal */
function verdictOf(
  { predictor, task, validation, calibration }: RunOutcome,
  batches: BatchSource,
  signal: AbortSignal,
) {
  const evaluation = calibration ? withTemperature(validation, calibration.temperature) : validation;
  const onProgress = countProgress("measuring the same models for every image");
  return routingVerdict(predictor, batches, evaluation, task, { signal, onProgress });
}

function pageOf({ folder, data, predictor }: RunOutcome) {
  const { memberNames } = predictor;
  return {
    title: `${folder.config().method} on ${data.name}`,
    data,
    memberNames,
    eventsPath: folder.file("events.jsonl"),
  };
}

const keepOf = ({ folder }: RunOutcome) => folder.config().options.keep ?? "best";

function trainOptions(settings: TrainSettings): RequestedOptions {
  return z.object(requestedOptionShape).parse(optionsOf(settings));
}

/** Options of the training among settings. */
function optionsOf(settings: Partial<TrainSettings>): Partial<RequestedOptions> {
  const { freezeMembers, views, optimizer, keep, tune, accumulate, checkpointActivations } = settings;
  const { classWeights, sampling } = settings;
  if (!freezeMembers && views !== undefined) {
    throw new ConfigError("--views counts the fixed views of frozen members: add --freeze-members");
  }
  const own = Object.entries(settings).filter(([name]) => Object.hasOwn(requestedOptionShape, name));
  return present({
    ...Object.fromEntries(own),
    // Defaults are left out, so that a run that names them and one that does not are the same run.
    optimizer: optimizer === "adamw" ? undefined : optimizer,
    keep: keep === "best" ? undefined : keep,
    tune: tune === "all" ? undefined : tune,
    accumulate: accumulate === 1 ? undefined : accumulate,
    checkpointActivations: checkpointActivations || undefined,
    classWeights: classWeights === "none" ? undefined : classWeights,
    sampling: sampling === "uniform" ? undefined : sampling,
    frozenViews: freezeMembers ? (views ?? defaultViews) : undefined,
  });
}

/** Without the fields that are undefined. */
function present<T extends object>(fields: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
  const entries = Object.entries(fields).filter(([, value]) => value !== undefined);
  return Object.fromEntries(entries) as { [K in keyof T]?: Exclude<T[K], undefined> };
}
