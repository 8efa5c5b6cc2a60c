/** Models of the Hugging Face Hub, into the cache that Python's huggingface_hub uses. */
import { join } from "node:path";
import { shown } from "../io/index.ts";
import { UserError } from "../torch/index.ts";
import { chooseModel, configNames, nearest, parent } from "./choose.ts";
import { identify, mismatch } from "./digest.ts";
import { download } from "./download.ts";
import { defaultTiming } from "./http.ts";
import { expectedOf, fileUrl, type HubOptions, hubSubject, listRepository, type RepositoryFile } from "./hub-api.ts";
import { HubCache } from "./hub-cache.ts";
import type { HubSource } from "./parse.ts";
import { hubCacheDirectory, hubEndpoint, hubToken } from "./settings.ts";
import type { FetchedFile, FetchedSource, FetchOptions, PartsOf } from "./types.ts";

/** One commit of a repository: what files it has, and how to have one. */
interface Snapshot {
  readonly commit: string;
  readonly paths: readonly string[];
  get(path: string, sha256?: string): Promise<FetchedFile>;
}

const defaultMaximumBytes = 50e9;
/** For config.json and preprocessor_config.json. */
const maximumConfigBytes = 50e6;

/** Fetches a repository's model, or only looks for it in the cache. */
export async function fetchHub(
  source: HubSource,
  partsOf: PartsOf,
  options: FetchOptions,
  offline: boolean,
): Promise<FetchedSource> {
  const cache = new HubCache(options.cacheDir ?? hubCacheDirectory(), source.repo);
  const endpoint = hubEndpoint(options.endpoint);
  const snapshot = offline
    ? await cachedSnapshot(source, cache, endpoint)
    : await remoteSnapshot(source, cache, endpoint, options);
  return assemble(source, snapshot, partsOf, options);
}

async function assemble(
  source: HubSource,
  snapshot: Snapshot,
  partsOf: PartsOf,
  options: FetchOptions,
): Promise<FetchedSource> {
  const { commit, paths, get } = snapshot;
  const mainPath = chooseModel(paths, source);
  const main = await get(mainPath, options.sha256);
  const parts: FetchedFile[] = [];
  for (const name of partsOf(main.path)) parts.push(await get(parent(mainPath) + name));
  const optional = async (file: string) => {
    const path = nearest(paths, mainPath, file);
    return path === undefined || path === mainPath ? undefined : get(path);
  };
  const name = configNames.find((file) => nearest(paths, mainPath, file) !== undefined);
  const config = name === undefined ? undefined : await optional(name);
  const preprocessor = await optional("preprocessor_config.json");
  return {
    main,
    parts,
    ...(config ? { config } : {}),
    ...(preprocessor ? { preprocessor } : {}),
    revision: commit,
  };
}

async function remoteSnapshot(
  source: HubSource,
  cache: HubCache,
  endpoint: string,
  options: FetchOptions,
): Promise<Snapshot> {
  const token = hubToken(options.token);
  const hub: HubOptions = {
    endpoint,
    credentials: token === undefined ? undefined : { token, origin: new URL(endpoint).origin },
    timing: { ...defaultTiming, ...options.timing },
    signal: options.signal,
  };
  const { commit, files } = await listRepository(source, hub);
  const byPath = new Map(files.map((file) => [file.path, file]));
  const get = async (path: string, sha256?: string): Promise<FetchedFile> => {
    const file = byPath.get(path);
    const { what } = hubSubject(source, hub, path);
    if (!file) throw new UserError(`${what} is named by the model, but the repository does not have it`);
    checkExpected(file, sha256, what);
    const identity = (await cache.find(commit, file)) ?? (await fetchBlob(source, commit, file, cache, hub, options));
    checkSha256(identity.sha256, sha256, what);
    await cache.point(commit, file);
    await cache.writeRef(source.revision, commit);
    return {
      path: cache.snapshot(commit, path),
      name: path,
      sha256: identity.sha256,
      bytes: identity.bytes,
      url: fileUrl(endpoint, source, commit, path),
    };
  };
  return { commit, paths: [...byPath.keys()], get };
}

async function fetchBlob(
  source: HubSource,
  commit: string,
  file: RepositoryFile,
  cache: HubCache,
  hub: HubOptions,
  options: FetchOptions,
) {
  const isConfig = /(^|\/)(preprocessor_|open_clip_)?config\.json$/.test(file.path);
  const request = {
    ...hubSubject(source, hub, file.path),
    url: fileUrl(hub.endpoint, source, commit, file.path),
    folder: cache.blobs,
    stem: file.etag,
    expected: expectedOf(file),
  };
  const done = await download(request, {
    timing: hub.timing,
    credentials: hub.credentials,
    signal: hub.signal,
    maximumBytes: isConfig ? maximumConfigBytes : (options.maximumBytes ?? defaultMaximumBytes),
    onProgress: (bytes, total) => options.onProgress?.(bytes, total, file.path),
  });
  if (!done) throw new UserError(`${request.what}: the server gave no file`);
  await done.partial.finish(join(cache.blobs, file.etag));
  return done;
}

/** A wrong large file is known before it is fetched. */
function checkExpected({ etag }: RepositoryFile, sha256: string | undefined, what: string): void {
  if (etag.length === 64) checkSha256(etag, sha256, what);
}

function checkSha256(actual: string, expected: string | undefined, what: string): void {
  if (expected === undefined || actual.startsWith(expected)) return;
  throw new UserError(`${what} is refused: its sha256 is ${actual} instead of ${expected}; was it replaced?`);
}

async function cachedSnapshot(source: HubSource, cache: HubCache, endpoint: string): Promise<Snapshot> {
  const commit = await cache.commitOf(source.revision);
  const paths = commit === undefined ? [] : await cache.list(commit);
  if (commit === undefined || paths.length === 0) {
    throw new UserError(
      `hf:${source.repo} at revision "${shown(source.revision)}" is not in ${cache.folder}, and fetching is off (--offline or HF_HUB_OFFLINE): fetch it once with network`,
    );
  }
  const get = async (path: string, sha256?: string): Promise<FetchedFile> => {
    const etag = await cache.etagOf(commit, path);
    const local = cache.snapshot(commit, path);
    const identity = await identify(local);
    if (!identity) {
      throw new UserError(
        `${path} of hf:${source.repo} is not in ${cache.folder}, and fetching is off (--offline or HF_HUB_OFFLINE): fetch it once with network`,
      );
    }
    const problem = etag === undefined ? undefined : mismatch(identity, expectedOf({ etag }));
    if (problem) throw new UserError(`${local} is damaged: ${problem}; fetch it again with network`);
    checkSha256(identity.sha256, sha256, local);
    const url = fileUrl(endpoint, source, commit, path);
    return { path: local, name: path, sha256: identity.sha256, bytes: identity.bytes, url };
  };
  return { commit, paths, get };
}
