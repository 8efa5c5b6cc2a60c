/** Work in steps, done at once. */
import type { Steps } from "../../src/ranking/index.ts";

export function finished<T>(steps: Steps<T>): T {
  for (;;) {
    const step = steps.next();
    if (step.done) return step.value;
  }
}
