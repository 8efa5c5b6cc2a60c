/** Tables of docs/results/routing.md from the pages that it sums up. */
import { markdownTable } from "./tables.mjs";

/** Hubs of which router.md and credit.md have the same settings. */
const synthetic = ["m = 8, k = 1", "m = 4, k = 2"];
const taught = "What the generator learns from";
const made = "What the lessons are made of";

/** What each repair gave: agreement with the best routes, and accuracy. */
function repairs(results) {
  const tried = [
    ["as it was", "default"],
    ["exploration that does not fade", "exploration constant, weight 0.3"],
    ["random routes for the first 40 % of training", "warm-up 40 %"],
    ["three times the steps", "three times the steps"],
  ];
  const figures = ["agreement", "accuracy"];
  const router = ([title, name]) => [
    title,
    ...synthetic.flatMap((hub) =>
      figures.map((figure) => results.cell("router.md", "What helps", [name, hub], figure)),
    ),
  ];
  const credit = (title, columns) => [
    title,
    ...synthetic.flatMap((hub) => {
      return columns.map((column) => column && results.cell("credit.md", taught, [hub, "2048", "losses"], column));
    }),
  ];
  const part = (title, name) => [
    title,
    ...synthetic.flatMap((hub) => figures.map((figure) => results.cell("credit.md", made, [name, hub], figure))),
  ];
  return markdownTable(
    ["repair", ...synthetic.flatMap((hub) => figures.map((figure) => `${figure}, ${hub}`))],
    [
      ...tried.map(router),
      part("heads first, the weights teach", "without the memory: heads first, the weights teach"),
      part("memory of own losses without heads first", "without heads first: the memory fills while training"),
      part("both, first losses of heads that know the image", "first losses of heads that know the image"),
      part("both, the same views each time", "the same views each time"),
      credit("**heads first, memory of own losses, fresh views**", figures),
      credit("(the best routes, through the same heads)", ["", "oracle"]),
    ],
  );
}

/** Credit by losses against credit by weights on every synthetic hub. */
function teachers(results) {
  const rows = results.rows("credit.md", taught);
  const hubs = rows.filter(([, , teacher]) => teacher === "losses").map(([hub, images]) => [hub, images]);
  const of = (hub, teacher, figure) => results.cell("credit.md", taught, [...hub, teacher], figure);
  return markdownTable(
    [
      "hub",
      "images",
      "agreement: weights",
      "losses",
      "accuracy: weights",
      "losses",
      "best routes, best heads: above losses",
    ],
    hubs.map((hub) => [
      ...hub,
      ...["agreement", "accuracy"].flatMap((figure) =>
        ["weights", "losses"].map((teacher) => of(hub, teacher, figure)),
      ),
      of(hub, "losses", "below ceiling"),
    ]),
  );
}

/** What makes equal members become different: lines of three seeds at least, since intervals of two say nothing. */
function equals(results) {
  const section = "Forms of the generator and of the memory";
  const hub = "four that learn, k = 1";
  const seeds = (row) => Number(row.at(-1).split(" of ")[1]);
  const rows = results.rows("credit.md", section).filter((row) => row[1] === hub && seeds(row) >= 3);
  return markdownTable(
    ["four equal members that learn, k = 1", "accuracy", "agreement"],
    rows.map(([form, , images]) => [
      form,
      ...["accuracy", "agreement"].map((figure) => results.cell("credit.md", section, [form, hub, images], figure)),
    ]),
  );
}

const map = "diversity-validation.md";

/** Places of the map: what is predicted, and what was won where something was trained. Pairs of scripts that were only predicted are left out. */
function diversity(results) {
  const sectionOf = (k) => `What is won with k = ${k}`;
  const isTrained = (k, target) =>
    results.rows(map, sectionOf(k)).some(([name, members]) => `${name} ${members}` === target.join(" "));
  const won = (k, target, column) => (isTrained(k, target) ? results.cell(map, sectionOf(k), target, column) : "");
  const targets = results.rows(map, "What is predicted").map(([name, members]) => [name, members]);
  const shown = targets.filter((target) => /-kinds-/.test(target[0]) || isTrained(1, target));
  const rows = shown.map((target) => {
    const [name, members] = target;
    const predicted = (column) => results.cell(map, "What is predicted", target, column);
    return [
      `${name}, ${members}`,
      predicted("kind named"),
      predicted("routes by kind, k = 1"),
      won(1, target, "over one gate"),
      won(1, target, "over the best member, whole compute"),
      won(1, target, "over routes of other images, validation"),
      predicted("routes by kind, k = 2"),
      won(2, target, "over one gate"),
      won(2, target, "over the best static pair, whole compute"),
    ];
  });
  const columns = [
    "kind named",
    "predicted",
    "over one gate",
    "over the best member, whole compute",
    "lost with routes of other images",
  ];
  return markdownTable(
    ["target and members", ...columns, "k = 2: predicted", "over one gate", "over the best pair, whole compute"],
    rows,
  );
}

/** The same hub and target with members that stay as they are, and with members that are trained whole. */
function tuning(results) {
  const frozen = ["routing-frozen-validation.md", "letters-and-emoji"];
  const whole = ["routing-validation.md", "letters-and-emoji"];
  const lines = [
    ["best member by validation", "best member by validation", "best member by validation"],
    ["best pair by validation", "best static pair by validation", "best static pair by validation"],
    ["ensemble of all four", "ensemble of all", "ensemble of all"],
    ["one gate, k = 1", "one gate for all images, k = 1", "k = 1, one gate for all images"],
    ["Hub-Pathway, k = 1", "Hub-Pathway, k = 1", "k = 1"],
    ["one gate, k = 2", "one gate for all images, k = 2", "one gate for all images"],
    ["Hub-Pathway, k = 2", "Hub-Pathway, k = 2", "Hub-Pathway, equal compute"],
  ];
  const figures = ["accuracy", "I(image; model)"];
  const rows = lines.map(([title, still, trained]) => [
    title,
    ...figures.map((figure) => results.cell(...frozen, still, figure)),
    ...figures.map((figure) => results.cell(...whole, trained, figure)),
  ]);
  return markdownTable(["method", "frozen", "nats", "trained whole", "nats"], rows);
}

/** Points above each rival on the test split, with frozen members and k = 1. */
function frozenTest(results) {
  const section = "Hub-Pathway, k = 1 minus its rivals";
  const rivals = [
    "one gate for all images, k = 1",
    "best member, whole compute",
    "Hub-Pathway, k = 1, credit by weights",
    "random routes, k = 1",
    "ensemble of all",
  ];
  const others = "over routes of other images";
  return markdownTable(
    ["rival", "points above it"],
    [
      ...rivals.map((rival) => [rival, results.cell("routing-frozen.md", section, rival, "mean of targets")]),
      [
        "its own routes, given to other images (validation)",
        results.cell("routing-frozen.md", others, ["letters-and-emoji", "Hub-Pathway, k = 1"], others),
      ],
    ],
  );
}

const ceilingsOf = "What a router could win";

/** What routes could win that know the losses of all members. */
function ceilings(results) {
  const page = "routing-validation.md";
  const columns = [
    "best single",
    "router on first stages, one",
    "router on all members, one",
    "best pair",
    "router on first stages, pair",
    "router on all members, pair",
    "ensemble",
  ];
  const rows = ["frozen, converged heads", "fine-tuned"].flatMap((members) =>
    ["emoji", "fashion-mnist", "letters-and-emoji"].map((target) => [
      `${target}, ${members}`,
      ...columns.map((column) => results.cell(page, ceilingsOf, [members, target], column)),
    ]),
  );
  return markdownTable(["target, members", ...columns], rows);
}

export const routingBlocks = { repairs, teachers, equals, diversity, tuning, "frozen-test": frozenTest, ceilings };
