/**
 * Photographs at the size that published networks take, 224 px: heads on members that stay as they are (--freeze-members), and
 * members that are trained by changes of low rank. What packages ship is small; what it cannot show says docs/results.
 */
import {
  type Comparison,
  comparisonExperiment,
  computeEpochs,
  frozenControls,
  mainPlans,
  ourChoices,
  ours,
  type Plan,
  type PlanSize,
  plan,
  type Target,
} from "../compare/index.ts";

const trained = [
  "nsfwjs-mobilenet-v2",
  "nsfwjs-mobilenet-v2-mid",
  "face-recognition-resnet",
  "face-age-gender-xception",
];

/** One is five times as large as all of the others, two are smaller and weaker. The hub's eighth sees images of 512 px, which these are not. */
const still = ["nsfwjs-inception-v3", "face-expression-densenet", "face-landmarks-densenet"];

const target: Target = {
  name: "photographs",
  epochs: 8,
  data: {
    source: "photographs",
    imageSize: 224,
    augment: "standard",
    batchSize: 24,
    split: { testSeed: 0, testFraction: 0.4, validationFraction: 0.2 },
  },
};

/** Lines of the mixed hub on which claims rest, and its controls; all of them for every seed. */
function plans(size: PlanSize): Plan[] {
  const { members, epochs } = size;
  const { k, beta } = ourChoices;
  const routed = computeEpochs(size, k);
  const [member] = members;
  return [
    ...mainPlans(size).filter(({ method }) => method.name !== "successive-halving"),
    plan("one gate for all images", "global-gate", "equal compute", routed, { choices: { k, beta } }),
    ...frozenControls(size),
    ...["weights", "losses"].map((credit) =>
      plan(`Hub-Pathway, k = 1, credit by ${credit}`, "hub-pathway", "equal compute", computeEpochs(size, 1), {
        choices: { k: 1, beta, credit },
      }),
    ),
    plan("random routes", "random-routing", "equal compute", routed, { choices: { k, beta } }),
    plan("dense, all models", "dense", "equal compute", epochs, { choices: { beta } }),
    // It has no weights beside which changes could be small.
    plan("from scratch, first member's architecture", "from-scratch", "equal compute", computeEpochs(size, 1), {
      choices: { member },
      options: { tune: undefined },
    }),
  ];
}

const photographsComparison: Comparison = {
  title: "Photographs",
  question:
    "What does a hub of published networks win on 248 photographs in nine classes, about eleven training images a class, at 224 px? The members " +
    "come from npm packages (`npm run javascript-hub`): some began with ImageNet and went on to rate images, others know faces.",
  rules: (epochs) =>
    `Equal epochs: each method passes the training images E = ${epochs} times. Equal compute: about the FLOPs of training all members for E epochs, ` +
    "counted in members (m E epochs of one member, m E / k of Hub-Pathway). All members: what is made of all trained members. Choices use validation data.",
  hub: "hubs/javascript",
  members: (frozen) => (frozen ? [...trained, ...still] : trained),
  options: { tune: "lora:8" },
  targets: [target],
  plans,
  ours: [ours.equalCompute, ours.equalEpochs],
};

export const photographs = comparisonExperiment({ name: "photographs", seeds: 5 }, photographsComparison);
