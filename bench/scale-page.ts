/** docs/results/scale.md from what `scale.ts` measured. */
import { amount, duration, markdownTable } from "../src/report/index.ts";
import { bestPlan, type Link, type Machine, type Plan, stepCost, type Workload } from "./scale-model.ts";
import { type Compared, compared, computing, machineOf, planOf, workloadOf } from "./scale-predict.ts";
import type { MeasuredPlan, Scale } from "./scale-series.ts";

const plans: Record<MeasuredPlan, string> = {
  replicated: "data parallel",
  synchronised: "data parallel, BatchNorm of all ranks",
  sharded: "models among the ranks",
};

const share = (value: number): string => `${value > 0 ? "+" : ""}${(100 * value).toFixed(0)} %`;
const linkText = ({ delayMs, mbits }: { delayMs: number; mbits: number }): string =>
  `${mbits >= 1000 ? `${mbits / 1000} Gbit/s` : `${mbits} Mbit/s`}, ${delayMs} ms`;

function measuredTable(rows: readonly Compared[]): string {
  return markdownTable<Compared>(rows, [
    { title: "ranks", value: ({ ranks }) => String(ranks), right: true },
    { title: "plan", value: ({ plan }) => plans[plan] },
    { title: "link", value: linkText },
    { title: "step", value: ({ measured }) => duration(measured.seconds), right: true },
    { title: "predicted", value: ({ predicted }) => duration(predicted.seconds.all), right: true },
    { title: "error", value: ({ error }) => share(error), right: true },
    { title: "sent by a rank", value: ({ measured }) => `${amount(measured.bytes)}B`, right: true },
    { title: "by formula", value: ({ predicted }) => `${amount(predicted.bytes)}B`, right: true },
    { title: "collectives", value: ({ measured }) => String(measured.collectives), right: true },
    { title: "by formula", value: ({ predicted }) => String(predicted.collectives), right: true },
  ]);
}

function shareTable(scale: Scale, rows: readonly Compared[]): string {
  const alone = scale.series.find(({ ranks }) => ranks === 1)?.points[0]?.seconds ?? Number.NaN;
  const whole = workloadOf(scale, "replicated").flops;
  const fast = rows.filter(({ delayMs, mbits }) => delayMs < 1 && mbits > 1000);
  return markdownTable(fast, [
    { title: "ranks", value: ({ ranks }) => String(ranks), right: true },
    { title: "plan", value: ({ plan }) => plans[plan] },
    { title: "FLOPs of a rank", value: ({ predicted }) => `${amount(predicted.flops)}FLOPs`, right: true },
    {
      title: "of one rank's",
      value: ({ predicted }) => `${((100 * predicted.flops) / whole).toFixed(0)} %`,
      right: true,
    },
    {
      title: "bytes for a GFLOP",
      value: ({ measured, predicted }) => `${amount((1e9 * measured.bytes) / predicted.flops)}B`,
      right: true,
    },
    { title: "step, of one rank's", value: ({ measured }) => `${(measured.seconds / alone).toFixed(2)}`, right: true },
  ]);
}

const farLinks = [
  { delayMs: 0.1, mbits: 10_000 },
  { delayMs: 1, mbits: 1000 },
  { delayMs: 20, mbits: 100 },
];
const toLink = ({ delayMs, mbits }: { delayMs: number; mbits: number }): Link => ({
  delay: delayMs / 1000,
  rate: (mbits * 1e6) / 8,
});

/** Each rank on a machine of its own, which is as fast as this one's processor. */
function ownMachine(scale: Scale, plan: MeasuredPlan): Machine {
  return {
    ...computing(scale, plan),
    crowd: 1,
    hop: machineOf(scale, 2, "replicated").hop,
    rate: Number.POSITIVE_INFINITY,
  };
}

function farTable(scale: Scale): string {
  const machine = (plan: MeasuredPlan) => ownMachine(scale, plan);
  const rows = 512;
  const base = workloadOf(scale, "replicated");
  const work = (plan: MeasuredPlan): Workload => {
    const own = workloadOf(scale, plan);
    return { ...own, batch: rows, flops: (own.flops * rows) / scale.batch };
  };
  const alone = stepCost(
    "replicated",
    work("replicated"),
    1,
    toLink(farLinks[0] as (typeof farLinks)[0]),
    machine("replicated"),
  );
  const cases = [4, 16, 64].flatMap((ranks) =>
    (["replicated", "synchronised", "sharded"] as const)
      .filter((plan) => plan !== "sharded" || base.models >= ranks)
      .flatMap((plan) => farLinks.map((link) => ({ ranks, plan, link }))),
  );
  const predicted = cases.map((one) => ({
    ...one,
    cost: stepCost(planOf(one.plan), work(one.plan), one.ranks, toLink(one.link), machine(one.plan)),
  }));
  return markdownTable(predicted, [
    { title: "ranks", value: ({ ranks }) => String(ranks), right: true },
    { title: "plan", value: ({ plan }) => plans[plan] },
    { title: "link", value: ({ link }) => linkText(link) },
    { title: "compute", value: ({ cost }) => duration(cost.seconds.compute), right: true },
    { title: "delay", value: ({ cost }) => duration(cost.seconds.delay), right: true },
    { title: "transfer", value: ({ cost }) => duration(cost.seconds.transfer), right: true },
    { title: "times one rank", value: ({ cost }) => (alone.seconds.all / cost.seconds.all).toFixed(2), right: true },
  ]);
}

/** Hubs of published sizes: parameters, and FLOPs of one image forward and backward. */
const hubs = [
  { name: "4 ResNet-18 of this page", models: 4, parameters: 2.8e6, tensors: 62, flops: undefined },
  { name: "8 ResNet-50", models: 8, parameters: 25.6e6, tensors: 161, flops: 3 * 8.2e9 },
  { name: "64 ResNet-50", models: 64, parameters: 25.6e6, tensors: 161, flops: 3 * 8.2e9 },
  { name: "64 ViT-B/16", models: 64, parameters: 86.6e6, tensors: 152, flops: 3 * 35e9 },
] as const;

const defaultAllowed = 8;
const clusterSpeed = 1e12;

function planTable(scale: Scale): string {
  const base = workloadOf(scale, "replicated");
  const machine: Machine = { ...ownMachine(scale, "replicated"), speed: clusterSpeed };
  const rows = hubs.flatMap(({ name, flops, ...hub }) =>
    [4, 64].flatMap((ranks) => {
      const batch = 8 * ranks;
      const perImage = flops ?? base.flops / (scale.batch * scale.k);
      const touched = Math.min(hub.models, defaultAllowed);
      const work: Workload = { ...base, ...hub, touched, batch, flops: perImage * batch * scale.k };
      return farLinks.map((link) => ({ name, ranks, link, work }));
    }),
  );
  const seconds = (plan: Plan, { work, ranks, link }: (typeof rows)[number]) =>
    plan === "sharded" && work.models < ranks
      ? "too few models"
      : duration(stepCost(plan, work, ranks, toLink(link), machine).seconds.all);
  return markdownTable(rows, [
    { title: "hub", value: ({ name }) => name },
    { title: "ranks", value: ({ ranks }) => String(ranks), right: true },
    { title: "link", value: ({ link }) => linkText(link) },
    { title: plans.replicated, value: (row) => seconds("replicated", row), right: true },
    { title: plans.sharded, value: (row) => seconds("sharded", row), right: true },
    { title: "best", value: ({ work, ranks, link }) => plans[bestPlan(work, ranks, toLink(link), machine)] },
  ]);
}

export function scalePage(scale: Scale): string {
  const rows = compared(scale);
  const { speed, perModel, perStep } = computing(scale, "replicated");
  const alone = (plan: MeasuredPlan) =>
    scale.series.find((one) => one.ranks === 1 && one.plan === plan)?.points[0]?.seconds;
  const computedBeside = (alone("synchronised") ?? Number.NaN) - (alone("replicated") ?? Number.NaN);
  const within = rows.filter(({ error }) => Math.abs(error) <= 0.25).length;
  const worst = Math.max(...rows.map(({ error }) => Math.abs(error)));
  const inOrder = ({ ranks, plan, delayMs, measured, predicted }: Compared): number => {
    const { delay, all } = predicted.seconds;
    const waited = predicted.hops * ((2 * delayMs) / 1000 + machineOf(scale, ranks, plan).hop);
    return (all - delay + waited) / measured.seconds - 1;
  };
  const follow = Math.max(...rows.filter(({ plan, delayMs }) => plan === "replicated" && delayMs > 1).map(inOrder));
  const [two, four] = [machineOf(scale, 2, "replicated"), machineOf(scale, 4, "replicated")];
  const rate = ({ rate }: Machine) => `${((8 * rate) / 1e9).toFixed(1)} Gbit/s`;
  const commands = scale.series.map(({ ranks, plan }) => `npm run scale -- --ranks ${ranks} --plan ${plan}`);
  return `# What a step costs on several hosts

Made by \`npm run scale\` from docs/results/scale.json, which these commands measured:

\`\`\`sh
${commands.join("\n")}
\`\`\`

Hosts are network namespaces of one machine (${scale.machine}); a program between them (test/support/switch.c) delays their packets and
sends them on at the link's rate, since this kernel has no netem. A delay is that of one way. The hub has ${scale.models} ResNet-18 of
${amount(workloadOf(scale, "replicated").parameters)}parameters, batches have ${scale.batch} rows of 48 px, k is ${scale.k}, and every model is touched in each step. Steps are those of the
training loop, nine at each link with models among ranks, five with data parallel training and three with BatchNorm of all ranks; the page has the median.
A rank computes with one thread. The series were measured one after the other, while all other work of the machine stood still; those with models among
ranks twice, since over 0.1 ms the five steps of the first time said too little (up to 25 % off the model).
The formulas are older than these series, but for one: a rank with BatchNorm of all ranks computes as long as one rank alone does with it, which an
earlier series had shown to be missing. In that series ranks did not keep freed memory, as those of the program do: a step took up to 23,000 page
faults of 15 µs, and two ranks summed all gradients in 0.64 s.

## Measured and predicted

Bytes are those that the host's interface counted, headers included; collectives are those that the ranks called. ${within} of
${rows.length} times are predicted within 25 %, and the largest error is ${(100 * worst).toFixed(0)} %.

${measuredTable(rows)}

The model (bench/scale-model.ts) knows the machine from one rank alone and from all_reduces at the first link, without training:
${amount(speed)}FLOP/s, ${duration(perStep)} of a step and ${duration(perModel)} for a touched model beside; all gradients at ${rate(two)} between two ranks and ${rate(four)} among four,
whatever the link; a rank is ${two.crowd.toFixed(2)} and ${four.crowd.toFixed(2)} times slower while all compute. Everything else is a formula:

- **Delay.** A hop takes the link's delay twice, since Gloo's receivers first say that they are ready. all_reduce takes 2 (N - 1) hops, more
  from 2 MiB for each rank on (1 MiB segments, two on their way); all_gather N - 1; reduce_scatter those of all_reduce; all_to_all one.
- **Bytes.** all_reduce of S bytes sends 2 S (N - 1) / N. Data parallel training reduces the gradients of the touched models; models among
  the ranks send row numbers and logits alone.
- **Gradients.** A model's travel while the next one computes, and two messages are on their way at once: while one waits, the other is sent. T seconds
  of sending and D of delay take the larger of T and (T + D) / 2. By their sum, the formula of a step whose messages follow each other, steps
  over 20 ms would take up to ${(100 * follow).toFixed(0)} % more than measured. Over 0.1 ms there is no delay to hide, and here one processor computes and sends.
- **Compute.** FLOPs over N. BatchNorm of all ranks is not libtorch's one operator: one rank alone takes ${duration(computedBeside)} more of a step with it. With models among ranks the one with most rows decides: the expected largest of N draws.

## What the ranks share, and what this machine shows

Two processors compute for all ranks, and send for them too. What ranks share is FLOPs, and what it costs is bytes. A step below 1 in the last
column is faster than one rank's, and nothing else here is a speed-up. At ${linkText(farLinks[0] as (typeof farLinks)[0])}:

${shareTable(scale, rows)}

## Further ranks, by the model

Each rank on a machine of its own, as fast as this one's processor, and batches of 512 rows. These are predictions, and none was measured.
"Times one rank" is the seconds of one rank over those of all. What is computed while gradients travel is not taken off, as it could be where
the network sends without a processor.

${farTable(scale)}

## The best plan, by the model

8 rows of a batch for each rank, ${amount(clusterSpeed)}FLOP/s for each rank, BatchNorm as it is, ${defaultAllowed} models touched in a step at most (the default).

${planTable(scale)}

- Models among the ranks (\`--shard-members\`) send thousands of times less, so that they win wherever a hub has a model for each rank: waiting for the rank with
  most rows costs less than gradients do.
- A ring's hops grow with the ranks: beyond about 16 the delay of small messages is most of a step, at any rate of the link.
- Over links with long delays the number of collectives decides, not their bytes. BatchNorm with the statistics of all ranks has
  two for each layer of each model: \`--batch-norm frozen\` where the delay is more than a millisecond.
`;
}
