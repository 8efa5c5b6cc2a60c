/**
 * Acrobot-v1 (Sutton 1996; constants and the book's dynamics as Gymnasium's `Acrobot-v1` has them).
 *
 * Two links of length and mass 1 hang from a fixed joint; a torque of -1, 0 or 1 acts on the joint between them. One
 * Runge-Kutta step of fourth order and 0.2 s; angles wrap to ±pi, velocities are bounded by 4 pi and 9 pi. Reward -1 a step,
 * 0 for the step that lifts the free end over the bar, which ends the episode; truncated after 500 steps.
 * Observation: cosine and sine of either angle, both velocities. theta2 is relative to the first link.
 */
import type { Rules } from "../local-environment.ts";

export interface AcrobotState {
  theta1: number;
  theta2: number;
  velocity1: number;
  velocity2: number;
  over: boolean;
}

/** theta1, theta2 and their velocities, or the rates of change of these. */
type Motion = readonly [number, number, number, number];

const [mass, length, centre, inertia, gravity, dt] = [1, 1, 0.5, 1, 9.8, 0.2];
const [maxVelocity1, maxVelocity2] = [4 * Math.PI, 9 * Math.PI];
const bounds = [1, 1, 1, 1, maxVelocity1, maxVelocity2];
const clip = (value: number, limit: number) => Math.min(Math.max(value, -limit), limit);

export const acrobot: Rules<AcrobotState> = {
  id: "acrobot",
  observationSpace: { kind: "box", shape: [6], dtype: "float32", low: bounds.map((bound) => -bound), high: bounds },
  actions: ["torque -1", "torque 0", "torque +1"],
  maxSteps: 500,

  start(random) {
    const draw = () => Math.fround(random.uniform(-0.1, 0.1));
    return { theta1: draw(), theta2: draw(), velocity1: draw(), velocity2: draw(), over: false };
  },

  step(state, action) {
    const { theta1, theta2, velocity1, velocity2 } = state;
    const moved = rungeKutta([theta1, theta2, velocity1, velocity2], action - 1);
    state.theta1 = wrap(moved[0]);
    state.theta2 = wrap(moved[1]);
    state.velocity1 = clip(moved[2], maxVelocity1);
    state.velocity2 = clip(moved[3], maxVelocity2);
    state.over = -Math.cos(state.theta1) - Math.cos(state.theta2 + state.theta1) > 1;
    return state.over ? 0 : -1;
  },

  observe(state, out, at) {
    out[at] = Math.cos(state.theta1);
    out[at + 1] = Math.sin(state.theta1);
    out[at + 2] = Math.cos(state.theta2);
    out[at + 3] = Math.sin(state.theta2);
    out[at + 4] = state.velocity1;
    out[at + 5] = state.velocity2;
  },
};

/** Into ±pi. */
function wrap(angle: number): number {
  let x = angle;
  while (x > Math.PI) x -= 2 * Math.PI;
  while (x < -Math.PI) x += 2 * Math.PI;
  return x;
}

/** The equations of motion (Sutton and Barto 2018, section on the acrobot). */
function rates([theta1, theta2, velocity1, velocity2]: Motion, torque: number): Motion {
  const [cos2, sin2] = [Math.cos(theta2), Math.sin(theta2)];
  const d1 = mass * centre ** 2 + mass * (length ** 2 + centre ** 2 + 2 * length * centre * cos2) + 2 * inertia;
  const d2 = mass * (centre ** 2 + length * centre * cos2) + inertia;
  const phi2 = mass * centre * gravity * Math.cos(theta1 + theta2 - Math.PI / 2);
  const phi1 =
    -mass * length * centre * velocity2 ** 2 * sin2 -
    2 * mass * length * centre * velocity2 * velocity1 * sin2 +
    (mass * centre + mass * length) * gravity * Math.cos(theta1 - Math.PI / 2) +
    phi2;
  const acceleration2 =
    (torque + (d2 / d1) * phi1 - mass * length * centre * velocity1 ** 2 * sin2 - phi2) /
    (mass * centre ** 2 + inertia - d2 ** 2 / d1);
  return [velocity1, velocity2, -(d2 * acceleration2 + phi1) / d1, acceleration2];
}

function rungeKutta(start: Motion, torque: number): Motion {
  const ahead = (by: number, rate: Motion): Motion => [
    start[0] + by * rate[0],
    start[1] + by * rate[1],
    start[2] + by * rate[2],
    start[3] + by * rate[3],
  ];
  const k1 = rates(start, torque);
  const k2 = rates(ahead(dt / 2, k1), torque);
  const k3 = rates(ahead(dt / 2, k2), torque);
  const k4 = rates(ahead(dt, k3), torque);
  const mean = (i: 0 | 1 | 2 | 3) => k1[i] + 2 * k2[i] + 2 * k3[i] + k4[i];
  return ahead(dt / 6, [mean(0), mean(1), mean(2), mean(3)]);
}
