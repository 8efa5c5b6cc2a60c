/**
 * Networks as files for other programs: ONNX models of whatever runs on tensors. recording.ts sees a run, trace.ts finds what
 * depends on the number of images, onnx-ops/ writes the operators, bundle/ has whole runs. Read export-onnx.ts
 * first. An operator of libtorch is a function in onnx-ops/.
 * It may import methods and what they may, and runtime.
 */

export {
  type Answers,
  answer,
  type Bundle,
  type RunFile,
  type SelfTestResult,
} from "../runtime/index.ts";
export {
  type BundleOptions,
  differenceText,
  type OpenedBundle,
  openVerified,
  readBundle,
  type Verification,
  verifyBundle,
  writeBundle,
} from "./bundle/index.ts";
export { type Exportable, exportOnnx, type OnnxExportOptions } from "./export-onnx.ts";
export { exportMember, exportRouter, type MemberHead, partNames, type Sides } from "./parts.ts";
export type { Precision } from "./precision/graph.ts";
export { writeSite } from "./site.ts";
export { writeWeights } from "./write-weights.ts";
