/**
 * CartPole-v1 (Barto, Sutton, Anderson 1983; constants and integration of Gymnasium's `CartPole-v1`).
 *
 * A pole stands on a cart that is pushed left or right with 10 N. Explicit Euler steps of 0.02 s: positions move with the
 * old velocities. Reward 1 each step. Over when the cart leaves ±2.4 or the pole ±12 degrees; truncated after 500 steps.
 * Observation: cart position, cart velocity, pole angle, pole velocity at its tip.
 */
import type { Rules } from "../local-environment.ts";

export interface CartPoleState {
  x: number;
  xDot: number;
  theta: number;
  thetaDot: number;
  over: boolean;
}

const [gravity, massPole, massCart, halfLength, force, tau] = [9.8, 0.1, 1, 0.5, 10, 0.02];
const totalMass = massPole + massCart;
const poleMassLength = massPole * halfLength;
const [xLimit, thetaLimit] = [2.4, (12 * 2 * Math.PI) / 360];
const bounds = [2 * xLimit, Number.POSITIVE_INFINITY, 2 * thetaLimit, Number.POSITIVE_INFINITY];

export const cartPole: Rules<CartPoleState> = {
  id: "cartpole",
  // Twice the limits, so that the observation that ends an episode is still inside.
  observationSpace: { kind: "box", shape: [4], dtype: "float32", low: bounds.map((bound) => -bound), high: bounds },
  actions: ["left", "right"],
  maxSteps: 500,

  start(random) {
    const draw = () => random.uniform(-0.05, 0.05);
    return { x: draw(), xDot: draw(), theta: draw(), thetaDot: draw(), over: false };
  },

  step(state, action) {
    const { xDot, theta, thetaDot } = state;
    const [cos, sin] = [Math.cos(theta), Math.sin(theta)];
    const push = ((action === 1 ? force : -force) + poleMassLength * thetaDot * thetaDot * sin) / totalMass;
    const thetaAcceleration =
      (gravity * sin - cos * push) / (halfLength * (4 / 3 - (massPole * cos * cos) / totalMass));
    const xAcceleration = push - (poleMassLength * thetaAcceleration * cos) / totalMass;
    state.x += tau * xDot;
    state.xDot += tau * xAcceleration;
    state.theta += tau * thetaDot;
    state.thetaDot += tau * thetaAcceleration;
    state.over = Math.abs(state.x) > xLimit || Math.abs(state.theta) > thetaLimit;
    return 1;
  },

  observe(state, out, at) {
    out[at] = state.x;
    out[at + 1] = state.xDot;
    out[at + 2] = state.theta;
    out[at + 3] = state.thetaDot;
  },
};
