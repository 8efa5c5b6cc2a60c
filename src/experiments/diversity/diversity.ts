/** Where routes by input pay: a map that is predicted first, and then trained. */
import {
  type CellGroup,
  type CellId,
  columnsOf,
  computeEpochs,
  type Experiment,
  type ExperimentReport,
  type ExperimentRequest,
  figuresOf,
  finishedCell,
  gainText,
  intervalText,
  isAsked,
  type MeanInterval,
  type MethodCell,
  mainPlans,
  mark,
  mean,
  meanInterval,
  methodCell,
  methodCellIds,
  optionsKey,
  ourChoices,
  overOtherRoutes,
  type Plan,
  plan,
  quickRemark,
  type ReportSection,
  type Setting,
  type StudentTest,
  standing,
  studentTest,
  targetKey,
} from "../../compare/index.ts";
import { percent, points } from "../../report/index.ts";
import { UserError } from "../../torch/index.ts";
import { type Place, placesOf, settingsOf } from "./places.ts";
import { headForEachKind, type Prediction, predict } from "./prediction.ts";

/** Raised when predictions of the same request would be others. */
const predictionVersion = 1;
/** A gap that routes should win, a difference that counts as level, and how much of a gap is wanted. */
const [worthwhile, level, wanted] = [0.03, 0.005, 0.8];
/** Kinds that a generator names less often count as not told. */
const tellable = 0.97;

const sizes = [1, 2] as const;
type Size = (typeof sizes)[number];

/** The rival of k models that need no generator, trained as long as all members together. */
const longer: Record<Size, string> = { 1: "best member, whole compute", 2: "best static pair, whole compute" };
const [ours, gate, whole] = ["Hub-Pathway", "one gate", "ensemble of all"];

function plansOf({ hub, protocol: { epochs } }: Setting): Plan[] {
  const members = hub.manifest.members.map(({ name }) => name);
  const rivals = mainPlans({ members, epochs });
  const lines = sizes.flatMap((k) => {
    const choices = { ...ourChoices, k, credit: "losses" };
    const all = computeEpochs({ members, epochs }, k);
    return [
      plan(`${ours}, k = ${k}`, "hub-pathway", "equal compute", all, { choices }),
      plan(`${gate}, k = ${k}`, "global-gate", "equal compute", all, { choices }),
      ...rivals.filter(({ name }) => name === longer[k]),
    ];
  });
  return [...lines, ...rivals.filter(({ name }) => name === whole)];
}

const nameOf = ({ hub, protocol, seed }: Setting) => `diversity/${hub.manifest.name}-${protocol.target.name}-s${seed}`;

function keyOf({ hub, protocol, seed }: Setting): unknown {
  const { target, options } = protocol;
  return { version: predictionVersion, hub: hub.fingerprint, ...targetKey(target), options: optionsKey(options), seed };
}

function predictionCell(request: ExperimentRequest, setting: Setting): Promise<Prediction> {
  return request.cells.cell(nameOf(setting), keyOf(setting), async () => {
    const found = await predict(setting);
    request.say(`${nameOf(setting)}: ${points(gapOf(1, found))} points of routes by kind are predicted`);
    return found;
  });
}

/** A cell of its own: predictions were kept before there was this control. */
const controlName = (setting: Setting) => `${nameOf(setting)}-head-for-each-kind`;

/** Seed by seed, so that the whole map has one before any place has more. */
function groups(request: ExperimentRequest): CellGroup[] {
  const places = placesOf(request);
  return request.seeds.flatMap((seed) =>
    places.flatMap((place) =>
      settingsOf({ ...request, seeds: [seed] }, place).map((setting): CellGroup => {
        const name = `${setting.protocol.target.name} ${place.capacity}`;
        const isPredicted = isAsked(request, name, "prediction");
        const lines = () =>
          (place.isTrained ? plansOf(setting) : []).filter((line) => isAsked(request, name, line.name));
        return {
          name: `${setting.protocol.target.name}, ${place.capacity}, seed ${setting.seed}`,
          cells: (): CellId[] => [
            ...(isPredicted ? [nameOf, controlName].map((of) => [of(setting), keyOf(setting)] as const) : []),
            ...lines().flatMap((line) => methodCellIds(request, setting, line)),
          ],
          async run() {
            await using own = setting;
            if (isPredicted) {
              await predictionCell(request, own);
              await request.cells.cell(controlName(own), keyOf(own), () => headForEachKind(own));
            }
            for (const line of lines()) await methodCell(request, own, line);
          },
        };
      }),
    ),
  );
}

interface Found {
  place: Place;
  settings: readonly Setting[];
  predictions: readonly Prediction[];
  /** Gain over one member of a head for each kind, by seed. */
  controls: readonly number[];
}

function finished(request: ExperimentRequest): Found[] {
  return placesOf(request).flatMap((place) => {
    const settings = settingsOf(request, place);
    const predictions = settings.flatMap((own) => request.cells.read<Prediction>(nameOf(own), keyOf(own)) ?? []);
    const controls = settings.flatMap((own) => {
      const found = request.cells.read<number>(controlName(own), keyOf(own));
      const single = request.cells.read<Prediction>(nameOf(own), keyOf(own))?.single;
      return found === undefined || single === undefined ? [] : [found - single];
    });
    return predictions.length > 0 ? [{ place, settings, predictions, controls }] : [];
  });
}

/** Above zero, its interval too. */
const isAbove = ({ mean, half }: MeanInterval) => half !== null && mean - half > 0;

const gapOf = (size: Size, prediction: Prediction) =>
  size === 1 ? prediction.oracleSingle - prediction.single : prediction.oraclePair - prediction.pair;

const aboutPlace = ({ place, predictions }: Found): string[] => {
  const [first] = predictions;
  return [place.target.name, place.capacity, String(first?.kinds.length ?? 0), String(first?.images ?? 0)];
};

function mapSection(found: readonly Found[]): ReportSection {
  const average = (predictions: readonly Prediction[], of: (one: Prediction) => number) =>
    intervalText(meanInterval(predictions.map(of)));
  const gap = (predictions: readonly Prediction[], of: (one: Prediction) => number) =>
    gainText(meanInterval(predictions.map(of)));
  const rows = found.map((one) => {
    const { predictions } = one;
    return [
      ...aboutPlace(one),
      String(predictions.length),
      average(predictions, ({ told }) => told),
      average(predictions, ({ single }) => single),
      gap(predictions, (own) => gapOf(1, own)),
      one.controls.length > 0 ? gainText(meanInterval(one.controls)) : "",
      gap(predictions, ({ sharedSingle, single }) => sharedSingle - single),
      gap(predictions, ({ toldSingle, single }) => toldSingle - single),
      average(predictions, ({ pair }) => pair),
      gap(predictions, ({ oracleSingle, pair }) => oracleSingle - pair),
      gap(predictions, (own) => gapOf(2, own)),
      gap(predictions, ({ toldPair, pair }) => toldPair - pair),
      average(predictions, ({ ensemble }) => ensemble),
    ];
  });
  const titles = [
    "kinds",
    "training images",
    "seeds",
    "kind named",
    "one member",
    "routes by kind, k = 1",
    "one member, a head for each kind",
    "with heads of all kinds",
    "by named kind, k = 1",
    "one pair",
    "k = 1 over the pair",
    "routes by kind, k = 2",
    "by named kind, k = 2",
    "ensemble of all",
  ];
  return {
    title: "What is predicted",
    text: [
      "Accuracies on validation images, under heads trained to convergence. Routes by kind give each kind to the member (k = 1) or pair (k = 2) that owns it. " +
        "A member's head then learns from its own kinds alone, but for the column that says otherwise. Gains are points over one member, or one pair, for every image.",
      "Members, pairs and owners are those of the most right training images, by heads in closed form that were fitted without them. " +
        "One member, a head for each kind: what knowing the kind wins without another member. " +
        "By named kind: the same routes along the kinds that a generator names, after it was told those of the training images.",
    ],
    table: { columns: columnsOf(["target", "members", ...titles], 2), rows },
  };
}

interface Trained {
  ours: MethodCell;
  gate: MethodCell;
  longer: MethodCell;
  /** Missing where the seed was trained before it was predicted. */
  prediction: Prediction | undefined;
}

/** What is finished of a place for k models, by seed. */
function trainedOf(request: ExperimentRequest, { settings }: Found, k: Size): Trained[] {
  return settings.flatMap((setting) => {
    const cells = plansOf(setting).map((line) => [line.name, finishedCell(request, setting, line)] as const);
    const find = (name: string) => cells.find(([own]) => own === name)?.[1];
    const [own, one, long] = [find(`${ours}, k = ${k}`), find(`${gate}, k = ${k}`), find(longer[k])];
    const prediction = request.cells.read<Prediction>(nameOf(setting), keyOf(setting));
    return own && one && long ? [{ ours: own, gate: one, longer: long, prediction }] : [];
  });
}

/** What k models win in a place. */
interface Won {
  place: Place;
  seeds: number;
  accuracy: MeanInterval;
  gap: MeanInterval;
  told: MeanInterval;
  gain: MeanInterval;
  /** That the gain is zero. */
  test: StudentTest | undefined;
  longGain: MeanInterval;
  permuted: MeanInterval | undefined;
}

function wonIn(request: ExperimentRequest, one: Found, k: Size): Won[] {
  const split = request.final ? "test" : "validation";
  const accuracy = (cell: MethodCell) => figuresOf(cell, split).accuracy;
  const cells = trainedOf(request, one, k);
  if (cells.length === 0) return [];
  const gains = cells.map((own) => accuracy(own.ours) - accuracy(own.gate));
  return [
    {
      place: one.place,
      seeds: cells.length,
      accuracy: meanInterval(cells.map((own) => accuracy(own.ours))),
      gap: meanInterval(cells.flatMap(({ prediction }) => (prediction ? gapOf(k, prediction) : []))),
      told: meanInterval(cells.flatMap(({ prediction }) => prediction?.told ?? [])),
      gain: meanInterval(gains),
      test: studentTest(gains),
      longGain: meanInterval(cells.map((own) => accuracy(own.ours) - accuracy(own.longer))),
      permuted: overOtherRoutes(cells.map(({ ours: cell }) => cell)),
    },
  ];
}

function trainedSection(request: ExperimentRequest, found: readonly Found[], k: Size): ReportSection[] {
  const all = found.flatMap((one) => wonIn(request, one, k));
  const stands = standing(all.map(({ test }) => test));
  const rows = all.map((won, at) => {
    const { place, seeds, accuracy, gap, gain, longGain, permuted } = won;
    return [
      place.target.name,
      place.capacity,
      String(seeds),
      gainText(gap),
      intervalText(accuracy),
      `${gainText(gain)}${stands[at] ? ` ${mark}` : ""}`,
      gainText(longGain),
      gap.mean > worthwhile ? percent(gain.mean / gap.mean) : "",
      permuted ? gainText(permuted) : "",
      verdict(won),
    ];
  });
  const titles = [
    "seeds",
    "predicted gap",
    `${ours}, k = ${k}`,
    `over ${gate}`,
    `over the ${longer[k]}`,
    "part of the gap",
    "over routes of other images, validation",
    "verdict",
  ];
  if (rows.length === 0) return [];
  const section: ReportSection = {
    title: `What is won with k = ${k}`,
    text: [
      `${ours} and ${gate} have the same recipe (credit by losses, heads in closed form first) and all members' epochs together. The ${longer[k]}, ` +
        "was chosen among all after its share of them, and trained anew for as long, with heads that begin at nothing; it is also the ensemble at k of m of its cost.",
      `Won: a predicted gap of more than ${points(worthwhile)} points in the mean, of which at least ${percent(wanted)} are gained over ${gate}, with the interval of every gain above zero. ` +
        `In part: less of it, with those intervals above zero. Level: a smaller gap, and within ${points(level)} points. ` +
        `Kinds not told: a generator that is told the kinds names fewer than ${percent(tellable)} of them.`,
    ],
    table: { columns: columnsOf(["target", "members", ...titles], 2), rows },
    remarks: [
      ...together(all),
      `${mark}: stands after Holm's correction for all rows of this table (Student's t test, 5 % in all).`,
    ],
  };
  return [section];
}

/** What is won of all gaps that were predicted, where kinds can be told. */
function together(all: readonly Won[]): string[] {
  const predicted = all.filter(({ gap, told }) => gap.mean > worthwhile && told.mean >= tellable);
  if (predicted.length === 0) return [];
  const [won, inPart] = ["won", "won in part"].map((one) => predicted.filter((own) => verdict(own) === one).length);
  const share = mean(predicted.map(({ gain }) => gain.mean)) / mean(predicted.map(({ gap }) => gap.mean));
  const above = predicted.filter(({ gain }) => gain.mean > 0).length;
  return [
    `Targets with a predicted gap of more than ${points(worthwhile)} points and kinds that can be told: ${predicted.length}. Won are ${won}, in part ${inPart}; ` +
      `the mean is above one gate in ${above}. Together they gain ${percent(share)} of what was predicted.`,
  ];
}

function verdict({ gap, told, gain, longGain, permuted }: Won): string {
  if (gap.mean <= worthwhile) return Math.abs(gain.mean) <= level ? "level" : gain.mean > 0 ? "above" : "below";
  if (!permuted || ![gain, longGain, permuted].every(isAbove))
    return told.mean < tellable ? "not shown, kinds not told" : "not shown";
  return gain.mean >= wanted * gap.mean ? "won" : "won in part";
}

const aboutPlaces = [
  "scripts-N-kinds: characters of N writing systems in Debian's fonts, with families of fonts of their own on each side of the split. Five narrow members (11,000 " +
    "parameters) know two scripts each, from other families. The wide ones are the four specialists, of which one knows Latin letters and three know drawings or icons. " +
    "All seeds share their validation and test images, so that intervals hold what training varies, and not what other fonts or images would. " +
    "scripts-A-B: two of these that different members know, all such pairs. All were predicted by seed 0; those with more than three points, and " +
    "kinds that were named in 97 % of images or more, were trained, and as controls those that should lose two points or more.",
  "pictures-N-kinds: emoji, Greek letters, clothes and desktop icons, by the same specialists. No package with photographs of faces was found.",
];

async function report(request: ExperimentRequest): Promise<ExperimentReport> {
  const found = finished(request);
  if (found.length === 0) throw new UserError("no cell is finished yet: run the experiment first");
  return {
    title: "Where routes by input pay",
    sections: [
      {
        title: "The question",
        text: [
          "Does it pay to give different kinds of input to different members? For each number of kinds, labels a class and capacity of a member, what routes by kind win is " +
            "predicted before anything is trained, and then trained. All members stay as they are.",
          ...(request.hub === undefined && request.data === undefined ? aboutPlaces : []),
          `Mean, with the 95 % interval (Student's t over the means of seeds).${quickRemark(request.quick)}`,
        ],
      },
      mapSection(found),
      ...sizes.flatMap((k) => trainedSection(request, found, k)),
    ],
    data: {
      places: found.map(({ place, predictions }) => ({
        target: place.target.name,
        capacity: place.capacity,
        predictions,
      })),
    },
  };
}

export const diversity: Experiment = { name: "diversity", seeds: 5, hasLines: true, groups, report };
