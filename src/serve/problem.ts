/** Refusals as RFC 9457 has them: what is wrong, in which field, and what to do. */
import type { Context } from "hono";
import type { ProblemDetails } from "./schemas.ts";
import { type Bindings, sendJson } from "./send.ts";

const titles = {
  400: "Bad Request",
  401: "Unauthorized",
  404: "Not Found",
  405: "Method Not Allowed",
  413: "Content Too Large",
  415: "Unsupported Media Type",
  422: "Unprocessable Content",
  429: "Too Many Requests",
  500: "Internal Server Error",
  503: "Service Unavailable",
  504: "Gateway Timeout",
} as const;

export type ProblemStatus = keyof typeof titles;

export interface ProblemMore {
  /** The part of the request that is wrong. */
  field?: string | undefined;
  /** Seconds after which another try may succeed. */
  retryAfter?: number | undefined;
}

/** A request that gets no answer. */
export class Problem extends Error {
  override readonly name = "Problem";
  readonly status: ProblemStatus;
  readonly code: string;
  readonly field: string | undefined;
  readonly retryAfter: number | undefined;

  constructor(status: ProblemStatus, code: string, detail: string, { field, retryAfter }: ProblemMore = {}) {
    super(detail);
    this.status = status;
    this.code = code;
    this.field = field;
    this.retryAfter = retryAfter;
  }

  get details(): ProblemDetails {
    const { status, code, field, message: detail } = this;
    const known = { type: "about:blank", title: titles[status], status, detail, code };
    return field === undefined ? known : { ...known, field };
  }
}

/** Answers with a problem. @param more members beside those of RFC 9457 */
export function sendProblem(c: Context<Bindings>, problem: Problem, more: Record<string, unknown> = {}): Response {
  const { status, retryAfter } = problem;
  const headers: Record<string, string> = { "content-type": "application/problem+json" };
  if (retryAfter !== undefined) headers["retry-after"] = String(Math.max(1, Math.ceil(retryAfter)));
  if (status === 401) headers["www-authenticate"] = "Bearer";
  // Its body may not have been read: the connection cannot carry another request.
  if (status === 413) headers["connection"] = "close";
  return sendJson(c, { ...problem.details, ...more }, status, headers);
}
