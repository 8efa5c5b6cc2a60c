/** Parts of tensors, and tensors by indices. */
import { type Call, isSameShape, isSameSize, type Written } from "../call.ts";
import { Rows } from "../trace.ts";
import { sliced, toTheEnd, upTo } from "./support.ts";

export function select(call: Call): Written {
  return call.node("Gather", [call.input(0), call.graph.index(call.number(2))], { axis: call.dimension(1) });
}

export function narrow(call: Call): Written {
  const dim = call.dimension(1);
  if (isSameShape(call.shape(0), call.result.shape)) return call.input(0);
  const start = call.number(2);
  return sliced(call, call.input(0), dim, start, start + call.number(3));
}

/** A step of more than one takes every so many. */
export function slice(call: Call): Written {
  const dim = call.dimension(1, undefined, 0);
  const step = call.number(4, 1);
  const start = call.number(2, 0);
  // An end beyond the dimension means all of it, which may be the images.
  const end = call.has(3) && !isSameSize(call.sizes(3)[0] ?? 0, call.shape(0)[dim]) ? call.number(3) : toTheEnd;
  if (start === 0 && end === toTheEnd && step === 1) return call.input(0);
  return sliced(call, call.input(0), dim, start, end, step);
}

/** Parts of the sizes that the results have. */
export function split(call: Call): Written {
  const dim = call.dimension(2, undefined, 0);
  const sizes = call.results.map(({ shape }) => shape[dim] ?? 0);
  if (sizes.some((size) => size instanceof Rows)) {
    return sizes.length === 1 ? [call.input(0)] : call.fail("splits the images themselves");
  }
  return call.graph.nodes("Split", [call.input(0), call.graph.sizes(sizes)], { axis: dim }, sizes.length);
}

export { split as chunk };

export function unbind(call: Call): Written {
  const axis = call.dimension(1, undefined, 0);
  if (call.shape(0)[axis] instanceof Rows) return call.fail("takes the images apart");
  return call.results.map((_, i) => call.node("Gather", [call.input(0), call.graph.index(i)], { axis }));
}

export function index_select(call: Call): Written {
  return call.node("Gather", [call.input(0), call.input(2)], { axis: call.dimension(1) });
}

export function embedding(call: Call): Written {
  return call.node("Gather", [call.input(0), call.input(1)], { axis: 0 });
}

export function gather(call: Call): Written {
  return call.node("GatherElements", [call.input(0), call.input(2)], { axis: call.dimension(1) });
}

export function flip(call: Call): Written {
  return call.dimensions(1).reduce((x, dim) => sliced(call, x, dim, -1, -toTheEnd, -1), call.input(0));
}

/** Along each dimension what is pushed out at one end comes in at the other. */
export function roll(call: Call): Written {
  const shifts = call.ints(1);
  return call.dimensions(2).reduce((x, dim, i) => {
    const side = call.side(0, dim);
    const cut = ((-(shifts[i] ?? 0) % side) + side) % side;
    if (cut === 0) return x;
    return call.node("Concat", [sliced(call, x, dim, cut, toTheEnd), sliced(call, x, dim, 0, cut)], { axis: dim });
  }, call.input(0));
}

/** Pads of the last dimension come first; negative ones cut. */
export function constant_pad_nd(call: Call): Written {
  const given = call.ints(1, 2);
  const rank = call.shape(0).length;
  const padOf = (dim: number, side: 0 | 1): number => given[2 * (rank - 1 - dim) + side] ?? 0;
  const pads = [0, 1].flatMap((side) => upTo(rank).map((dim) => padOf(dim, side as 0 | 1)));
  if (upTo(rank).some((dim) => call.shape(0)[dim] instanceof Rows && (padOf(dim, 0) !== 0 || padOf(dim, 1) !== 0))) {
    return call.fail("adds images");
  }
  return call.node("Pad", [call.input(0), call.graph.ints(pads), call.scalar(call.number(2, 0))]);
}

export function scatter(call: Call): Written {
  const source = call.isTensor(3) ? call.operand(3) : call.expanded(call.operand(3), call.shape(2));
  return call.node("ScatterElements", [call.operand(0), call.input(2), source], { axis: call.dimension(1) });
}

export function triu(call: Call): Written {
  call.graph.needs(14);
  return call.node("Trilu", [call.input(0), call.graph.index(call.number(1, 0))], { upper: 1 });
}

export function tril(call: Call): Written {
  call.graph.needs(14);
  return call.node("Trilu", [call.input(0), call.graph.index(call.number(1, 0))], { upper: 0 });
}
