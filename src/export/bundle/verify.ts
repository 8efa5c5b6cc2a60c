/** A bundle checked: its files by their hashes, and its answers by the self-test. */
import { join } from "node:path";
import { ConfigError } from "../../torch/index.ts";
import type { RunFile } from "./answer.ts";
import { type Bundle, readBundle, requireFiles } from "./manifest.ts";
import { runSelfTest, type SelfTestResult } from "./self-test.ts";

export interface Verification {
  readonly bundle: Bundle;
  /** Nothing where there is no onnxruntime-node. */
  readonly selfTest: SelfTestResult | undefined;
}

type Runtime = typeof import("onnxruntime-node");

/**
 * Checks a bundle's files, and runs its self-test where onnxruntime-node is installed.
 * @throws UserError for another version, a missing file, another hash, or another answer
 */
export async function verifyBundle(folder: string): Promise<Verification> {
  const bundle = readBundle(folder);
  requireFiles(folder, bundle);
  const ort = await runtime();
  return { bundle, selfTest: ort && (await withSessions(folder, bundle, ort)) };
}

async function runtime(): Promise<Runtime | undefined> {
  try {
    const module = (await import("onnxruntime-node")) as Runtime & { default?: Runtime };
    return module.default ?? module;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ERR_MODULE_NOT_FOUND") return undefined;
    throw new ConfigError(`onnxruntime-node does not load: ${String(error)}`, { cause: error });
  }
}

/** Sessions are opened one after the other, each at its first use. */
async function withSessions(folder: string, bundle: Bundle, ort: Runtime): Promise<SelfTestResult> {
  const open = new Map<string, Awaited<ReturnType<Runtime["InferenceSession"]["create"]>>>();
  const { size } = bundle.images;
  const run: RunFile = async (file, images, rows) => {
    const session = open.get(file) ?? (await ort.InferenceSession.create(join(folder, file), { logSeverityLevel: 3 }));
    open.set(file, session);
    const results = await session.run({ images: new ort.Tensor("float32", images, [rows, 3, size, size]) });
    return Object.values(results)[0]?.data as Float32Array;
  };
  try {
    return await runSelfTest(folder, bundle, run);
  } finally {
    for (const session of open.values()) await session.release();
  }
}
