/**
 * Hashes of what is fetched: SHA-256 for the manifest, git's own for small files of the Hub, and MD5 where that is what a
 * file's publishers state.
 */
import { createHash, type Hash } from "node:crypto";
import { createReadStream } from "node:fs";
import { stat } from "node:fs/promises";
import { UserError } from "../torch/index.ts";

/** Hashes as a file's publishers state them: hexadecimal digits, or the first ones. */
export interface Stated {
  readonly sha256?: string | undefined;
  readonly md5?: string | undefined;
}

/** Size and hash that a file must have. Large files of the Hub are named by SHA-256, small ones by git's hash of a blob. */
export interface Expected extends Stated {
  readonly bytes?: number | undefined;
  readonly gitSha1?: string | undefined;
}

export interface Identity {
  readonly bytes: number;
  readonly sha256: string;
  /** Only where it was asked for. */
  readonly md5?: string | undefined;
  readonly gitSha1: string | undefined;
}

export class Digest {
  readonly #sha256 = createHash("sha256");
  readonly #md5: Hash | undefined;
  readonly #git: Hash | undefined;
  #bytes = 0;

  /** `bytes` of the whole file, without which git's hash cannot be had; MD5 only where one is expected. */
  constructor(bytes: number | undefined, { md5 }: Stated = {}) {
    this.#md5 = md5 === undefined ? undefined : createHash("md5");
    this.#git = bytes === undefined ? undefined : createHash("sha1").update(`blob ${bytes}\0`);
  }

  update(chunk: Uint8Array): void {
    this.#sha256.update(chunk);
    this.#md5?.update(chunk);
    this.#git?.update(chunk);
    this.#bytes += chunk.length;
  }

  identity(): Identity {
    const gitSha1 = this.#git?.digest("hex");
    return { bytes: this.#bytes, sha256: this.#sha256.digest("hex"), md5: this.#md5?.digest("hex"), gitSha1 };
  }
}

/** Undefined where there is no such file. @throws UserError when it cannot be read */
export async function identify(path: string, expected: Stated = {}): Promise<Identity | undefined> {
  const found = await stat(path).catch(() => undefined);
  if (!found?.isFile()) return undefined;
  const digest = new Digest(found.size, expected);
  try {
    for await (const chunk of createReadStream(path, { highWaterMark: 1 << 20 })) digest.update(chunk as Uint8Array);
  } catch (error) {
    throw new UserError(`cannot read ${path}: ${(error as NodeJS.ErrnoException).code ?? error}`, { cause: error });
  }
  return digest.identity();
}

/** Difference of a file from what it must be; undefined when it fits. */
export function mismatch(actual: Identity, expected: Expected): string | undefined {
  if (expected.bytes !== undefined && actual.bytes !== expected.bytes) {
    return `it has ${actual.bytes} bytes instead of ${expected.bytes}`;
  }
  for (const kind of ["sha256", "md5"] as const) {
    const stated = expected[kind];
    if (stated === undefined || actual[kind]?.startsWith(stated)) continue;
    const isWhole = stated.length === actual[kind]?.length;
    return `its ${kind} is ${actual[kind]} instead of ${isWhole ? "" : "one that begins with "}${stated}`;
  }
  if (expected.gitSha1 !== undefined && actual.gitSha1 !== expected.gitSha1) {
    return `its git hash is ${actual.gitSha1} instead of ${expected.gitSha1}`;
  }
  return undefined;
}
