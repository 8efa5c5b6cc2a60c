/** An exported run's parts, computed by onnxruntime-node. n rows, m members, C classes, S pixels a side. */
import { openVerified } from "../../export/index.ts";
import { BundleBatch, choicesOf, memberNames, planes, ruleOf } from "../../runtime/index.ts";
import type { ModelInfo, ModelParts, OpenBatch, Pixels } from "./parts.ts";

/**
 * Opens a bundle after its self-test.
 * @throws UserError for another version, a missing file, another hash or another answer; ConfigError without onnxruntime-node
 */
export async function openBundleParts(folder: string, memoryBytes?: number): Promise<ModelParts> {
  const opened = await openVerified(folder, memoryBytes);
  const { bundle, run } = opened;
  const { labels, members, images, calibration, rejection, task } = bundle;
  const [rule, choices] = [ruleOf(bundle), choicesOf(bundle)];
  const info: ModelInfo = {
    ...{ kind: "bundle", labels, members: memberNames(bundle), size: images.size, rule, choices },
    ...(task ? { task } : {}),
    ...calibration,
    ...(rejection ? { rejectBelow: rejection.threshold } : {}),
  };
  const open = async (pixels: Pixels): Promise<OpenBatch> => {
    const batch = await BundleBatch.open(bundle, batchOf(pixels), pixels.rows, run);
    return {
      scores: batch.scores,
      run: (member, rows) => batch.run(member, rows),
      join: (weights) => batch.join(weights),
      dispose: () => {},
    };
  };
  const resident = () => members.filter(({ file }) => opened.open().includes(file)).length;
  return { info, open, resident, dispose: () => opened.close() };
}

/** [n, S, S, 3] in bytes to [n, 3, S, S] in [0, 1]. */
function batchOf({ bytes, rows }: Pixels): Float32Array {
  const result = new Float32Array(bytes.length);
  const each = bytes.length / rows;
  for (let at = 0; at < bytes.length; at += each) result.set(planes(bytes.subarray(at, at + each)), at);
  return result;
}
