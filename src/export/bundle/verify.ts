/** A bundle checked: its files by their hashes, and its answers by the self-test. */
import type { Bundle, OnnxRuntime, SelfTestResult } from "../../runtime/index.ts";
import { openBundle } from "../../runtime/node.ts";
import { ConfigError } from "../../torch/index.ts";
import { asUserError, readBundle, requireFiles } from "./manifest.ts";

export interface Verification {
  readonly bundle: Bundle;
  /** Nothing where there is no onnxruntime-node. */
  readonly selfTest: SelfTestResult | undefined;
}

/**
 * Checks a bundle's files, and runs its self-test where onnxruntime-node is installed.
 * @throws UserError for another version, a missing file, another hash, or another answer
 */
export async function verifyBundle(folder: string): Promise<Verification> {
  const bundle = readBundle(folder);
  requireFiles(folder, bundle);
  const ort = await runtime();
  return { bundle, selfTest: ort && (await asUserError(() => selfTest(folder, ort))) };
}

async function runtime(): Promise<OnnxRuntime | undefined> {
  try {
    const module = (await import("onnxruntime-node")) as OnnxRuntime & { default?: OnnxRuntime };
    return module.default ?? module;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ERR_MODULE_NOT_FOUND") return undefined;
    throw new ConfigError(`onnxruntime-node does not load: ${String(error)}`, { cause: error });
  }
}

async function selfTest(folder: string, ort: OnnxRuntime): Promise<SelfTestResult> {
  const model = await openBundle(folder, { ort });
  try {
    return await model.verify();
  } finally {
    await model.close();
  }
}
