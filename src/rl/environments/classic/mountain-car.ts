/**
 * MountainCar-v0 (Moore 1990; constants of Gymnasium's `MountainCar-v0`).
 *
 * A car in a valley pushes left, not at all or right with 0.001; gravity pulls with 0.0025 cos(3 x). Speed stays within
 * ±0.07, the position within -1.2 … 0.6, and the left wall stops the car. Reward -1 each step. Over at position 0.5 with a
 * velocity of at least 0; truncated after 200 steps. Observation: position, velocity.
 */
import type { Rules } from "../local-environment.ts";

export interface MountainCarState {
  position: number;
  velocity: number;
  over: boolean;
}

const [force, gravity] = [0.001, 0.0025];
const [minPosition, maxPosition, maxSpeed, goalPosition, goalVelocity] = [-1.2, 0.6, 0.07, 0.5, 0];
const clip = (value: number, low: number, high: number) => Math.min(Math.max(value, low), high);

export const mountainCar: Rules<MountainCarState> = {
  id: "mountain-car",
  observationSpace: {
    kind: "box",
    shape: [2],
    dtype: "float32",
    low: [minPosition, -maxSpeed],
    high: [maxPosition, maxSpeed],
  },
  actions: ["left", "noop", "right"],
  maxSteps: 200,

  start(random) {
    return { position: random.uniform(-0.6, -0.4), velocity: 0, over: false };
  },

  step(state, action) {
    const push = (action - 1) * force - gravity * Math.cos(3 * state.position);
    state.velocity = clip(state.velocity + push, -maxSpeed, maxSpeed);
    state.position = clip(state.position + state.velocity, minPosition, maxPosition);
    if (state.position === minPosition && state.velocity < 0) state.velocity = 0;
    state.over = state.position >= goalPosition && state.velocity >= goalVelocity;
    return -1;
  },

  observe(state, out, at) {
    out[at] = state.position;
    out[at + 1] = state.velocity;
  },
};
