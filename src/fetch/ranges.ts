/** Files elsewhere that are read in parts, by range requests: nothing of them is kept here. */
import { UserError } from "../torch/index.ts";
import { refuseStatus, type Subject } from "./explain.ts";
import { type Credentials, defaultTiming, Interruption, plainEtag, request, type Timing } from "./http.ts";
import { expectedOf, fileUrl, type HubOptions, hubSubject, listRepository } from "./hub-api.ts";
import { shownUrl } from "./names.ts";
import type { HubSource } from "./parse.ts";
import { retry } from "./retry.ts";
import { hubEndpoint, hubToken, isOffline } from "./settings.ts";

export interface RangeOptions {
  readonly timing?: Partial<Timing> | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Address of the Hub (default HF_ENDPOINT, else the public one). */
  readonly endpoint?: string | undefined;
}

/** One version of a file elsewhere. */
export interface RemoteFile {
  /** For messages. */
  readonly name: string;
  readonly size: number;
  /** Mark of this version: another content has another one, as far as the server tells. */
  readonly version: string;
  /** A part that lies inside. @throws UserError when it cannot be had, or the file has changed */
  read(offset: number, length: number): Promise<Buffer>;
}

/** A file of a repository of data, before it is opened. */
export interface DatasetFile {
  /** In the repository. */
  readonly path: string;
  open(): Promise<RemoteFile>;
}

/**
 * The files of a repository of data on the Hub, below the path that the source names.
 * @throws UserError when it cannot be had, or fetching is off
 */
export async function datasetFiles(source: HubSource, options: RangeOptions = {}): Promise<DatasetFile[]> {
  const endpoint = hubEndpoint(options.endpoint);
  const token = hubToken();
  const credentials = token === undefined ? undefined : { token, origin: new URL(endpoint).origin };
  const timing = { ...defaultTiming, ...options.timing };
  const hub: HubOptions = { endpoint, credentials, timing, signal: options.signal };
  refuseOffline(hubSubject(source, hub).what);
  const { commit, files } = await listRepository(source, hub);
  const below = files.filter(
    ({ path }) => source.path === undefined || path === source.path || path.startsWith(`${source.path}/`),
  );
  return below.map((file) => ({
    path: file.path,
    open: () =>
      Ranges.open(fileUrl(endpoint, source, commit, file.path), {
        subject: hubSubject(source, hub, file.path),
        credentials,
        timing,
        signal: options.signal,
        version: `${source.repo} ${file.path} ${expectedOf(file).sha256 ?? file.etag}`,
      }),
  }));
}

/** @throws UserError when it cannot be had or read in parts, or fetching is off */
export function openRemote(url: string, options: RangeOptions = {}): Promise<RemoteFile> {
  refuseOffline(shownUrl(url));
  const timing = { ...defaultTiming, ...options.timing };
  return Ranges.open(url, { subject: { what: shownUrl(url) }, timing, signal: options.signal });
}

function refuseOffline(what: string): void {
  if (isOffline())
    throw new UserError(`${what} is elsewhere, and fetching is off (HF_HUB_OFFLINE): name files on this machine`);
}

interface RangesOptions {
  readonly subject: Subject;
  readonly timing: Timing;
  readonly credentials?: Credentials | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Mark of the version where something better than the server's is known. */
  readonly version?: string;
}

/** What the server says of the file in an answer. */
interface Stated {
  readonly size: number;
  readonly mark: string | undefined;
}

class Ranges implements RemoteFile {
  readonly name: string;
  readonly version: string;
  readonly #url: string;
  readonly #stated: Stated;
  readonly #options: RangesOptions;

  private constructor(url: string, stated: Stated, options: RangesOptions) {
    this.name = options.subject.what;
    this.version = options.version ?? `${url} ${stated.size} ${stated.mark ?? ""}`;
    this.#url = url;
    this.#stated = stated;
    this.#options = options;
  }

  static async open(url: string, options: RangesOptions): Promise<RemoteFile> {
    const { stated } = await fetchRange(url, 0, 1, options);
    return new Ranges(url, stated, options);
  }

  get size(): number {
    return this.#stated.size;
  }

  async read(offset: number, length: number): Promise<Buffer> {
    if (length === 0) return Buffer.alloc(0);
    const { bytes, stated } = await fetchRange(this.#url, offset, length, this.#options);
    const { size, mark } = this.#stated;
    if (stated.size === size && (mark === undefined || stated.mark === mark)) return bytes;
    throw new UserError(`${this.name} changed while it was read: start again`);
  }
}

/** @throws UserError when the server does not answer with that part */
function fetchRange(
  url: string,
  offset: number,
  length: number,
  { subject, timing, credentials, signal }: RangesOptions,
): Promise<{ bytes: Buffer; stated: Stated }> {
  return retry({ timing, signal, what: subject.what }, async () => {
    const headers = { range: `bytes=${offset}-${offset + length - 1}` };
    const reply = await request(url, { headers, timing, credentials, signal });
    if (reply.status === 200) {
      await reply.discard();
      throw new UserError(
        `${subject.what} comes as a stream, since its server sends no parts of it: images are read by an index, so fetch the file first`,
      );
    }
    if (reply.status !== 206) return refuseStatus(reply, subject);
    const [, start, total] = /^bytes (\d+)-\d+\/(\d+)$/i.exec(reply.headers.get("content-range")?.trim() ?? "") ?? [];
    if (Number(start) !== offset || !Number.isSafeInteger(Number(total))) {
      await reply.discard();
      throw new Interruption("the server sent another part of the file than it was asked for");
    }
    const chunks: Uint8Array[] = [];
    let received = 0;
    for await (const chunk of reply.chunks()) {
      received += chunk.length;
      if (received > length) break;
      chunks.push(chunk);
    }
    if (received !== Math.min(length, Number(total) - offset)) {
      throw new Interruption(`${received} bytes came where ${length} were asked for`);
    }
    const etag = plainEtag(reply.headers.get("etag")) ?? reply.linkedEtag;
    const mark = etag ?? reply.headers.get("last-modified") ?? undefined;
    // Of its own: its memory goes to whoever asked.
    const bytes = Buffer.allocUnsafeSlow(received);
    let at = 0;
    for (const chunk of chunks) {
      bytes.set(chunk, at);
      at += chunk.length;
    }
    return { bytes, stated: { size: Number(total), mark } };
  });
}
