/** The routes of the server. Nothing allows other origins, and no route follows an address that a client names. */
import { type Context, Hono } from "hono";
import { routePath } from "hono/route";
import { describeRoute, openAPIRouteHandler, resolver, validator } from "hono-openapi";
import type { z } from "zod";
import { ClientLimit, tokenCheck } from "./access.ts";
import { imagesIn, invalid } from "./body.ts";
import { type AppOptions, isAllReady, modelOf, onGone } from "./context.ts";
import { page } from "./page.ts";
import { answersOf, predictAnswerOf, withDeadline } from "./predict.ts";
import { Problem } from "./problem.ts";
import { modelList, predictAnswer, predictBody, predictQuery, problemSchema, readiness } from "./schemas.ts";
import { type Bindings, sendJson, sendProblem, statusOf } from "./send.ts";
import type { Surroundings } from "./served-model.ts";
import { addV2 } from "./v2.ts";

/** Routes that probes ask, and that say nothing about models. */
const open = new Set(["/", "/openapi.json", "/healthz", "/readyz", "/v2/health/live", "/v2/health/ready"]);

const json = (schema: z.ZodType, description: string, media = "application/json") => {
  return { description, content: { [media]: { schema: resolver(schema) } } };
};

const problems = (statuses: Record<number, string>) =>
  Object.fromEntries(
    Object.entries(statuses).map(([status, about]) => [status, json(problemSchema, about, "application/problem+json")]),
  );

/** The server's answers to requests, for any HTTP server. */
export function buildApp(options: AppOptions): Hono<Bindings> {
  const { models, around, token, version } = options;
  const { log, metrics, limits } = around;
  const app = new Hono<Bindings>();
  const clients = limits.perClient === undefined ? undefined : new ClientLimit(limits.perClient);
  metrics.watchQueue(() => [...models].map(([name, { queue }]) => [name, queue.depth]));

  app.use("*", async (c, next) => {
    const began = performance.now();
    await next();
    const [route, status] = [routePath(c, -1), statusOf(c)];
    metrics.requests.inc({ route, status });
    const line = { method: c.req.method, path: c.req.path, status, ms: Math.round(performance.now() - began) };
    if (status >= 500) log.warn(line, "request");
    else log.debug(line, "request");
  });
  if (token !== undefined) {
    const check = tokenCheck(token);
    app.use("*", async (c, next) => {
      if (!open.has(c.req.path)) check(c.req.header("authorization"));
      await next();
    });
  }
  app.onError((error, c) => refuse(c, error instanceof Problem ? error : fault(error, around)));
  app.notFound((c) => {
    const problem = new Problem(
      404,
      "not-found",
      `there is no ${c.req.method} ${c.req.path.slice(0, 200)}: see /openapi.json`,
    );
    return refuse(c, problem);
  });

  app.get("/", describeRoute({ hide: true }), (c) => {
    const policy =
      "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'; img-src blob:; form-action 'none'; frame-ancestors 'none'";
    return c.html(page, 200, { "content-security-policy": policy });
  });
  app.get(
    "/healthz",
    describeRoute({ summary: "The process runs", responses: { 200: { description: "It does." } } }),
    (c) => c.json({ status: "ok" }),
  );
  const ready = {
    200: json(readiness, "All models answer."),
    503: json(readiness, "Some do not, or the server ends."),
  };
  app.get("/readyz", describeRoute({ summary: "All models answer", responses: ready }), (c) => {
    const isReady = isAllReady(options);
    const states = [...models].map(([name, model]) => [name, model.isReady ? "ready" : "loading"]);
    return c.json({ ready: isReady, models: Object.fromEntries(states) }, isReady ? 200 : 503);
  });
  const text = { 200: { description: "In Prometheus's text format." } };
  app.get("/metrics", describeRoute({ summary: "Metrics", responses: text }), async (c) => {
    return c.body(await metrics.registry.metrics(), 200, { "content-type": metrics.registry.contentType });
  });
  const listed = { 200: json(modelList, "Names, classes and members.") };
  app.get("/models", describeRoute({ summary: "The models that are served", responses: listed }), (c) =>
    c.json({ models: [...models.values()].map(({ description }) => description) }),
  );
  app.post(
    "/predict",
    describeRoute(predictRoute),
    validator("query", predictQuery, (result) => {
      if (!result.success) throw invalid(result.error[0] as Parameters<typeof invalid>[0]);
    }),
    async (c) => {
      const choices = c.req.valid("query");
      const model = modelOf(models, choices.model);
      const leave = clients?.enter(c.env.incoming.socket.remoteAddress ?? "");
      try {
        const answer = await withDeadline(model, around, choices, onGone(c), async (request) => {
          const images = await imagesIn(c.env.incoming, limits, request.over);
          return predictAnswerOf(model.name, await answersOf(model, images, choices, request, around), choices, around);
        });
        return sendJson(c, answer);
      } finally {
        leave?.();
      }
    },
  );
  addV2(app, options);
  for (const path of ["/predict", "/models", "/metrics", "/healthz", "/readyz"]) {
    app.all(path, describeRoute({ hide: true }), (c) => {
      throw new Problem(405, "method", `${path} does not take ${c.req.method}: see /openapi.json`);
    });
  }
  const info = {
    title: "Hub-Pathway",
    version,
    description: "Classes, labels or numbers of images, by the members of a hub that each image activates.",
  };
  app.get("/openapi.json", openAPIRouteHandler(app, { documentation: { info } }));
  return app;
}

const predictRoute: Parameters<typeof describeRoute>[0] = {
  summary: "Answers for one image or several",
  requestBody: {
    required: true,
    content: {
      "image/*": { schema: { type: "string", format: "binary" } },
      "multipart/form-data": {
        schema: { type: "object", additionalProperties: { type: "string", format: "binary" } },
      },
      "application/json": { schema: resolver(predictBody) },
    },
  },
  responses: {
    200: json(predictAnswer, "One answer or problem for each image, in their order."),
    ...problems({
      400: "The body is cut off, or no JSON or multipart.",
      401: "The bearer token is missing or wrong.",
      404: "No model of that name.",
      413: "The body is too large, or has too many images.",
      415: "No kind of body that brings images.",
      422: "A choice that the model does not have, or an image that cannot be used.",
      429: "Too many requests of one address at a time.",
      503: "Too much to do, or the model is being loaded; Retry-After says when to try again.",
      504: "The deadline passed.",
    }),
  },
};

/** The v2 protocol asks for a member `error`. */
function refuse(c: Context<Bindings>, problem: Problem): Response {
  return sendProblem(c, problem, c.req.path.startsWith("/v2") ? { error: problem.message } : {});
}

function fault(error: Error, { log }: Surroundings): Problem {
  log.error({ err: error }, "fault of the program");
  return new Problem(500, "fault", "this looks like a fault of the program: its log says more");
}
