/** Weights beside an ONNX file: where its `external_data` entries point, held to the file's own folder. */

import fs from "node:fs";
import path from "node:path";
import { quoted } from "../../io/index.ts";
import { UserError } from "../../torch/index.ts";
import type { TensorProto } from "./onnx-pb.generated.ts";
import type { ByteRange } from "./wire.ts";

/** Part of a file. */
export interface FileRange extends ByteRange {
  readonly path: string;
}

export class ExternalFiles {
  readonly #model: string;
  readonly #folder: string;
  readonly #sizes = new Map<string, number>();

  constructor(model: string) {
    this.#model = model;
    this.#folder = fs.realpathSync(path.dirname(model));
  }

  /** The files that were asked for, in that order. */
  get paths(): string[] {
    return [...this.#sizes.keys()];
  }

  /**
   * Position of a tensor's data: file and range of bytes.
   * @throws UserError for a path that leaves the model's folder, by a link too, a missing file, or a range outside of it
   */
  locate(proto: TensorProto): FileRange {
    const fail = (what: string): never => {
      throw new UserError(`${this.#model}: the external data of tensor ${quoted(proto.name)} ${what}`);
    };
    const entries = new Map<string, string>();
    for (const { key, value } of proto.externalData) {
      if (entries.has(key)) fail(`has two entries ${quoted(key)}`);
      entries.set(key, value);
    }
    const location = entries.get("location") ?? fail("names no file");
    const file = this.#resolve(location, fail);
    const size = this.#sizes.get(file) ?? this.#stat(file, location, fail);
    const begin =
      parseCount(entries.get("offset") ?? "0") ?? fail(`has the offset ${quoted(entries.get("offset") ?? "")}`);
    if (begin > size) fail(`starts at byte ${begin} of ${quoted(location)}, which has ${size}`);
    const text = entries.get("length");
    const length = text === undefined ? size - begin : (parseCount(text) ?? fail(`has the length ${quoted(text)}`));
    if (length > size - begin)
      fail(`needs bytes ${begin} to ${begin + length} of ${quoted(location)}, which has ${size}`);
    return { path: file, begin, end: begin + length };
  }

  #resolve(location: string, fail: (what: string) => never): string {
    const parts = location.split(/[/\\]/);
    const leaves = parts.includes("..") || path.isAbsolute(location) || path.win32.isAbsolute(location);
    if (location === "" || location.includes("\0") || leaves || /^[A-Za-z]:/.test(location)) {
      fail(`is said to lie at ${quoted(location)}: only files in the model's own folder are read`);
    }
    return path.join(path.dirname(this.#model), location);
  }

  #stat(file: string, location: string, fail: (what: string) => never): number {
    let real: string;
    let stat: fs.Stats;
    try {
      real = fs.realpathSync(file);
      stat = fs.statSync(real);
    } catch {
      return fail(`lies in ${quoted(location)}, which cannot be read: put it beside the model`);
    }
    const inside = path.relative(this.#folder, real);
    if (inside.startsWith("..") || path.isAbsolute(inside)) {
      fail(`lies in ${quoted(location)}, a link that leaves the model's folder: put a copy of the file in its place`);
    }
    if (!stat.isFile()) fail(`lies in ${quoted(location)}, which is not a file`);
    this.#sizes.set(file, stat.size);
    return stat.size;
  }
}

/** A count in decimal digits that a JavaScript number holds. */
function parseCount(text: string): number | undefined {
  const value = Number(text);
  return /^\d+$/.test(text) && Number.isSafeInteger(value) ? value : undefined;
}
