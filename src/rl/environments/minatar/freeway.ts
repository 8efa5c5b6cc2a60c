/**
 * MinAtar Freeway: a chicken crosses eight lanes of cars.
 *
 * Start: chicken at the bottom of column 4 with its move timer at 3; eight cars at x 0 of rows 1 to 8; 2500 on the clock.
 * Each step:
 * 1. up and down move the chicken by one row when the move timer is at 0, and set the timer to 3.
 * 2. In row 0: +1, back to row 9, and all cars get a new speed and direction, each drawn from 1 to 5 and left or right.
 * 3. Each car in turn: a chicken on its cell goes back to row 9. When the car's timer is at 0 it is set to the car's speed
 *    number and the car moves one cell, around the edges, and the same is checked again; else its timer falls by one. A car of
 *    speed number s so moves every s + 1 steps.
 * 4. The move timer falls by one to 0; the clock falls by one, and below 0 the game is over: after 2501 steps.
 * The channel speed1 … speed5 of a car's speed number marks the cell behind it, around the edges.
 * The difficulty does not rise.
 */
import type { Random } from "../random-stream.ts";
import { ahead, cell, clamp, type GridGame, side } from "./grid.ts";

export interface FreewayCar {
  x: number;
  right: boolean;
  /** Steps between moves; a larger number is a slower car. */
  speed: number;
  timer: number;
}

export interface FreewayState {
  /** The row of the chicken, which stays in column 4. */
  y: number;
  moveTimer: number;
  clock: number;
  /** The cars of rows 1 to 8. */
  cars: FreewayCar[];
  over: boolean;
}

const [column, bottom, playerInterval, timeLimit] = [4, 9, 3, 2500];

export const freeway: GridGame<FreewayState> = {
  name: "freeway",
  channels: [
    { name: "chicken", symbol: "@" },
    { name: "car", symbol: "x" },
    { name: "speed1", symbol: "1" },
    { name: "speed2", symbol: "2" },
    { name: "speed3", symbol: "3" },
    { name: "speed4", symbol: "4" },
    { name: "speed5", symbol: "5" },
  ],
  usedKeys: ["noop", "up", "down"],

  start(random) {
    const cars = Array.from({ length: 8 }, () => ({ x: 0, right: true, speed: 1, timer: 1 }));
    drawSpeeds(cars, random);
    return { y: bottom, moveTimer: playerInterval, clock: timeLimit, cars, over: false };
  },

  step(state, key, random) {
    if ((key === "up" || key === "down") && state.moveTimer === 0) {
      state.moveTimer = playerInterval;
      state.y = clamp(state.y + (key === "up" ? -1 : 1), 0, bottom);
    }
    let reward = 0;
    if (state.y === 0) {
      reward = 1;
      drawSpeeds(state.cars, random);
      state.y = bottom;
    }
    for (let lane = 0; lane < 8; lane++) drive(state, state.cars[lane] as FreewayCar, lane + 1);
    if (state.moveTimer > 0) state.moveTimer--;
    state.clock--;
    state.over = state.clock < 0;
    return reward;
  },

  draw(state, out, at) {
    out[at + cell(0, column, state.y)] = 1;
    for (let lane = 0; lane < 8; lane++) {
      const { x, right, speed } = state.cars[lane] as FreewayCar;
      out[at + cell(1, x, lane + 1)] = 1;
      out[at + cell(1 + speed, around(ahead(x, !right)), lane + 1)] = 1;
    }
  },
};

function around(x: number): number {
  return (x + side) % side;
}

/** All speeds are drawn first, then all directions; the cars stay where they are. */
function drawSpeeds(cars: FreewayCar[], random: Random): void {
  for (const car of cars) car.speed = 1 + random.below(5);
  for (const car of cars) car.right = random.below(2) === 1;
  for (const car of cars) car.timer = car.speed;
}

function drive(state: FreewayState, car: FreewayCar, row: number): void {
  runOver(state, car, row);
  if (car.timer > 0) {
    car.timer--;
    return;
  }
  car.timer = car.speed;
  car.x = around(ahead(car.x, car.right));
  runOver(state, car, row);
}

function runOver(state: FreewayState, car: FreewayCar, row: number): void {
  if (car.x === column && row === state.y) state.y = bottom;
}
