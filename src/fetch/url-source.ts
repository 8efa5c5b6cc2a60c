/**
 * Models by their address. Each address has a folder of its own, for a model and the files it names lie together:
 *
 *     downloads/KEY/files/NAME     the files, complete
 *     downloads/KEY/known/HASH     what the server said of each
 *     downloads/KEY/partial/       files that are not complete
 */
import { createHash } from "node:crypto";
import { mkdir, rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import { z } from "zod";
import { readJsonFile, sweepTemporaries, writeFileAtomic } from "../io/index.ts";
import { UserError } from "../torch/index.ts";
import { type Identity, identify, mismatch, type Stated } from "./digest.ts";
import { download } from "./download.ts";
import { type Credentials, defaultTiming } from "./http.ts";
import { safeRelativePath, shownUrl } from "./names.ts";
import type { UrlSource } from "./parse.ts";
import { downloadDirectory, explainWrite, hubEndpoint, hubToken } from "./settings.ts";
import type { FetchedFile, FetchedSource, FetchOptions, PartsOf } from "./types.ts";

const defaultMaximumBytes = 50e9;

const knownSchema = z.object({
  url: z.string(),
  sha256: z.string(),
  bytes: z.number(),
  etag: z.string().optional(),
  modified: z.string().optional(),
});
type Known = z.infer<typeof knownSchema>;

/** A file that is in the cache. */
type Found = Known & Identity;

/** Fetches a model's file and those it names, or only looks for them in the cache. */
export async function fetchUrl(
  source: UrlSource,
  partsOf: PartsOf,
  options: FetchOptions,
  offline: boolean,
): Promise<FetchedSource> {
  const place = new Place(addressFolder(source, options), options, offline);
  const main = await place.get(source.url, fileName(source.url), options);
  const parts: FetchedFile[] = [];
  for (const name of partsOf(main.path)) {
    parts.push(await place.get(beside(source.url, name), name, {}));
  }
  return { main, parts };
}

/** Place of an address's files in the cache. */
export function addressFolder({ url }: UrlSource, { cacheDir }: FetchOptions): string {
  return join(cacheDir ?? downloadDirectory(), hashed(url).slice(0, 32));
}

function hashed(text: string): string {
  return createHash("sha256").update(text).digest("hex");
}

/** The last part of an address as the name of a file; its ending tells the format. */
function fileName(url: string): string {
  const last = new URL(url).pathname.split("/").at(-1) ?? "";
  try {
    const name = decodeURIComponent(last).replaceAll(/[/\\:]/g, "_");
    return safeRelativePath(name) ? name : "download";
  } catch {
    return "download";
  }
}

function beside(url: string, name: string): string {
  return new URL(name.split("/").map(encodeURIComponent).join("/"), url).href;
}

class Place {
  readonly #folder: string;
  readonly #options: FetchOptions;
  readonly #offline: boolean;

  constructor(folder: string, options: FetchOptions, offline: boolean) {
    this.#folder = folder;
    this.#options = options;
    this.#offline = offline;
  }

  async get(url: string, name: string, { sha256, md5 }: Stated): Promise<FetchedFile> {
    const path = join(this.#folder, "files", ...name.split("/"));
    const stated = { sha256, md5 };
    const known = await this.#known(name, path, stated);
    const isStated = (sha256 ?? md5) !== undefined && known && mismatch(known, stated) === undefined;
    if (known && (this.#offline || isStated)) return checked({ ...known, path, name }, stated);
    if (this.#offline) {
      throw new UserError(
        `${shownUrl(url)} was not fetched before (it is not in ${this.#folder}), and fetching is off (--offline or HF_HUB_OFFLINE)`,
      );
    }
    return this.#fetch(url, name, path, known, stated);
  }

  async #fetch(url: string, name: string, path: string, known: Found | undefined, stated: Stated) {
    const { timing, maximumBytes = defaultMaximumBytes, signal, onProgress } = this.#options;
    const request = {
      what: shownUrl(url),
      url,
      folder: join(this.#folder, "partial"),
      stem: hashed(name).slice(0, 32),
      expected: stated,
      known,
    };
    const done = await download(request, {
      timing: { ...defaultTiming, ...timing },
      credentials: this.#credentials(url),
      maximumBytes,
      signal,
      onProgress: (bytes, total) => onProgress?.(bytes, total, name),
    });
    if (!done) return checked({ ...(known as Found), path, name }, stated);
    if (/^text\/html\b/i.test(done.contentType ?? "")) {
      await done.partial.discard();
      throw new UserError(
        `${shownUrl(url)} is a web page, not a model: copy the address of the file itself${hint(url)}`,
      );
    }
    const { bytes, etag, modified } = done;
    const now: Known = {
      url,
      sha256: done.sha256,
      bytes,
      ...(etag ? { etag } : {}),
      ...(modified ? { modified } : {}),
    };
    // Without a note the file counts as not fetched: a crash between the two costs a download, no more.
    await rm(this.#note(name), { force: true });
    await prepare(dirname(path));
    await done.partial.finish(path);
    await prepare(dirname(this.#note(name)));
    sweepTemporaries(dirname(this.#note(name)));
    writeFileAtomic(this.#note(name), JSON.stringify(now));
    return { path, name, sha256: done.sha256, bytes, url };
  }

  #note(name: string): string {
    return join(this.#folder, "known", hashed(name).slice(0, 32));
  }

  /** A file that was fetched before and still is what it was. */
  async #known(name: string, path: string, stated: Stated): Promise<Found | undefined> {
    const known = noteAt(this.#note(name));
    const identity = known && (await identify(path, stated));
    return identity?.sha256 === known?.sha256 && known && identity ? { ...known, ...identity } : undefined;
  }

  /** The Hub's files have addresses too. */
  #credentials(url: string): Credentials | undefined {
    const { origin } = new URL(hubEndpoint(this.#options.endpoint));
    const token = new URL(url).origin === origin ? hubToken(this.#options.token) : undefined;
    return token === undefined ? undefined : { token, origin };
  }
}

function checked({ path, name, ...found }: Found & { path: string; name: string }, stated: Stated): FetchedFile {
  const { sha256, bytes, url } = found;
  const problem = mismatch(found, stated);
  if (problem === undefined) return { path, name, sha256, bytes, url };
  throw new UserError(`${path} is refused: ${problem}; was ${shownUrl(url)} replaced?`);
}

function hint(url: string): string {
  const { origin, pathname } = new URL(url);
  const repo = /^\/([\w.-]+\/[\w.-]+)\/?$/.exec(pathname)?.[1];
  return repo !== undefined && origin === new URL(hubEndpoint()).origin ? `, or write hf:${repo}` : "";
}

/** A note that is missing or damaged counts as none. */
function noteAt(path: string): Known | undefined {
  try {
    return readJsonFile(path, knownSchema, "a note on a download");
  } catch (error) {
    if (error instanceof UserError) return undefined;
    throw error;
  }
}

async function prepare(folder: string): Promise<void> {
  await mkdir(folder, { recursive: true }).catch((error: unknown) => {
    throw explainWrite(error, folder);
  });
}
