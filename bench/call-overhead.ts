/** What one operator call costs: `add` of two tensors of one element. */
import { scope, tensor } from "../src/torch/index.ts";
import { type Figure, median, seconds } from "./figure.ts";

const calls = 20_000;
const largestMicroseconds = 2.5;

export function callOverhead(): Figure {
  using a = tensor([1]);
  using b = tensor([2]);
  const round = () =>
    seconds(() => {
      for (let i = 0; i < calls / 100; i++) {
        scope(() => {
          for (let j = 0; j < 100; j++) a.add(b);
        });
      }
    });
  for (let i = 0; i < 3; i++) round();
  const ours = (median(Array.from({ length: 9 }, round)) / calls) * 1e6;
  return {
    name: "operator call",
    ours: { what: "µs for an add of two one-element tensors", value: ours },
    other: { what: "µs allowed", value: largestMicroseconds },
    ratio: ours / largestMicroseconds,
    goal: `at most ${largestMicroseconds} µs`,
    met: ours <= largestMicroseconds,
  };
}
