/** The Hub's answers about a repository: the commit behind a revision, and its files with their hashes. */
import { z } from "zod";
import { shown } from "../io/index.ts";
import { UserError } from "../torch/index.ts";
import type { Expected } from "./digest.ts";
import { refuseStatus, type Subject } from "./explain.ts";
import { type Credentials, Interruption, type Reply, request, type Timing } from "./http.ts";
import { checkedPath } from "./names.ts";
import { type HubSource, pagePath } from "./parse.ts";
import { retry } from "./retry.ts";

/** A file of a repository at one commit. */
export interface RepositoryFile {
  readonly path: string;
  readonly bytes: number;
  /** Names the blob in the cache: SHA-256 of a large file, git's hash of a small one. */
  readonly etag: string;
}

export interface Repository {
  readonly commit: string;
  readonly files: readonly RepositoryFile[];
}

export interface HubOptions {
  readonly endpoint: string;
  readonly credentials: Credentials | undefined;
  readonly timing: Timing;
  readonly signal?: AbortSignal | undefined;
}

const maximumReplyBytes = 32e6;
const maximumPages = 100;
const maximumFiles = 100_000;

export const commitPattern = /^[0-9a-f]{40}$/;

const revisionReply = z.object({ sha: z.string().regex(commitPattern) });
const size = z.number().int().nonnegative().max(Number.MAX_SAFE_INTEGER);
const treeReply = z.array(z.unknown()).max(maximumFiles);
const treeFile = z.object({
  path: z.string(),
  size,
  oid: z.string().regex(/^[0-9a-f]{40}$/, "no git hash"),
  lfs: z.object({ oid: z.string().regex(/^[0-9a-f]{64}$/, "no sha256"), size }).nullish(),
});

/**
 * Finds the commit of a source's revision and lists its files.
 * @throws UserError when repository or revision do not exist or may not be read, or the answer is not the Hub's
 */
export async function listRepository(source: HubSource, options: HubOptions): Promise<Repository> {
  const api = `${options.endpoint}/api/${source.isDataset ? "datasets" : "models"}/${source.repo}`;
  const subject = hubSubject(source, options);
  const first = await getJson(
    `${api}/revision/${encodeURIComponent(source.revision)}`,
    revisionReply,
    subject,
    options,
  );
  const commit = first.json.sha;
  const files = new Map<string, RepositoryFile>();
  let next: string | undefined = `${api}/tree/${commit}?recursive=true`;
  for (let page = 0; next !== undefined; page++) {
    if (page >= maximumPages || files.size > maximumFiles) {
      throw new UserError(`${subject.what} lists more than ${page} pages of files, more than are read`);
    }
    const { json, reply } = await getJson(next, treeReply, subject, options);
    for (const entry of json) {
      const file = parseEntry(entry, subject, options.endpoint);
      if (file) files.set(file.path, file);
    }
    next = nextPage(reply, options.endpoint);
  }
  return { commit, files: [...files.values()] };
}

/** One by one, so that a hostile list ends with its first wrong entry. Folders are no files. */
function parseEntry(entry: unknown, subject: Subject, endpoint: string): RepositoryFile | undefined {
  if (z.object({ type: z.literal("directory") }).safeParse(entry).success) return undefined;
  const { path, size, oid, lfs } = checked(entry, treeFile, subject, endpoint);
  checkedPath(path, subject.what);
  return { path, bytes: lfs?.size ?? size, etag: lfs?.oid ?? oid };
}

export function hubSubject(source: HubSource, { endpoint, credentials }: HubOptions, path?: string): Subject {
  const repository = `hf:${pagePath(source)}${source.revision === "main" ? "" : `@${shown(source.revision)}`}`;
  const what = path === undefined ? repository : `${shown(path)} of ${repository}`;
  return { what, hub: { source, endpoint, hasToken: credentials !== undefined } };
}

/** Address of a file at a commit, as the Hub serves it. */
export function fileUrl(
  endpoint: string,
  source: Pick<HubSource, "repo" | "isDataset">,
  commit: string,
  path: string,
): string {
  return `${endpoint}/${pagePath(source)}/resolve/${commit}/${path.split("/").map(encodeURIComponent).join("/")}`;
}

/** Size and hash that a file must have, by the name of its blob. */
export function expectedOf({ bytes, etag }: Pick<RepositoryFile, "etag"> & { bytes?: number }): Expected {
  if (etag.length === 64) return { bytes, sha256: etag };
  return { bytes, gitSha1: etag };
}

/** Only the path is taken from the answer: a token must not go elsewhere. */
function nextPage(reply: Reply, endpoint: string): string | undefined {
  const link = /<([^>]+)>\s*;[^,]*\brel="?next"?/i.exec(reply.headers.get("link") ?? "")?.[1];
  if (link === undefined || !URL.canParse(link, endpoint)) return undefined;
  const { pathname, search } = new URL(link, endpoint);
  return new URL(pathname + search, endpoint).href;
}

async function getJson<S extends z.ZodType>(url: string, schema: S, subject: Subject, options: HubOptions) {
  const { timing, signal, credentials } = options;
  return retry({ timing, signal, what: subject.what }, async () => {
    const reply = await request(url, { timing, signal, credentials });
    if (reply.status !== 200) return refuseStatus(reply, subject);
    const text = await readText(reply, subject);
    return { json: checkedJson(text, schema, subject, options.endpoint), reply };
  });
}

async function readText(reply: Reply, subject: Subject): Promise<string> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of reply.chunks()) {
    bytes += chunk.length;
    if (bytes > maximumReplyBytes) throw new UserError(`${subject.what}: the server's answer has more than 32 MB`);
    chunks.push(chunk);
  }
  const length = reply.headers.get("content-length");
  const isPlain = reply.headers.get("content-encoding") === null;
  if (isPlain && length !== null && bytes < Number(length)) throw new Interruption("the connection ended too early");
  return Buffer.concat(chunks).toString("utf8");
}

function checkedJson<S extends z.ZodType>(text: string, schema: S, subject: Subject, endpoint: string): z.output<S> {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    throw notTheHub("it is not JSON", subject, endpoint);
  }
  return checked(json, schema, subject, endpoint);
}

function checked<S extends z.ZodType>(json: unknown, schema: S, subject: Subject, endpoint: string): z.output<S> {
  const parsed = schema.safeParse(json);
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0];
  throw notTheHub(`${issue?.path.join(".") || "it"}: ${shown(issue?.message ?? "")}`, subject, endpoint);
}

function notTheHub(why: string, subject: Subject, endpoint: string): UserError {
  const hint = `is ${endpoint} the Hub? (HF_ENDPOINT; a network's log-in page answers so too)`;
  return new UserError(`${subject.what}: the server's answer is not the Hub's: ${why}; ${hint}`);
}
