/** A run that is interrupted again and again, against one that is not. */
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { Interrupted } from "../../src/torch/index.ts";
import { type RunEvent, trainRun } from "../../src/train/index.ts";
import { methodChoices, type zooRequests } from "./zoo-hub.ts";

/** A run of the method that stops at every seventh step ends with the files of one that goes through, bit for bit. */
export async function assertResumes(request: Awaited<ReturnType<typeof zooRequests>>, name: string): Promise<void> {
  const usual = methodChoices[name] ?? {};
  const own = name === "hub-pathway" ? { ...usual, credit: "losses" } : usual;
  const whole = await trainRun(request(`whole-${name}`, name, { choices: own }));
  for (let cut = 0; ; cut++) {
    const abort = new AbortController();
    let steps = 0;
    const emit = (event: RunEvent) => {
      if (event.type === "step" && ++steps === 7) abort.abort();
    };
    const more = { choices: own, emit, signal: abort.signal, resume: cut > 0 };
    try {
      const run = await trainRun(request(`cut-${name}`, name, more));
      assert.ok(cut > 0);
      assert.deepEqual(run.validation.probabilities, whole.validation.probabilities);
      for (const part of [run, whole]) {
        part.predictor.dispose();
        part.data.dispose();
      }
      const [a, b] = [whole, run].map(({ folder }) => contents(folder.path));
      assert.deepEqual([...(a?.keys() ?? [])], [...(b?.keys() ?? [])]);
      for (const [file, bytes] of a ?? []) assert.ok(b?.get(file)?.equals(bytes), file);
      assert.equal(run.trainingFlops, whole.trainingFlops);
      return;
    } catch (error) {
      if (!(error instanceof Interrupted)) throw error;
    }
  }
}

/** The tensors of checkpoints, whose heads hold times, and all decisions. */
function contents(folder: string): Map<string, Buffer> {
  const files = readdirSync(folder).filter((file) => /state|weights|decision/.test(file));
  return new Map(
    files.map((file) => {
      const bytes = readFileSync(join(folder, file));
      return [file, file.endsWith("json") ? bytes : bytes.subarray(8 + Number(bytes.readBigUInt64LE(0)))];
    }),
  );
}
