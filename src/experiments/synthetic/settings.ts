/** The sections of the experiment: which settings are compared, and which of their figures are shown. */
import { type PathwayConfig, presets } from "../../pathway/index.ts";
import { defaultTrainOptions, fingerprint } from "../../train/index.ts";
import type { Setting } from "./cell.ts";
import { blindView, imageSide, type World } from "./world.ts";

/** Figure that a column shows (figures.ts). */
export type FigureName =
  | "accuracy"
  | "oracle"
  | "cue"
  | "told"
  | "constant"
  | "random"
  | "regret"
  | "belowCeiling"
  | "logLossRegret"
  | "agreement"
  | "toldAgreement"
  | "mutualInformation"
  | "classInformation"
  | "loadEntropy"
  | "topShare"
  | "own"
  | "elsewhere"
  | "collapsed";

export interface Row {
  /** One text for each of the section's labels. */
  labels: readonly string[];
  setting: Setting;
  /** Place on the plot. */
  x?: number;
}

export interface SectionPlan {
  title: string;
  text: readonly string[];
  labels: readonly string[];
  columns: readonly FigureName[];
  rows: readonly Row[];
  /** A line for each figure and, where there is a second label, for each of its texts. */
  plot?: { x: string; y: string; figures: readonly FigureName[] };
}

type Changes = Omit<Partial<Setting>, "world" | "config"> & { world?: Partial<World>; config?: Partial<PathwayConfig> };

/** Four experts, each the best of one domain, of whom an image activates one. */
const single: Setting = {
  world: { members: 4, classes: 4, good: 1, signal: 3, cue: 6, reliability: 0.5 },
  members: "experts",
  config: { k: 1, generatorSize: blindView },
  samples: 2048,
  steps: 480,
  generatorFactor: defaultTrainOptions.generatorFactor,
  told: false,
  testImages: 1000,
};

/** Each domain has two good experts with half of the evidence each, and an image activates two. */
const pair: Setting = {
  ...single,
  world: { ...single.world, good: 2, signal: 2 },
  config: { ...single.config, k: 2 },
};

/** Four equal members that learn, and no tile to trust but the domain's own. */
const learning: Setting = {
  ...single,
  world: { ...single.world, signal: 4, reliability: 0 },
  members: "newcomers",
  samples: 8192,
  steps: 640,
  generatorFactor: 10,
};

function change(base: Setting, { world, config, ...rest }: Changes): Setting {
  return { ...base, ...rest, world: { ...base.world, ...world }, config: { ...base.config, ...config } };
}

/** The same with a generator that learns faster than the loop's default. */
const faster: Setting = { ...single, generatorFactor: 10 };

const rateLabel = "k, generator's rate";
const lines = [
  "accuracy",
  "oracle",
  "told",
  "constant",
  "random",
  "regret",
  "belowCeiling",
  "agreement",
  "toldAgreement",
] as const;

const samples: SectionPlan = {
  title: "Training images",
  text: [
    "Four experts; the same number of steps for every number of images, so that fewer images are seen more often.",
  ],
  labels: ["images", rateLabel],
  columns: [...lines, "logLossRegret", "mutualInformation"],
  rows: [faster, pair].flatMap((base) =>
    [128, 512, 2048, 8192].map((count) => ({
      labels: [String(count), rateOf(base)],
      setting: change(base, { samples: count, told: true }),
      x: Math.log2(count),
    })),
  ),
  plot: {
    x: "log2 of the training images",
    y: "agreement with the best members",
    figures: ["agreement", "toldAgreement"],
  },
};

function rateOf({ config, generatorFactor }: Setting): string {
  return `${config.k}, ×${generatorFactor}`;
}

const hubSize: SectionPlan = {
  title: "Hub size",
  text: [
    "2,048 images whatever the hub: a larger one has fewer images of each domain, and fewer rows for each expert.",
  ],
  labels: ["m", "allowed in a step", rateLabel],
  columns: [...lines, "mutualInformation", "topShare"],
  rows: [
    ...[4, 8, 16].map((m) => sized(single, m)),
    sized(single, 16, 16),
    ...[2, 4, 8, 16].map((m) => sized(faster, m)),
    ...[4, 8].map((m) => sized(pair, m)),
  ],
};

function sized(base: Setting, m: number, allowedMembers = 8): Row {
  const config = allowedMembers === 8 ? {} : { allowedMembers };
  return {
    labels: [String(m), String(Math.min(m, allowedMembers)), rateOf(base)],
    setting: change(base, { world: { members: m }, config, told: base !== single }),
  };
}

const cue: SectionPlan = {
  title: "Visibility of the cue",
  text: [
    "k = 1, generator ×10. Strength of the domain's texture over the noise; “cue” routes to the best members of " +
      "the domain whose texture is strongest, which no reader of the texture can better.",
  ],
  labels: ["strength"],
  columns: ["cue", ...lines],
  rows: [0, 2, 3, 6].map((strength) => ({
    labels: [String(strength)],
    setting: change(faster, { world: { cue: strength }, told: true }),
    x: strength,
  })),
  plot: { x: "strength of the cue", y: "accuracy", figures: ["accuracy", "cue", "told", "constant"] },
};

const advantage: SectionPlan = {
  title: "How much better the best member is, and what else the generator can learn",
  text: [
    "k = 1, generator ×10. The less reliable the other experts' tiles are, the more the best member has over " +
      "them. In the last row the generator's view shows the classes too, and it can use the routes to say what it " +
      "read there (information of routes and classes).",
  ],
  labels: ["reliability of others", "view"],
  columns: [
    "accuracy",
    "oracle",
    "constant",
    "random",
    "regret",
    "belowCeiling",
    "agreement",
    "mutualInformation",
    "classInformation",
  ],
  rows: [
    ...[0, 0.5, 0.8, 0.9].map((reliability) => ({
      labels: [String(reliability), "cue only"],
      setting: change(faster, { world: { reliability } }),
    })),
    {
      labels: ["0.5", "everything"],
      setting: change(faster, { config: { generatorSize: imageSide } }),
    },
  ],
};

const specialisation: SectionPlan = {
  title: "Specialisation of members that learn",
  text: [
    "Four members with equal weights see all tiles and are trained on what activates them; only the tile of the " +
      "image's own domain shows the class. “own” is the accuracy of members alone on images that activate them, " +
      "“elsewhere” that of the same members on the others. The oracle routes to the members that are best for each " +
      "domain on other images. Generator ×10.",
  ],
  labels: ["training"],
  columns: ["accuracy", "oracle", "random", "own", "elsewhere", "mutualInformation", "loadEntropy", "topShare"],
  rows: [
    learner("one member for everything", { count: 1 }),
    learner("k = 1", {}),
    learner("k = 1, random routes", { randomRoutes: true }),
    learner("k = 2", { config: { k: 2 } }),
    learner("k = 2, without exploitation loss (beta 1)", { config: { k: 2, exploitationWeight: 0, beta: 1 } }),
    learner("k = 2, the aggregate's loss trains members too (beta 1)", { config: { k: 2, beta: 1 } }),
    learner("k = 2, random routes", { config: { k: 2 }, randomRoutes: true }),
  ],
};

function learner(label: string, changes: Changes): Row {
  return { labels: [label], setting: change(learning, changes) };
}

const choices: readonly (readonly [string, Partial<PathwayConfig>])[] = [
  ["default", {}],
  ["no exploration loss", { explorationWeight: 0 }],
  ["no noise", { noise: "none" }],
  ["no warm-up", { warmup: 0 }],
  ["none of the three", { explorationWeight: 0, noise: "none", warmup: 0 }],
  ["learned noise", { noise: "learned" }],
  ["learned noise alone", { noise: "learned", explorationWeight: 0, warmup: 0 }],
  ["exploration constant, weight 0.3", { explorationFade: "constant", explorationWeight: 0.3 }],
  ["preset paper", presets.paper(4)],
];

/** Variants that are tried with members that learn too, whose training takes longer. */
const forLearning = [
  "default",
  "no exploration loss",
  "none of the three",
  "learned noise alone",
  "exploration constant, weight 0.3",
  "preset paper",
];

const collapse: SectionPlan = {
  title: "Collapse",
  text: [
    "k = 1, four members, generator ×10. “top” is the share of the busiest member; a run counts as collapsed " +
      "where it is above 90 %. An even load has the entropy 1.39.",
  ],
  labels: ["choices", "members"],
  columns: ["accuracy", "oracle", "belowCeiling", "mutualInformation", "loadEntropy", "topShare", "collapsed"],
  rows: [
    ...choices.map(([label, config]) => ({ labels: [label, "experts"], setting: change(faster, { config }) })),
    ...choices
      .filter(([label]) => forLearning.includes(label))
      .map(([label, config]) => ({ labels: [label, "learning"], setting: change(learning, { config }) })),
  ],
};

/** How much of the best routes was found. */
const foundColumns: readonly FigureName[] = [
  "accuracy",
  "oracle",
  "constant",
  "belowCeiling",
  "agreement",
  "mutualInformation",
  "topShare",
  "collapsed",
];

const remedies: SectionPlan = {
  title: "What helps",
  text: ["Eight experts with k = 1, and four with k = 2, where the defaults leave much to be found."],
  labels: ["choices", "hub"],
  columns: foundColumns,
  rows: (
    [
      ["m = 8, k = 1", change(single, { world: { members: 8 } })],
      ["m = 4, k = 2", pair],
    ] as const
  ).flatMap(([hub, base]) =>
    (
      [
        ["default", {}],
        ["generator ×10", { generatorFactor: 10 }],
        ["three times the steps", { steps: 3 * base.steps }],
        ["exploration constant, weight 0.3", constant(0.3)],
        ["warm-up 40 %", { config: { warmup: 0.4 } }],
        ["generator ×10, exploration constant 0.3", { generatorFactor: 10, ...constant(0.3) }],
      ] as const
    ).map(([label, changes]) => ({ labels: [label, hub], setting: change(base, changes) })),
  ),
};

function constant(explorationWeight: number): Changes {
  return { config: { explorationFade: "constant", explorationWeight } };
}

/** Two teachers of the generator, each with one recipe for all hubs. */
const credit: SectionPlan = {
  title: "What the generator learns from",
  text: [
    "“weights” is the task's loss through the pathway weights. “losses” is regression on the members' own losses, after heads " +
      "in closed form. The generator learns at ten times the rate of pre-trained weights. Members that learn start equal: regression " +
      "would find no difference between them, so that the weights teach there on both lines. On the line “losses” first scores differ by image there, no routes are " +
      "random, and exploration lasts.",
  ],
  labels: ["hub", "images", "learns from"],
  columns: foundColumns,
  rows: (
    [
      ["m = 8, k = 1", 2048, sized(faster, 8).setting],
      ["m = 8, k = 2", 2048, sized(change(pair, { generatorFactor: 10 }), 8).setting],
      ["m = 4, k = 2", 2048, change(pair, { generatorFactor: 10 })],
      ["m = 16, k = 1", 2048, sized(faster, 16, 16).setting],
      ["m = 8, k = 1", 512, sized(faster, 8).setting],
      ["four that learn, k = 1", 8192, learning],
    ] as const
  ).flatMap(([hub, samples, base]) =>
    (["weights", "losses"] as const).map((credit) => ({
      labels: [hub, String(samples), credit],
      setting: change(base, { samples, told: false, config: { credit } }),
    })),
  ),
};

const lessons: readonly (readonly [string, Changes])[] = [
  ["everything", {}],
  ["without the memory: heads first, the weights teach", { without: "memory" }],
  ["without heads first: the memory fills while training", { without: "heads" }],
  ["first losses of heads that know the image", { without: "left-out" }],
  ["the same views each time", { without: "changes" }],
];

const parts: SectionPlan = {
  title: "What the lessons are made of",
  text: ["“losses” of the table above, from which one part at a time is taken away. 2,048 images."],
  labels: ["generator", "hub"],
  columns: foundColumns,
  rows: (
    [
      ["m = 8, k = 1", sized(faster, 8).setting],
      ["m = 4, k = 2", change(pair, { generatorFactor: 10 })],
    ] as const
  ).flatMap(([hub, base]) =>
    lessons.map(([label, changes]) => ({
      labels: [label, hub],
      setting: change(change(base, { told: false, config: { credit: "losses" } }), changes),
    })),
  ),
};

/** Members that learn have no losses to compare: what teaches there is set by hand. */
const learningForms: readonly (readonly [string, Changes])[] = [
  ["as it is", {}],
  ["exploration to the end", { config: { explorationFade: 1 } }],
  ["both teachers, mean of losses", { variant: "both" }],
  ["both teachers, last loss", { variant: "both-last" }],
  ["both teachers, fresh losses of all members", { variant: "both-fresh" }],
  ["no random routes", { config: { warmup: 0 } }],
  ["first scores by image, no random routes", { variant: "scattered", config: { warmup: 0 } }],
  [
    "first scores by image, no random routes, exploration to the end",
    { variant: "scattered", config: { warmup: 0, explorationFade: 1 } },
  ],
];

const unseen: Setting = change(sized(faster, 8).setting, { world: { cue: 0 } });
const plain = ["as it is", {}] as const;

const forms: SectionPlan = {
  title: "Forms of the generator and of the memory",
  text: [
    "“losses” of the first table for experts, “weights” for members that learn. None of these is a choice of the method: they are put in from outside, but for shrunk scores, which runs with validation images have since. Shrunk " +
      "scores are their mean plus alpha times the rest; alpha is chosen on a quarter as many further images, and above 0 only where that is better by more than its " +
      "standard error. Without a cue there is nothing to route by, and “one gate” is right.",
  ],
  labels: ["form", "hub", "images"],
  columns: foundColumns,
  rows: (
    [
      [
        "m = 8, k = 1",
        change(sized(faster, 8).setting, { samples: 512 }),
        [
          plain,
          ["GroupNorm in place of BatchNorm", { variant: "group-norm" }],
          ["mean of weights over steps (EMA)", { variant: "averaged" }],
          ["shrunk to one gate (residual)", { variant: "residual" }],
          ["noise as wide as scores are uncertain (Thompson)", { variant: "posterior" }],
          ["mean of first and later losses", { without: "first" }],
          ["last loss", { without: "mean" }],
        ],
      ],
      [
        "m = 16, k = 1",
        sized(faster, 16, 16).setting,
        [
          plain,
          ["GroupNorm in place of BatchNorm", { variant: "group-norm" }],
          ["mean of weights over steps (EMA)", { variant: "averaged" }],
        ],
      ],
      [
        "m = 8, k = 1, no cue",
        change(unseen, { samples: 512 }),
        [
          plain,
          ["shrunk to one gate (residual)", { variant: "residual" }],
          ["one gate", { config: { generatorKind: "global" } }],
        ],
      ],
      [
        "m = 8, k = 2",
        sized(change(pair, { generatorFactor: 10 }), 8).setting,
        [plain, ["tau fitted on further images", { variant: "fitted-tau" }]],
      ],
      ["four that learn, k = 1", learning, learningForms],
    ] as const
  ).flatMap(([hub, base, tried]) =>
    tried.map(([label, changes]) => ({
      labels: [label, hub, String(base.samples)],
      setting: change(
        change(base, { told: false, config: { credit: base.members === "experts" ? "losses" : "weights" } }),
        changes,
      ),
    })),
  ),
};

const temperature: SectionPlan = {
  title: "Weights over the activated members",
  text: ["k = 2 of four experts, where each domain has one good expert, or two with half of the evidence each."],
  labels: ["tau", "good experts of a domain"],
  columns: ["accuracy", "oracle", "constant", "random", "agreement", "mutualInformation", "topShare"],
  rows: [change(pair, { world: { good: 1, signal: 3 } }), pair].flatMap((base) =>
    (["equal", 1] as const).map((tau) => ({
      labels: [String(tau), String(base.world.good)],
      // The first is the default, which other sections have too.
      setting: tau === "equal" ? base : change(base, { config: { tau } }),
    })),
  ),
};

const sections: readonly SectionPlan[] = [
  samples,
  hubSize,
  cue,
  advantage,
  specialisation,
  collapse,
  remedies,
  temperature,
];

/** Experiments over synthetic worlds, each with a page of its own. */
export const pages: Readonly<Record<"router" | "credit", { title: string; sections: readonly SectionPlan[] }>> = {
  router: { title: "What the router can find: synthetic hubs with known best routes", sections },
  credit: {
    title: "Two teachers of the generator: synthetic hubs with known best routes",
    sections: [credit, parts, forms],
  },
};

/** The sections of a page; in the quick form with their first and last rows, hardly trained. */
export function sectionPlans(page: keyof typeof pages, quick: boolean): readonly SectionPlan[] {
  const all = shareTold(pages[page].sections);
  return quick ? all.map((section) => ({ ...section, rows: ends(section.rows).map(hurried) })) : all;
}

/** A setting that one section needs the told generator of has it everywhere, so that it is computed once. */
function shareTold(plans: readonly SectionPlan[]): SectionPlan[] {
  const nameOf = (setting: Setting) => fingerprint({ ...setting, told: true });
  const rows = plans.flatMap((section) => section.rows);
  const told = new Set(rows.filter(({ setting }) => setting.told).map(({ setting }) => nameOf(setting)));
  const share = (row: Row) => ({ ...row, setting: { ...row.setting, told: told.has(nameOf(row.setting)) } });
  return plans.map((section) => ({ ...section, rows: section.rows.map(share) }));
}

function ends<T>(values: readonly T[]): T[] {
  return values.filter((_, i) => i === 0 || i === values.length - 1);
}

function hurried(row: Row): Row {
  return { ...row, setting: { ...row.setting, samples: 48, steps: 3, testImages: 50 } };
}
