/** Sampling at places that a network computes. n images, C channels. */
import { quoted } from "../../../io/index.ts";
import { ops } from "../../../torch/index.ts";
import { shapeText } from "../../values.ts";
import type { Call, Result } from "../call.ts";

/** libtorch's numbers of the ways between pixels and beyond the edge; the names changed with operator set 20. */
const modes: Readonly<Record<string, number>> = { bilinear: 0, linear: 0, nearest: 1, bicubic: 2, cubic: 2 };
const paddings: Readonly<Record<string, number>> = { zeros: 0, border: 1, reflection: 2 };

/** Images [n, C, h, w] at places [n, H, W, 2] in [-1, 1], x before y; volumes likewise (Jaderberg et al. 2015). */
export function GridSample(call: Call): Result {
  const [x, given] = [call.tensor(0), call.tensor(1)];
  const [modeName, paddingName] = [call.string("mode", "linear"), call.string("padding_mode", "zeros")];
  const mode = modes[modeName] ?? call.fail(`samples in the unknown way ${quoted(modeName)}`);
  const padding = paddings[paddingName] ?? call.fail(`pads in the unknown way ${quoted(paddingName)}`);
  const rank = x.dim();
  if ((rank !== 4 && rank !== 5) || given.dim() !== rank || given.size(-1) !== rank - 2 || (mode === 2 && rank === 5)) {
    return call.fail(`cannot sample [${x.shape}] at places [${given.shape}]`);
  }
  // A file that fixes its batch may have one grid for all images, which is then repeated.
  const isShared = call.reference !== undefined && given.size(0) === 1;
  const grid = isShared ? given.expand([x.size(0), ...given.shape.slice(1)]) : given;
  const shape = [x.size(0), x.size(1), ...grid.shape.slice(1, -1)];
  call.allow(
    shape,
    shape.reduce((product, size) => product * size, mode === 2 ? 16 : 2 ** (rank - 2)),
  );
  return ops.grid_sampler(x, grid, mode, padding, call.flag("align_corners"));
}

/** Places [n, H, W, 2] of a grid that matrices [n, 2, 3] move; of volumes [n, 3, 4] likewise. */
export function AffineGrid(call: Call): Result {
  const theta = call.tensor(0);
  const size = call.numbers(1);
  const rank = size.length - 2;
  const fits = (rank === 2 || rank === 3) && theta.dim() === 3 && theta.size(1) === rank && theta.size(2) === rank + 1;
  if (!fits || size.some((side) => side < 1)) {
    return call.fail(`cannot move a grid of ${shapeText(size)} by [${theta.shape}]`);
  }
  const shape = [theta.size(0), ...size.slice(1)];
  call.allow([theta.size(0), ...size.slice(2), rank]);
  return ops.affine_grid_generator(theta, shape, call.flag("align_corners"));
}
AffineGrid.fixed = [1];
