/** Bundles: a trained run as files that answer with nothing but an ONNX runtime. Read src/runtime/manifest.ts first. */
export { differenceText } from "./card.ts";
export { readBundle } from "./manifest.ts";
export { type OpenedBundle, openVerified, type Verification, verifyBundle } from "./verify.ts";
export { type BundleOptions, writeBundle } from "./write-bundle.ts";
