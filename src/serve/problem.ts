/** Refusals as RFC 9457 has them: what is wrong, in which field, and what to do. */
import type { ProblemDetails } from "./schemas.ts";

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
