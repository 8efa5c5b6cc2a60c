/**
 * The process of an engine: opens one model, says so, and answers batches one after the other. It ends with the channel to its
 * server; signals of a terminal are the server's business.
 */
import { existsSync } from "node:fs";
import { setPriority } from "node:os";
import { join } from "node:path";
import { explainSystem } from "../../io/index.ts";
import { answerWords } from "../../runtime/index.ts";
import { findDevice, getNumThreads, ownProcess, setNumThreads, UserError } from "../../torch/index.ts";
import { isAsked } from "../../train/index.ts";
import { niceness } from "../priority.ts";
import { answerBatch } from "./answer-batch.ts";
import { MemberHealth } from "./member-health.ts";
import type { ModelParts } from "./parts.ts";
import type { EngineOptions, FromEngine, ToEngine } from "./protocol.ts";
import { fasterOfTwo, worthwhileThreads } from "./threads.ts";

/** Rows of the batch that shows that a model computes before it is said to be ready. */
const trialRows = 16;

function say(message: FromEngine): void {
  if (process.connected) process.send?.(message);
}

async function open({ path, threads, device, ...options }: EngineOptions): Promise<ModelParts> {
  ownProcess();
  if (existsSync(join(path, "bundle.json"))) {
    const given = (["k", "confidence", "flops"] as const).find((name) => options[name] !== undefined);
    if (given) throw new UserError(`${path} is a bundle, whose ${given} is its own: leave --${given} out`);
    if (isAsked(options)) {
      throw new UserError(
        `${path} is a bundle, whose threshold is its own: give --coverage or --max-error to \`hub-pathway export\``,
      );
    }
    const { openBundleParts } = await import("./bundle-parts.ts");
    return openBundleParts(path, options.hubMemory);
  }
  const { openRunParts } = await import("./run-parts.ts");
  if (threads !== undefined) setNumThreads(threads);
  return openRunParts(path, { ...options, device: device === undefined ? undefined : findDevice(device) });
}

/** Computes images of soft noise, so that the first request finds a warm model. @throws UserError when the answers are none */
async function tryOut(parts: ModelParts, { path, threads, device }: EngineOptions): Promise<void> {
  const bytes = Uint8Array.from({ length: trialRows * parts.info.size ** 2 * 3 }, (_, i) => (i * 2654435761) >>> 24);
  const { task } = parts.info;
  const health = new MemberHealth({ slowMs: 2 ** 30, onFailure: refuse(parts, path) });
  const answer = async (rows: number): Promise<void> => {
    const part = { bytes: bytes.subarray(0, (bytes.length / trialRows) * rows), rows };
    const { rows: answers } = await answerBatch(parts, part, Array(rows).fill({}), health);
    for (const answer of answers) {
      if ("error" in answer || !isAnswer(parts.info, answer.probabilities))
        throw new UserError(
          `${path} does not answer with ${task ? answerWords[task.kind] : "probabilities"}: train it again`,
        );
    }
  };
  await answer(trialRows);
  // onnxruntime has threads of its own.
  if (threads === undefined && device === undefined && parts.info.kind === "run") {
    const time = (count: number): Promise<number> => {
      setNumThreads(count);
      return fasterOfTwo(() => answer(trialRows));
    };
    setNumThreads(await worthwhileThreads(getNumThreads(), time));
  }
  await answer(1);
}

/** Probabilities of classes sum to one, those of labels are within 0 … 1, numbers are finite. */
function isAnswer({ task }: ModelParts["info"], values: Float32Array): boolean {
  if (!task) return Math.abs(values.reduce((a, b) => a + b, 0) - 1) < 1e-3;
  return values.every((value) => Number.isFinite(value) && (task.kind === "regression" || (value >= 0 && value <= 1)));
}

const refuse =
  ({ info }: ModelParts, path: string) =>
  (member: number, reason: string) => {
    throw new UserError(`${path} cannot be served: its model ${info.members[member]} fails (${reason})`);
  };

async function main(options: EngineOptions): Promise<void> {
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, () => {});
  process.on("disconnect", () => process.exit(0));
  setPriority(niceness);
  const parts = await open(options);
  await tryOut(parts, options);
  const { members } = parts.info;
  const health = new MemberHealth({
    slowMs: options.slowMs,
    onFailure: (member, reason) => say({ type: "trouble", member: members[member] ?? "", reason }),
  });
  let last = Promise.resolve();
  process.on("message", ({ id, bytes, requests }: ToEngine) => {
    last = last.then(async () => {
      try {
        const answer = await answerBatch(parts, { bytes, rows: requests.length }, requests, health);
        say({ type: "answers", id, answer });
      } catch (error) {
        say({ type: "failed", id, message: error instanceof Error ? error.message : String(error) });
      }
    });
  });
  say({ type: "ready", info: parts.info });
}

try {
  await main(JSON.parse(process.argv[2] ?? "{}") as EngineOptions);
} catch (error) {
  const told = explainSystem(error) ?? error;
  const message = told instanceof Error ? told.message : String(told);
  say({ type: "refused", message, exitCode: told instanceof UserError ? told.exitCode : 70 });
  process.disconnect?.();
}
