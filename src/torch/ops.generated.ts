// Written by scripts/generate-ops.ts from ops.list.json and the loaded library's schemas. Do not edit.
import { operator, run } from "./call.ts";
import type { Dtype } from "./native.ts";
import type { Generator } from "./random.ts";
import type { MemoryFormat, Tensor } from "./tensor.ts";

/** Every listed operator by its TypeScript name. */
export const operators = {
  _foreach_add_: operator("aten::_foreach_add_.List"),
  _foreach_copy_: operator("aten::_foreach_copy_"),
  _foreach_lerp_: operator("aten::_foreach_lerp_.Scalar"),
  _foreach_mul_: operator("aten::_foreach_mul_.Scalar"),
  _foreach_mul_tensor_: operator("aten::_foreach_mul_.Tensor"),
  _foreach_norm: operator("aten::_foreach_norm.Scalar"),
  _foreach_zero_: operator("aten::_foreach_zero_"),
  _fused_adamw_: operator("aten::_fused_adamw_"),
  _fused_sgd_: operator("aten::_fused_sgd_"),
  _upsample_bicubic2d_aa: operator("aten::_upsample_bicubic2d_aa"),
  _upsample_bilinear2d_aa: operator("aten::_upsample_bilinear2d_aa"),
  abs: operator("aten::abs"),
  acos: operator("aten::acos"),
  acosh: operator("aten::acosh"),
  adaptive_avg_pool2d: operator("aten::adaptive_avg_pool2d"),
  add: operator("aten::add.Tensor"),
  add_: operator("aten::add_.Tensor"),
  addcdiv: operator("aten::addcdiv"),
  addcmul: operator("aten::addcmul"),
  addcmul_: operator("aten::addcmul_"),
  addmm: operator("aten::addmm"),
  affine_grid_generator: operator("aten::affine_grid_generator"),
  alias: operator("aten::alias"),
  all: operator("aten::all"),
  amax: operator("aten::amax"),
  amin: operator("aten::amin"),
  any: operator("aten::any"),
  arange: operator("aten::arange.start_step"),
  argmax: operator("aten::argmax"),
  argmin: operator("aten::argmin"),
  argsort: operator("aten::argsort.stable"),
  as_strided: operator("aten::as_strided"),
  asin: operator("aten::asin"),
  asinh: operator("aten::asinh"),
  atan: operator("aten::atan"),
  atan2: operator("aten::atan2"),
  atanh: operator("aten::atanh"),
  avg_pool2d: operator("aten::avg_pool2d"),
  batch_norm: operator("aten::batch_norm"),
  bernoulli_: operator("aten::bernoulli_.float"),
  bernoulli_from: operator("aten::bernoulli"),
  binary_cross_entropy_with_logits: operator("aten::binary_cross_entropy_with_logits"),
  bincount: operator("aten::bincount"),
  bmm: operator("aten::bmm"),
  cat: operator("aten::cat"),
  ceil: operator("aten::ceil"),
  chunk: operator("aten::chunk"),
  clamp: operator("aten::clamp"),
  clamp_: operator("aten::clamp_"),
  clone: operator("aten::clone"),
  constant_pad_nd: operator("aten::constant_pad_nd"),
  contiguous: operator("aten::contiguous"),
  conv1d: operator("aten::conv1d"),
  conv2d: operator("aten::conv2d"),
  conv2dPadding: operator("aten::conv2d.padding"),
  conv3d: operator("aten::conv3d"),
  conv_transpose1d: operator("aten::conv_transpose1d"),
  conv_transpose2d: operator("aten::conv_transpose2d.input"),
  conv_transpose3d: operator("aten::conv_transpose3d.input"),
  convolution: operator("aten::convolution"),
  copy_: operator("aten::copy_"),
  cos: operator("aten::cos"),
  cosh: operator("aten::cosh"),
  cross_entropy_loss: operator("aten::cross_entropy_loss"),
  cumsum: operator("aten::cumsum"),
  detach: operator("aten::detach"),
  diagonal: operator("aten::diagonal"),
  div: operator("aten::div.Tensor"),
  divMode: operator("aten::div.Tensor_mode"),
  div_: operator("aten::div_.Tensor"),
  einsum: operator("aten::einsum"),
  elu: operator("aten::elu"),
  embedding: operator("aten::embedding"),
  empty: operator("aten::empty.memory_format"),
  empty_like: operator("aten::empty_like"),
  eq: operator("aten::eq.Tensor"),
  erf: operator("aten::erf"),
  exp: operator("aten::exp"),
  expand: operator("aten::expand"),
  expm1: operator("aten::expm1"),
  exponential_: operator("aten::exponential_"),
  eye: operator("aten::eye"),
  fill_: operator("aten::fill_.Scalar"),
  flatten: operator("aten::flatten.using_ints"),
  flip: operator("aten::flip"),
  floor: operator("aten::floor"),
  fmod: operator("aten::fmod.Tensor"),
  from_file: operator("aten::from_file"),
  full: operator("aten::full"),
  full_like: operator("aten::full_like"),
  gather: operator("aten::gather"),
  ge: operator("aten::ge.Tensor"),
  gelu: operator("aten::gelu"),
  grid_sampler: operator("aten::grid_sampler"),
  group_norm: operator("aten::group_norm"),
  gt: operator("aten::gt.Tensor"),
  hardsigmoid: operator("aten::hardsigmoid"),
  hardswish: operator("aten::hardswish"),
  hardtanh: operator("aten::hardtanh"),
  hardtanh_: operator("aten::hardtanh_"),
  index: operator("aten::index.Tensor"),
  index_add: operator("aten::index_add"),
  index_add_: operator("aten::index_add_"),
  index_copy_: operator("aten::index_copy_"),
  index_put: operator("aten::index_put"),
  index_select: operator("aten::index_select"),
  isfinite: operator("aten::isfinite"),
  isinf: operator("aten::isinf"),
  isnan: operator("aten::isnan"),
  kl_div: operator("aten::kl_div"),
  layer_norm: operator("aten::layer_norm"),
  le: operator("aten::le.Tensor"),
  leaky_relu: operator("aten::leaky_relu"),
  lerp_: operator("aten::lerp_.Scalar"),
  linalg_cholesky_ex: operator("aten::linalg_cholesky_ex"),
  linalg_solve_triangular: operator("aten::linalg_solve_triangular"),
  linalg_svd: operator("aten::linalg_svd"),
  linear: operator("aten::linear"),
  log: operator("aten::log"),
  log1p: operator("aten::log1p"),
  log_softmax: operator("aten::log_softmax.int"),
  logical_and: operator("aten::logical_and"),
  logical_not: operator("aten::logical_not"),
  logical_or: operator("aten::logical_or"),
  logical_xor: operator("aten::logical_xor"),
  logsumexp: operator("aten::logsumexp"),
  lt: operator("aten::lt.Tensor"),
  masked_fill: operator("aten::masked_fill.Scalar"),
  masked_fill_: operator("aten::masked_fill_.Scalar"),
  masked_select: operator("aten::masked_select"),
  matmul: operator("aten::matmul"),
  max: operator("aten::max"),
  max_pool2d: operator("aten::max_pool2d"),
  maximum: operator("aten::maximum"),
  mean: operator("aten::mean.dim"),
  min: operator("aten::min"),
  minimum: operator("aten::minimum"),
  mish: operator("aten::mish"),
  mm: operator("aten::mm"),
  mse_loss: operator("aten::mse_loss"),
  mul: operator("aten::mul.Tensor"),
  mul_: operator("aten::mul_.Tensor"),
  narrow: operator("aten::narrow"),
  native_batch_norm: operator("aten::native_batch_norm"),
  native_layer_norm: operator("aten::native_layer_norm"),
  ne: operator("aten::ne.Tensor"),
  neg: operator("aten::neg"),
  nll_loss: operator("aten::nll_loss"),
  nonzero: operator("aten::nonzero"),
  norm: operator("aten::linalg_vector_norm"),
  normal_: operator("aten::normal_"),
  one_hot: operator("aten::one_hot"),
  ones: operator("aten::ones"),
  ones_like: operator("aten::ones_like"),
  pad: operator("aten::pad"),
  permute: operator("aten::permute"),
  pow: operator("aten::pow.Tensor_Scalar"),
  powTensor: operator("aten::pow.Tensor_Tensor"),
  prod: operator("aten::prod.dim_int"),
  random_: operator("aten::random_.from"),
  randperm: operator("aten::randperm.generator"),
  reciprocal: operator("aten::reciprocal"),
  relu: operator("aten::relu"),
  relu_: operator("aten::relu_"),
  remainder: operator("aten::remainder.Tensor"),
  repeat: operator("aten::repeat"),
  repeat_interleave: operator("aten::repeat_interleave.self_int"),
  reshape: operator("aten::reshape"),
  roll: operator("aten::roll"),
  round: operator("aten::round"),
  rsqrt: operator("aten::rsqrt"),
  scaled_dot_product_attention: operator("aten::scaled_dot_product_attention"),
  scatter: operator("aten::scatter.src"),
  scatterValue: operator("aten::scatter.value"),
  scatter_add: operator("aten::scatter_add"),
  select: operator("aten::select.int"),
  selu: operator("aten::selu"),
  set_data: operator("aten::set_data"),
  sigmoid: operator("aten::sigmoid"),
  sign: operator("aten::sign"),
  silu: operator("aten::silu"),
  sin: operator("aten::sin"),
  sinh: operator("aten::sinh"),
  slice: operator("aten::slice.Tensor"),
  smooth_l1_loss: operator("aten::smooth_l1_loss"),
  softmax: operator("aten::softmax.int"),
  softplus: operator("aten::softplus"),
  sort: operator("aten::sort.stable"),
  split: operator("aten::split.Tensor"),
  sqrt: operator("aten::sqrt"),
  square: operator("aten::square"),
  squeeze: operator("aten::squeeze.dim"),
  squeezeAll: operator("aten::squeeze"),
  stack: operator("aten::stack"),
  sub: operator("aten::sub.Tensor"),
  sub_: operator("aten::sub_.Tensor"),
  sum: operator("aten::sum.dim_IntList"),
  tan: operator("aten::tan"),
  tanh: operator("aten::tanh"),
  to: operator("aten::to.dtype_layout"),
  topk: operator("aten::topk"),
  transpose: operator("aten::transpose.int"),
  tril: operator("aten::tril"),
  triu: operator("aten::triu"),
  unbind: operator("aten::unbind.int"),
  uniform_: operator("aten::uniform_"),
  unsqueeze: operator("aten::unsqueeze"),
  upsample_bicubic2d: operator("aten::upsample_bicubic2d"),
  upsample_bilinear2d: operator("aten::upsample_bilinear2d"),
  upsample_nearest2d: operator("aten::upsample_nearest2d"),
  var_: operator("aten::var.correction"),
  view: operator("aten::view"),
  viewDtype: operator("aten::view.dtype"),
  where: operator("aten::where.self"),
  zero_: operator("aten::zero_"),
  zeros: operator("aten::zeros"),
  zeros_like: operator("aten::zeros_like"),
};

/** `aten::_foreach_add_.List(Tensor(a!)[] self, Tensor[] other, *, Scalar alpha=1) -> ()` */
export function _foreach_add_(self: readonly Tensor[], other: readonly Tensor[], options?: { alpha?: number | undefined }): void {
  run(operators._foreach_add_, [self, other, options?.alpha]);
}

/** `aten::_foreach_copy_(Tensor(a!)[] self, Tensor[] src, bool non_blocking=False) -> ()` */
export function _foreach_copy_(self: readonly Tensor[], src: readonly Tensor[], non_blocking?: boolean): void {
  run(operators._foreach_copy_, [self, src, non_blocking]);
}

/** `aten::_foreach_lerp_.Scalar(Tensor(a!)[] self, Tensor[] tensors1, Scalar weight) -> ()` */
export function _foreach_lerp_(self: readonly Tensor[], tensors1: readonly Tensor[], weight: number): void {
  run(operators._foreach_lerp_, [self, tensors1, weight]);
}

/** `aten::_foreach_mul_.Scalar(Tensor(a!)[] self, Scalar scalar) -> ()` */
export function _foreach_mul_(self: readonly Tensor[], scalar: number): void {
  run(operators._foreach_mul_, [self, scalar]);
}

/** `aten::_foreach_mul_.Tensor(Tensor(a!)[] self, Tensor other) -> ()` */
export function _foreach_mul_tensor_(self: readonly Tensor[], other: Tensor | number): void {
  run(operators._foreach_mul_tensor_, [self, other]);
}

/** `aten::_foreach_norm.Scalar(Tensor[] self, Scalar ord=2, ScalarType? dtype=None) -> Tensor[]` */
export function _foreach_norm(self: readonly Tensor[], ord?: number, dtype?: Dtype | null): Tensor[] {
  return run(operators._foreach_norm, [self, ord, dtype]) as Tensor[];
}

/** `aten::_foreach_zero_(Tensor(a!)[] self) -> ()` */
export function _foreach_zero_(self: readonly Tensor[]): void {
  run(operators._foreach_zero_, [self]);
}

/** `aten::_fused_adamw_(Tensor(a!)[] self, Tensor(b!)[] grads, Tensor(c!)[] exp_avgs, Tensor(d!)[] exp_avg_sqs, Tensor(e!)[] max_exp_avg_sqs, Tensor[] state_steps, *, float lr, float beta1, float beta2, float weight_decay, float eps, bool amsgrad, bool maximize, Tensor? grad_scale=None, Tensor? found_inf=None) -> ()` */
export function _fused_adamw_(self: readonly Tensor[], grads: readonly Tensor[], exp_avgs: readonly Tensor[], exp_avg_sqs: readonly Tensor[], max_exp_avg_sqs: readonly Tensor[], state_steps: readonly Tensor[], options: { lr: number; beta1: number; beta2: number; weight_decay: number; eps: number; amsgrad: boolean; maximize: boolean; grad_scale?: Tensor | null | undefined; found_inf?: Tensor | null | undefined }): void {
  run(operators._fused_adamw_, [self, grads, exp_avgs, exp_avg_sqs, max_exp_avg_sqs, state_steps, options.lr, options.beta1, options.beta2, options.weight_decay, options.eps, options.amsgrad, options.maximize, options?.grad_scale, options?.found_inf]);
}

/** `aten::_fused_sgd_(Tensor(a!)[] self, Tensor(b!)[] grads, Tensor(c!)[] momentum_buffer_list, *, float weight_decay, float momentum, float lr, float dampening, bool nesterov, bool maximize, bool is_first_step, Tensor? grad_scale=None, Tensor? found_inf=None) -> ()` */
export function _fused_sgd_(self: readonly Tensor[], grads: readonly Tensor[], momentum_buffer_list: readonly Tensor[], options: { weight_decay: number; momentum: number; lr: number; dampening: number; nesterov: boolean; maximize: boolean; is_first_step: boolean; grad_scale?: Tensor | null | undefined; found_inf?: Tensor | null | undefined }): void {
  run(operators._fused_sgd_, [self, grads, momentum_buffer_list, options.weight_decay, options.momentum, options.lr, options.dampening, options.nesterov, options.maximize, options.is_first_step, options?.grad_scale, options?.found_inf]);
}

/** `aten::_upsample_bicubic2d_aa(Tensor self, SymInt[2] output_size, bool align_corners, float? scales_h=None, float? scales_w=None) -> Tensor` */
export function _upsample_bicubic2d_aa(self: Tensor, output_size: number | readonly number[], align_corners: boolean, scales_h?: number | null, scales_w?: number | null): Tensor {
  return run(operators._upsample_bicubic2d_aa, [self, output_size, align_corners, scales_h, scales_w]) as Tensor;
}

/** `aten::_upsample_bilinear2d_aa(Tensor self, SymInt[2] output_size, bool align_corners, float? scales_h=None, float? scales_w=None) -> Tensor` */
export function _upsample_bilinear2d_aa(self: Tensor, output_size: number | readonly number[], align_corners: boolean, scales_h?: number | null, scales_w?: number | null): Tensor {
  return run(operators._upsample_bilinear2d_aa, [self, output_size, align_corners, scales_h, scales_w]) as Tensor;
}

/** `aten::abs(Tensor self) -> Tensor` */
export function abs(self: Tensor): Tensor {
  return run(operators.abs, [self]) as Tensor;
}

/** `aten::acos(Tensor self) -> Tensor` */
export function acos(self: Tensor): Tensor {
  return run(operators.acos, [self]) as Tensor;
}

/** `aten::acosh(Tensor self) -> Tensor` */
export function acosh(self: Tensor): Tensor {
  return run(operators.acosh, [self]) as Tensor;
}

/** `aten::adaptive_avg_pool2d(Tensor self, SymInt[2] output_size) -> Tensor` */
export function adaptive_avg_pool2d(self: Tensor, output_size: number | readonly number[]): Tensor {
  return run(operators.adaptive_avg_pool2d, [self, output_size]) as Tensor;
}

/** `aten::add.Tensor(Tensor self, Tensor other, *, Scalar alpha=1) -> Tensor` */
export function add(self: Tensor, other: Tensor | number, options?: { alpha?: number | undefined }): Tensor {
  return run(operators.add, [self, other, options?.alpha]) as Tensor;
}

/** `aten::add_.Tensor(Tensor(a!) self, Tensor other, *, Scalar alpha=1) -> Tensor(a!)` */
export function add_(self: Tensor, other: Tensor | number, options?: { alpha?: number | undefined }): Tensor {
  return run(operators.add_, [self, other, options?.alpha]) as Tensor;
}

/** `aten::addcdiv(Tensor self, Tensor tensor1, Tensor tensor2, *, Scalar value=1) -> Tensor` */
export function addcdiv(self: Tensor, tensor1: Tensor, tensor2: Tensor, options?: { value?: number | undefined }): Tensor {
  return run(operators.addcdiv, [self, tensor1, tensor2, options?.value]) as Tensor;
}

/** `aten::addcmul(Tensor self, Tensor tensor1, Tensor tensor2, *, Scalar value=1) -> Tensor` */
export function addcmul(self: Tensor, tensor1: Tensor, tensor2: Tensor, options?: { value?: number | undefined }): Tensor {
  return run(operators.addcmul, [self, tensor1, tensor2, options?.value]) as Tensor;
}

/** `aten::addcmul_(Tensor(a!) self, Tensor tensor1, Tensor tensor2, *, Scalar value=1) -> Tensor(a!)` */
export function addcmul_(self: Tensor, tensor1: Tensor, tensor2: Tensor, options?: { value?: number | undefined }): Tensor {
  return run(operators.addcmul_, [self, tensor1, tensor2, options?.value]) as Tensor;
}

/** `aten::addmm(Tensor self, Tensor mat1, Tensor mat2, *, Scalar beta=1, Scalar alpha=1) -> Tensor` */
export function addmm(self: Tensor, mat1: Tensor, mat2: Tensor, options?: { beta?: number | undefined; alpha?: number | undefined }): Tensor {
  return run(operators.addmm, [self, mat1, mat2, options?.beta, options?.alpha]) as Tensor;
}

/** `aten::affine_grid_generator(Tensor theta, SymInt[] size, bool align_corners) -> Tensor` */
export function affine_grid_generator(theta: Tensor, size: readonly number[], align_corners: boolean): Tensor {
  return run(operators.affine_grid_generator, [theta, size, align_corners]) as Tensor;
}

/** `aten::alias(Tensor(a) self) -> Tensor(a)` */
export function alias(self: Tensor): Tensor {
  return run(operators.alias, [self]) as Tensor;
}

/** `aten::all(Tensor self) -> Tensor` */
export function all(self: Tensor): Tensor {
  return run(operators.all, [self]) as Tensor;
}

/** `aten::amax(Tensor self, int[1] dim=[], bool keepdim=False) -> Tensor` */
export function amax(self: Tensor, dim?: number | readonly number[], keepdim?: boolean): Tensor {
  return run(operators.amax, [self, dim, keepdim]) as Tensor;
}

/** `aten::amin(Tensor self, int[1] dim=[], bool keepdim=False) -> Tensor` */
export function amin(self: Tensor, dim?: number | readonly number[], keepdim?: boolean): Tensor {
  return run(operators.amin, [self, dim, keepdim]) as Tensor;
}

/** `aten::any(Tensor self) -> Tensor` */
export function any(self: Tensor): Tensor {
  return run(operators.any, [self]) as Tensor;
}

/** `aten::arange.start_step(Scalar start, Scalar end, Scalar step=1, *, ScalarType? dtype=None, Layout? layout=None, Device? device=None, bool? pin_memory=None) -> Tensor` */
export function arange(start: number, end: number, step?: number, options?: { dtype?: Dtype | null | undefined; layout?: "strided" | null | undefined; device?: string | null | undefined; pin_memory?: boolean | null | undefined }): Tensor {
  return run(operators.arange, [start, end, step, options?.dtype, options?.layout, options?.device, options?.pin_memory]) as Tensor;
}

/** `aten::argmax(Tensor self, int? dim=None, bool keepdim=False) -> Tensor` */
export function argmax(self: Tensor, dim?: number | null, keepdim?: boolean): Tensor {
  return run(operators.argmax, [self, dim, keepdim]) as Tensor;
}

/** `aten::argmin(Tensor self, int? dim=None, bool keepdim=False) -> Tensor` */
export function argmin(self: Tensor, dim?: number | null, keepdim?: boolean): Tensor {
  return run(operators.argmin, [self, dim, keepdim]) as Tensor;
}

/** `aten::argsort.stable(Tensor self, *, bool stable, int dim=-1, bool descending=False) -> Tensor` */
export function argsort(self: Tensor, options: { stable: boolean; dim?: number | undefined; descending?: boolean | undefined }): Tensor {
  return run(operators.argsort, [self, options.stable, options?.dim, options?.descending]) as Tensor;
}

/** `aten::as_strided(Tensor(a) self, SymInt[] size, SymInt[] stride, SymInt? storage_offset=None) -> Tensor(a)` */
export function as_strided(self: Tensor, size: readonly number[], stride: readonly number[], storage_offset?: number | null): Tensor {
  return run(operators.as_strided, [self, size, stride, storage_offset]) as Tensor;
}

/** `aten::asin(Tensor self) -> Tensor` */
export function asin(self: Tensor): Tensor {
  return run(operators.asin, [self]) as Tensor;
}

/** `aten::asinh(Tensor self) -> Tensor` */
export function asinh(self: Tensor): Tensor {
  return run(operators.asinh, [self]) as Tensor;
}

/** `aten::atan(Tensor self) -> Tensor` */
export function atan(self: Tensor): Tensor {
  return run(operators.atan, [self]) as Tensor;
}

/** `aten::atan2(Tensor self, Tensor other) -> Tensor` */
export function atan2(self: Tensor, other: Tensor | number): Tensor {
  return run(operators.atan2, [self, other]) as Tensor;
}

/** `aten::atanh(Tensor self) -> Tensor` */
export function atanh(self: Tensor): Tensor {
  return run(operators.atanh, [self]) as Tensor;
}

/** `aten::avg_pool2d(Tensor self, int[2] kernel_size, int[2] stride=[], int[2] padding=0, bool ceil_mode=False, bool count_include_pad=True, int? divisor_override=None) -> Tensor` */
export function avg_pool2d(self: Tensor, kernel_size: number | readonly number[], stride?: number | readonly number[], padding?: number | readonly number[], ceil_mode?: boolean, count_include_pad?: boolean, divisor_override?: number | null): Tensor {
  return run(operators.avg_pool2d, [self, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override]) as Tensor;
}

/** `aten::batch_norm(Tensor input, Tensor? weight, Tensor? bias, Tensor? running_mean, Tensor? running_var, bool training, float momentum, float eps, bool cudnn_enabled) -> Tensor` */
export function batch_norm(input: Tensor, weight: Tensor | null | undefined, bias: Tensor | null | undefined, running_mean: Tensor | null | undefined, running_var: Tensor | null | undefined, training: boolean, momentum: number, eps: number, cudnn_enabled: boolean): Tensor {
  return run(operators.batch_norm, [input, weight, bias, running_mean, running_var, training, momentum, eps, cudnn_enabled]) as Tensor;
}

/** `aten::bernoulli_.float(Tensor(a!) self, float p=0.5, *, Generator? generator=None) -> Tensor(a!)` */
export function bernoulli_(self: Tensor, p?: number, options?: { generator?: Generator | null | undefined }): Tensor {
  return run(operators.bernoulli_, [self, p, options?.generator]) as Tensor;
}

/** `aten::bernoulli(Tensor self, *, Generator? generator=None) -> Tensor` */
export function bernoulli_from(self: Tensor, options?: { generator?: Generator | null | undefined }): Tensor {
  return run(operators.bernoulli_from, [self, options?.generator]) as Tensor;
}

/** `aten::binary_cross_entropy_with_logits(Tensor self, Tensor target, Tensor? weight=None, Tensor? pos_weight=None, int reduction=1) -> Tensor` */
export function binary_cross_entropy_with_logits(self: Tensor, target: Tensor, weight?: Tensor | null, pos_weight?: Tensor | null, reduction?: number): Tensor {
  return run(operators.binary_cross_entropy_with_logits, [self, target, weight, pos_weight, reduction]) as Tensor;
}

/** `aten::bincount(Tensor self, Tensor? weights=None, SymInt minlength=0) -> Tensor` */
export function bincount(self: Tensor, weights?: Tensor | null, minlength?: number): Tensor {
  return run(operators.bincount, [self, weights, minlength]) as Tensor;
}

/** `aten::bmm(Tensor self, Tensor mat2) -> Tensor` */
export function bmm(self: Tensor, mat2: Tensor): Tensor {
  return run(operators.bmm, [self, mat2]) as Tensor;
}

/** `aten::cat(Tensor[] tensors, int dim=0) -> Tensor` */
export function cat(tensors: readonly Tensor[], dim?: number): Tensor {
  return run(operators.cat, [tensors, dim]) as Tensor;
}

/** `aten::ceil(Tensor self) -> Tensor` */
export function ceil(self: Tensor): Tensor {
  return run(operators.ceil, [self]) as Tensor;
}

/** `aten::chunk(Tensor(a -> *) self, int chunks, int dim=0) -> Tensor(a)[]` */
export function chunk(self: Tensor, chunks: number, dim?: number): Tensor[] {
  return run(operators.chunk, [self, chunks, dim]) as Tensor[];
}

/** `aten::clamp(Tensor self, Scalar? min=None, Scalar? max=None) -> Tensor` */
export function clamp(self: Tensor, min?: number | null, max?: number | null): Tensor {
  return run(operators.clamp, [self, min, max]) as Tensor;
}

/** `aten::clamp_(Tensor(a!) self, Scalar? min=None, Scalar? max=None) -> Tensor(a!)` */
export function clamp_(self: Tensor, min?: number | null, max?: number | null): Tensor {
  return run(operators.clamp_, [self, min, max]) as Tensor;
}

/** `aten::clone(Tensor self, *, MemoryFormat? memory_format=None) -> Tensor` */
export function clone(self: Tensor, options?: { memory_format?: MemoryFormat | null | undefined }): Tensor {
  return run(operators.clone, [self, options?.memory_format]) as Tensor;
}

/** `aten::constant_pad_nd(Tensor self, SymInt[] pad, Scalar value=0) -> Tensor` */
export function constant_pad_nd(self: Tensor, pad: readonly number[], value?: number): Tensor {
  return run(operators.constant_pad_nd, [self, pad, value]) as Tensor;
}

/** `aten::contiguous(Tensor(a) self, *, MemoryFormat memory_format=0) -> Tensor(a)` */
export function contiguous(self: Tensor, options?: { memory_format?: MemoryFormat | undefined }): Tensor {
  return run(operators.contiguous, [self, options?.memory_format]) as Tensor;
}

/** `aten::conv1d(Tensor input, Tensor weight, Tensor? bias=None, SymInt[1] stride=[1], SymInt[1] padding=[0], SymInt[1] dilation=[1], SymInt groups=1) -> Tensor` */
export function conv1d(input: Tensor, weight: Tensor, bias?: Tensor | null, stride?: number | readonly number[], padding?: number | readonly number[], dilation?: number | readonly number[], groups?: number): Tensor {
  return run(operators.conv1d, [input, weight, bias, stride, padding, dilation, groups]) as Tensor;
}

/** `aten::conv2d(Tensor input, Tensor weight, Tensor? bias=None, SymInt[2] stride=[1, 1], SymInt[2] padding=[0, 0], SymInt[2] dilation=[1, 1], SymInt groups=1) -> Tensor` */
export function conv2d(input: Tensor, weight: Tensor, bias?: Tensor | null, stride?: number | readonly number[], padding?: number | readonly number[], dilation?: number | readonly number[], groups?: number): Tensor {
  return run(operators.conv2d, [input, weight, bias, stride, padding, dilation, groups]) as Tensor;
}

/** `aten::conv2d.padding(Tensor input, Tensor weight, Tensor? bias=None, SymInt[2] stride=[1, 1], str padding="valid", SymInt[2] dilation=[1, 1], SymInt groups=1) -> Tensor` */
export function conv2dPadding(input: Tensor, weight: Tensor, bias?: Tensor | null, stride?: number | readonly number[], padding?: string, dilation?: number | readonly number[], groups?: number): Tensor {
  return run(operators.conv2dPadding, [input, weight, bias, stride, padding, dilation, groups]) as Tensor;
}

/** `aten::conv3d(Tensor input, Tensor weight, Tensor? bias=None, SymInt[3] stride=[1, 1, 1], SymInt[3] padding=[0, 0, 0], SymInt[3] dilation=[1, 1, 1], SymInt groups=1) -> Tensor` */
export function conv3d(input: Tensor, weight: Tensor, bias?: Tensor | null, stride?: number | readonly number[], padding?: number | readonly number[], dilation?: number | readonly number[], groups?: number): Tensor {
  return run(operators.conv3d, [input, weight, bias, stride, padding, dilation, groups]) as Tensor;
}

/** `aten::conv_transpose1d(Tensor input, Tensor weight, Tensor? bias=None, SymInt[1] stride=[1], SymInt[1] padding=[0], SymInt[1] output_padding=[0], SymInt groups=1, SymInt[1] dilation=[1]) -> Tensor` */
export function conv_transpose1d(input: Tensor, weight: Tensor, bias?: Tensor | null, stride?: number | readonly number[], padding?: number | readonly number[], output_padding?: number | readonly number[], groups?: number, dilation?: number | readonly number[]): Tensor {
  return run(operators.conv_transpose1d, [input, weight, bias, stride, padding, output_padding, groups, dilation]) as Tensor;
}

/** `aten::conv_transpose2d.input(Tensor input, Tensor weight, Tensor? bias=None, SymInt[2] stride=[1, 1], SymInt[2] padding=[0, 0], SymInt[2] output_padding=[0, 0], SymInt groups=1, SymInt[2] dilation=[1, 1]) -> Tensor` */
export function conv_transpose2d(input: Tensor, weight: Tensor, bias?: Tensor | null, stride?: number | readonly number[], padding?: number | readonly number[], output_padding?: number | readonly number[], groups?: number, dilation?: number | readonly number[]): Tensor {
  return run(operators.conv_transpose2d, [input, weight, bias, stride, padding, output_padding, groups, dilation]) as Tensor;
}

/** `aten::conv_transpose3d.input(Tensor input, Tensor weight, Tensor? bias=None, SymInt[3] stride=[1, 1, 1], SymInt[3] padding=[0, 0, 0], SymInt[3] output_padding=[0, 0, 0], SymInt groups=1, SymInt[3] dilation=[1, 1, 1]) -> Tensor` */
export function conv_transpose3d(input: Tensor, weight: Tensor, bias?: Tensor | null, stride?: number | readonly number[], padding?: number | readonly number[], output_padding?: number | readonly number[], groups?: number, dilation?: number | readonly number[]): Tensor {
  return run(operators.conv_transpose3d, [input, weight, bias, stride, padding, output_padding, groups, dilation]) as Tensor;
}

/** `aten::convolution(Tensor input, Tensor weight, Tensor? bias, SymInt[] stride, SymInt[] padding, SymInt[] dilation, bool transposed, SymInt[] output_padding, SymInt groups) -> Tensor` */
export function convolution(input: Tensor, weight: Tensor, bias: Tensor | null | undefined, stride: readonly number[], padding: readonly number[], dilation: readonly number[], transposed: boolean, output_padding: readonly number[], groups: number): Tensor {
  return run(operators.convolution, [input, weight, bias, stride, padding, dilation, transposed, output_padding, groups]) as Tensor;
}

/** `aten::copy_(Tensor(a!) self, Tensor src, bool non_blocking=False) -> Tensor(a!)` */
export function copy_(self: Tensor, src: Tensor, non_blocking?: boolean): Tensor {
  return run(operators.copy_, [self, src, non_blocking]) as Tensor;
}

/** `aten::cos(Tensor self) -> Tensor` */
export function cos(self: Tensor): Tensor {
  return run(operators.cos, [self]) as Tensor;
}

/** `aten::cosh(Tensor self) -> Tensor` */
export function cosh(self: Tensor): Tensor {
  return run(operators.cosh, [self]) as Tensor;
}

/** `aten::cross_entropy_loss(Tensor self, Tensor target, Tensor? weight=None, int reduction=1, SymInt ignore_index=-100, float label_smoothing=0.) -> Tensor` */
export function cross_entropy_loss(self: Tensor, target: Tensor, weight?: Tensor | null, reduction?: number, ignore_index?: number, label_smoothing?: number): Tensor {
  return run(operators.cross_entropy_loss, [self, target, weight, reduction, ignore_index, label_smoothing]) as Tensor;
}

/** `aten::cumsum(Tensor self, int dim, *, ScalarType? dtype=None) -> Tensor` */
export function cumsum(self: Tensor, dim: number, options?: { dtype?: Dtype | null | undefined }): Tensor {
  return run(operators.cumsum, [self, dim, options?.dtype]) as Tensor;
}

/** `aten::detach(Tensor(a) self) -> Tensor(a)` */
export function detach(self: Tensor): Tensor {
  return run(operators.detach, [self]) as Tensor;
}

/** `aten::diagonal(Tensor(a) self, int offset=0, int dim1=0, int dim2=1) -> Tensor(a)` */
export function diagonal(self: Tensor, offset?: number, dim1?: number, dim2?: number): Tensor {
  return run(operators.diagonal, [self, offset, dim1, dim2]) as Tensor;
}

/** `aten::div.Tensor(Tensor self, Tensor other) -> Tensor` */
export function div(self: Tensor, other: Tensor | number): Tensor {
  return run(operators.div, [self, other]) as Tensor;
}

/** `aten::div.Tensor_mode(Tensor self, Tensor other, *, str? rounding_mode) -> Tensor` */
export function divMode(self: Tensor, other: Tensor | number, options?: { rounding_mode?: string | null | undefined }): Tensor {
  return run(operators.divMode, [self, other, options?.rounding_mode]) as Tensor;
}

/** `aten::div_.Tensor(Tensor(a!) self, Tensor other) -> Tensor(a!)` */
export function div_(self: Tensor, other: Tensor | number): Tensor {
  return run(operators.div_, [self, other]) as Tensor;
}

/** `aten::einsum(str equation, Tensor[] tensors, *, int[]? path=None) -> Tensor` */
export function einsum(equation: string, tensors: readonly Tensor[], options?: { path?: readonly number[] | null | undefined }): Tensor {
  return run(operators.einsum, [equation, tensors, options?.path]) as Tensor;
}

/** `aten::elu(Tensor self, Scalar alpha=1, Scalar scale=1, Scalar input_scale=1) -> Tensor` */
export function elu(self: Tensor, alpha?: number, scale?: number, input_scale?: number): Tensor {
  return run(operators.elu, [self, alpha, scale, input_scale]) as Tensor;
}

/** `aten::embedding(Tensor weight, Tensor indices, SymInt padding_idx=-1, bool scale_grad_by_freq=False, bool sparse=False) -> Tensor` */
export function embedding(weight: Tensor, indices: Tensor, padding_idx?: number, scale_grad_by_freq?: boolean, sparse?: boolean): Tensor {
  return run(operators.embedding, [weight, indices, padding_idx, scale_grad_by_freq, sparse]) as Tensor;
}

/** `aten::empty.memory_format(SymInt[] size, *, ScalarType? dtype=None, Layout? layout=None, Device? device=None, bool? pin_memory=None, MemoryFormat? memory_format=None) -> Tensor` */
export function empty(size: readonly number[], options?: { dtype?: Dtype | null | undefined; layout?: "strided" | null | undefined; device?: string | null | undefined; pin_memory?: boolean | null | undefined; memory_format?: MemoryFormat | null | undefined }): Tensor {
  return run(operators.empty, [size, options?.dtype, options?.layout, options?.device, options?.pin_memory, options?.memory_format]) as Tensor;
}

/** `aten::empty_like(Tensor self, *, ScalarType? dtype=None, Layout? layout=None, Device? device=None, bool? pin_memory=None, MemoryFormat? memory_format=None) -> Tensor` */
export function empty_like(self: Tensor, options?: { dtype?: Dtype | null | undefined; layout?: "strided" | null | undefined; device?: string | null | undefined; pin_memory?: boolean | null | undefined; memory_format?: MemoryFormat | null | undefined }): Tensor {
  return run(operators.empty_like, [self, options?.dtype, options?.layout, options?.device, options?.pin_memory, options?.memory_format]) as Tensor;
}

/** `aten::eq.Tensor(Tensor self, Tensor other) -> Tensor` */
export function eq(self: Tensor, other: Tensor | number): Tensor {
  return run(operators.eq, [self, other]) as Tensor;
}

/** `aten::erf(Tensor self) -> Tensor` */
export function erf(self: Tensor): Tensor {
  return run(operators.erf, [self]) as Tensor;
}

/** `aten::exp(Tensor self) -> Tensor` */
export function exp(self: Tensor): Tensor {
  return run(operators.exp, [self]) as Tensor;
}

/** `aten::expand(Tensor(a) self, SymInt[] size, *, bool implicit=False) -> Tensor(a)` */
export function expand(self: Tensor, size: readonly number[], options?: { implicit?: boolean | undefined }): Tensor {
  return run(operators.expand, [self, size, options?.implicit]) as Tensor;
}

/** `aten::expm1(Tensor self) -> Tensor` */
export function expm1(self: Tensor): Tensor {
  return run(operators.expm1, [self]) as Tensor;
}

/** `aten::exponential_(Tensor(a!) self, float lambd=1., *, Generator? generator=None) -> Tensor(a!)` */
export function exponential_(self: Tensor, lambd?: number, options?: { generator?: Generator | null | undefined }): Tensor {
  return run(operators.exponential_, [self, lambd, options?.generator]) as Tensor;
}

/** `aten::eye(SymInt n, *, ScalarType? dtype=None, Layout? layout=None, Device? device=None, bool? pin_memory=None) -> Tensor` */
export function eye(n: number, options?: { dtype?: Dtype | null | undefined; layout?: "strided" | null | undefined; device?: string | null | undefined; pin_memory?: boolean | null | undefined }): Tensor {
  return run(operators.eye, [n, options?.dtype, options?.layout, options?.device, options?.pin_memory]) as Tensor;
}

/** `aten::fill_.Scalar(Tensor(a!) self, Scalar value) -> Tensor(a!)` */
export function fill_(self: Tensor, value: number): Tensor {
  return run(operators.fill_, [self, value]) as Tensor;
}

/** `aten::flatten.using_ints(Tensor(a) self, int start_dim=0, int end_dim=-1) -> Tensor(a)` */
export function flatten(self: Tensor, start_dim?: number, end_dim?: number): Tensor {
  return run(operators.flatten, [self, start_dim, end_dim]) as Tensor;
}

/** `aten::flip(Tensor self, int[] dims) -> Tensor` */
export function flip(self: Tensor, dims: readonly number[]): Tensor {
  return run(operators.flip, [self, dims]) as Tensor;
}

/** `aten::floor(Tensor self) -> Tensor` */
export function floor(self: Tensor): Tensor {
  return run(operators.floor, [self]) as Tensor;
}

/** `aten::fmod.Tensor(Tensor self, Tensor other) -> Tensor` */
export function fmod(self: Tensor, other: Tensor | number): Tensor {
  return run(operators.fmod, [self, other]) as Tensor;
}

/** `aten::from_file(str filename, bool? shared=None, int? size=0, *, ScalarType? dtype=None, Layout? layout=None, Device? device=None, bool? pin_memory=None) -> Tensor` */
export function from_file(filename: string, shared?: boolean | null, size?: number | null, options?: { dtype?: Dtype | null | undefined; layout?: "strided" | null | undefined; device?: string | null | undefined; pin_memory?: boolean | null | undefined }): Tensor {
  return run(operators.from_file, [filename, shared, size, options?.dtype, options?.layout, options?.device, options?.pin_memory]) as Tensor;
}

/** `aten::full(SymInt[] size, Scalar fill_value, *, ScalarType? dtype=None, Layout? layout=None, Device? device=None, bool? pin_memory=None) -> Tensor` */
export function full(size: readonly number[], fill_value: number, options?: { dtype?: Dtype | null | undefined; layout?: "strided" | null | undefined; device?: string | null | undefined; pin_memory?: boolean | null | undefined }): Tensor {
  return run(operators.full, [size, fill_value, options?.dtype, options?.layout, options?.device, options?.pin_memory]) as Tensor;
}

/** `aten::full_like(Tensor self, Scalar fill_value, *, ScalarType? dtype=None, Layout? layout=None, Device? device=None, bool? pin_memory=None, MemoryFormat? memory_format=None) -> Tensor` */
export function full_like(self: Tensor, fill_value: number, options?: { dtype?: Dtype | null | undefined; layout?: "strided" | null | undefined; device?: string | null | undefined; pin_memory?: boolean | null | undefined; memory_format?: MemoryFormat | null | undefined }): Tensor {
  return run(operators.full_like, [self, fill_value, options?.dtype, options?.layout, options?.device, options?.pin_memory, options?.memory_format]) as Tensor;
}

/** `aten::gather(Tensor self, int dim, Tensor index, *, bool sparse_grad=False) -> Tensor` */
export function gather(self: Tensor, dim: number, index: Tensor, options?: { sparse_grad?: boolean | undefined }): Tensor {
  return run(operators.gather, [self, dim, index, options?.sparse_grad]) as Tensor;
}

/** `aten::ge.Tensor(Tensor self, Tensor other) -> Tensor` */
export function ge(self: Tensor, other: Tensor | number): Tensor {
  return run(operators.ge, [self, other]) as Tensor;
}

/** `aten::gelu(Tensor self, *, str approximate="none") -> Tensor` */
export function gelu(self: Tensor, options?: { approximate?: string | undefined }): Tensor {
  return run(operators.gelu, [self, options?.approximate]) as Tensor;
}

/** `aten::grid_sampler(Tensor input, Tensor grid, int interpolation_mode, int padding_mode, bool align_corners) -> Tensor` */
export function grid_sampler(input: Tensor, grid: Tensor, interpolation_mode: number, padding_mode: number, align_corners: boolean): Tensor {
  return run(operators.grid_sampler, [input, grid, interpolation_mode, padding_mode, align_corners]) as Tensor;
}

/** `aten::group_norm(Tensor input, int num_groups, Tensor? weight=None, Tensor? bias=None, float eps=1.0000000000000001e-05, bool cudnn_enabled=True) -> Tensor` */
export function group_norm(input: Tensor, num_groups: number, weight?: Tensor | null, bias?: Tensor | null, eps?: number, cudnn_enabled?: boolean): Tensor {
  return run(operators.group_norm, [input, num_groups, weight, bias, eps, cudnn_enabled]) as Tensor;
}

/** `aten::gt.Tensor(Tensor self, Tensor other) -> Tensor` */
export function gt(self: Tensor, other: Tensor | number): Tensor {
  return run(operators.gt, [self, other]) as Tensor;
}

/** `aten::hardsigmoid(Tensor self) -> Tensor` */
export function hardsigmoid(self: Tensor): Tensor {
  return run(operators.hardsigmoid, [self]) as Tensor;
}

/** `aten::hardswish(Tensor self) -> Tensor` */
export function hardswish(self: Tensor): Tensor {
  return run(operators.hardswish, [self]) as Tensor;
}

/** `aten::hardtanh(Tensor self, Scalar min_val=-1, Scalar max_val=1) -> Tensor` */
export function hardtanh(self: Tensor, min_val?: number, max_val?: number): Tensor {
  return run(operators.hardtanh, [self, min_val, max_val]) as Tensor;
}

/** `aten::hardtanh_(Tensor(a!) self, Scalar min_val=-1, Scalar max_val=1) -> Tensor(a!)` */
export function hardtanh_(self: Tensor, min_val?: number, max_val?: number): Tensor {
  return run(operators.hardtanh_, [self, min_val, max_val]) as Tensor;
}

/** `aten::index.Tensor(Tensor self, Tensor?[] indices) -> Tensor` */
export function index(self: Tensor, indices: readonly (Tensor | null)[]): Tensor {
  return run(operators.index, [self, indices]) as Tensor;
}

/** `aten::index_add(Tensor self, int dim, Tensor index, Tensor source, *, Scalar alpha=1) -> Tensor` */
export function index_add(self: Tensor, dim: number, index: Tensor, source: Tensor, options?: { alpha?: number | undefined }): Tensor {
  return run(operators.index_add, [self, dim, index, source, options?.alpha]) as Tensor;
}

/** `aten::index_add_(Tensor(a!) self, int dim, Tensor index, Tensor source, *, Scalar alpha=1) -> Tensor(a!)` */
export function index_add_(self: Tensor, dim: number, index: Tensor, source: Tensor, options?: { alpha?: number | undefined }): Tensor {
  return run(operators.index_add_, [self, dim, index, source, options?.alpha]) as Tensor;
}

/** `aten::index_copy_(Tensor(a!) self, int dim, Tensor index, Tensor source) -> Tensor(a!)` */
export function index_copy_(self: Tensor, dim: number, index: Tensor, source: Tensor): Tensor {
  return run(operators.index_copy_, [self, dim, index, source]) as Tensor;
}

/** `aten::index_put(Tensor self, Tensor?[] indices, Tensor values, bool accumulate=False) -> Tensor` */
export function index_put(self: Tensor, indices: readonly (Tensor | null)[], values: Tensor, accumulate?: boolean): Tensor {
  return run(operators.index_put, [self, indices, values, accumulate]) as Tensor;
}

/** `aten::index_select(Tensor self, int dim, Tensor index) -> Tensor` */
export function index_select(self: Tensor, dim: number, index: Tensor): Tensor {
  return run(operators.index_select, [self, dim, index]) as Tensor;
}

/** `aten::isfinite(Tensor self) -> Tensor` */
export function isfinite(self: Tensor): Tensor {
  return run(operators.isfinite, [self]) as Tensor;
}

/** `aten::isinf(Tensor self) -> Tensor` */
export function isinf(self: Tensor): Tensor {
  return run(operators.isinf, [self]) as Tensor;
}

/** `aten::isnan(Tensor self) -> Tensor` */
export function isnan(self: Tensor): Tensor {
  return run(operators.isnan, [self]) as Tensor;
}

/** `aten::kl_div(Tensor self, Tensor target, int reduction=1, *, bool log_target=False) -> Tensor` */
export function kl_div(self: Tensor, target: Tensor, reduction?: number, options?: { log_target?: boolean | undefined }): Tensor {
  return run(operators.kl_div, [self, target, reduction, options?.log_target]) as Tensor;
}

/** `aten::layer_norm(Tensor input, SymInt[] normalized_shape, Tensor? weight=None, Tensor? bias=None, float eps=1.0000000000000001e-05, bool cudnn_enable=True) -> Tensor` */
export function layer_norm(input: Tensor, normalized_shape: readonly number[], weight?: Tensor | null, bias?: Tensor | null, eps?: number, cudnn_enable?: boolean): Tensor {
  return run(operators.layer_norm, [input, normalized_shape, weight, bias, eps, cudnn_enable]) as Tensor;
}

/** `aten::le.Tensor(Tensor self, Tensor other) -> Tensor` */
export function le(self: Tensor, other: Tensor | number): Tensor {
  return run(operators.le, [self, other]) as Tensor;
}

/** `aten::leaky_relu(Tensor self, Scalar negative_slope=0.01) -> Tensor` */
export function leaky_relu(self: Tensor, negative_slope?: number): Tensor {
  return run(operators.leaky_relu, [self, negative_slope]) as Tensor;
}

/** `aten::lerp_.Scalar(Tensor(a!) self, Tensor end, Scalar weight) -> Tensor(a!)` */
export function lerp_(self: Tensor, end: Tensor, weight: number): Tensor {
  return run(operators.lerp_, [self, end, weight]) as Tensor;
}

/** `aten::linalg_cholesky_ex(Tensor self, *, bool upper=False, bool check_errors=False) -> (Tensor L, Tensor info)` */
export function linalg_cholesky_ex(self: Tensor, options?: { upper?: boolean | undefined; check_errors?: boolean | undefined }): [Tensor, Tensor] {
  return run(operators.linalg_cholesky_ex, [self, options?.upper, options?.check_errors]) as [Tensor, Tensor];
}

/** `aten::linalg_solve_triangular(Tensor self, Tensor B, *, bool upper, bool left=True, bool unitriangular=False) -> Tensor` */
export function linalg_solve_triangular(self: Tensor, B: Tensor, options: { upper: boolean; left?: boolean | undefined; unitriangular?: boolean | undefined }): Tensor {
  return run(operators.linalg_solve_triangular, [self, B, options.upper, options?.left, options?.unitriangular]) as Tensor;
}

/** `aten::linalg_svd(Tensor A, bool full_matrices=True, *, str? driver=None) -> (Tensor U, Tensor S, Tensor Vh)` */
export function linalg_svd(A: Tensor, full_matrices?: boolean, options?: { driver?: string | null | undefined }): [Tensor, Tensor, Tensor] {
  return run(operators.linalg_svd, [A, full_matrices, options?.driver]) as [Tensor, Tensor, Tensor];
}

/** `aten::linear(Tensor input, Tensor weight, Tensor? bias=None) -> Tensor` */
export function linear(input: Tensor, weight: Tensor, bias?: Tensor | null): Tensor {
  return run(operators.linear, [input, weight, bias]) as Tensor;
}

/** `aten::log(Tensor self) -> Tensor` */
export function log(self: Tensor): Tensor {
  return run(operators.log, [self]) as Tensor;
}

/** `aten::log1p(Tensor self) -> Tensor` */
export function log1p(self: Tensor): Tensor {
  return run(operators.log1p, [self]) as Tensor;
}

/** `aten::log_softmax.int(Tensor self, int dim, ScalarType? dtype=None) -> Tensor` */
export function log_softmax(self: Tensor, dim: number, dtype?: Dtype | null): Tensor {
  return run(operators.log_softmax, [self, dim, dtype]) as Tensor;
}

/** `aten::logical_and(Tensor self, Tensor other) -> Tensor` */
export function logical_and(self: Tensor, other: Tensor | number): Tensor {
  return run(operators.logical_and, [self, other]) as Tensor;
}

/** `aten::logical_not(Tensor self) -> Tensor` */
export function logical_not(self: Tensor): Tensor {
  return run(operators.logical_not, [self]) as Tensor;
}

/** `aten::logical_or(Tensor self, Tensor other) -> Tensor` */
export function logical_or(self: Tensor, other: Tensor | number): Tensor {
  return run(operators.logical_or, [self, other]) as Tensor;
}

/** `aten::logical_xor(Tensor self, Tensor other) -> Tensor` */
export function logical_xor(self: Tensor, other: Tensor | number): Tensor {
  return run(operators.logical_xor, [self, other]) as Tensor;
}

/** `aten::logsumexp(Tensor self, int[1] dim, bool keepdim=False) -> Tensor` */
export function logsumexp(self: Tensor, dim: number | readonly number[], keepdim?: boolean): Tensor {
  return run(operators.logsumexp, [self, dim, keepdim]) as Tensor;
}

/** `aten::lt.Tensor(Tensor self, Tensor other) -> Tensor` */
export function lt(self: Tensor, other: Tensor | number): Tensor {
  return run(operators.lt, [self, other]) as Tensor;
}

/** `aten::masked_fill.Scalar(Tensor self, Tensor mask, Scalar value) -> Tensor` */
export function masked_fill(self: Tensor, mask: Tensor, value: number): Tensor {
  return run(operators.masked_fill, [self, mask, value]) as Tensor;
}

/** `aten::masked_fill_.Scalar(Tensor(a!) self, Tensor mask, Scalar value) -> Tensor(a!)` */
export function masked_fill_(self: Tensor, mask: Tensor, value: number): Tensor {
  return run(operators.masked_fill_, [self, mask, value]) as Tensor;
}

/** `aten::masked_select(Tensor self, Tensor mask) -> Tensor` */
export function masked_select(self: Tensor, mask: Tensor): Tensor {
  return run(operators.masked_select, [self, mask]) as Tensor;
}

/** `aten::matmul(Tensor self, Tensor other) -> Tensor` */
export function matmul(self: Tensor, other: Tensor | number): Tensor {
  return run(operators.matmul, [self, other]) as Tensor;
}

/** `aten::max(Tensor self) -> Tensor` */
export function max(self: Tensor): Tensor {
  return run(operators.max, [self]) as Tensor;
}

/** `aten::max_pool2d(Tensor self, int[2] kernel_size, int[2] stride=[], int[2] padding=0, int[2] dilation=1, bool ceil_mode=False) -> Tensor` */
export function max_pool2d(self: Tensor, kernel_size: number | readonly number[], stride?: number | readonly number[], padding?: number | readonly number[], dilation?: number | readonly number[], ceil_mode?: boolean): Tensor {
  return run(operators.max_pool2d, [self, kernel_size, stride, padding, dilation, ceil_mode]) as Tensor;
}

/** `aten::maximum(Tensor self, Tensor other) -> Tensor` */
export function maximum(self: Tensor, other: Tensor | number): Tensor {
  return run(operators.maximum, [self, other]) as Tensor;
}

/** `aten::mean.dim(Tensor self, int[1]? dim, bool keepdim=False, *, ScalarType? dtype=None) -> Tensor` */
export function mean(self: Tensor, dim?: number | readonly number[] | null, keepdim?: boolean, options?: { dtype?: Dtype | null | undefined }): Tensor {
  return run(operators.mean, [self, dim, keepdim, options?.dtype]) as Tensor;
}

/** `aten::min(Tensor self) -> Tensor` */
export function min(self: Tensor): Tensor {
  return run(operators.min, [self]) as Tensor;
}

/** `aten::minimum(Tensor self, Tensor other) -> Tensor` */
export function minimum(self: Tensor, other: Tensor | number): Tensor {
  return run(operators.minimum, [self, other]) as Tensor;
}

/** `aten::mish(Tensor self) -> Tensor` */
export function mish(self: Tensor): Tensor {
  return run(operators.mish, [self]) as Tensor;
}

/** `aten::mm(Tensor self, Tensor mat2) -> Tensor` */
export function mm(self: Tensor, mat2: Tensor): Tensor {
  return run(operators.mm, [self, mat2]) as Tensor;
}

/** `aten::mse_loss(Tensor self, Tensor target, int reduction=1) -> Tensor` */
export function mse_loss(self: Tensor, target: Tensor, reduction?: number): Tensor {
  return run(operators.mse_loss, [self, target, reduction]) as Tensor;
}

/** `aten::mul.Tensor(Tensor self, Tensor other) -> Tensor` */
export function mul(self: Tensor, other: Tensor | number): Tensor {
  return run(operators.mul, [self, other]) as Tensor;
}

/** `aten::mul_.Tensor(Tensor(a!) self, Tensor other) -> Tensor(a!)` */
export function mul_(self: Tensor, other: Tensor | number): Tensor {
  return run(operators.mul_, [self, other]) as Tensor;
}

/** `aten::narrow(Tensor(a) self, int dim, SymInt start, SymInt length) -> Tensor(a)` */
export function narrow(self: Tensor, dim: number, start: number, length: number): Tensor {
  return run(operators.narrow, [self, dim, start, length]) as Tensor;
}

/** `aten::native_batch_norm(Tensor input, Tensor? weight, Tensor? bias, Tensor? running_mean, Tensor? running_var, bool training, float momentum, float eps) -> (Tensor, Tensor, Tensor)` */
export function native_batch_norm(input: Tensor, weight: Tensor | null | undefined, bias: Tensor | null | undefined, running_mean: Tensor | null | undefined, running_var: Tensor | null | undefined, training: boolean, momentum: number, eps: number): [Tensor, Tensor, Tensor] {
  return run(operators.native_batch_norm, [input, weight, bias, running_mean, running_var, training, momentum, eps]) as [Tensor, Tensor, Tensor];
}

/** `aten::native_layer_norm(Tensor input, SymInt[] normalized_shape, Tensor? weight, Tensor? bias, float eps) -> (Tensor, Tensor, Tensor)` */
export function native_layer_norm(input: Tensor, normalized_shape: readonly number[], weight: Tensor | null | undefined, bias: Tensor | null | undefined, eps: number): [Tensor, Tensor, Tensor] {
  return run(operators.native_layer_norm, [input, normalized_shape, weight, bias, eps]) as [Tensor, Tensor, Tensor];
}

/** `aten::ne.Tensor(Tensor self, Tensor other) -> Tensor` */
export function ne(self: Tensor, other: Tensor | number): Tensor {
  return run(operators.ne, [self, other]) as Tensor;
}

/** `aten::neg(Tensor self) -> Tensor` */
export function neg(self: Tensor): Tensor {
  return run(operators.neg, [self]) as Tensor;
}

/** `aten::nll_loss(Tensor self, Tensor target, Tensor? weight=None, int reduction=1, SymInt ignore_index=-100) -> Tensor` */
export function nll_loss(self: Tensor, target: Tensor, weight?: Tensor | null, reduction?: number, ignore_index?: number): Tensor {
  return run(operators.nll_loss, [self, target, weight, reduction, ignore_index]) as Tensor;
}

/** `aten::nonzero(Tensor self) -> Tensor` */
export function nonzero(self: Tensor): Tensor {
  return run(operators.nonzero, [self]) as Tensor;
}

/** `aten::linalg_vector_norm(Tensor self, Scalar ord=2, int[1]? dim=None, bool keepdim=False, *, ScalarType? dtype=None) -> Tensor` */
export function norm(self: Tensor, ord?: number, dim?: number | readonly number[] | null, keepdim?: boolean, options?: { dtype?: Dtype | null | undefined }): Tensor {
  return run(operators.norm, [self, ord, dim, keepdim, options?.dtype]) as Tensor;
}

/** `aten::normal_(Tensor(a!) self, float mean=0., float std=1., *, Generator? generator=None) -> Tensor(a!)` */
export function normal_(self: Tensor, mean?: number, std?: number, options?: { generator?: Generator | null | undefined }): Tensor {
  return run(operators.normal_, [self, mean, std, options?.generator]) as Tensor;
}

/** `aten::one_hot(Tensor self, int num_classes=-1) -> Tensor` */
export function one_hot(self: Tensor, num_classes?: number): Tensor {
  return run(operators.one_hot, [self, num_classes]) as Tensor;
}

/** `aten::ones(SymInt[] size, *, ScalarType? dtype=None, Layout? layout=None, Device? device=None, bool? pin_memory=None) -> Tensor` */
export function ones(size: readonly number[], options?: { dtype?: Dtype | null | undefined; layout?: "strided" | null | undefined; device?: string | null | undefined; pin_memory?: boolean | null | undefined }): Tensor {
  return run(operators.ones, [size, options?.dtype, options?.layout, options?.device, options?.pin_memory]) as Tensor;
}

/** `aten::ones_like(Tensor self, *, ScalarType? dtype=None, Layout? layout=None, Device? device=None, bool? pin_memory=None, MemoryFormat? memory_format=None) -> Tensor` */
export function ones_like(self: Tensor, options?: { dtype?: Dtype | null | undefined; layout?: "strided" | null | undefined; device?: string | null | undefined; pin_memory?: boolean | null | undefined; memory_format?: MemoryFormat | null | undefined }): Tensor {
  return run(operators.ones_like, [self, options?.dtype, options?.layout, options?.device, options?.pin_memory, options?.memory_format]) as Tensor;
}

/** `aten::pad(Tensor self, SymInt[] pad, str mode="constant", float? value=None) -> Tensor` */
export function pad(self: Tensor, pad: readonly number[], mode?: string, value?: number | null): Tensor {
  return run(operators.pad, [self, pad, mode, value]) as Tensor;
}

/** `aten::permute(Tensor(a) self, int[] dims) -> Tensor(a)` */
export function permute(self: Tensor, dims: readonly number[]): Tensor {
  return run(operators.permute, [self, dims]) as Tensor;
}

/** `aten::pow.Tensor_Scalar(Tensor self, Scalar exponent) -> Tensor` */
export function pow(self: Tensor, exponent: number): Tensor {
  return run(operators.pow, [self, exponent]) as Tensor;
}

/** `aten::pow.Tensor_Tensor(Tensor self, Tensor exponent) -> Tensor` */
export function powTensor(self: Tensor, exponent: Tensor): Tensor {
  return run(operators.powTensor, [self, exponent]) as Tensor;
}

/** `aten::prod.dim_int(Tensor self, int dim, bool keepdim=False, *, ScalarType? dtype=None) -> Tensor` */
export function prod(self: Tensor, dim: number, keepdim?: boolean, options?: { dtype?: Dtype | null | undefined }): Tensor {
  return run(operators.prod, [self, dim, keepdim, options?.dtype]) as Tensor;
}

/** `aten::random_.from(Tensor(a!) self, int from, int? to, *, Generator? generator=None) -> Tensor(a!)` */
export function random_(self: Tensor, from: number, to?: number | null, options?: { generator?: Generator | null | undefined }): Tensor {
  return run(operators.random_, [self, from, to, options?.generator]) as Tensor;
}

/** `aten::randperm.generator(SymInt n, *, Generator? generator, ScalarType? dtype=4, Layout? layout=None, Device? device=None, bool? pin_memory=None) -> Tensor` */
export function randperm(n: number, options?: { generator?: Generator | null | undefined; dtype?: Dtype | null | undefined; layout?: "strided" | null | undefined; device?: string | null | undefined; pin_memory?: boolean | null | undefined }): Tensor {
  return run(operators.randperm, [n, options?.generator, options?.dtype, options?.layout, options?.device, options?.pin_memory]) as Tensor;
}

/** `aten::reciprocal(Tensor self) -> Tensor` */
export function reciprocal(self: Tensor): Tensor {
  return run(operators.reciprocal, [self]) as Tensor;
}

/** `aten::relu(Tensor self) -> Tensor` */
export function relu(self: Tensor): Tensor {
  return run(operators.relu, [self]) as Tensor;
}

/** `aten::relu_(Tensor(a!) self) -> Tensor(a!)` */
export function relu_(self: Tensor): Tensor {
  return run(operators.relu_, [self]) as Tensor;
}

/** `aten::remainder.Tensor(Tensor self, Tensor other) -> Tensor` */
export function remainder(self: Tensor, other: Tensor | number): Tensor {
  return run(operators.remainder, [self, other]) as Tensor;
}

/** `aten::repeat(Tensor self, SymInt[] repeats) -> Tensor` */
export function repeat(self: Tensor, repeats: readonly number[]): Tensor {
  return run(operators.repeat, [self, repeats]) as Tensor;
}

/** `aten::repeat_interleave.self_int(Tensor self, SymInt repeats, int? dim=None, *, SymInt? output_size=None) -> Tensor` */
export function repeat_interleave(self: Tensor, repeats: number, dim?: number | null, options?: { output_size?: number | null | undefined }): Tensor {
  return run(operators.repeat_interleave, [self, repeats, dim, options?.output_size]) as Tensor;
}

/** `aten::reshape(Tensor(a) self, SymInt[] shape) -> Tensor(a)` */
export function reshape(self: Tensor, shape: readonly number[]): Tensor {
  return run(operators.reshape, [self, shape]) as Tensor;
}

/** `aten::roll(Tensor self, SymInt[1] shifts, int[1] dims=[]) -> Tensor` */
export function roll(self: Tensor, shifts: number | readonly number[], dims?: number | readonly number[]): Tensor {
  return run(operators.roll, [self, shifts, dims]) as Tensor;
}

/** `aten::round(Tensor self) -> Tensor` */
export function round(self: Tensor): Tensor {
  return run(operators.round, [self]) as Tensor;
}

/** `aten::rsqrt(Tensor self) -> Tensor` */
export function rsqrt(self: Tensor): Tensor {
  return run(operators.rsqrt, [self]) as Tensor;
}

/** `aten::scaled_dot_product_attention(Tensor query, Tensor key, Tensor value, Tensor? attn_mask=None, float dropout_p=0., bool is_causal=False, *, float? scale=None, bool enable_gqa=False) -> Tensor` */
export function scaled_dot_product_attention(query: Tensor, key: Tensor, value: Tensor, attn_mask?: Tensor | null, dropout_p?: number, is_causal?: boolean, options?: { scale?: number | null | undefined; enable_gqa?: boolean | undefined }): Tensor {
  return run(operators.scaled_dot_product_attention, [query, key, value, attn_mask, dropout_p, is_causal, options?.scale, options?.enable_gqa]) as Tensor;
}

/** `aten::scatter.src(Tensor self, int dim, Tensor index, Tensor src) -> Tensor` */
export function scatter(self: Tensor, dim: number, index: Tensor, src: Tensor): Tensor {
  return run(operators.scatter, [self, dim, index, src]) as Tensor;
}

/** `aten::scatter.value(Tensor self, int dim, Tensor index, Scalar value) -> Tensor` */
export function scatterValue(self: Tensor, dim: number, index: Tensor, value: number): Tensor {
  return run(operators.scatterValue, [self, dim, index, value]) as Tensor;
}

/** `aten::scatter_add(Tensor self, int dim, Tensor index, Tensor src) -> Tensor` */
export function scatter_add(self: Tensor, dim: number, index: Tensor, src: Tensor): Tensor {
  return run(operators.scatter_add, [self, dim, index, src]) as Tensor;
}

/** `aten::select.int(Tensor(a) self, int dim, SymInt index) -> Tensor(a)` */
export function select(self: Tensor, dim: number, index: number): Tensor {
  return run(operators.select, [self, dim, index]) as Tensor;
}

/** `aten::selu(Tensor self) -> Tensor` */
export function selu(self: Tensor): Tensor {
  return run(operators.selu, [self]) as Tensor;
}

/** `aten::set_data(Tensor(a!) self, Tensor new_data) -> ()` */
export function set_data(self: Tensor, new_data: Tensor): void {
  run(operators.set_data, [self, new_data]);
}

/** `aten::sigmoid(Tensor self) -> Tensor` */
export function sigmoid(self: Tensor): Tensor {
  return run(operators.sigmoid, [self]) as Tensor;
}

/** `aten::sign(Tensor self) -> Tensor` */
export function sign(self: Tensor): Tensor {
  return run(operators.sign, [self]) as Tensor;
}

/** `aten::silu(Tensor self) -> Tensor` */
export function silu(self: Tensor): Tensor {
  return run(operators.silu, [self]) as Tensor;
}

/** `aten::sin(Tensor self) -> Tensor` */
export function sin(self: Tensor): Tensor {
  return run(operators.sin, [self]) as Tensor;
}

/** `aten::sinh(Tensor self) -> Tensor` */
export function sinh(self: Tensor): Tensor {
  return run(operators.sinh, [self]) as Tensor;
}

/** `aten::slice.Tensor(Tensor(a) self, int dim=0, SymInt? start=None, SymInt? end=None, SymInt step=1) -> Tensor(a)` */
export function slice(self: Tensor, dim?: number, start?: number | null, end?: number | null, step?: number): Tensor {
  return run(operators.slice, [self, dim, start, end, step]) as Tensor;
}

/** `aten::smooth_l1_loss(Tensor self, Tensor target, int reduction=1, float beta=1.) -> Tensor` */
export function smooth_l1_loss(self: Tensor, target: Tensor, reduction?: number, beta?: number): Tensor {
  return run(operators.smooth_l1_loss, [self, target, reduction, beta]) as Tensor;
}

/** `aten::softmax.int(Tensor self, int dim, ScalarType? dtype=None) -> Tensor` */
export function softmax(self: Tensor, dim: number, dtype?: Dtype | null): Tensor {
  return run(operators.softmax, [self, dim, dtype]) as Tensor;
}

/** `aten::softplus(Tensor self, Scalar beta=1, Scalar threshold=20) -> Tensor` */
export function softplus(self: Tensor, beta?: number, threshold?: number): Tensor {
  return run(operators.softplus, [self, beta, threshold]) as Tensor;
}

/** `aten::sort.stable(Tensor self, *, bool? stable, int dim=-1, bool descending=False) -> (Tensor values, Tensor indices)` */
export function sort(self: Tensor, options?: { stable?: boolean | null | undefined; dim?: number | undefined; descending?: boolean | undefined }): [Tensor, Tensor] {
  return run(operators.sort, [self, options?.stable, options?.dim, options?.descending]) as [Tensor, Tensor];
}

/** `aten::split.Tensor(Tensor(a -> *) self, SymInt split_size, int dim=0) -> Tensor(a)[]` */
export function split(self: Tensor, split_size: number, dim?: number): Tensor[] {
  return run(operators.split, [self, split_size, dim]) as Tensor[];
}

/** `aten::sqrt(Tensor self) -> Tensor` */
export function sqrt(self: Tensor): Tensor {
  return run(operators.sqrt, [self]) as Tensor;
}

/** `aten::square(Tensor self) -> Tensor` */
export function square(self: Tensor): Tensor {
  return run(operators.square, [self]) as Tensor;
}

/** `aten::squeeze.dim(Tensor(a) self, int dim) -> Tensor(a)` */
export function squeeze(self: Tensor, dim: number): Tensor {
  return run(operators.squeeze, [self, dim]) as Tensor;
}

/** `aten::squeeze(Tensor(a) self) -> Tensor(a)` */
export function squeezeAll(self: Tensor): Tensor {
  return run(operators.squeezeAll, [self]) as Tensor;
}

/** `aten::stack(Tensor[] tensors, int dim=0) -> Tensor` */
export function stack(tensors: readonly Tensor[], dim?: number): Tensor {
  return run(operators.stack, [tensors, dim]) as Tensor;
}

/** `aten::sub.Tensor(Tensor self, Tensor other, *, Scalar alpha=1) -> Tensor` */
export function sub(self: Tensor, other: Tensor | number, options?: { alpha?: number | undefined }): Tensor {
  return run(operators.sub, [self, other, options?.alpha]) as Tensor;
}

/** `aten::sub_.Tensor(Tensor(a!) self, Tensor other, *, Scalar alpha=1) -> Tensor(a!)` */
export function sub_(self: Tensor, other: Tensor | number, options?: { alpha?: number | undefined }): Tensor {
  return run(operators.sub_, [self, other, options?.alpha]) as Tensor;
}

/** `aten::sum.dim_IntList(Tensor self, int[1]? dim, bool keepdim=False, *, ScalarType? dtype=None) -> Tensor` */
export function sum(self: Tensor, dim?: number | readonly number[] | null, keepdim?: boolean, options?: { dtype?: Dtype | null | undefined }): Tensor {
  return run(operators.sum, [self, dim, keepdim, options?.dtype]) as Tensor;
}

/** `aten::tan(Tensor self) -> Tensor` */
export function tan(self: Tensor): Tensor {
  return run(operators.tan, [self]) as Tensor;
}

/** `aten::tanh(Tensor self) -> Tensor` */
export function tanh(self: Tensor): Tensor {
  return run(operators.tanh, [self]) as Tensor;
}

/** `aten::to.dtype_layout(Tensor(a) self, *, ScalarType? dtype=None, Layout? layout=None, Device? device=None, bool? pin_memory=None, bool non_blocking=False, bool copy=False, MemoryFormat? memory_format=None) -> Tensor(a)` */
export function to(self: Tensor, options?: { dtype?: Dtype | null | undefined; layout?: "strided" | null | undefined; device?: string | null | undefined; pin_memory?: boolean | null | undefined; non_blocking?: boolean | undefined; copy?: boolean | undefined; memory_format?: MemoryFormat | null | undefined }): Tensor {
  return run(operators.to, [self, options?.dtype, options?.layout, options?.device, options?.pin_memory, options?.non_blocking, options?.copy, options?.memory_format]) as Tensor;
}

/** `aten::topk(Tensor self, SymInt k, int dim=-1, bool largest=True, bool sorted=True) -> (Tensor values, Tensor indices)` */
export function topk(self: Tensor, k: number, dim?: number, largest?: boolean, sorted?: boolean): [Tensor, Tensor] {
  return run(operators.topk, [self, k, dim, largest, sorted]) as [Tensor, Tensor];
}

/** `aten::transpose.int(Tensor(a) self, int dim0, int dim1) -> Tensor(a)` */
export function transpose(self: Tensor, dim0: number, dim1: number): Tensor {
  return run(operators.transpose, [self, dim0, dim1]) as Tensor;
}

/** `aten::tril(Tensor self, SymInt diagonal=0) -> Tensor` */
export function tril(self: Tensor, diagonal?: number): Tensor {
  return run(operators.tril, [self, diagonal]) as Tensor;
}

/** `aten::triu(Tensor self, SymInt diagonal=0) -> Tensor` */
export function triu(self: Tensor, diagonal?: number): Tensor {
  return run(operators.triu, [self, diagonal]) as Tensor;
}

/** `aten::unbind.int(Tensor(a -> *) self, int dim=0) -> Tensor(a)[]` */
export function unbind(self: Tensor, dim?: number): Tensor[] {
  return run(operators.unbind, [self, dim]) as Tensor[];
}

/** `aten::uniform_(Tensor(a!) self, float from=0., float to=1., *, Generator? generator=None) -> Tensor(a!)` */
export function uniform_(self: Tensor, from?: number, to?: number, options?: { generator?: Generator | null | undefined }): Tensor {
  return run(operators.uniform_, [self, from, to, options?.generator]) as Tensor;
}

/** `aten::unsqueeze(Tensor(a) self, int dim) -> Tensor(a)` */
export function unsqueeze(self: Tensor, dim: number): Tensor {
  return run(operators.unsqueeze, [self, dim]) as Tensor;
}

/** `aten::upsample_bicubic2d(Tensor self, SymInt[2] output_size, bool align_corners, float? scales_h=None, float? scales_w=None) -> Tensor` */
export function upsample_bicubic2d(self: Tensor, output_size: number | readonly number[], align_corners: boolean, scales_h?: number | null, scales_w?: number | null): Tensor {
  return run(operators.upsample_bicubic2d, [self, output_size, align_corners, scales_h, scales_w]) as Tensor;
}

/** `aten::upsample_bilinear2d(Tensor self, SymInt[2] output_size, bool align_corners, float? scales_h=None, float? scales_w=None) -> Tensor` */
export function upsample_bilinear2d(self: Tensor, output_size: number | readonly number[], align_corners: boolean, scales_h?: number | null, scales_w?: number | null): Tensor {
  return run(operators.upsample_bilinear2d, [self, output_size, align_corners, scales_h, scales_w]) as Tensor;
}

/** `aten::upsample_nearest2d(Tensor self, SymInt[2] output_size, float? scales_h=None, float? scales_w=None) -> Tensor` */
export function upsample_nearest2d(self: Tensor, output_size: number | readonly number[], scales_h?: number | null, scales_w?: number | null): Tensor {
  return run(operators.upsample_nearest2d, [self, output_size, scales_h, scales_w]) as Tensor;
}

/** `aten::var.correction(Tensor self, int[1]? dim=None, *, Scalar? correction=None, bool keepdim=False) -> Tensor` */
export function var_(self: Tensor, dim?: number | readonly number[] | null, options?: { correction?: number | null | undefined; keepdim?: boolean | undefined }): Tensor {
  return run(operators.var_, [self, dim, options?.correction, options?.keepdim]) as Tensor;
}

/** `aten::view(Tensor(a) self, SymInt[] size) -> Tensor(a)` */
export function view(self: Tensor, size: readonly number[]): Tensor {
  return run(operators.view, [self, size]) as Tensor;
}

/** `aten::view.dtype(Tensor(a) self, ScalarType dtype) -> Tensor(a)` */
export function viewDtype(self: Tensor, dtype: Dtype): Tensor {
  return run(operators.viewDtype, [self, dtype]) as Tensor;
}

/** `aten::where.self(Tensor condition, Tensor self, Tensor other) -> Tensor` */
export function where(condition: Tensor, self: Tensor, other: Tensor | number): Tensor {
  return run(operators.where, [condition, self, other]) as Tensor;
}

/** `aten::zero_(Tensor(a!) self) -> Tensor(a!)` */
export function zero_(self: Tensor): Tensor {
  return run(operators.zero_, [self]) as Tensor;
}

/** `aten::zeros(SymInt[] size, *, ScalarType? dtype=None, Layout? layout=None, Device? device=None, bool? pin_memory=None) -> Tensor` */
export function zeros(size: readonly number[], options?: { dtype?: Dtype | null | undefined; layout?: "strided" | null | undefined; device?: string | null | undefined; pin_memory?: boolean | null | undefined }): Tensor {
  return run(operators.zeros, [size, options?.dtype, options?.layout, options?.device, options?.pin_memory]) as Tensor;
}

/** `aten::zeros_like(Tensor self, *, ScalarType? dtype=None, Layout? layout=None, Device? device=None, bool? pin_memory=None, MemoryFormat? memory_format=None) -> Tensor` */
export function zeros_like(self: Tensor, options?: { dtype?: Dtype | null | undefined; layout?: "strided" | null | undefined; device?: string | null | undefined; pin_memory?: boolean | null | undefined; memory_format?: MemoryFormat | null | undefined }): Tensor {
  return run(operators.zeros_like, [self, options?.dtype, options?.layout, options?.device, options?.pin_memory, options?.memory_format]) as Tensor;
}
