/** The common part of optimisers: parameter groups, per-parameter state that is made at a parameter's first gradient, saving. */
import { ensureResident, isAbsent, keep, noGrad, ops, scope, type Tensor, UserError } from "../torch/index.ts";

/** Settings that every optimiser has; a group overrides them for its parameters. */
export interface GroupOptions {
  lr: number;
  weight_decay?: number | undefined;
}

/** Parameters that share settings; `lr` may be changed between steps. */
export interface ParameterGroup {
  readonly params: readonly Tensor[];
  lr: number;
  /** The rate that the group was made with, which schedules multiply. */
  readonly initialLr: number;
  weight_decay: number;
}

/** All state of an optimiser: tensors (the very ones, not copies) and counters. */
export interface OptimizerState {
  tensors: Map<string, Tensor>;
  numbers: Record<string, number>;
}

/** A parameter's own state: how often it was stepped, and its moments. */
interface Slot {
  step: number;
  moments: Tensor[];
}

/** A parameter that has a gradient in this step; its tensors have one order of dimensions, which need not be its own. */
export interface Update {
  readonly param: Tensor;
  readonly grad: Tensor;
  readonly moments: readonly Tensor[];
  /** 1 at the parameter's first step. */
  readonly step: number;
}

/**
 * A parameter without gradient is skipped entirely, its moments, step count and weight decay included: it belongs to a
 * model that no row chose. Moments have the parameter's memory format; gradients that `backward` accumulates do too.
 */
export abstract class Optimizer<G extends ParameterGroup = ParameterGroup> {
  readonly groups: readonly G[];
  readonly #slots = new Map<Tensor, Slot>();
  /** Names of the moments in the saved state. */
  readonly #momentNames: readonly string[];

  protected constructor(groups: readonly G[], momentNames: readonly string[]) {
    this.groups = groups;
    this.#momentNames = momentNames;
    const seen = new Set<Tensor>();
    for (const param of groups.flatMap((group) => group.params)) {
      if (seen.has(param)) throw new RangeError("a parameter is in two groups (or twice in one)");
      seen.add(param);
    }
  }

  /** Applies one group's updates in place. */
  protected abstract update(group: G, updates: readonly Update[]): void;

  /** True when a group keeps moments at all. */
  protected hasMoments(_group: G): boolean {
    return true;
  }

  /** One step for every parameter that has a gradient. */
  step(): void {
    scope(() =>
      noGrad(() => {
        for (const group of this.groups) {
          const updates: Update[] = [];
          for (const param of group.params) {
            const grad = param.grad;
            if (!grad) continue;
            const slot = this.#slot(param, this.hasMoments(group));
            slot.step += 1;
            updates.push(inOrder({ param, grad, moments: slot.moments, step: slot.step }));
          }
          if (updates.length > 0) this.update(group, updates);
        }
      }),
    );
  }

  #slot(param: Tensor, withMoments: boolean): Slot {
    let slot = this.#slots.get(param);
    if (!slot) {
      const names = withMoments ? this.#momentNames : [];
      slot = { step: 0, moments: names.map(() => keep(ops.zeros_like(param))) };
      this.#slots.set(param, slot);
    }
    return slot;
  }

  /** A parameter's moments (the very tensors); none before its first step. */
  momentsOf(param: Tensor): readonly Tensor[] {
    return this.#slots.get(param)?.moments ?? [];
  }

  /** True when a parameter has been stepped. */
  wasStepped(param: Tensor): boolean {
    return (this.#slots.get(param)?.step ?? 0) > 0;
  }

  /** Forgets all gradients, so that parameters which get none in the next backward are skipped. */
  zeroGrad(): void {
    for (const group of this.groups) for (const param of group.params) param.grad = undefined;
  }

  /** Sets every group's rate to its initial one times a schedule's factor. */
  scaleLearningRates(factor: number): void {
    for (const group of this.groups) group.lr = group.initialLr * factor;
  }

  /** Moments and step counts by `group.index.name`; parameters that were never stepped have no entry. */
  stateDict(): OptimizerState {
    const state: OptimizerState = { tensors: new Map(), numbers: {} };
    for (const [key, param] of this.#keys()) {
      const slot = this.#slots.get(param);
      if (!slot) continue;
      state.numbers[`${key}.step`] = slot.step;
      for (const [i, moment] of slot.moments.entries()) state.tensors.set(`${key}.${this.#momentNames[i]}`, moment);
    }
    return state;
  }

  /**
   * Takes over a saved state exactly; it must come from an optimiser over the same groups of parameters.
   * @throws UserError when an entry belongs to no parameter, is missing or has another shape; nothing is changed then
   */
  loadStateDict(state: OptimizerState): void {
    const loaded = new Map<Tensor, { step: number; sources: Tensor[] }>();
    const known = new Set<string>();
    for (const [key, param] of this.#keys()) {
      const step = state.numbers[`${key}.step`];
      if (step === undefined) continue;
      known.add(`${key}.step`);
      const names = this.#momentNames.filter((name) => state.tensors.has(`${key}.${name}`));
      if (names.length !== 0 && names.length !== this.#momentNames.length) {
        throw new UserError(`the optimizer state of parameter ${key} is incomplete: it has only ${names.join(", ")}`);
      }
      const sources = names.map((name) => {
        known.add(`${key}.${name}`);
        return checkedMoment(state.tensors.get(`${key}.${name}`), param, `${key}.${name}`);
      });
      loaded.set(param, { step, sources });
    }
    const strange = [...Object.keys(state.numbers), ...state.tensors.keys()].filter((key) => !known.has(key));
    if (strange.length > 0) {
      throw new UserError(`the optimizer state has entries of no parameter here: ${strange.slice(0, 8).join(", ")}`);
    }
    this.#releaseSlots();
    noGrad(() => {
      for (const [param, { step, sources }] of loaded) {
        if (isAbsent(param)) continue;
        ensureResident(param, true);
        const moments = sources.map((source) => keep(ops.zeros_like(param).copy_(source)));
        this.#slots.set(param, { step, moments });
      }
    });
  }

  #keys(): [string, Tensor][] {
    return this.groups.flatMap((group, g) => group.params.map((param, i): [string, Tensor] => [`${g}.${i}`, param]));
  }

  #releaseSlots(): void {
    for (const slot of this.#slots.values()) for (const moment of slot.moments) moment.dispose();
    this.#slots.clear();
  }

  /** Releases the moments; the parameters stay. */
  dispose(): void {
    this.#releaseSlots();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}

function checkedMoment(source: Tensor | undefined, param: Tensor, key: string): Tensor {
  const fits = source && source.dim() === param.dim() && source.shape.every((size, i) => size === param.shape[i]);
  if (!fits) throw new UserError(`the optimizer state ${key} is [${source?.shape}], its parameter [${param.shape}]`);
  return source;
}

/**
 * The update by views in the order of memory, for filters that have their channels last: libtorch's fused steps copy what is
 * not contiguous, there and back, which takes longer than the step.
 */
function inOrder(update: Update): Update {
  const { param, grad, moments } = update;
  if (param.dim() !== 4 || param.is_contiguous() || !param.is_contiguous("channels_last")) return update;
  const view = (tensor: Tensor) => tensor.permute([0, 2, 3, 1]);
  return { ...update, param: view(param), grad: view(grad), moments: moments.map(view) };
}

/** Parts of the updates that agree in a key, in order of first appearance. */
export function partition<K>(updates: readonly Update[], keyOf: (update: Update) => K): Map<K, Update[]> {
  const parts = new Map<K, Update[]>();
  for (const update of updates) {
    const key = keyOf(update);
    const part = parts.get(key);
    if (part) part.push(update);
    else parts.set(key, [update]);
  }
  return parts;
}

/** The i-th moment of each update. */
export function momentsOf(updates: readonly Update[], i: number): Tensor[] {
  return updates.flatMap((update) => update.moments[i] ?? []);
}
