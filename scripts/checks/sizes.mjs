/** Files stay readable, the native part and the method stay small, and weights and fixtures do not swell. */
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { lineCount, textOf } from "./files.mjs";

const limits = { file: 500, native: 2000, pathway: 799, dataBytes: 25e6 };

const isSource = (file) => /\.(ts|mjs|js|cc|h|py)$/.test(file) && !/\.generated\.ts$/.test(file);
const isData = (file) =>
  /^(hubs|test\/fixtures)\//.test(file) || /\.(safetensors|pt|pth|onnx|npz|npy|bin|msgpack)$/.test(file);

export function checkLengths(root, files) {
  const lines = (file) => lineCount(textOf(root, file) ?? "");
  const total = (pattern) => files.filter((file) => pattern.test(file)).reduce((sum, file) => sum + lines(file), 0);
  const problems = files
    .filter(isSource)
    .filter((file) => lines(file) > limits.file)
    .map((file) => `${file}: ${lines(file)} lines, at most ${limits.file}`);
  const native = total(/^native\/.*\.(cc|h)$/);
  if (native > limits.native) problems.push(`native/: ${native} lines in all, at most ${limits.native}`);
  const pathway = total(/^src\/pathway\/.*\.ts$/);
  if (pathway > limits.pathway) problems.push(`src/pathway/: ${pathway} lines in all, at most ${limits.pathway}`);
  return problems;
}

/** Hubs share weights: equal files count once, as Git stores them. */
export function checkDataSize(root, files) {
  const byContent = new Map();
  for (const file of files.filter(isData)) {
    const content = readFileSync(join(root, file));
    byContent.set(createHash("sha256").update(content).digest("hex"), { file, bytes: content.length });
  }
  const data = [...byContent.values()];
  const total = data.reduce((sum, { bytes }) => sum + bytes, 0);
  if (total <= limits.dataBytes) return [];
  const largest = data.sort((a, b) => b.bytes - a.bytes).slice(0, 3);
  const named = largest.map(({ file, bytes }) => `${file} ${(bytes / 1e6).toFixed(1)} MB`).join(", ");
  return [
    `weights and fixtures: ${(total / 1e6).toFixed(1)} MB, at most ${limits.dataBytes / 1e6} MB (largest: ${named})`,
  ];
}
