/** Convolutions over one to three spatial dimensions: [n, C, ...] with weights [out, C / groups, ...]. */
import type { Call, Written } from "../call.ts";
import type { Attributes } from "../graph-builder.ts";

interface Windows {
  readonly stride: number;
  readonly padding: number;
  readonly dilation: number;
  readonly groups: number;
  readonly outputPadding?: number;
}

/** Number of spatial dimensions. */
function rankOf(call: Call): number {
  return call.shape(1).length - 2;
}

function attributesOf(call: Call, at: Windows): Attributes {
  const rank = rankOf(call);
  const padding = call.ints(at.padding, rank, 0);
  return {
    kernel_shape: call
      .shape(1)
      .slice(2)
      .map((_, i) => call.side(1, i + 2)),
    strides: call.ints(at.stride, rank, 1),
    pads: [...padding, ...padding],
    dilations: call.ints(at.dilation, rank, 1),
    group: call.number(at.groups, 1),
    ...(at.outputPadding === undefined ? {} : { output_padding: call.ints(at.outputPadding, rank, 0) }),
  };
}

/** The tensors, without a bias that there is not. */
function inputsOf(call: Call): string[] {
  const inputs = [call.input(0), call.input(1)];
  return call.has(2) ? [...inputs, call.input(2)] : inputs;
}

const direct: Windows = { stride: 3, padding: 4, dilation: 5, groups: 6 };
const transposed: Windows = { stride: 3, padding: 4, outputPadding: 5, groups: 6, dilation: 7 };
const general: Windows = { stride: 3, padding: 4, dilation: 5, outputPadding: 7, groups: 8 };

export function conv2d(call: Call): Written {
  if (call.isText(4)) return named(call);
  return call.node("Conv", inputsOf(call), attributesOf(call, direct));
}

export { conv2d as conv1d, conv2d as conv3d };

/** Padding by name: an output as large as the input, the odd pixel at the end. */
function named(call: Call): Written {
  const rank = rankOf(call);
  const dilations = call.ints(5, rank, 1);
  const kernel = call
    .shape(1)
    .slice(2)
    .map((_, i) => call.side(1, i + 2));
  const totals = kernel.map((side, i) => (call.text(4) === "same" ? (dilations[i] ?? 1) * (side - 1) : 0));
  return call.node("Conv", inputsOf(call), {
    kernel_shape: kernel,
    strides: call.ints(3, rank, 1),
    pads: [...totals.map((total) => Math.floor(total / 2)), ...totals.map((total) => Math.ceil(total / 2))],
    dilations,
    group: call.number(6, 1),
  });
}

export function conv_transpose2d(call: Call): Written {
  return call.node("ConvTranspose", inputsOf(call), attributesOf(call, transposed));
}

export { conv_transpose2d as conv_transpose1d, conv_transpose2d as conv_transpose3d };

export function convolution(call: Call): Written {
  const isTransposed = call.flag(6);
  const { output_padding, ...rest } = attributesOf(call, general);
  if (!isTransposed) return call.node("Conv", inputsOf(call), rest);
  return call.node("ConvTranspose", inputsOf(call), { ...rest, output_padding: output_padding ?? [] });
}
