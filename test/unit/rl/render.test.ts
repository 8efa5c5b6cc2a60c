import assert from "node:assert/strict";
import { test } from "node:test";
import sharp from "sharp";
import { gridIds, makeGridEnvironment, renderPng, renderText } from "../../../src/rl/environments/index.ts";
import { cell } from "../../../src/rl/environments/minatar/grid.ts";
import { colour } from "../../../src/rl/environments/render.ts";

const breakout = makeGridEnvironment("minatar:breakout", { seed: 1 });

test("text: a symbol a cell, the last channel on top, blanks for nothing", () => {
  const observation = new Uint8Array(400);
  for (const [channel, x, y] of [
    [0, 4, 9],
    [1, 2, 3],
    [2, 2, 3],
    [3, 9, 1],
  ] as const)
    observation[cell(channel, x, y)] = 1;
  const lines = renderText(breakout, observation).split("\n");
  assert.deepEqual(
    lines.map((line) => line.length),
    new Array(10).fill(10),
  );
  assert.deepEqual([lines[1], lines[3], lines[9]], ["         #", "  .       ", "    =     "]);
});

test("PNG: blocks of the channels' colours on black, in the wanted size", async () => {
  const observation = new Uint8Array(400);
  observation[cell(0, 4, 9)] = 1;
  observation[cell(3, 9, 1)] = 1;
  const png = await renderPng(breakout, observation, 8);
  const { data, info } = await sharp(png).removeAlpha().raw().toBuffer({ resolveWithObject: true });
  assert.deepEqual([info.width, info.height, info.format], [80, 80, "raw"]);
  const pixel = (x: number, y: number) => [...data.subarray((y * 80 + x) * 3, (y * 80 + x) * 3 + 3)];
  for (const [x, y] of [
    [32, 72],
    [39, 79],
  ] as const)
    assert.deepEqual(pixel(x, y), colour(0, 4));
  assert.deepEqual(pixel(79, 8), colour(3, 4));
  assert.deepEqual(
    [pixel(31, 72), pixel(0, 0)],
    [
      [0, 0, 0],
      [0, 0, 0],
    ],
  );
});

test("the colours of a game's channels differ, and none is black", () => {
  for (const id of gridIds) {
    const { channels } = makeGridEnvironment(id);
    const colours = channels.map((_, i) => colour(i, channels.length).join(" "));
    assert.equal(new Set(colours).size, channels.length, id);
    assert.ok(!colours.includes("0 0 0"));
  }
});
