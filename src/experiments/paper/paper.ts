/**
 * The published setting: five ResNet-50 on seven data sets. It runs where the data (data/published/NAME, or below --data)
 * and the hub (hubs/paper, or --hub) are; its report says what is missing, where it comes from and how it is added.
 *
 * The recipe is the one that the authors' group published with Zoo-Tuning (github.com/thuml/Zoo-Tuning), whose hub and data
 * sets these are: SGD with Nesterov's momentum, batches of 48, a rate that falls to a tenth after 6,000 and 12,000 steps, the
 * same for new layers, no warm-up, no clipping; images squashed to 256 px, crops of 224 of 8 to 100 % of the area, ten crops
 * at the test. Other than there, vectors have no weight decay, a tenth of the training images is held out to choose the
 * rate, and those are seen whole. k is this project's choice.
 */
import { existsSync } from "node:fs";
import { join } from "node:path";
import {
  type CellGroup,
  type CellId,
  type Experiment,
  type ExperimentReport,
  type ExperimentRequest,
  finishedCell,
  intervalText,
  type Line,
  lineOf,
  literal,
  literalChoices,
  type MethodCell,
  mean,
  methodCell,
  methodCellIds,
  ourChoices,
  type Plan,
  type Protocol,
  plan,
  type ReportSection,
  right,
  Setting,
  type Split,
  sharesText,
  type Target,
  targetKey,
} from "../../compare/index.ts";
import { publishedDatasets } from "../../data/index.ts";
import { type Hub, openHub } from "../../hub/index.ts";
import { amount, percent } from "../../report/index.ts";
import { defaultTrainOptions, type TrainOptions } from "../../train/index.ts";
import { missingData, missingMembers, type Need, paperData, paperHub } from "./needs.ts";

const rates = [1e-3, 3e-3, 1e-2];
/** A quick run chooses too, and looks at few images. */
const quickRates = [1e-3, 1e-2];

const options: TrainOptions = {
  ...defaultTrainOptions,
  optimizer: "sgd",
  iterations: 15_000,
  batchSize: 48,
  decaySteps: [6000, 12_000],
  warmup: 0,
  clipNorm: 0,
  newLayerFactor: 1,
  generatorFactor: 1,
  weightDecay: 5e-4,
  labelSmoothing: 0,
  checkpointSeconds: 600,
};

/** Three steps, one at each rate. */
const quickOptions: TrainOptions = { ...options, iterations: 3, decaySteps: [1, 2], batchSize: 8 };

/** Under SGD each activated model then learns at the rate of one that is fine-tuned alone. */
const exploitationWeight = "each";
const choices = { ...ourChoices, exploitationWeight };

function targetOf(name: string, folder: string, quick: boolean): Target {
  const source = `${name}:${join(folder, name)}`;
  const split = { testFraction: 0.2, validationFraction: 0.1 };
  const crops = { fit: "squash", augment: "crops", cropScale: 0.08, cropFrom: 256 } as const;
  const data = { source, imageSize: 224, ...crops, batchSize: options.batchSize, split } as const;
  if (!quick) return { name, data, limits: { validation: 5000 }, tenCrop: true };
  const small = {
    ...data,
    imageSize: 56,
    cropFrom: 64,
    batchSize: 8,
    split: { ...split, trainPerClass: 4, validationPerClass: 1 },
  };
  return { name, data: small, limits: { validation: 12, test: 12 }, tenCrop: true };
}

interface Subject {
  folder: string;
  hubFolder: string;
  missing: readonly Need[];
  /** Undefined while members are missing. */
  hub: Hub | undefined;
  protocols: readonly Protocol[];
}

function subject(request: ExperimentRequest): Subject {
  const { quick, data: folder = paperData, hub: hubFolder = paperHub } = request;
  const members = missingMembers(hubFolder, request.hub !== undefined);
  const missing = [...members, ...missingData(folder)];
  if (members.length > 0) return { folder, hubFolder, missing, hub: undefined, protocols: [] };
  const hub = openHub(hubFolder);
  const present = publishedDatasets.filter(({ name }) => existsSync(join(folder, name)));
  const protocols = present.map(({ name }) => ({
    hub: hub.dir,
    target: targetOf(name, folder, quick),
    options: quick ? quickOptions : options,
    // The number of epochs that the steps take is known with the data.
    epochs: 0,
  }));
  return { folder, hubFolder, missing, hub, protocols };
}

/** The epochs that the steps take, which only the opened data tell. */
function epochsCell({ protocol, seed, hub }: Setting): { name: string; key: unknown } {
  const { target, options: own } = protocol;
  const key = { ...targetKey(target), iterations: own.iterations };
  return { name: `${hub.manifest.name}/${target.name}/s${seed}-epochs`, key };
}

async function epochsOf(request: ExperimentRequest, setting: Setting): Promise<number> {
  const { name, key } = epochsCell(setting);
  return request.cells.cell(name, key, async () => {
    const { train } = await setting.data();
    return Math.ceil((setting.protocol.options.iterations ?? 0) / train.stepsPerEpoch);
  });
}

/** One method with each of the rates. */
interface Method {
  name: string;
  plans: readonly Plan[];
}

function methodsOf({ manifest }: Hub, epochs: number, quick: boolean): Method[] {
  const [first] = manifest.members;
  if (!first) return [];
  // Zoo-Tuning mixes networks of one configuration.
  const kind = (member: typeof first) => JSON.stringify([member.architecture, Object.entries(member.config).sort()]);
  const alike = manifest.members.filter((member) => kind(member) === kind(first)).map((member) => member.name);
  const zoo = alike.length === manifest.members.length ? "" : ` of ${alike.join(", ")}`;
  const all: Plan[] = [
    plan(`fine-tuning of ${first.name}`, "fine-tune", "equal epochs", epochs, { choices: { member: first.name } }),
    plan("best member by validation", "fine-tune", "all members", epochs),
    plan("ensemble of all", "ensemble", "all members", epochs),
    plan("distillation", "distillation", "all members", epochs),
    plan("Knowledge Flow", "knowledge-flow", "equal epochs", epochs),
    plan(`Zoo-Tuning${zoo}`, "zoo-tuning", "equal epochs", epochs, { choices: { members: alike } }),
    plan("Hub-Pathway", "hub-pathway", "equal epochs", epochs, { choices }),
    plan(literal, "hub-pathway", "equal epochs", epochs, { choices: { ...literalChoices, exploitationWeight } }),
    plan("one gate for all images", "global-gate", "equal epochs", epochs, { choices }),
  ];
  return all.map((one) => ({
    name: one.name,
    plans: (quick ? quickRates : rates).map((lr) => ({ ...one, options: { lr } })),
  }));
}

function groups(request: ExperimentRequest): CellGroup[] {
  const { hub, protocols, missing } = subject(request);
  if (missing.length > 0)
    request.say(`${missing.length} things are missing: the report says which and how they are added`);
  if (!hub) return [];
  return request.seeds.flatMap((seed) =>
    protocols.map((protocol) => ({
      name: `${protocol.target.name}, seed ${seed}`,
      cells(): CellId[] {
        const setting = new Setting(protocol, seed);
        const { name, key } = epochsCell(setting);
        const epochs = request.cells.read<number>(name, key);
        const plans = epochs === undefined ? [] : methodsOf(hub, epochs, request.quick).flatMap((one) => one.plans);
        return [[name, key], ...plans.flatMap((one) => methodCellIds(request, setting, one))];
      },
      async run() {
        await using setting = new Setting(protocol, seed);
        const epochs = await epochsOf(request, setting);
        for (const { plans } of methodsOf(hub, epochs, request.quick))
          for (const one of plans) await methodCell(request, setting, one);
      },
    })),
  );
}

/** A method's cell at its best rate, by validation accuracy, the first among equals; undefined until all rates are done. */
function chosenCell(request: ExperimentRequest, setting: Setting, plans: readonly Plan[]) {
  const cells = plans.map((one) => ({ plan: one, cell: finishedCell(request, setting, one) }));
  const done = cells.flatMap(({ plan: own, cell }) => (cell ? [{ plan: own, cell }] : []));
  if (done.length < plans.length) return undefined;
  return done.reduce((best, one) => (one.cell.validation.accuracy > best.cell.validation.accuracy ? one : best));
}

interface Row {
  line: Line;
  /** Chosen for each seed. */
  rates: number[];
}

function rowsOf(request: ExperimentRequest, hub: Hub, protocol: Protocol, split: Split): Row[] {
  const found = new Map<string, { plan: Plan; cells: MethodCell[]; rates: number[] }>();
  for (const seed of request.seeds) {
    const setting = new Setting(protocol, seed);
    const { name, key } = epochsCell(setting);
    const epochs = request.cells.read<number>(name, key);
    for (const { name, plans } of epochs === undefined ? [] : methodsOf(hub, epochs, request.quick)) {
      const chosen = chosenCell(request, setting, plans);
      if (!chosen) continue;
      const entry = found.get(name) ?? { plan: chosen.plan, cells: [], rates: [] };
      entry.cells.push(chosen.cell);
      entry.rates.push(chosen.plan.options?.lr ?? 0);
      found.set(name, entry);
    }
  }
  return [...found.values()].map(({ plan: own, cells, rates }) => ({ line: lineOf(own, cells, split), rates }));
}

function targetSection(name: string, rows: readonly Row[]): ReportSection {
  const columns = [
    { title: "method" },
    { title: "budget" },
    right("accuracy"),
    right("seeds"),
    { title: "rates chosen" },
    right("log loss"),
    right("training FLOPs"),
    right("FLOPs/crop"),
    { title: "shares, %" },
  ];
  const table = rows.map(({ line, rates: chosen }) => [
    line.name,
    line.budget,
    intervalText(line.accuracy),
    String(line.seeds.length),
    chosen.join(", "),
    line.logLoss.toFixed(3),
    amount(line.trainingFlops),
    amount(line.inferenceFlops),
    sharesText(line.routing?.shares),
  ]);
  return { title: name, table: { columns, rows: table } };
}

/** Methods against targets, the mean of all targets at the end. */
function overview(results: readonly { target: string; rows: readonly Row[] }[]): ReportSection {
  const names = [...new Set(results.flatMap(({ rows }) => rows.map(({ line }) => line.name)))];
  const accuracy = (rows: readonly Row[], name: string) =>
    rows.find(({ line }) => line.name === name)?.line.accuracy.mean;
  const rows = names.map((name) => {
    const values = results.map((result) => accuracy(result.rows, name));
    const known = values.flatMap((value) => value ?? []);
    const overall = known.length === values.length ? percent(mean(known)) : "";
    return [name, ...values.map((value) => (value === undefined ? "" : percent(value))), overall];
  });
  const columns = [{ title: "method" }, ...results.map(({ target }) => right(target)), right("mean")];
  return { title: "All targets", table: { columns, rows } };
}

function missingSection(missing: readonly Need[], folder: string, hub: string): ReportSection {
  const columns = [
    { title: "missing" },
    { title: "what" },
    { title: "place" },
    { title: "from" },
    { title: "command" },
  ];
  const rows = missing.map(({ name, what, place, origin, command }) => [name, what, place, origin, command]);
  const text = [
    `Data sets lie in ${folder}, a folder for each (or give their folder with --data); unpack them there, then check them with ` +
      `the command. Weights are fetched and added to ${hub} by theirs; without --only the command brings all of them.`,
    "The network in DeepLabV3 is dilated. Its command makes it a plain ResNet-50 with the same weights, as the others are: dilated it " +
      "would cost 38 GFLOPs an image at 224 px instead of 8, and Zoo-Tuning would leave it out.",
  ];
  return { title: "What is missing", text, table: { columns, rows } };
}

async function report(request: ExperimentRequest): Promise<ExperimentReport> {
  const { hub, protocols, missing, folder, hubFolder } = subject(request);
  const split = request.final ? "test" : "validation";
  const found = hub
    ? protocols.map((protocol) => {
        return { target: protocol.target.name, rows: rowsOf(request, hub, protocol, split) };
      })
    : [];
  const results = found.filter(({ rows }) => rows.length > 0);
  const measured = split === "test" ? "the test split, each image over ten crops" : "validation data, each image whole";
  const about = [
    "Five ResNet-50 of different pre-training on seven data sets, as published: SGD with Nesterov's momentum, batches of 48, " +
      "15,000 steps, a tenth of the rate from step 6,000 on and a hundredth from 12,000 on, the same rate for new layers, no warm-up " +
      "and no clipping; images squashed to 256 pixels, crops of 224 with 8 to 100 % of their area. Aircraft has its published validation " +
      `images for training too. Each method chooses its rate among ${rates.join(", ")} on a tenth of the training images.`,
    `"${literal}" takes the abstract at its word (\`--preset paper\`): learned noise, weights by softmax, the task's loss reaches the ` +
      "models, exploration to the end, no random routes at the start.",
    `Accuracy on ${measured}: mean ± half the 95 % interval over seeds.` +
      (request.quick ? " A quick run: 3 steps on few small images; its figures mean nothing." : ""),
    ...(results.length === 0 ? ["Nothing is measured yet."] : []),
  ];
  const sections: ReportSection[] = [
    { title: "Setting", text: about },
    ...(results.length > 0 ? [overview(results)] : []),
    ...results.map(({ target, rows }) => targetSection(target, rows)),
    ...(missing.length > 0 ? [missingSection(missing, folder, hubFolder)] : []),
  ];
  return { title: "The published setting", sections, data: { split, targets: results, missing } };
}

export const paper: Experiment = {
  name: "paper",
  seeds: 3,
  groups,
  report,
};
