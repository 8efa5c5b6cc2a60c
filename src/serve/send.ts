/** Answers in JSON, written to the connection itself. */
import type { HttpBindings } from "@hono/node-server";
import { RESPONSE_ALREADY_SENT } from "@hono/node-server/utils/response";
import type { Context } from "hono";
import type { Problem } from "./problem.ts";

export type Bindings = { Bindings: HttpBindings };

/** Ends the answer. A `Response` of Node's makes a stream for each, which costs a tenth of what a request does. */
export function sendJson(
  c: Context<Bindings>,
  body: object,
  status = 200,
  headers: Record<string, string> = { "content-type": "application/json" },
): Response {
  const text = JSON.stringify(body);
  const { outgoing } = optional(c);
  if (!outgoing) return new Response(text, { status, headers });
  outgoing.writeHead(status, { ...headers, "content-length": Buffer.byteLength(text) });
  outgoing.end(text);
  return RESPONSE_ALREADY_SENT;
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

/** Status of an answer, whoever wrote it. */
export function statusOf(c: Context<Bindings>): number {
  const { outgoing } = optional(c);
  return outgoing?.headersSent ? outgoing.statusCode : c.res.status;
}

/** Nothing when the routes are called without a server of Node's. */
const optional = (c: Context<Bindings>): Partial<HttpBindings> => c.env ?? {};
