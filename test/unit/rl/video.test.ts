/** Films of episodes: drawings of classic control, the legend of agents, files that sharp reads back. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import sharp from "sharp";
import type { ObservationForm } from "../../../src/rl/agents/observations.ts";
import { classicDrawing } from "../../../src/rl/environments/classic/draw.ts";
import { EpisodeVideo } from "../../../src/rl/index.ts";
import { UserError } from "../../../src/torch/index.ts";

const folder = mkdtempSync(join(tmpdir(), "film-"));
after(() => rmSync(folder, { recursive: true, force: true }));

/** Ends of the lines of one colour in a drawing. */
function lines(svg: string, stroke: string): number[][] {
  const all = [...svg.matchAll(/<line x1="(\S+)" y1="(\S+)" x2="(\S+)" y2="(\S+)" stroke="(\S+)"/g)];
  return all.filter((line) => line[5] === stroke).map((line) => line.slice(1, 5).map(Number));
}

test("the cart's pole leans as its angle says, and the acrobot's links hang and turn as theirs do", () => {
  const [upright, leaning] = [0, Math.PI / 2].map((angle) => {
    const [pole] = lines(classicDrawing("cartpole")?.([0, 0, angle, 0]) ?? "", "#d97706");
    return pole ?? [];
  }) as [number[], number[]];
  assert.equal(upright[0], upright[2], "upright: straight up");
  assert.equal(leaning[1], leaning[3], "a quarter turn: level");
  assert.ok((leaning[2] ?? 0) > (leaning[0] ?? 0));
  const [moved] = lines(classicDrawing("gym:CartPole-v1")?.([2.4, 0, 0, 0]) ?? "", "#d97706");
  assert.ok((moved?.[0] ?? 0) > (upright[0] ?? 0), "the cart has moved to the right");
  const hanging = classicDrawing("acrobot")?.([1, 0, 1, 0, 0, 0]) ?? "";
  const [upper, lower] = [lines(hanging, "#2563eb")[0] ?? [], lines(hanging, "#d97706")[0] ?? []];
  assert.ok((upper[3] ?? 0) > (upper[1] ?? 0) && (lower[3] ?? 0) > (lower[1] ?? 0), "both hang down");
  const folded = lines(classicDrawing("acrobot")?.([1, 0, -1, 0, 0, 0]) ?? "", "#d97706")[0] ?? [];
  assert.ok(Math.abs((folded[3] ?? 0) - (upper[1] ?? 0)) < 0.2, "folded back onto the joint");
  assert.equal(classicDrawing("minatar:breakout"), undefined);
});

const form = (environment: string, shape: readonly [number, number, number]): ObservationForm => ({
  environment,
  shape,
  channels: [],
  scale: 1,
  elements: shape[0] * shape[1] * shape[2],
});

test("a film shows observation, return and active agents, a frame a step", async () => {
  const path = join(folder, "play.webp");
  const film = new EpisodeVideo(path, form("minatar:breakout", [4, 10, 10]), ["a<b", "second"]);
  const frame = (active: number[]) => ({ observation: new Uint8Array(400), action: 0, reward: 1, active });
  film.add(frame([0]));
  film.add(frame([1]));
  await film.save();
  const { pages, width, height } = await sharp(path).metadata();
  assert.deepEqual([pages, width, height], [2, 240, 240 + 3 * 18]);
  const lit = async (page: number, row: number) => {
    const { data } = await sharp(path, { page })
      .extract({ left: 8, top: 240 + row * 18 + 6, width: 4, height: 4 })
      .removeAlpha()
      .raw()
      .toBuffer({ resolveWithObject: true });
    return Math.max(...data);
  };
  assert.ok((await lit(0, 1)) > 200 && (await lit(0, 2)) < 100, "the first agent is active in the first frame");
  assert.ok((await lit(1, 1)) < 100 && (await lit(1, 2)) > 200, "the second one in the second");
});

test("classic control is filmed; numbers without a drawing are refused by name", async () => {
  const path = join(folder, "car.gif");
  const film = new EpisodeVideo(path, form("mountain-car", [2, 1, 1]), []);
  for (const position of [-1, 0, 0.5]) {
    film.add({ observation: Float32Array.of(position, 0), action: 0, reward: -1, active: [] });
  }
  await film.save();
  assert.equal((await sharp(path).metadata()).pages, 3);
  assert.throws(
    () => new EpisodeVideo(join(folder, "x.gif"), form("gym:Pendulum-v1", [3, 1, 1]), []),
    (error) => error instanceof UserError && /Pendulum.*no drawing of it: leave out --video/.test(error.message),
  );
});
