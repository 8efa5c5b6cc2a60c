/** Drawings of the classic control tasks, from what the agent observes. */

/** An SVG of 240 x 160. */
export type Drawing = (observation: ArrayLike<number>) => string;

const [width, height] = [240, 160];
const at = (observation: ArrayLike<number>, i: number): number => observation[i] ?? 0;

const svg = (...shapes: string[]): string =>
  `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}"><rect width="100%" height="100%" fill="#fff"/>${shapes.join("")}</svg>`;

const line = (x1: number, y1: number, x2: number, y2: number, stroke: string, thickness: number): string =>
  `<line x1="${x1.toFixed(1)}" y1="${y1.toFixed(1)}" x2="${x2.toFixed(1)}" y2="${y2.toFixed(1)}" stroke="${stroke}" stroke-width="${thickness}" stroke-linecap="round"/>`;

/** The track is 4.8 long; the pole, 1 long, is drawn half as long as its share of it would be, as it stands on the cart. */
const cartPole: Drawing = (observation) => {
  const x = width / 2 + (at(observation, 0) / 4.8) * (width - 40);
  const angle = at(observation, 2);
  const [base, pole] = [120, 80];
  return svg(
    line(10, base + 12, width - 10, base + 12, "#999", 1),
    `<rect x="${(x - 18).toFixed(1)}" y="${base - 8}" width="36" height="18" fill="#2563eb"/>`,
    line(x, base - 8, x + pole * Math.sin(angle), base - 8 - pole * Math.cos(angle), "#d97706", 5),
  );
};

/** Positions from -1.2 to 0.6 on hills of sin 3x; the flag stands at 0.5. */
const mountainCar: Drawing = (observation) => {
  const px = (position: number) => 10 + ((position + 1.2) / 1.8) * (width - 20);
  const py = (position: number) => 84 - 46 * Math.sin(3 * position);
  const hill = Array.from({ length: 61 }, (_, i) => -1.2 + (i / 60) * 1.8);
  const path = hill.map((position) => `${px(position).toFixed(1)},${py(position).toFixed(1)}`).join(" ");
  const position = at(observation, 0);
  return svg(
    `<polyline points="${path}" fill="none" stroke="#999" stroke-width="2"/>`,
    line(px(0.5), py(0.5), px(0.5), py(0.5) - 22, "#dc2626", 3),
    `<circle cx="${px(position).toFixed(1)}" cy="${(py(position) - 7).toFixed(1)}" r="7" fill="#2563eb"/>`,
  );
};

/** Two links of length 1 under a bar at height 1; angles come as cosine and sine, the second relative to the first. */
const acrobot: Drawing = (observation) => {
  const link = 34;
  const first = Math.atan2(at(observation, 1), at(observation, 0));
  const second = first + Math.atan2(at(observation, 3), at(observation, 2));
  const [x, y] = [width / 2, height / 2];
  const [x1, y1] = [x + link * Math.sin(first), y + link * Math.cos(first)];
  const [x2, y2] = [x1 + link * Math.sin(second), y1 + link * Math.cos(second)];
  return svg(
    line(10, y - link, width - 10, y - link, "#999", 1),
    line(x, y, x1, y1, "#2563eb", 6),
    line(x1, y1, x2, y2, "#d97706", 6),
    `<circle cx="${x}" cy="${y}" r="4" fill="#333"/>`,
  );
};

const drawings: Readonly<Record<string, Drawing>> = { cartpole: cartPole, "mountain-car": mountainCar, acrobot };
/** The same tasks under Gymnasium's names. */
const gymnasium: Readonly<Record<string, string>> = {
  "gym:CartPole-v1": "cartpole",
  "gym:MountainCar-v0": "mountain-car",
  "gym:Acrobot-v1": "acrobot",
};

/** The drawing of an environment; undefined for any that is not classic control. */
export function classicDrawing(environment: string): Drawing | undefined {
  return drawings[gymnasium[environment] ?? environment];
}
