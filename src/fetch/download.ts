/** One file from one address, resumed where it was interrupted and checked before anybody sees it. */
import { freeBytes } from "../io/index.ts";
import { UserError } from "../torch/index.ts";
import { Digest, type Expected, type Identity, mismatch } from "./digest.ts";
import { refuseStatus, type Subject } from "./explain.ts";
import { type Credentials, Interruption, plainEtag, type Reply, request, type Timing } from "./http.ts";
import { Partial } from "./partial.ts";
import { retry } from "./retry.ts";

export interface DownloadOptions {
  readonly timing: Timing;
  /** No file may be larger, whatever its server says. */
  readonly maximumBytes: number;
  readonly credentials?: Credentials | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((done: number, total: number | undefined) => void) | undefined;
}

export interface Download extends Subject {
  readonly url: string;
  /** Its place until it is complete, and the beginning of its name there. */
  readonly folder: string;
  readonly stem: string;
  readonly expected: Expected;
  /** A version that need not be fetched again, by its ETag or date. */
  readonly known?: { readonly etag?: string | undefined; readonly modified?: string | undefined } | undefined;
}

export interface Downloaded extends Identity {
  /** Complete and checked; the caller finishes or discards it. */
  readonly partial: Partial;
  readonly etag: string | undefined;
  readonly modified: string | undefined;
  readonly contentType: string | undefined;
}

/**
 * Fetches a file; undefined when the server still has the `known` version.
 * @throws UserError when it cannot be had, is not what was expected, is too large, or cannot be written
 */
export async function download(file: Download, options: DownloadOptions): Promise<Downloaded | undefined> {
  const partial = await Partial.claim(file.folder, file.stem);
  const transfer = new Transfer(file, options, partial);
  try {
    const { timing, signal } = options;
    const progress = () => transfer.furthest;
    const outcome = await retry({ timing, signal, what: file.what, progress }, () => transfer.attempt());
    if (outcome === "unchanged") await partial.discard();
    return outcome === "unchanged" ? undefined : outcome;
  } catch (error) {
    if (transfer.hopeless) await partial.discard();
    else await partial.release();
    throw error;
  }
}

class Transfer {
  /** The written bytes are wrong, or there is no room for it. */
  hopeless = false;
  /** The most bytes that any attempt got to. */
  furthest = 0;
  readonly #file: Download;
  readonly #options: DownloadOptions;
  readonly #partial: Partial;
  #digest: Digest | undefined;
  #resumed = false;
  #total: number | undefined;
  #expected: Expected;
  #headers = new Headers();

  constructor(file: Download, options: DownloadOptions, partial: Partial) {
    this.#file = file;
    this.#options = options;
    this.#partial = partial;
    this.#expected = file.expected;
    this.#total = file.expected.bytes;
  }

  /** @throws Interruption when the next attempt may get further */
  async attempt(): Promise<Downloaded | "unchanged"> {
    if (!this.#canResume()) await this.#restart(undefined);
    if (this.#total === undefined || this.#partial.size < this.#total) {
      const reply = await request(this.#file.url, { ...this.#options, headers: this.#requestHeaders() });
      if (reply.status === 304 && this.#file.known) {
        await reply.discard();
        return "unchanged";
      }
      await this.#take(reply);
    }
    return this.#checked();
  }

  /** With a hash to check in the end, a wrong remainder would be noticed; without one the server must vouch for it. */
  #canResume(): boolean {
    const { size, validator } = this.#partial;
    if (size === 0) return true;
    if (this.#total !== undefined && size > this.#total) return false;
    return this.#isVerifiable() || validator !== undefined;
  }

  #isVerifiable(): boolean {
    const { sha256, md5, gitSha1 } = this.#file.expected;
    return sha256 !== undefined || md5 !== undefined || gitSha1 !== undefined;
  }

  #requestHeaders(): Record<string, string> {
    const { size, validator } = this.#partial;
    if (size > 0) {
      return { range: `bytes=${size}-`, ...(this.#isVerifiable() || !validator ? {} : { "if-range": validator }) };
    }
    const { etag, modified } = this.#file.known ?? {};
    if (etag !== undefined) return { "if-none-match": etag };
    return modified === undefined ? {} : { "if-modified-since": modified };
  }

  /** Appends a reply's body, or starts anew with it. */
  async #take(reply: Reply): Promise<void> {
    if (reply.status === 416 && this.#partial.size > 0) return this.#beyondTheEnd(reply);
    if (reply.status !== 200 && reply.status !== 206) return refuseStatus(reply, this.#file);
    const isPlain = (reply.headers.get("content-encoding") ?? "identity") === "identity";
    const range = reply.status === 206 ? contentRange(reply.headers) : undefined;
    if (reply.status === 206 && !(isPlain && this.#fits(reply, range))) {
      await reply.discard();
      await this.#restart(undefined);
      throw new Interruption("the server sent another part of the file than it was asked for");
    }
    if (reply.status === 206) this.#resumed = true;
    else await this.#restart(isPlain ? strongEtag(reply.headers) : undefined);
    this.#headers = reply.headers;
    this.#expectLinked(reply);
    const length = isPlain ? numberOf(reply.headers.get("content-length")) : undefined;
    await this.#announced(range ? range.total : length, reply);
    await this.#resumeDigest();
    for await (const chunk of reply.chunks()) await this.#append(chunk);
    if (this.#total !== undefined && this.#partial.size < this.#total) {
      throw new Interruption(`the connection ended after ${this.#partial.size} of ${this.#total} bytes`);
    }
  }

  #fits(reply: Reply, range: Range | undefined): boolean {
    if (range?.start !== this.#partial.size) return false;
    const { validator } = this.#partial;
    const etag = strongEtag(reply.headers);
    return this.#isVerifiable() || etag === undefined || etag === validator;
  }

  /** Either nothing is missing, or what is here belongs to another version. */
  async #beyondTheEnd(reply: Reply): Promise<void> {
    await reply.discard();
    const range = contentRange(reply.headers);
    if (range?.total === this.#partial.size && this.#total === undefined) return this.#resumeDigest();
    await this.#restart(undefined);
    throw new Interruption("the server has no such part of the file");
  }

  #expectLinked({ linkedEtag }: Reply): void {
    if (this.#isVerifiable() || linkedEtag === undefined || !/^[0-9a-f]{64}$/.test(linkedEtag)) return;
    this.#expected = { ...this.#expected, sha256: linkedEtag };
  }

  /** Refuses a size before it is fetched. */
  async #announced(total: number | undefined, reply: Reply): Promise<void> {
    const refuse = async (why: string) => {
      this.hopeless = true;
      await reply.discard();
      throw new UserError(`${this.#file.what} is refused: ${why}`);
    };
    if (total !== undefined && this.#total !== undefined && total !== this.#total) {
      await refuse(`the server announces ${total} bytes where ${this.#total} were expected`);
    }
    this.#total ??= total;
    const { maximumBytes } = this.#options;
    const size = this.#total ?? 0;
    if (size > maximumBytes) await refuse(`it has ${size} bytes, more than the ${maximumBytes} that are allowed`);
    const room = freeBytes(this.#file.folder);
    const missing = size - this.#partial.size;
    if (missing > room) {
      await refuse(`it needs ${missing} more bytes and the disk of ${this.#file.folder} has ${room}: free some space`);
    }
  }

  async #append(chunk: Uint8Array): Promise<void> {
    const limit = this.#total ?? this.#options.maximumBytes;
    if (this.#partial.size + chunk.length > limit) {
      this.hopeless = true;
      const what = this.#total === undefined ? "that are allowed" : "announced";
      throw new UserError(`${this.#file.what} is refused: it is longer than the ${limit} bytes ${what}`);
    }
    await this.#partial.append(chunk).catch((error: unknown) => {
      this.hopeless = true;
      throw error;
    });
    this.#digest?.update(chunk);
    this.furthest = Math.max(this.furthest, this.#partial.size);
    this.#options.onProgress?.(this.#partial.size, this.#total);
  }

  /** The hashes of what an earlier process, or an earlier attempt that failed while writing, left. */
  async #resumeDigest(): Promise<void> {
    if (this.#digest) return;
    this.#digest = new Digest(this.#total, this.#expected);
    if (this.#partial.size > 0) this.#resumed = true;
    for await (const chunk of this.#partial.chunks()) this.#digest.update(chunk);
  }

  async #restart(validator: string | undefined): Promise<void> {
    await this.#partial.restart(validator);
    this.#digest = undefined;
    this.#resumed = false;
    this.#expected = this.#file.expected;
    if (this.#file.expected.bytes === undefined) this.#total = undefined;
  }

  async #checked(): Promise<Downloaded> {
    await this.#resumeDigest();
    const identity = (this.#digest as Digest).identity();
    this.#digest = undefined;
    const problem = mismatch(identity, this.#expected);
    if (problem === undefined) {
      const headers = this.#headers;
      return {
        ...identity,
        partial: this.#partial,
        etag: headers.get("etag") ?? undefined,
        modified: headers.get("last-modified") ?? undefined,
        contentType: headers.get("content-type") ?? undefined,
      };
    }
    if (this.#resumed) {
      // The beginning may be to blame, which another process wrote.
      await this.#restart(undefined);
      throw new Interruption(problem);
    }
    this.hopeless = true;
    throw new UserError(`${this.#file.what} is refused and was removed: ${problem}; it is damaged or was replaced`);
  }
}

interface Range {
  readonly start: number | undefined;
  readonly total: number | undefined;
}

// "bytes 10-99/100", of which the total may be "*", or "bytes */100"
function contentRange(headers: Headers): Range | undefined {
  const parts = /^bytes (?:(\d+)-\d+|\*)\/(\d+|\*)$/i.exec(headers.get("content-range")?.trim() ?? "");
  return parts ? { start: numberOf(parts[1]), total: numberOf(parts[2]) } : undefined;
}

function numberOf(text: string | null | undefined): number | undefined {
  return text && /^\d+$/.test(text) && Number.isSafeInteger(Number(text)) ? Number(text) : undefined;
}

/** Weak ETags promise too little for joining parts. */
function strongEtag(headers: Headers): string | undefined {
  const etag = headers.get("etag");
  return etag?.startsWith('"') && plainEtag(etag) ? etag : undefined;
}
