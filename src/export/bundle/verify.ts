/** A bundle checked: its files by their hashes, and its answers by the self-test. */
import {
  type AnyBundlePrediction,
  type Bundle,
  BundleFiles,
  type BundleModel,
  type OnnxRuntime,
  type RunFile,
  type SelfTestResult,
  Sessions,
} from "../../runtime/index.ts";
import { folderAt, openBundle } from "../../runtime/node.ts";
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
  const ort = await findRuntime();
  return { bundle, selfTest: ort && (await selfTest(folder, ort)) };
}

/** onnxruntime-node, where it is installed. */
export async function findRuntime(): Promise<OnnxRuntime | undefined> {
  try {
    const module = (await import("onnxruntime-node")) as OnnxRuntime & { default?: OnnxRuntime };
    return module.default ?? module;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ERR_MODULE_NOT_FOUND") return undefined;
    throw new ConfigError(`onnxruntime-node does not load: ${String(error)}`, { cause: error });
  }
}

function selfTest(folder: string, ort: OnnxRuntime): Promise<SelfTestResult> {
  return withBundle(folder, ort, (model) => model.verify());
}

/** @throws UserError for what the runtime refuses */
export function withBundle<T>(
  folder: string,
  ort: OnnxRuntime,
  use: (model: BundleModel<AnyBundlePrediction>) => Promise<T>,
): Promise<T> {
  return asUserError(async () => {
    const model = await openBundle(folder, { ort, task: "any" });
    try {
      return await use(model);
    } finally {
      await model.close();
    }
  });
}

/** A bundle whose files run one by one, for who routes and joins on its own. */
export interface OpenedBundle {
  readonly bundle: Bundle;
  readonly run: RunFile;
  /** Files whose weights are in memory. */
  open(): readonly string[];
  close(): Promise<void>;
}

/**
 * Opens a bundle whose files are those that were exported, after its self-test.
 * @param memoryBytes sum of the sizes of files that stay open; those used longest ago are closed
 * @throws UserError as `verifyBundle`; ConfigError where there is no onnxruntime-node
 */
export async function openVerified(folder: string, memoryBytes = Number.POSITIVE_INFINITY): Promise<OpenedBundle> {
  const { bundle, selfTest } = await verifyBundle(folder);
  const ort = await findRuntime();
  if (!ort || !selfTest) {
    throw new ConfigError(`${folder} is a bundle, which onnxruntime-node runs: npm install onnxruntime-node`);
  }
  return openFiles(folder, bundle, ort, memoryBytes);
}

/** A bundle's files as they are. @throws UserError for what the runtime refuses */
export async function openFiles(
  folder: string,
  bundle: Bundle,
  ort: OnnxRuntime,
  memoryBytes = Number.POSITIVE_INFINITY,
): Promise<OpenedBundle> {
  const sessions = new Sessions(await asUserError(() => BundleFiles.open(folderAt(folder))), { ort, memoryBytes });
  const run: RunFile = (file, images, rows) => sessions.run(file, images, rows, { fetch: 0, open: 0 });
  return { bundle, run, open: () => sessions.open, close: () => sessions.close() };
}
