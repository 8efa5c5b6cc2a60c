/** Do transferability scores, which train nothing, predict how accurate a fine-tuned member will be? */

import {
  type CellGroup,
  columnsOf,
  type Experiment,
  type ExperimentReport,
  type ExperimentRequest,
  figuresOf,
  finishedCell,
  type MeanInterval,
  mainPlans,
  mean,
  meanInterval,
  methodCell,
  methodCellIds,
  type Plan,
  protocolOf,
  type ReportSection,
  Setting,
  targetKey,
  targetsOf,
  weightedTau,
} from "../compare/index.ts";
import { openHub } from "../hub/index.ts";
import { rankingScores, type ScoreKey } from "../ranking/index.ts";
import { duration } from "../report/index.ts";
import { UserError } from "../torch/index.ts";
import { rankHub } from "../train/index.ts";

const hubs = ["hubs/starter", "hubs/same-architecture"];

interface RankingCell {
  members: string[];
  /** Scores of the members in order, for each score that all of them have. */
  scores: Partial<Record<ScoreKey, number[]>>;
  seconds: Partial<Record<ScoreKey, number>>;
}

const settings = (request: ExperimentRequest): Setting[] =>
  request.seeds.flatMap((seed) =>
    (request.hub ? [request.hub] : hubs).flatMap((hub) =>
      targetsOf(request).map((target) => new Setting(protocolOf(openHub(hub), target, request), seed)),
    ),
  );

/** The fine-tuned members of the main comparisons, which share these cells. */
function memberPlans({ hub, protocol }: Setting): Plan[] {
  const members = hub.manifest.members.map((member) => member.name);
  return mainPlans({ members, epochs: protocol.epochs }).slice(0, members.length);
}

const nameOf = ({ hub, protocol, seed }: Setting) => `ranking/${hub.manifest.name}-${protocol.target.name}-s${seed}`;
const keyOf = ({ hub, protocol, seed }: Setting) => ({
  version: 1,
  hub: hub.fingerprint,
  ...targetKey(protocol.target),
  seed,
});

async function rankingCell(request: ExperimentRequest, setting: Setting): Promise<RankingCell> {
  return request.cells.cell(nameOf(setting), keyOf(setting), async () => {
    const rankings = await rankHub(setting.hub, await setting.data(), { seed: setting.seed });
    const cell: RankingCell = { members: rankings.map(({ name }) => name), scores: {}, seconds: {} };
    for (const { key } of rankingScores) {
      const values = rankings.flatMap(({ scores }) => scores[key] ?? []);
      if (values.length < rankings.length) continue;
      cell.scores[key] = values;
      cell.seconds[key] = rankings.reduce((sum, { seconds }) => sum + seconds.features + (seconds[key] ?? 0), 0);
    }
    return cell;
  });
}

function groups(request: ExperimentRequest): CellGroup[] {
  return settings(request).map(
    (setting): CellGroup => ({
      name: nameOf(setting),
      cells: () => [
        [nameOf(setting), keyOf(setting)],
        ...memberPlans(setting).flatMap((plan) => methodCellIds(request, setting, plan)),
      ],
      async run() {
        await using own = setting;
        await rankingCell(request, own);
        for (const plan of memberPlans(own)) await methodCell(request, own, plan);
      },
    }),
  );
}

/** Result of one score in one setting. */
interface Outcome {
  tau: number;
  /** Accuracy of the best member minus that of the one that the score puts first. */
  regret: number;
  seconds: number;
}

function outcomes(request: ExperimentRequest, setting: Setting): Map<ScoreKey, Outcome> {
  const found = new Map<ScoreKey, Outcome>();
  const cell = request.cells.read<RankingCell>(nameOf(setting), keyOf(setting));
  const cells = memberPlans(setting).flatMap((plan) => finishedCell(request, setting, plan) ?? []);
  if (!cell || cells.length < cell.members.length) return found;
  const accuracies = cells.map((own) => figuresOf(own, request.final ? "test" : "validation").accuracy);
  for (const { key } of rankingScores) {
    const scores = cell.scores[key];
    if (!scores) continue;
    const first = scores.indexOf(Math.max(...scores));
    const regret = Math.max(...accuracies) - (accuracies[first] ?? 0);
    found.set(key, { tau: weightedTau(scores, accuracies), regret, seconds: cell.seconds[key] ?? 0 });
  }
  return found;
}

async function report(request: ExperimentRequest): Promise<ExperimentReport> {
  const all = settings(request).map((setting) => ({ setting, outcomes: outcomes(request, setting) }));
  if (all.every(({ outcomes }) => outcomes.size === 0))
    throw new UserError("no ranking is finished yet: run the experiment first");
  const places = [...new Set(all.map(({ setting }) => placeOf(setting)))];
  const data = places.flatMap((place) =>
    rankingScores.flatMap(({ name, key }) => {
      const own = all
        .filter(({ setting }) => placeOf(setting) === place)
        .flatMap(({ outcomes }) => outcomes.get(key) ?? []);
      if (own.length === 0) return [];
      const [tau, regret] = [meanInterval(own.map((one) => one.tau)), meanInterval(own.map((one) => one.regret))];
      return [{ place, score: name, seeds: own.length, tau, regret, seconds: mean(own.map((one) => one.seconds)) }];
    }),
  );
  const rows = data.map(({ place, score, seeds, tau, regret, seconds }) => [
    place,
    score,
    String(seeds),
    plusMinus(tau, 1, 2),
    plusMinus(regret, 100, 1),
    duration(seconds),
  ]);
  const columns = columnsOf(["hub and target", "score", "seeds", "weighted tau", "points lost", "time"], 2);
  const split = request.final ? "test" : "validation";
  const section: ReportSection = {
    title: "Scores and fine-tuned accuracy",
    text: [
      `Weighted Kendall's tau between a score and the ${split} accuracy of the fine-tuned members (1: same order), and the accuracy that is ` +
        "lost by fine-tuning the member that the score puts first instead of the best one. Scores of a member's classifier (leep, nce) " +
        "are left out where members have none.",
    ],
    table: { columns, rows },
  };
  return { title: "Ranking members without training them", sections: [section], data: { split, lines: data } };
}

const plusMinus = ({ mean, half }: MeanInterval, scale: number, digits: number) =>
  `${(scale * mean).toFixed(digits)}${half === null ? "" : ` ± ${(scale * half).toFixed(digits)}`}`;
const placeOf = ({ hub, protocol }: Setting) => `${hub.manifest.name}, ${protocol.target.name}`;

export const ranking: Experiment = {
  name: "ranking",
  seeds: 5,
  groups,
  report,
};
