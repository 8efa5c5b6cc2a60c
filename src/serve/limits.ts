/** What the server lets in, and how it uses its engine. */
import { defaultPixelLimit } from "../data/index.ts";

export interface Limits {
  /** Rows of a batch at most. */
  maxBatch: number;
  /** Milliseconds that a batch waits at most for more rows. */
  maxWaitMs: number;
  /** Images that are decoded, wait or are computed at most, for each model. */
  queue: number;
  /** Milliseconds in which a request is answered. */
  deadlineMs: number;
  /** Bytes of a request's body. */
  maxBody: number;
  /** Width x height of an image. */
  maxPixels: number;
  /** Images of one request. */
  maxImages: number;
  /** Requests of one client's address at a time; any number when left out. */
  perClient?: number | undefined;
  /** Activated members under load, before requests are refused; as asked for when left out. */
  degrade?: number | undefined;
  /** Probability below which an answer is marked as rejected; the model's own threshold, where it has one, when left out. */
  rejectBelow?: number | undefined;
}

export const defaultLimits: Limits = {
  maxBatch: 32,
  maxWaitMs: 5,
  queue: 256,
  deadlineMs: 10_000,
  maxBody: 32e6,
  maxPixels: defaultPixelLimit,
  maxImages: 64,
};
