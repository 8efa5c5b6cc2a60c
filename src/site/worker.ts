/** The worker of the page: ONNX models run here, so that the page stays responsive. */
import { type OnnxRuntime, serveBundles, type WorkerEnd } from "../runtime/index.ts";

type WebRuntime = OnnxRuntime & { readonly env: { readonly wasm: { wasmPaths?: string } } };
type Gpu = { readonly gpu?: { requestAdapter(): Promise<unknown> } };

/** onnxruntime-web's files lie beside the page: WebGPU where there is one, and the smaller build without it elsewhere. */
async function loaded(): Promise<{ ort: OnnxRuntime }> {
  const folder = new URL("../ort/", import.meta.url).href;
  const adapter = await (navigator as Gpu).gpu?.requestAdapter().catch(() => null);
  const ort: WebRuntime = await import(`${folder}${adapter ? "ort.webgpu.min.mjs" : "ort.wasm.min.mjs"}`);
  ort.env.wasm.wasmPaths = folder;
  return { ort };
}

// At once, and not after the import: a worker loses messages that come before somebody listens.
serveBundles(self as unknown as WorkerEnd, loaded());
