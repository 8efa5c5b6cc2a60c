/** Tiny environments that are solved within seconds. */
import { type Ending, LocalEnvironment, type LocalOptions, type Rules } from "../../../src/rl/environments/index.ts";

interface Corridor extends Ending {
  at: number;
}

/** Eight cells in a row; the reward 1 lies at the right end, and each step costs a little. Truncated after 40 steps. */
export const corridor: Rules<Corridor> = {
  id: "corridor",
  observationSpace: { kind: "box", shape: [8], dtype: "float32", low: 0, high: 1 },
  actions: ["left", "right"],
  maxSteps: 40,
  start: (random) => ({ at: random.below(4), over: false }),
  step(state, action) {
    state.at = Math.max(0, state.at + (action === 1 ? 1 : -1));
    state.over = state.at === 7;
    return state.over ? 1 : -0.02;
  },
  observe(state, out, at) {
    out.fill(0, at, at + 8);
    out[at + state.at] = 1;
  },
};

interface Sign extends Ending {
  /** Half of the world that this is. */
  half: number;
  bit: number;
}

/**
 * One step an episode: of two signs one is lit, and the answer is the lit sign in one half of the world and the other in the
 * other half. Channels: half, sign 0, sign 1.
 */
export const signs: Rules<Sign> = {
  id: "signs",
  observationSpace: { kind: "box", shape: [3], dtype: "uint8", low: 0, high: 1 },
  actions: ["zero", "one"],
  maxSteps: 10,
  start: (random) => ({ half: random.below(2), bit: random.below(2), over: false }),
  step(state, action) {
    state.over = true;
    return action === (state.bit ^ state.half) ? 1 : 0;
  },
  observe(state, out, at) {
    out[at] = state.half;
    out[at + 1] = state.bit === 0 ? 1 : 0;
    out[at + 2] = state.bit;
  },
};

interface Porch extends Ending {
  inside: boolean;
}

/** Outside, then inside for ever, where each step has the reward 1; but every episode is cut off after 2 steps. */
export const porch: Rules<Porch> = {
  id: "porch",
  observationSpace: { kind: "box", shape: [2], dtype: "float32", low: 0, high: 1 },
  actions: ["go", "jump"],
  maxSteps: 2,
  start: () => ({ inside: false, over: false }),
  step(state) {
    const reward = state.inside ? 1 : 0;
    state.inside = true;
    return reward;
  },
  observe(state, out, at) {
    out[at] = state.inside ? 0 : 1;
    out[at + 1] = state.inside ? 1 : 0;
  },
};

export function toy<State extends Ending>(rules: Rules<State>, options: LocalOptions): LocalEnvironment<State> {
  return new LocalEnvironment(rules, options);
}
