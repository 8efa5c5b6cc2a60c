/** Bundles: a trained run as files that answer with nothing but an ONNX runtime. Read manifest.ts first. */
export { type Answers, answer, type RunFile, routeOf } from "./answer.ts";
export { type Bundle, bundleVersion, readBundle } from "./manifest.ts";
export type { SelfTestResult } from "./self-test.ts";
export { type Verification, verifyBundle } from "./verify.ts";
export { writeBundle } from "./write-bundle.ts";
