/** The five games against the authors' package, step by step with the same random draws. See test/fixtures/rl/make-minatar.py. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import type { Ending } from "../../../src/rl/environments/index.ts";
import { asterix } from "../../../src/rl/environments/minatar/asterix.ts";
import { breakout } from "../../../src/rl/environments/minatar/breakout.ts";
import { freeway } from "../../../src/rl/environments/minatar/freeway.ts";
import { type GridGame, keys } from "../../../src/rl/environments/minatar/grid.ts";
import { seaquest } from "../../../src/rl/environments/minatar/seaquest.ts";
import { spaceInvaders } from "../../../src/rl/environments/minatar/space-invaders.ts";
import { observe, scripted } from "./support.ts";

interface Recording {
  actions: string;
  draws: number[];
  rewards: [number, number][];
  overs: number[];
  hashes: string;
}

// MINATAR_FIXTURE: another file that the same script has written, for longer comparisons.
const path = process.env["MINATAR_FIXTURE"] ?? new URL("../../fixtures/rl/minatar.json", import.meta.url);
const recordings = JSON.parse(readFileSync(path, "utf8")) as Record<string, Recording>;

/** FNV-1a over bytes. */
function fnv(bytes: Uint8Array): number {
  let hash = 0x811c9dc5;
  for (const byte of bytes) hash = Math.imul(hash ^ byte, 0x01000193) >>> 0;
  return hash;
}

function replay<State extends Ending>(game: GridGame<State>): void {
  test(`${game.name} plays as the reference does`, () => {
    const recording = recordings[game.name] as Recording;
    const hashes = Buffer.from(recording.hashes, "base64");
    const [rewards, overs] = [new Map(recording.rewards), new Set(recording.overs)];
    const random = scripted(recording.draws);
    let state = game.start(random);
    for (let step = 0; step < recording.actions.length; step++) {
      const key = keys[Number(recording.actions[step])];
      assert.ok(key);
      const at = `step ${step}`;
      assert.equal(game.step(state, key, random, true), rewards.get(step) ?? 0, at);
      assert.equal(state.over, overs.has(step), at);
      assert.equal(fnv(observe(game, state)), hashes.readUInt32LE(4 * step), at);
      // The recording went on after an end, except in Breakout.
      if (state.over && game.name === "breakout") state = game.start(random);
      state.over = false;
    }
    assert.equal(random.left(), 0, "all draws of the reference are used");
    assert.ok(rewards.size > 0 && overs.size > 0, "the recording has rewards and ends");
  });
}

replay(asterix);
replay(breakout);
replay(freeway);
replay(seaquest);
replay(spaceInvaders);
