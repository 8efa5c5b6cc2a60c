/** Names of the operators that run while `fn` does, in order. */
import { setCallHook } from "../../src/torch/index.ts";

export function called(fn: () => void): string[] {
  const names: string[] = [];
  const before = setCallHook((name) => names.push(name));
  try {
    fn();
  } finally {
    setCallHook(before);
  }
  return names;
}
