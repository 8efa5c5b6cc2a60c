/**
 * An HTTP server of finished runs and bundles. Read server.ts first: requests come in by app.ts, wait in queue.ts, and are
 * answered by a process of each model's own, whose side is engine/ (parts.ts is the interface to what computes).
 * It may import library, export and what they may.
 */
export { defaultLimits, type Limits } from "./limits.ts";
export type {
  AnyServed,
  ModelDescription,
  PredictAnswer,
  PredictOptions,
  ProblemDetails,
  ServedFailure,
  ServedLabels,
  ServedNumbers,
  ServedPrediction,
} from "./schemas.ts";
export type { ServedModel } from "./served-model.ts";
export { type RunningServer, type ServeOptions, serve } from "./server.ts";
