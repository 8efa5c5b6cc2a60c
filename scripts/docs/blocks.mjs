/** Text between the markers of README and docs/results, with figures from the result pages. */
import { differenceChart } from "./chart.mjs";
import { routingBlocks } from "./routing.mjs";
import { interval, markdownTable } from "./tables.mjs";

/** The hubs of the claims, with their pages: members that stay as they are, and members that are trained whole. */
const hubs = [
  { title: "eight published networks, frozen", page: "mixed-hub-javascript-frozen.md" },
  { title: "starter hub, trained", page: "mixed-hub.md" },
  { title: "five networks of one shape, trained", page: "same-architecture.md" },
];
const ours = "Hub-Pathway, equal compute minus its rivals";
const mean = "mean of targets";
const targets = ["emoji", "fashion-mnist", "desktop-icons"];

const zooTuning = "Zoo-Tuning, equal compute";
const oneAlike = "one member for all images, same recipe";
const allAlike = "all members for all images, same recipe";
const halving = "successive halving, pair";
const longerPair = "best static pair, whole compute";

/** Rivals of the chart, by their names in the tables. */
const rivals = [
  "best member by validation",
  "best static pair by validation",
  "ensemble of all",
  "distillation",
  zooTuning,
  "best member, whole compute",
  longerPair,
  halving,
  oneAlike,
  allAlike,
  "random routes",
  "one gate for all images",
];

/** Further rivals of the notebook; the last ones need networks of one shape. */
const laterRivals = [
  "dense, all models",
  "from scratch, first member's architecture",
  "Zoo-Tuning lite, equal epochs",
  "Knowledge Flow",
  "B-Tuning",
  "greedy soup",
  "L2-SP, best member",
];

/** Zero has no sign. */
const plain = (figure) => figure.replace(/^[-+]0\.0(?= )/, "0.0");

/** The figure of a rival, or undefined where a hub does not allow it. */
function difference(results, page, rival, column = mean) {
  try {
    return plain(results.cell(page, ours, rival, column));
  } catch (error) {
    if (/has no row/.test(error.message)) return undefined;
    throw error;
  }
}

/** Seeds of a rival on a page; pages that do not tell have five. */
function seedsOf(results, page, rival) {
  try {
    return Number(results.cell(page, ours, rival, "seeds"));
  } catch {
    return 5;
  }
}

/** Names of numbers of seeds that are too few to say that a method is above another. */
const few = ["no", "one seed", "two seeds", "three seeds", "four seeds"];

/** What a figure says: above or below where its interval leaves zero out. */
function verdict(figure) {
  const { low, high } = interval(figure);
  return low > 0 ? "**above**" : high < 0 ? "**below**" : "level";
}

/** Least and largest share of the ensemble's FLOPs for an image, in percent, over the targets of a page. */
function costShare(results, page) {
  const shares = targets.map((target) => {
    const flops = (row) => amountOf(results.cell(page, target, row, "FLOPs/image"));
    return Math.round((100 * flops("Hub-Pathway, equal compute")) / flops("ensemble of all"));
  });
  return { low: Math.min(...shares), high: Math.max(...shares) };
}

const shareText = ({ low, high }) => (low === high ? `${low} %` : `${low} to ${high} %`);

const prefixes = { k: 1e3, M: 1e6, G: 1e9, T: 1e12 };
function amountOf(text) {
  const [, value, prefix = ""] = /^([\d.]+) ?([kMGT]?)$/.exec(text) ?? [];
  if (value === undefined) throw new Error(`"${text}" is no amount`);
  return Number(value) * (prefixes[prefix] ?? 1);
}

function claims(results) {
  const row = (claim, rival) => {
    const figures = hubs.map(({ page }) => {
      const figure = difference(results, page, rival);
      if (figure === undefined) return "-";
      const seeds = few[seedsOf(results, page, rival)];
      return `${figure}: ${seeds ? `${seeds}, a hint` : verdict(figure)}`;
    });
    return [claim, ...figures];
  };
  const rows = [
    row("1. the best single member, which only training all of them finds", "best member by validation"),
    row("... one member by the same recipe: heads in closed form first, then as long", oneAlike),
    row("2. the ensemble of all members ...", "ensemble of all"),
    row("... by the same recipe", allAlike),
    ["Hub-Pathway's part of its FLOPs an image", ...hubs.map(({ page }) => shareText(costShare(results, page)))],
    row("3. other uses of a hub: distillation into the best member", "distillation"),
    row("... Zoo-Tuning", zooTuning),
    row("4. routes that do not depend on the image: one gate for all images", "one gate for all images"),
    row("5. a pair that successive halving finds (trained: in the same training)", halving),
    row("... the best pair, trained anew with the whole compute (trained: twice the training)", longerPair),
  ];
  const titles = hubs.map(({ title }) => title);
  return markdownTable(["Hub-Pathway minus ...", ...titles], rows, ["left", ...titles.map(() => "right")]);
}

/** The page and the target of the demo. */
const specialists = { page: "routing-frozen.md", target: "letters-and-emoji" };

function demo(results) {
  const methods = [
    "best member by validation",
    "best member, whole compute",
    "one gate for all images, k = 1",
    "Hub-Pathway, k = 1",
    "Hub-Pathway, k = 1, credit by weights",
    "best static pair by validation",
    "one gate for all images, k = 2",
    "Hub-Pathway, k = 2",
    "Hub-Pathway, k = 2, credit by weights",
    "ensemble of all",
  ];
  const columns = ["accuracy", "training FLOPs", "FLOPs/image"];
  const rows = methods.map((name) => [
    name,
    ...columns.map((column) => results.cell(specialists.page, specialists.target, name, column)),
  ]);
  return markdownTable(["method", ...columns], rows, ["left", "right", "right", "right"]);
}

function differences(results, page, rows) {
  const columns = [...targets, mean];
  const lines = rows.map((rival) => [rival, ...columns.map((column) => difference(results, page, rival, column))]);
  // Not all hubs allow all rivals.
  const found = lines.filter(([, ...figures]) => figures.some((figure) => figure !== undefined));
  return markdownTable(["rival", ...columns], found);
}

/** Accuracy in percent on each target, and the range of FLOPs per image, of the published networks. */
function frozen(results) {
  const page = "mixed-hub-javascript-frozen.md";
  const methods = [
    "best member by validation",
    "best static pair by validation",
    "Hub-Pathway, equal epochs",
    "Hub-Pathway, equal compute",
    "one gate for all images",
    "random routes",
    "greedy ensemble",
    "ensemble of all",
  ];
  const rows = methods.map((method) => {
    const accuracies = targets.map((target) => results.cell(page, target, method, "accuracy"));
    return [method, ...accuracies, rangeOf(targets.map((target) => results.cell(page, target, method, "FLOPs/image")))];
  });
  return markdownTable(["method", ...targets, "FLOPs/image"], rows);
}

/** "0.8 G to 1.2 G" of amounts. */
function rangeOf(texts) {
  const sorted = [...texts].sort((a, b) => amountOf(a) - amountOf(b));
  const [first, last] = [sorted[0], sorted.at(-1)];
  return first === last ? first : `${first} to ${last}`;
}

function labelBudget(results) {
  const budgets = [10, 30, 100, 300].map((labels) => `fashion-mnist-${labels}`);
  const names = [
    "best member by validation",
    "best static pair by validation",
    "ensemble of all",
    "best member, whole compute",
  ];
  const accuracies = budgets.map((target) =>
    results.cell("label-budget.md", target, "Hub-Pathway, equal compute", "accuracy"),
  );
  const rows = names.map((name) => [
    name,
    ...[...budgets, mean].map((column) => plain(results.cell("label-budget.md", ours, name, column))),
  ]);
  return markdownTable(
    ["labels a class", "10", "30", "100", "300", "mean"],
    [["accuracy", ...accuracies, ""], ...rows],
  );
}

function games(results) {
  const methods = [
    "Hub-Pathway",
    "best agent fine-tuned",
    "fine-tune space-invaders",
    "fine-tune breakout",
    "dense",
    "random routes",
    "random routes, kept",
    "distillation",
    "from scratch",
  ];
  const columns = ["final, IQM", "asterix, final", "seaquest, final", "cells"];
  const rows = methods.map((method) => [
    method,
    ...columns.map((column) => results.cell("rl-transfer.md", "Methods", method, column)),
  ]);
  return markdownTable(["method", "both games", "Asterix, points", "Seaquest, points", "runs"], rows);
}

/** All targets of two scripts that were trained, and what they win over one gate. */
function twoScripts(results) {
  const [page, section] = ["diversity.md", "What is won with k = 1"];
  const targets = results
    .rows(page, section)
    .map(([name, members]) => [name, members])
    .filter(([name]) => /^scripts-(2-kinds|[a-z]+-[a-z]+)-/.test(name));
  const figure = (target, column) => interval(results.cell(page, section, target, column));
  const gains = targets.map((target) => figure(target, "over one gate"));
  const count = (of, isOne) => of.filter(isOne).length;
  const average = gains.reduce((sum, gain) => sum + Number(gain.mean), 0) / gains.length;
  const predicted = count(targets, (target) => Number(figure(target, "predicted gap").mean) > 3);
  return `- **Characters of two writing systems**, five frozen members of 11,000 parameters that know two each, k = 1, five seeds: of ${targets.length} targets the mean is above one gate in ${count(gains, ({ mean: gain }) => Number(gain) > 0)}, by ${average.toFixed(1)} points on average, and the interval in ${count(gains, ({ low }) => Number(low) > 0)}. For ${predicted} of them more than three points were predicted.`;
}

function otherResults(results) {
  const photograph = (rival) =>
    plain(results.cell("photographs-frozen.md", "Hub-Pathway, equal compute minus its rivals", rival, mean));
  const game = (method) => {
    const { mean: value, low, high } = interval(results.cell("rl-transfer.md", "Methods", method, "final, IQM"));
    return `${value} (${low} to ${high})`;
  };
  const mixed = (method) => results.cell("rl-mix.md", "Methods", method, "score");
  const labels = (rival) => plain(results.cell("label-budget.md", ours, rival, mean));
  const routed = (k, rival) =>
    plain(results.cell(specialists.page, `Hub-Pathway, k = ${k} minus its rivals`, rival, mean));
  return [
    `- **Four specialists that stay frozen**, letters and emoji (\`--credit losses\`): with k = 1 ${routed(1, "one gate for all images, k = 1")} points against one gate for all images, ${routed(1, "best member, whole compute")} against the best member with the whole compute; with k = 2 ${routed(2, "one gate for all images, k = 2")}, ${routed(2, "best static pair by validation")} against the best pair, ${routed(2, "ensemble of all")} against the ensemble of all four.`,
    twoScripts(results),
    `- **Photographs at 224 px** (248, eleven training images a class), seven published networks that stay frozen (five seeds): ${photograph("best member by validation")} against the best member, ${photograph("ensemble of all")} against the ensemble of all seven, ${photograph("one gate for all images")} against one gate for all images.`,
    `- **10 to 300 labels a class** of Fashion-MNIST (three seeds each, a hint): ${labels("best member by validation")} against the best member, ${labels("ensemble of all")} against the ensemble, ${labels("best member, whole compute")} against the best member with the whole compute.`,
    `- **Reinforcement learning**: a hub of agents of three MinAtar games, two other games. Return in units of learning from scratch: ${game("Hub-Pathway")}; the best agent fine-tuned, known after training all, ${game("best agent fine-tuned")}; random routes ${game("random routes")}; distillation ${game("distillation")}.`,
    `- **One policy for three of these games**, whose agents form the hub: mean return in units of each game's own agent ${mixed("Hub-Pathway, k = 1")} with k = 1, one gate ${mixed("one gate, k = 1")}, the best agent with the whole compute ${mixed("best agent, whole compute")} (five seeds).`,
  ].join("\n");
}

function chart(results) {
  const rows = rivals.map((name) => {
    const values = hubs.map(({ page }) => difference(results, page, name));
    return { name, values: values.map((figure) => figure && interval(figure)) };
  });
  const title = "Points of test accuracy above each rival (95 % interval)";
  return differenceChart(
    title,
    hubs.map((hub) => hub.title),
    rows,
  );
}

/** Blocks of the pages by the names in their markers. */
export const blocks = {
  claims,
  demo,
  "other-results": otherResults,
  "mixed-hub": (results) => differences(results, "mixed-hub.md", [...rivals, ...laterRivals.slice(0, 2)]),
  "same-architecture": (results) => differences(results, "same-architecture.md", [...rivals, ...laterRivals]),
  frozen,
  games,
  "label-budget": labelBudget,
  ...routingBlocks,
};

/** Pictures, by their paths. */
export const pictures = { "docs/results/claims.svg": chart };
