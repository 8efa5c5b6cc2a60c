/** Texts that a user may write where a model is wanted: a repository of the Hugging Face Hub, an address, or a local path. */

import { shown } from "../io/index.ts";
import { UserError } from "../torch/index.ts";
import { safeRelativePath } from "./names.ts";

export interface HubSource {
  readonly kind: "hub";
  /** "owner/name". */
  readonly repo: string;
  /** Branch, tag, "refs/pr/N" or commit. */
  readonly revision: string;
  /** File or folder inside the repository, when the user named one. */
  readonly path: string | undefined;
  /** True for a repository of data, and not of a model. */
  readonly isDataset?: boolean;
}

/** Path of a repository's page on the Hub. */
export const pagePath = ({ repo, isDataset }: Pick<HubSource, "repo" | "isDataset">): string =>
  `${isDataset ? "datasets/" : ""}${repo}`;

export interface UrlSource {
  readonly kind: "url";
  readonly url: string;
}

export interface LocalSource {
  readonly kind: "local";
  readonly path: string;
}

export type RemoteSource = HubSource | UrlSource;
export type Source = RemoteSource | LocalSource;

export const defaultRevision = "main";

const form = "write hf:owner/name, hf:owner/name@revision or hf:owner/name@revision/path/of/file";

/**
 * Reads what the user wrote: `hf:owner/name[@revision][/path]`, an http(s) address, or else a local path.
 * @throws UserError for a malformed hf: source, an address with a password in it, or another scheme
 */
export function parseSource(text: string): Source {
  if (text === "")
    throw new UserError("the model's source is empty: name a file, a folder, hf:owner/name or an address");
  if (/^hf:/i.test(text)) return parseHub(text);
  if (/^https?:/i.test(text)) return { kind: "url", url: parseUrl(text) };
  const scheme = /^([a-z][a-z0-9+.-]+):\/\//i.exec(text)?.[1];
  if (scheme === undefined) return { kind: "local", path: text };
  throw new UserError(
    `${shown(text)}: models are not fetched by ${scheme}; name a file, hf:owner/name or an http(s) address`,
  );
}

/**
 * Reads `hf:datasets/owner/name[@revision][/path]`; undefined for what does not begin so.
 * @throws UserError for a malformed one
 */
export function parseDataset(text: string): HubSource | undefined {
  const name = /^hf:datasets\/(.*)$/is.exec(text)?.[1];
  return name === undefined ? undefined : { ...parseHub(`hf:${name}`), isDataset: true };
}

function parseHub(text: string): HubSource {
  const fail = (what: string): never => {
    throw new UserError(`the source ${shown(text)} ${what}; ${form}`);
  };
  const parts = /^hf:([^/@]+\/[^/@]+)(?:@(refs\/(?:pr|convert)\/[^/]+|[^/]+))?(?:\/(.*))?$/is.exec(text);
  const repo = parts?.[1];
  if (!parts || repo === undefined) return fail("names no repository");
  if (!isRepository(repo)) fail(`names "${shown(repo)}", which cannot be a repository`);
  const revision = parts[2] === undefined ? defaultRevision : decoded(parts[2]);
  if (revision === undefined || !isRevision(revision)) return fail("has a malformed revision");
  const path = parts[3]?.replace(/\/+$/, "") || undefined;
  if (path !== undefined && !safeRelativePath(path)) fail("has a path that is not inside the repository");
  return { kind: "hub", repo, revision, path };
}

/** The Hub's own rule for names, which also keeps them safe as the name of a folder. */
function isRepository(repo: string): boolean {
  const wellFormed = repo
    .split("/")
    .every((part) => /^[\w.-]{1,96}$/.test(part) && /^\w/.test(part) && /\w$/.test(part));
  return wellFormed && !/--|\.\.|\.git$/.test(repo);
}

/** A revision is a path below refs/ in the cache. */
function isRevision(revision: string): boolean {
  return revision.length <= 200 && safeRelativePath(revision) && !/[\s~^:?*[]/.test(revision);
}

function decoded(text: string): string | undefined {
  try {
    return decodeURIComponent(text);
  } catch {
    return undefined;
  }
}

function parseUrl(text: string): string {
  if (!URL.canParse(text)) throw new UserError(`${shown(text)} is not a valid address`);
  const url = new URL(text);
  if (url.username !== "" || url.password !== "") {
    throw new UserError(`the address at ${url.host} holds a name or password, which would be recorded: leave it out`);
  }
  url.hash = "";
  return url.href;
}
