/** Files that are mistaken for models, known by their first bytes or their names: what they are, and what to do. */
import fs from "node:fs";
import { basename } from "node:path";
import { UserError } from "../torch/index.ts";
import { shown } from "./quoted.ts";
import { openRegular } from "./regular-file.ts";
import { explainRead } from "./system-errors.ts";

/** Bytes that tell; the mark of a tar file is at byte 257. */
export const headBytes = 512;

type Kind = (text: string, name: string) => string | undefined;

const exportOnnx = "hubs take image networks as safetensors, PyTorch weights, ONNX or TensorFlow.js models";

const startsWith =
  (mark: string, what: string): Kind =>
  (text) =>
    text.startsWith(mark) ? what : undefined;

const named =
  (pattern: RegExp, what: string): Kind =>
  (text, name) =>
    pattern.test(name) && !isModel(text) ? what : undefined;

/** A zip archive or pickle, as PyTorch writes, or the header of safetensors. */
const isModel = (text: string): boolean =>
  text.startsWith("PK\u0003\u0004") || text.startsWith("\x80") || text[8] === "{";

/** In this order: what is sure comes before what is likely. */
const kinds: readonly Kind[] = [
  (text) => (text === "" ? "is empty: its download or copy was cut off, so fetch it again" : undefined),
  lfsPointer,
  webPage,
  (text) => (/^\s*<\?xml/i.test(text) ? `is an XML file, not a model: ${exportOnnx}` : undefined),
  startsWith(
    "\x89HDF\r\n\x1a\n",
    "is an HDF5 file, as Keras saves (.h5): convert it with `tensorflowjs_converter --input_format=keras FILE FOLDER` " +
      "and add FOLDER/model.json",
  ),
  kerasArchive,
  (text) =>
    text.startsWith("PK\u0003\u0004") && /^.{26}..[^/]{1,200}?\.npy/s.test(text)
      ? numpyAdvice("is a NumPy archive (.npz)")
      : undefined,
  startsWith("\x93NUMPY", numpyAdvice("is a NumPy array (.npy)")),
  (text, name) =>
    text.startsWith("\x1f\x8b")
      ? `is compressed with gzip: unpack it (${/tar|tgz/i.test(name) ? "tar -xzf" : "gunzip"}) and add the model's file in it`
      : undefined,
  oldTar,
  (text) =>
    text.slice(257, 262) === "ustar"
      ? "is a tar archive: unpack it (tar -xf) and add the model's file in it"
      : undefined,
  startsWith("BZh", "is compressed with bzip2: unpack it and add the model's file in it"),
  startsWith("\xfd7zXZ", "is compressed with xz: unpack it and add the model's file in it"),
  startsWith("\x28\xb5\x2f\xfd", "is compressed with zstd: unpack it and add the model's file in it"),
  startsWith("7z\xbc\xaf\x27\x1c", "is a 7z archive: unpack it and add the model's file in it"),
  startsWith("Rar!", "is a RAR archive: unpack it and add the model's file in it"),
  startsWith("GGUF", `is a GGUF file, as llama.cpp uses for language models: ${exportOnnx}`),
  (text) => (/^(?:lmgg|fmgg|tjgg|algg)/.test(text) ? `is a GGML file, as llama.cpp uses: ${exportOnnx}` : undefined),
  (text) =>
    text.slice(4, 8) === "TFL3"
      ? "is a TensorFlow Lite model: convert it with `python -m tf2onnx.convert --tflite FILE --output model.onnx` and add that"
      : undefined,
  (text) =>
    /^(?:\x89PNG|\xff\xd8\xff|GIF8|RIFF....WEBP|BM....\0\0\0\0)/s.test(text) ? "is a picture, not a model" : undefined,
  startsWith("%PDF", "is a PDF document, not a model"),
  named(
    /\.pb$/,
    "is a TensorFlow graph: convert it with `python -m tf2onnx.convert` (--saved-model FOLDER or --graphdef FILE) and add the .onnx file",
  ),
  named(/\.msgpack$/, "holds weights of Flax: save them in Python as safetensors or as a PyTorch state dict"),
  named(
    /\.(?:ml(?:model|package)|engine|plan|caffemodel|prototxt|pdmodel|pdparams|param|cfg|weights)$/,
    `is another framework's model: export it to ONNX, since ${exportOnnx}`,
  ),
  named(
    /^(?:config|preprocessor_config|generation_config|tokenizer\w*|adapter_config)\.json$/,
    "describes a model and holds no weights: add the weights beside it (model.safetensors, pytorch_model.bin or an .onnx file)",
  ),
];

function lfsPointer(text: string): string | undefined {
  if (!text.startsWith("version https://git-lfs")) return undefined;
  const bytes = /^size (\d+)$/m.exec(text)?.[1];
  return (
    `is only a Git LFS pointer to the model${bytes === undefined ? "" : ` of ${bytes} bytes`}: ` +
    "run `git lfs pull` in its repository, or download the file itself"
  );
}

function webPage(text: string): string | undefined {
  if (!/^\s*<(?:!doctype html|html|head|body)/i.test(text)) return undefined;
  return "is a web page, not a model: its address leads to a page or needs a login, so download the file itself";
}

function kerasArchive(text: string): string | undefined {
  if (!text.startsWith("PK\u0003\u0004")) return undefined;
  const first = text.slice(30, 30 + text.charCodeAt(26) + 256 * text.charCodeAt(27));
  if (!/^(?:metadata|config)\.json$|^model\.weights\.h5$/.test(first)) return undefined;
  return "is a Keras 3 model (.keras): in Python, save it with `model.export(FOLDER)`, convert it with tf2onnx and add the .onnx file";
}

function numpyAdvice(what: string): string {
  return `${what}: save the weights in Python as safetensors or with torch.save, under the network's names`;
}

/** Members of the tar files of PyTorch before 0.1.10. */
function oldTar(text: string): string | undefined {
  const isOld = ["sys_info", "pickle", "storages", "tensors"].some(
    (name) => text.startsWith(`${name}\0`) || text.startsWith(`./${name}\0`),
  );
  return isOld
    ? "is a tar file, as PyTorch wrote before version 0.2: load it with an old PyTorch and save it again"
    : undefined;
}

/** Kind of a file that is no model, and what to do; undefined when nothing speaks against a model. */
export function describeForeign(head: Uint8Array, path: string): string | undefined {
  const text = Buffer.from(head.subarray(0, headBytes)).toString("latin1");
  const name = basename(path).toLowerCase();
  for (const kind of kinds) {
    const what = kind(text, name);
    if (what !== undefined) return what;
  }
  return undefined;
}

/** The beginning of a text file, for files of no known format; undefined for other files. */
export function describeText(head: Uint8Array): string | undefined {
  const text = Buffer.from(head).toString("utf8");
  if (/[^\P{Cc}\s]|\ufffd(?!$)/u.test(text)) return undefined;
  return `is a text file, which begins ${JSON.stringify(shown(text.trim().slice(0, 40)))}`;
}

/** The first bytes of a file. @throws UserError when it cannot be read, or is a folder, a pipe or a device */
export function readHead(path: string): Buffer {
  const descriptor = openRegular(path);
  try {
    const head = Buffer.alloc(headBytes);
    return head.subarray(0, fs.readSync(descriptor, head));
  } catch (error) {
    throw explainRead(error, path);
  } finally {
    fs.closeSync(descriptor);
  }
}

/** @throws UserError saying what the file is instead of a model and what to do, where its first bytes or its name tell */
export function refuseForeign(path: string): void {
  const what = describeForeign(readHead(path), path);
  if (what !== undefined) throw new UserError(`${path} ${what}`);
}

/** For weights without a mark of their own. @throws UserError when something else was saved in their place */
export function refusePlaceholder(path: string): void {
  const text = readHead(path).toString("latin1");
  const what = lfsPointer(text) ?? webPage(text);
  if (what !== undefined) throw new UserError(`${path} ${what}`);
}
