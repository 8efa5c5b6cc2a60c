/**
 * A folder published as one commit of a repository of the Hub, by the Hub's own client. Large files are uploaded first, and those that
 * the Hub has already are not sent again; the commit then names all of them, so that readers see all of it or nothing.
 * Why the client, and not for downloads: docs/architecture.md, "Fetching".
 */
import { readdirSync, readFileSync } from "node:fs";
import { join, relative, sep } from "node:path";
import type * as Hub from "@huggingface/hub";
import { shown } from "../io/index.ts";
import { UserError } from "../torch/index.ts";
import { defaultTiming, Interruption, type Timing } from "./http.ts";
import { listRepository } from "./hub-api.ts";
import { defaultRevision, type HubSource, parseSource } from "./parse.ts";
import { retry } from "./retry.ts";
import { hubEndpoint, hubToken, isOffline } from "./settings.ts";

export interface PushOptions {
  /** Address of the Hub (default HF_ENDPOINT, else the public one). */
  readonly endpoint?: string | undefined;
  /** Access token that may write (default HF_TOKEN, else the stored one). */
  readonly token?: string | undefined;
  /** A repository that is made now is seen by its owner alone; one that exists stays as it is. */
  readonly isPrivate?: boolean | undefined;
  /** Title of the commit. */
  readonly message: string;
  /** Files of the repository that go when the folder does not have them. */
  readonly replaces?: ((path: string) => boolean) | undefined;
  /** Phase or file, and the part of it that is done. */
  readonly onProgress?: ((what: string, part: number) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly timing?: Partial<Timing> | undefined;
}

/** A repository that may be written to, as far as this can be said before anything is sent. */
export interface PushTarget {
  readonly source: HubSource;
  readonly endpoint: string;
  readonly token: string;
}

export interface Pushed {
  readonly url: string;
  readonly commit: string;
}

/**
 * The repository that a text names: hf:owner/name, or hf:owner/name@branch.
 * @throws UserError when it names none, or there is no token, or the network is forbidden
 */
export function pushTarget(
  text: string,
  { endpoint, token }: Pick<PushOptions, "endpoint" | "token"> = {},
): PushTarget {
  const source = parseSource(/^hf:/i.test(text) ? text : `hf:${text}`);
  if (source.kind !== "hub" || source.path !== undefined)
    throw new UserError(`${shown(text)} names a file: give --push hf:owner/name or hf:owner/name@branch`);
  if (isOffline()) throw new UserError("HF_HUB_OFFLINE forbids the network: unset it to publish");
  const hub = hubEndpoint(endpoint);
  const access = hubToken(token);
  if (access === undefined) {
    throw new UserError(
      `publishing needs an access token: set HF_TOKEN to one that may write, from ${hub}/settings/tokens`,
    );
  }
  if (!access.startsWith("hf_")) throw new UserError('HF_TOKEN is no access token of the Hub: those begin with "hf_"');
  return { source, endpoint: hub, token: access };
}

/**
 * Publishes all files of a folder as one commit, in a repository that is made where there is none.
 * @throws UserError when the repository is not the token's, or the Hub cannot be reached; nothing is published then
 */
export async function pushFolder(folder: string, target: PushTarget, options: PushOptions): Promise<Pushed> {
  const hub = await import("@huggingface/hub");
  const { source, endpoint, token } = target;
  const { signal, isPrivate, message, replaces = () => false, onProgress } = options;
  const timing = { ...defaultTiming, ...options.timing };
  const what = `hf:${source.repo}`;
  const call = { accessToken: token, hubUrl: endpoint, fetch: patient(timing, what, signal) };
  const repo = { type: "model", name: source.repo } as const;
  try {
    await hub
      .createRepo({ ...call, repo, ...(isPrivate ? { visibility: "private" } : {}) })
      .catch(async (error: unknown) => {
        const status = error instanceof hub.HubApiError ? error.statusCode : 0;
        // Who may not make repositories there may still write to one that exists: the commit will tell.
        if (status !== 409 && !(status === 403 && (await hub.repoExists({ ...call, repo })))) throw error;
      });
    if (source.revision !== defaultRevision)
      await hub.createBranch({ ...call, repo, branch: source.revision, overwrite: true });
    const credentials = { token, origin: new URL(endpoint).origin };
    const before = await listRepository(source, { endpoint, credentials, timing, signal });
    const files = filesOf(folder);
    const stale = before.files.map(({ path }) => path).filter((path) => replaces(path) && !files.includes(path));
    const commit = hub.commitIter({
      ...call,
      repo,
      title: message,
      branch: source.revision,
      // Somebody else's commit in between is not overwritten unseen.
      parentCommit: before.commit,
      operations: [
        ...files.map((path) => ({ operation: "addOrUpdate" as const, path, content: contentOf(join(folder, path)) })),
        ...stale.map((path) => ({ operation: "delete" as const, path })),
      ],
      ...(signal ? { abortSignal: signal } : {}),
    });
    const { oid } = await finished(commit, onProgress);
    return { url: `${endpoint}/${source.repo}`, commit: oid };
  } catch (error) {
    if (signal?.aborted) throw new UserError(`publishing ${what} was stopped; nothing is published`, { cause: error });
    throw refusal(error, target, hub);
  }
}

async function finished(
  commit: ReturnType<typeof Hub.commitIter>,
  onProgress: PushOptions["onProgress"],
): Promise<{ oid: string }> {
  for (;;) {
    const step = await commit.next();
    if (!step.done) {
      const { value } = step;
      if (value.event === "fileProgress") onProgress?.(value.path, value.progress);
      continue;
    }
    if (!step.value) throw new UserError("the Hub gave no commit");
    return step.value.commit;
  }
}

/** Paths of all files below a folder, with "/". */
function filesOf(folder: string): string[] {
  const entries = readdirSync(folder, { recursive: true, withFileTypes: true });
  const files = entries
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath ?? entry.path, entry.name));
  return files.map((path) => relative(folder, path).split(sep).join("/")).sort();
}

/** A model's file fits into memory: it was there when it was written. */
function contentOf(path: string): Blob {
  return new Blob([new Uint8Array(readFileSync(path))]);
}

/** `fetch` that tries again what may be tried again: all but the commit itself, which might have been taken. */
function patient(timing: Timing, what: string, signal: AbortSignal | undefined): typeof fetch {
  return (input, init) => {
    const url = String(input instanceof Request ? input.url : input);
    const once = async (): Promise<Response> => {
      const response = await fetch(input, init).catch((cause: unknown) => {
        if (init?.signal?.aborted || signal?.aborted) throw cause;
        throw new Interruption(reasonIn(cause));
      });
      if (response.status !== 408 && response.status !== 429 && response.status < 500) return response;
      await response.body?.cancel();
      throw new Interruption(`the server answers HTTP ${response.status}`);
    };
    const isCommit = /\/api\/models\/[^/]+\/[^/]+\/commit\//.test(new URL(url).pathname);
    return retry(
      { timing: { ...timing, attempts: isCommit ? 1 : timing.attempts }, signal, what, done: "published" },
      once,
    );
  };
}

/** fetch() says only "fetch failed"; the reason is the cause. */
function reasonIn(error: unknown): string {
  const { cause } = error as { cause?: NodeJS.ErrnoException };
  return shown(cause?.code ?? cause?.message ?? String(error));
}

function refusal(error: unknown, { source, endpoint }: PushTarget, hub: typeof Hub): unknown {
  if (error instanceof UserError || !(error instanceof hub.HubApiError)) return error;
  const { statusCode } = error;
  const { repo, revision } = source;
  const not = (why: string) => new UserError(`hf:${repo} was not published: ${why}`, { cause: error });
  if (statusCode === 401)
    return not(`the token is not valid (HTTP 401): set HF_TOKEN to one from ${endpoint}/settings/tokens`);
  if (statusCode === 403) {
    return not(
      `your token may not write there (HTTP 403): check the owner's name, and that the token has the right to write`,
    );
  }
  if (statusCode === 409 || statusCode === 412) {
    return not(`"${shown(revision)}" got another commit meanwhile (HTTP ${statusCode}): push again`);
  }
  return not(`the Hub answers HTTP ${statusCode}: ${shown(firstLine(error.message))}`);
}

const firstLine = (text: string): string => text.split(/[\r\n]/)[0] ?? "";
