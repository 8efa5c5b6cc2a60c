/** Address of the Hub, place of fetched files, token: the variables that Python's huggingface_hub reads, read the same way. */
import { readFileSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { cacheDirectory, explainWrite as explain } from "../io/index.ts";
import { UserError } from "../torch/index.ts";

/** The public Hub; HF_ENDPOINT names another. */
export const publicEndpoint = "https://huggingface.co";

function variable(name: string): string | undefined {
  return process.env[name]?.trim() || undefined;
}

function isOn(name: string): boolean {
  return /^(1|on|yes|true)$/i.test(variable(name) ?? "");
}

function expanded(path: string): string {
  return path.replace(/^~(?=$|[/\\])/, homedir());
}

function hubHome(): string {
  const caches = variable("XDG_CACHE_HOME") ?? join(homedir(), ".cache");
  return expanded(variable("HF_HOME") ?? join(caches, "huggingface"));
}

/** HF_HUB_CACHE, else the folder "hub" of HF_HOME, else the same of ~/.cache/huggingface. */
export function hubCacheDirectory(): string {
  return expanded(variable("HF_HUB_CACHE") ?? variable("HUGGINGFACE_HUB_CACHE") ?? join(hubHome(), "hub"));
}

/** Place of files that were fetched by address. */
export function downloadDirectory(): string {
  return cacheDirectory("downloads");
}

/** HF_ENDPOINT, else the public Hub; no slash at the end. @throws UserError when it is no http(s) address */
export function hubEndpoint(given?: string): string {
  const endpoint = (given ?? variable("HF_ENDPOINT") ?? publicEndpoint).replace(/\/+$/, "");
  if (/^https?:\/\//i.test(endpoint) && URL.canParse(endpoint)) return endpoint;
  throw new UserError(`HF_ENDPOINT is "${endpoint}", which is no address: it looks like ${publicEndpoint}`);
}

/**
 * The token given, else HF_TOKEN, else the one that `hf auth login` stored; undefined when there is none.
 * @throws UserError when it could not be sent
 */
export function hubToken(given?: string): string | undefined {
  const token = given?.trim() || (isOn("HF_HUB_DISABLE_IMPLICIT_TOKEN") ? undefined : implicitToken());
  if (token === undefined || /^[\x21-\x7e]+$/.test(token)) return token;
  throw new UserError("the access token has spaces or other characters that no token has: check HF_TOKEN");
}

function implicitToken(): string | undefined {
  return variable("HF_TOKEN") ?? variable("HUGGING_FACE_HUB_TOKEN") ?? storedToken();
}

function storedToken(): string | undefined {
  try {
    const path = expanded(variable("HF_TOKEN_PATH") ?? join(hubHome(), "token"));
    return readFileSync(path, "utf8").trim() || undefined;
  } catch {
    return undefined;
  }
}

/** True when the user forbade the network by HF_HUB_OFFLINE. */
export function isOffline(): boolean {
  return isOn("HF_HUB_OFFLINE") || isOn("TRANSFORMERS_OFFLINE");
}

/** True when the user wants copies instead of links in the Hub's cache. */
export function symlinksDisabled(): boolean {
  return isOn("HF_HUB_DISABLE_SYMLINKS");
}

/** An error of the file system as a UserError that names the variables which move the cache; any other error as it is. */
export function explainWrite(error: unknown, path: string): unknown {
  return explain(error, path, "or choose another folder for the cache (HF_HOME, HUB_PATHWAY_CACHE)");
}
