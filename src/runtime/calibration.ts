/** Probabilities that are as high as the answers are right, and answers that are too unsure to be given. C classes. */
import { softmaxRows } from "./choice.ts";

/** float32 has nothing smaller but zero, which has no logarithm. */
const least = 1e-38;

/** ln p of each probability. */
export function logsOf(probabilities: Float32Array): Float32Array {
  return probabilities.map((p) => Math.log(Math.max(p, least)));
}

/**
 * Probabilities [n, C] at a temperature: softmax(ln p / T), which is softmax(logits / T) where p came of logits (Guo et al.,
 * "On Calibration of Modern Neural Networks", 2017). The order of the classes stays.
 */
export function tempered(probabilities: Float32Array, classes: number, temperature = 1): Float32Array {
  if (temperature === 1) return probabilities;
  const scaled = logsOf(probabilities).map((log) => log / temperature);
  return softmaxRows(scaled, classes);
}

/**
 * True for an answer that is "I don't know": its probability, at the model's temperature, is below the threshold. A threshold of 0
 * rejects nothing. It marks answers and changes nothing else about them.
 */
export function isRejected(probability: number, threshold: number): boolean {
  return probability < threshold;
}
