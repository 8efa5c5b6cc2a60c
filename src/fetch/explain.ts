/** Meaning of an HTTP status for the user, and what to do about it. */

import { shown } from "../io/index.ts";
import { UserError } from "../torch/index.ts";
import { Interruption, type Reply } from "./http.ts";
import { defaultRevision, type HubSource, pagePath } from "./parse.ts";

/** The thing that was asked for. */
export interface Subject {
  /** For messages: "config.json of hf:owner/name", an address. */
  readonly what: string;
  readonly hub?: { readonly source: HubSource; readonly endpoint: string; readonly hasToken: boolean } | undefined;
}

/** @throws Interruption for 408, 429 and 5xx; UserError for every other status */
export async function refuseStatus(reply: Reply, subject: Subject): Promise<never> {
  await reply.discard();
  const { status } = reply;
  if (status === 408 || status === 429 || status >= 500) {
    const why =
      status === 429 ? "too many requests" : status === 408 ? "the server waited in vain" : "the server has trouble";
    throw new Interruption(`HTTP ${status}: ${why}`, retryAfter(reply.headers));
  }
  throw new UserError(`${subject.what} could not be fetched: ${reason(reply, subject)}`);
}

function reason({ status, headers }: Reply, { hub }: Subject): string {
  if (!hub) return plainReason(status);
  const { source, endpoint, hasToken } = hub;
  const code = headers.get("x-error-code") ?? "";
  const page = `${endpoint}/${pagePath(source)}`;
  if (code === "GatedRepo") {
    return `access is gated: accept the conditions at ${page} with your account, then set HF_TOKEN to one of its tokens`;
  }
  if (status === 401 || status === 403) {
    return hasToken
      ? `your token is not accepted for ${source.repo} (HTTP ${status}): check that the repository exists, that your account may read it, and that HF_TOKEN is still valid`
      : `there is no public repository ${source.repo} (HTTP ${status}): check the name; for a private or gated one set HF_TOKEN`;
  }
  if (code === "RevisionNotFound") {
    return `${source.repo} has no revision "${shown(source.revision)}": leave it out for "${defaultRevision}", or look at ${page}/tree/${defaultRevision}`;
  }
  if (code === "EntryNotFound") return `the file is not in ${source.repo} at revision "${shown(source.revision)}"`;
  if (status === 404) return `there is no repository ${source.repo} at ${endpoint} (HTTP 404): check the name`;
  return plainReason(status);
}

function plainReason(status: number): string {
  if (status === 401 || status === 403) {
    return `the server does not allow it (HTTP ${status}): fetch the file with your browser and name the local file`;
  }
  if (status === 404 || status === 410) return `there is no such file (HTTP ${status}): check the address`;
  return `the server answered HTTP ${status}`;
}

/** Seconds, or a date. */
function retryAfter(headers: Headers): number | undefined {
  const text = headers.get("retry-after");
  if (text === null) return undefined;
  const ms = /^\d+$/.test(text) ? Number(text) * 1000 : Date.parse(text) - Date.now();
  return Number.isFinite(ms) && ms >= 0 ? ms : undefined;
}
