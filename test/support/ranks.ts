/** Ranks of a group in processes of their own, on this machine. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { text } from "node:stream/consumers";
import { fileURLToPath } from "node:url";
import { freePort } from "../../src/cli/ranks.ts";
import { typescript } from "./typescript.ts";

const program = fileURLToPath(new URL("./rank.ts", import.meta.url));

export interface Group {
  ranks?: readonly number[];
  worldSize?: number;
  timeout?: number;
  port?: number;
  /** For the job. */
  setup?: unknown;
}

/** What test/support/rank.ts writes. */
export interface Found {
  [name: string]: unknown;
  error: string;
}

/** What each rank came to: of three, where nothing else is said. */
export async function ranks(job: string, options: Group = {}): Promise<Found[]> {
  const { ranks: started = [0, 1, 2], worldSize = 3, timeout = 60, setup = {}, port = await freePort() } = options;
  const common = { MASTER_ADDR: "127.0.0.1", MASTER_PORT: String(port), WORLD_SIZE: String(worldSize) };
  return Promise.all(
    started.map(async (rank) => {
      const env = { ...process.env, ...common, OMP_NUM_THREADS: "1", RANK: String(rank) };
      const args = [...typescript, program, job, String(timeout), JSON.stringify(setup)];
      const child = spawn(process.execPath, args, { env });
      const [out, errors] = await Promise.all([text(child.stdout), text(child.stderr)]);
      assert.equal(errors, "", `rank ${rank}`);
      return out === "" ? { error: "" } : JSON.parse(out);
    }),
  );
}
