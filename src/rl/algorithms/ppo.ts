/**
 * Proximal policy optimisation (Schulman, Wolski, Dhariwal, Radford & Klimov 2017) with the details of its reference
 * implementation (Huang et al., "The 37 Implementation Details of Proximal Policy Optimization", 2022): orthogonal
 * initialisation, Adam with eps 1e-5, a falling learning rate, generalised advantage estimation (Schulman et al. 2016),
 * advantages normalised in each minibatch, and one clip of the joint gradient norm.
 *
 * T steps of n copies make one rollout of R = T · n rows; row t · n + i is step t of copy i. A actions; a network's outputs
 * are [rows, A + 1]: the preferences of the actions, then the value. B rows make a minibatch.
 */
import { clipGradNorm } from "../../optim/index.ts";
import { ConfigError, inferenceMode, int64, randperm, scope, type Tensor, tensor } from "../../torch/index.ts";
import type { TakenRoutes } from "../agents/network.ts";
import { encode, type ObservationForm, observationArray } from "../agents/observations.ts";
import { routeSteps } from "../agents/route-policy.ts";
import type { Observations, StepResult } from "../environments/index.ts";
import { sampleActions, uniforms } from "./actions.ts";
import {
  type Algorithm,
  type AlgorithmState,
  adam,
  addRows,
  finiteLoss,
  type Progress,
  roundUp,
  type Setting,
} from "./algorithm.ts";
import { advantageEstimates, clippedLoss, normalised, type PpoColumns, type PpoParts, ppoParts } from "./ppo-loss.ts";

export interface PpoOptions {
  /** Steps T of each copy between updates. */
  rollout: number;
  /** Passes over a rollout in its update. */
  epochs: number;
  /** Parts of a rollout, each a step of the optimizer. */
  minibatches: number;
  /** Learning rate at the start; it falls linearly to zero. */
  lr: number;
  gamma: number;
  /** Lambda of the advantage estimation (GAE). */
  lambda: number;
  /** The importance ratio counts from 1 - clip to 1 + clip. */
  clip: number;
  /** Keep new values within `clip` of the old ones too. */
  clipValue: boolean;
  valueWeight: number;
  entropyWeight: number;
  maxGradNorm: number;
  /** Routes of a hub's agents that learn from the loss are drawn anew in every pass of the update. Part of runs' identities since there was a choice. */
  routes: "redrawn";
}

export const defaultPpoOptions: PpoOptions = {
  rollout: 128,
  epochs: 4,
  minibatches: 4,
  lr: 1e-3,
  gamma: 0.99,
  lambda: 0.95,
  clip: 0.2,
  clipValue: false,
  valueWeight: 0.5,
  entropyWeight: 0.01,
  maxGradNorm: 0.5,
  routes: "redrawn",
};

/**
 * The options for such observations. Classic control has returns of hundreds, and its networks share their layers between
 * policy and value: the value's gradient would drown the policy's, so it has a small weight.
 */
export function usualPpoOptions(form: ObservationForm): PpoOptions {
  const isVector = form.shape[1] * form.shape[2] === 1;
  if (isVector) return { ...defaultPpoOptions, rollout: 64, epochs: 10, valueWeight: 0.005 };
  return { ...defaultPpoOptions, minibatches: 8 };
}

/** Records of a rollout for each of its R rows. */
interface Rollout {
  observations: Observations;
  actions: Int32Array;
  logProbs: Float32Array;
  values: Float32Array;
  advantages: Float32Array;
  returns: Float32Array;
  /** Models of each row, and the logarithms of the probabilities of these routes: where routes learn from returns. */
  routes: number[][];
  routeLogProbs: Float32Array | undefined;
}

export class Ppo implements Algorithm {
  readonly state: AlgorithmState;
  observations: Observations = new Float32Array();
  #steps = 0;
  readonly #setting: Setting;
  readonly #options: PpoOptions;
  readonly #optimizer: ReturnType<typeof adam>;

  /** @throws ConfigError when minibatches have less than the two steps that a standard deviation needs, or for kept routes */
  constructor(setting: Setting, options: PpoOptions) {
    const played = options.rollout * setting.environment.n;
    if (played < 2 * options.minibatches) {
      throw new ConfigError(
        `a rollout of ${options.rollout} with ${setting.environment.n} copies has ${played} steps, too few for ` +
          `${options.minibatches} minibatches of at least 2: raise --copies or --set rollout=…, or lower --set minibatches=…`,
      );
    }
    const { routes } = options as { routes: string };
    if (routes !== "redrawn") {
      throw new ConfigError(
        `the setting routes is ${JSON.stringify(routes)}, which was retired: commit d500bc5 has it`,
      );
    }
    this.#setting = setting;
    this.#options = options;
    const { network } = setting;
    this.#optimizer = adam(network, options.lr, 1e-5);
    this.state = {
      modules: { model: network.module },
      optimizer: this.#optimizer,
      streams: network.streams,
      arrays: () => new Map(),
      numbers: () => ({ steps: this.#steps }),
      restore: (_, numbers) => {
        this.#steps = numbers["steps"] as number;
      },
    };
  }

  get steps(): number {
    return this.#steps;
  }

  /** Rollouts are whole. */
  get lastStep(): number {
    const { environment, totalSteps } = this.#setting;
    return roundUp(totalSteps, this.#options.rollout * environment.n);
  }

  /** One rollout and the update that learns from it. */
  async advance(): Promise<Progress> {
    const progress = this.#steps / this.#setting.totalSteps;
    const rollout = await this.#play(progress);
    return this.#learn(rollout, progress);
  }

  dispose(): void {
    this.#optimizer.dispose();
  }

  /** T steps of every copy, with the policy as it is now. */
  async #play(progress: number): Promise<Rollout> {
    const { environment, form, actions: A, network, episodes } = this.#setting;
    const { rollout: T, gamma, lambda } = this.#options;
    const n = environment.n;
    const size = n * form.elements;
    const stream = network.streams.stream("actions");
    const observations = observationArray(environment, T * n, form.elements);
    const actions = new Int32Array(T * n);
    const [logProbs, values, nextValues, rewards] = [0, 0, 0, 0].map(() => new Float32Array(T * n)) as Columns;
    const ends = new Uint8Array(T * n);
    const routes: number[][] = [];
    let routeLogProbs: Float32Array | undefined;
    for (let t = 0; t < T; t++) {
      const at = t * n;
      observations.set(this.observations, t * size);
      const stretch = Math.floor((this.#steps / n + t) / routeSteps);
      const { outputs, ...drawn } = this.#act(this.observations, progress, stretch);
      if (drawn.routeLogProbs) {
        routes.push(...(drawn.routes ?? []));
        routeLogProbs ??= new Float32Array(T * n);
        routeLogProbs.set(drawn.routeLogProbs, at);
      }
      const chosen = sampleActions(outputs, n, A, uniforms(n, stream));
      actions.set(chosen.actions, at);
      logProbs.set(chosen.logProbs, at);
      values.set(lastColumn(outputs, A), at);
      // The value of what followed is the next row's own, except where an episode ended.
      if (t > 0) fillWhereGoing(nextValues, values, ends, at, n);
      const result = await environment.step(chosen.actions);
      episodes.add(result);
      rewards.set(result.rewards, at);
      for (let i = 0; i < n; i++) ends[at + i] = result.terminated[i] || result.truncated[i] ? 1 : 0;
      this.#valueCutOffs(result, progress, nextValues, at);
      this.observations = result.observations;
    }
    const last = lastColumn(this.#act(this.observations, progress).outputs, A);
    for (let i = 0; i < n; i++) if (!ends[(T - 1) * n + i]) nextValues[(T - 1) * n + i] = last[i] as number;
    this.#steps += T * n;
    const { advantages, returns } = advantageEstimates({ rewards, values, nextValues, ends }, n, gamma, lambda);
    return { observations, actions, logProbs, values, advantages, returns, routes, routeLogProbs };
  }

  #act(observations: Observations, progress: number, stretch?: number) {
    const { form, network } = this.#setting;
    const array = (tensor: Tensor) => tensor.toTypedArray() as Float32Array;
    return scope(() =>
      inferenceMode(() => {
        const { outputs, routes, routeLogProbs } = network.act(encode(observations, form), progress, stretch);
        return { outputs: array(outputs), routes, routeLogProbs: routeLogProbs && array(routeLogProbs) };
      }),
    );
  }

  /** An episode that was only cut off would have gone on: the value of its last observation still counts. */
  #valueCutOffs(result: StepResult, progress: number, nextValues: Float32Array, at: number): void {
    const { form, actions: A } = this.#setting;
    const { terminated, truncated, finalObservations } = result;
    const cut: number[] = [];
    for (let i = 0; i < truncated.length; i++) if (truncated[i] && !terminated[i]) cut.push(i);
    if (cut.length === 0) return;
    const rows = observationArray(this.#setting.environment, cut.length, form.elements);
    for (const [j, i] of cut.entries()) {
      rows.set(finalObservations.subarray(i * form.elements, (i + 1) * form.elements), j * form.elements);
    }
    const final = lastColumn(this.#act(rows, progress).outputs, A);
    for (const [j, i] of cut.entries()) nextValues[at + i] = final[j] as number;
  }

  #learn(rollout: Rollout, progress: number): Progress {
    const { form, network } = this.#setting;
    const { epochs, minibatches } = this.#options;
    const R = rollout.actions.length;
    const stream = network.streams.stream("order");
    const rows: number[] = [];
    let logs: Record<string, number> = {};
    let firstShift: number | undefined;
    this.#optimizer.scaleLearningRates(1 - progress);
    const tensors = scope(() => ({ observations: encode(rollout.observations, form), columns: columnsOf(rollout) }));
    const batch = { ...tensors, rollout };
    for (let epoch = 0; epoch < epochs; epoch++) {
      using permutation = randperm(R, { generator: stream });
      const order = permutation.toNumbers();
      for (let part = 0; part < minibatches; part++) {
        const own = order.slice(Math.floor((part * R) / minibatches), Math.floor(((part + 1) * R) / minibatches));
        const isLast = epoch === epochs - 1 && part === minibatches - 1;
        const step = this.#step(batch, own, progress, isLast || firstShift === undefined);
        firstShift ??= step.logs["ratioShift"];
        addRows(rows, step.rows);
        if (isLast) logs = step.logs;
      }
    }
    batch.observations.dispose();
    for (const column of Object.values(batch.columns)) column.dispose();
    return { logs: { ...logs, ratioShift: firstShift ?? 0, explainedVariance: explained(rollout) }, rows };
  }

  #step(
    batch: { observations: Tensor; columns: PpoColumns; rollout: Rollout },
    own: readonly number[],
    progress: number,
    measured: boolean,
  ): { logs: Record<string, number>; rows: number[] } {
    const { network } = this.#setting;
    let aggregate: PpoParts | undefined;
    const { loss, logs, rows } = scope(() => {
      const index = int64(own);
      const columns = selectColumns(batch.columns, index);
      columns.advantages = normalised(columns.advantages);
      const x = batch.observations.index_select(0, index);
      const rowLoss = (outputs: Tensor, rowIndex?: Tensor): Tensor => {
        const parts = ppoParts(outputs, rowIndex ? selectColumns(columns, rowIndex) : columns, this.#options);
        if (!rowIndex) aggregate = parts;
        return parts.loss;
      };
      const taken = takenRoutes(batch.rollout, own, columns.advantages, this.#options.clip);
      const result = network.losses(x, rowLoss, progress, taken);
      return { loss: result.total, logs: measured ? figures(aggregate, result.parts) : {}, rows: result.rows ?? [] };
    });
    finiteLoss(loss);
    scope(() => {
      // Random routes of agents that stay as they are teach nothing.
      if (!loss.requires_grad) return;
      loss.backward();
      clipGradNorm(network.module.parameters(), this.#options.maxGradNorm);
      this.#optimizer.step();
      this.#optimizer.zeroGrad();
    });
    loss.dispose();
    return { logs, rows };
  }
}

// ---- rows and columns

type Columns = [Float32Array, Float32Array, Float32Array, Float32Array];

function columnsOf({ actions, logProbs, advantages, returns, values }: Rollout): PpoColumns {
  return {
    actions: int64(actions),
    logProbs: tensor(logProbs),
    advantages: tensor(advantages),
    returns: tensor(returns),
    values: tensor(values),
  };
}

function selectColumns(columns: PpoColumns, index: Tensor): PpoColumns {
  const { actions, logProbs, advantages, returns, values } = columns;
  const of = (column: Tensor) => column.index_select(0, index);
  return {
    actions: of(actions),
    logProbs: of(logProbs),
    advantages: of(advantages),
    returns: of(returns),
    values: of(values),
  };
}

/** Routes of some rows, whose loss is that of actions; undefined where routes do not learn from returns. */
function takenRoutes(
  { routes, routeLogProbs: before }: Rollout,
  own: readonly number[],
  advantages: Tensor,
  clip: number,
): TakenRoutes | undefined {
  if (!before) return undefined;
  const old = Float32Array.from(own, (row) => before[row] as number);
  return {
    routes: own.map((row) => routes[row] as number[]),
    loss: (logProbs) => clippedLoss(logProbs.sub(tensor(old)).exp(), advantages, clip),
  };
}

/** Column A of outputs [n, A + 1]. */
function lastColumn(outputs: Float32Array, A: number): Float32Array {
  return Float32Array.from({ length: outputs.length / (A + 1) }, (_, row) => outputs[row * (A + 1) + A] as number);
}

/** Step t - 1 of copies whose episode goes on is followed by the value of step t. */
function fillWhereGoing(nextValues: Float32Array, values: Float32Array, ends: Uint8Array, at: number, n: number): void {
  for (let row = at; row < at + n; row++) if (!ends[row - n]) nextValues[row - n] = values[row] as number;
}

// ---- the log

function figures(aggregate: PpoParts | undefined, parts: Readonly<Record<string, Tensor>>): Record<string, number> {
  const logs: Record<string, number> = {};
  if (aggregate) {
    const { policy, value, entropy, ratio } = aggregate;
    const off = ratio.sub(1);
    logs["policyLoss"] = policy.mean().item();
    logs["valueLoss"] = value.mean().item();
    logs["entropy"] = entropy.mean().item();
    // Schulman's low-variance estimate of the divergence from the policy that acted.
    logs["klDivergence"] = off.sub(ratio.log()).mean().item();
    logs["ratioShift"] = off.abs().mean().item();
  }
  for (const name of ["exploration", "exploitation", "routes"]) {
    const part = parts[name];
    if (part) logs[name] = part.item();
  }
  return logs;
}

/** Part of the returns' variance that the values foresaw; 1 is all, 0 no better than their mean. */
function explained({ returns, values }: Rollout): number {
  const variance = (x: ArrayLike<number>): number => {
    const list = Array.from(x);
    const mean = list.reduce((sum, value) => sum + value, 0) / list.length;
    return list.reduce((sum, value) => sum + (value - mean) ** 2, 0) / list.length;
  };
  const total = variance(returns);
  return total === 0 ? 0 : 1 - variance(returns.map((value, i) => value - (values[i] ?? 0))) / total;
}
