// Written by scripts/generate-ops.ts from ops.list.json and the loaded library's schemas. Do not edit.
import { operator, run } from "./call.ts";
import type { Generator } from "./generator.ts";
import type { Dtype, MemoryFormat } from "./native.ts";
import type { Owned } from "./scope.ts";

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
  convolution_pointwise: operator("mkldnn::_convolution_pointwise"),
  convolution_pointwise_binary_: operator("mkldnn::_convolution_pointwise_.binary"),
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
  reorder_convolution_weight: operator("mkldnn::_reorder_convolution_weight"),
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

/** Typed functions of the listed operators; the class of tensors is a parameter, because its methods call them. */
export interface Operators<Tensor extends Owned> {
  /** `aten::_foreach_add_.List(Tensor(a!)[] self, Tensor[] other, *, Scalar alpha=1) -> ()` */
  _foreach_add_(self: readonly Tensor[], other: readonly Tensor[], options?: { alpha?: number | undefined }): void;
  /** `aten::_foreach_copy_(Tensor(a!)[] self, Tensor[] src, bool non_blocking=False) -> ()` */
  _foreach_copy_(self: readonly Tensor[], src: readonly Tensor[], non_blocking?: boolean): void;
  /** `aten::_foreach_lerp_.Scalar(Tensor(a!)[] self, Tensor[] tensors1, Scalar weight) -> ()` */
  _foreach_lerp_(self: readonly Tensor[], tensors1: readonly Tensor[], weight: number): void;
  /** `aten::_foreach_mul_.Scalar(Tensor(a!)[] self, Scalar scalar) -> ()` */
  _foreach_mul_(self: readonly Tensor[], scalar: number): void;
  /** `aten::_foreach_mul_.Tensor(Tensor(a!)[] self, Tensor other) -> ()` */
  _foreach_mul_tensor_(self: readonly Tensor[], other: Tensor | number): void;
  /** `aten::_foreach_norm.Scalar(Tensor[] self, Scalar ord=2, ScalarType? dtype=None) -> Tensor[]` */
  _foreach_norm(self: readonly Tensor[], ord?: number, dtype?: Dtype | null): Tensor[];
  /** `aten::_foreach_zero_(Tensor(a!)[] self) -> ()` */
  _foreach_zero_(self: readonly Tensor[]): void;
  /** `aten::_fused_adamw_(Tensor(a!)[] self, Tensor(b!)[] grads, Tensor(c!)[] exp_avgs, Tensor(d!)[] exp_avg_sqs, Tensor(e!)[] max_exp_avg_sqs, Tensor[] state_steps, *, float lr, float beta1, float beta2, float weight_decay, float eps, bool amsgrad, bool maximize, Tensor? grad_scale=None, Tensor? found_inf=None) -> ()` */
  _fused_adamw_(self: readonly Tensor[], grads: readonly Tensor[], exp_avgs: readonly Tensor[], exp_avg_sqs: readonly Tensor[], max_exp_avg_sqs: readonly Tensor[], state_steps: readonly Tensor[], options: { lr: number; beta1: number; beta2: number; weight_decay: number; eps: number; amsgrad: boolean; maximize: boolean; grad_scale?: Tensor | null | undefined; found_inf?: Tensor | null | undefined }): void;
  /** `aten::_fused_sgd_(Tensor(a!)[] self, Tensor(b!)[] grads, Tensor(c!)[] momentum_buffer_list, *, float weight_decay, float momentum, float lr, float dampening, bool nesterov, bool maximize, bool is_first_step, Tensor? grad_scale=None, Tensor? found_inf=None) -> ()` */
  _fused_sgd_(self: readonly Tensor[], grads: readonly Tensor[], momentum_buffer_list: readonly Tensor[], options: { weight_decay: number; momentum: number; lr: number; dampening: number; nesterov: boolean; maximize: boolean; is_first_step: boolean; grad_scale?: Tensor | null | undefined; found_inf?: Tensor | null | undefined }): void;
  /** `aten::_upsample_bicubic2d_aa(Tensor self, SymInt[2] output_size, bool align_corners, float? scales_h=None, float? scales_w=None) -> Tensor` */
  _upsample_bicubic2d_aa(self: Tensor, output_size: number | readonly number[], align_corners: boolean, scales_h?: number | null, scales_w?: number | null): Tensor;
  /** `aten::_upsample_bilinear2d_aa(Tensor self, SymInt[2] output_size, bool align_corners, float? scales_h=None, float? scales_w=None) -> Tensor` */
  _upsample_bilinear2d_aa(self: Tensor, output_size: number | readonly number[], align_corners: boolean, scales_h?: number | null, scales_w?: number | null): Tensor;
  /** `aten::abs(Tensor self) -> Tensor` */
  abs(self: Tensor): Tensor;
  /** `aten::acos(Tensor self) -> Tensor` */
  acos(self: Tensor): Tensor;
  /** `aten::acosh(Tensor self) -> Tensor` */
  acosh(self: Tensor): Tensor;
  /** `aten::adaptive_avg_pool2d(Tensor self, SymInt[2] output_size) -> Tensor` */
  adaptive_avg_pool2d(self: Tensor, output_size: number | readonly number[]): Tensor;
  /** `aten::add.Tensor(Tensor self, Tensor other, *, Scalar alpha=1) -> Tensor` */
  add(self: Tensor, other: Tensor | number, options?: { alpha?: number | undefined }): Tensor;
  /** `aten::add_.Tensor(Tensor(a!) self, Tensor other, *, Scalar alpha=1) -> Tensor(a!)` */
  add_(self: Tensor, other: Tensor | number, options?: { alpha?: number | undefined }): Tensor;
  /** `aten::addcdiv(Tensor self, Tensor tensor1, Tensor tensor2, *, Scalar value=1) -> Tensor` */
  addcdiv(self: Tensor, tensor1: Tensor, tensor2: Tensor, options?: { value?: number | undefined }): Tensor;
  /** `aten::addcmul(Tensor self, Tensor tensor1, Tensor tensor2, *, Scalar value=1) -> Tensor` */
  addcmul(self: Tensor, tensor1: Tensor, tensor2: Tensor, options?: { value?: number | undefined }): Tensor;
  /** `aten::addcmul_(Tensor(a!) self, Tensor tensor1, Tensor tensor2, *, Scalar value=1) -> Tensor(a!)` */
  addcmul_(self: Tensor, tensor1: Tensor, tensor2: Tensor, options?: { value?: number | undefined }): Tensor;
  /** `aten::addmm(Tensor self, Tensor mat1, Tensor mat2, *, Scalar beta=1, Scalar alpha=1) -> Tensor` */
  addmm(self: Tensor, mat1: Tensor, mat2: Tensor, options?: { beta?: number | undefined; alpha?: number | undefined }): Tensor;
  /** `aten::affine_grid_generator(Tensor theta, SymInt[] size, bool align_corners) -> Tensor` */
  affine_grid_generator(theta: Tensor, size: readonly number[], align_corners: boolean): Tensor;
  /** `aten::alias(Tensor(a) self) -> Tensor(a)` */
  alias(self: Tensor): Tensor;
  /** `aten::all(Tensor self) -> Tensor` */
  all(self: Tensor): Tensor;
  /** `aten::amax(Tensor self, int[1] dim=[], bool keepdim=False) -> Tensor` */
  amax(self: Tensor, dim?: number | readonly number[], keepdim?: boolean): Tensor;
  /** `aten::amin(Tensor self, int[1] dim=[], bool keepdim=False) -> Tensor` */
  amin(self: Tensor, dim?: number | readonly number[], keepdim?: boolean): Tensor;
  /** `aten::any(Tensor self) -> Tensor` */
  any(self: Tensor): Tensor;
  /** `aten::arange.start_step(Scalar start, Scalar end, Scalar step=1, *, ScalarType? dtype=None, Layout? layout=None, Device? device=None, bool? pin_memory=None) -> Tensor` */
  arange(start: number, end: number, step?: number, options?: { dtype?: Dtype | null | undefined; layout?: "strided" | null | undefined; device?: string | null | undefined; pin_memory?: boolean | null | undefined }): Tensor;
  /** `aten::argmax(Tensor self, int? dim=None, bool keepdim=False) -> Tensor` */
  argmax(self: Tensor, dim?: number | null, keepdim?: boolean): Tensor;
  /** `aten::argmin(Tensor self, int? dim=None, bool keepdim=False) -> Tensor` */
  argmin(self: Tensor, dim?: number | null, keepdim?: boolean): Tensor;
  /** `aten::argsort.stable(Tensor self, *, bool stable, int dim=-1, bool descending=False) -> Tensor` */
  argsort(self: Tensor, options: { stable: boolean; dim?: number | undefined; descending?: boolean | undefined }): Tensor;
  /** `aten::as_strided(Tensor(a) self, SymInt[] size, SymInt[] stride, SymInt? storage_offset=None) -> Tensor(a)` */
  as_strided(self: Tensor, size: readonly number[], stride: readonly number[], storage_offset?: number | null): Tensor;
  /** `aten::asin(Tensor self) -> Tensor` */
  asin(self: Tensor): Tensor;
  /** `aten::asinh(Tensor self) -> Tensor` */
  asinh(self: Tensor): Tensor;
  /** `aten::atan(Tensor self) -> Tensor` */
  atan(self: Tensor): Tensor;
  /** `aten::atan2(Tensor self, Tensor other) -> Tensor` */
  atan2(self: Tensor, other: Tensor | number): Tensor;
  /** `aten::atanh(Tensor self) -> Tensor` */
  atanh(self: Tensor): Tensor;
  /** `aten::avg_pool2d(Tensor self, int[2] kernel_size, int[2] stride=[], int[2] padding=0, bool ceil_mode=False, bool count_include_pad=True, int? divisor_override=None) -> Tensor` */
  avg_pool2d(self: Tensor, kernel_size: number | readonly number[], stride?: number | readonly number[], padding?: number | readonly number[], ceil_mode?: boolean, count_include_pad?: boolean, divisor_override?: number | null): Tensor;
  /** `aten::batch_norm(Tensor input, Tensor? weight, Tensor? bias, Tensor? running_mean, Tensor? running_var, bool training, float momentum, float eps, bool cudnn_enabled) -> Tensor` */
  batch_norm(input: Tensor, weight: Tensor | null | undefined, bias: Tensor | null | undefined, running_mean: Tensor | null | undefined, running_var: Tensor | null | undefined, training: boolean, momentum: number, eps: number, cudnn_enabled: boolean): Tensor;
  /** `aten::bernoulli_.float(Tensor(a!) self, float p=0.5, *, Generator? generator=None) -> Tensor(a!)` */
  bernoulli_(self: Tensor, p?: number, options?: { generator?: Generator | null | undefined }): Tensor;
  /** `aten::bernoulli(Tensor self, *, Generator? generator=None) -> Tensor` */
  bernoulli_from(self: Tensor, options?: { generator?: Generator | null | undefined }): Tensor;
  /** `aten::binary_cross_entropy_with_logits(Tensor self, Tensor target, Tensor? weight=None, Tensor? pos_weight=None, int reduction=1) -> Tensor` */
  binary_cross_entropy_with_logits(self: Tensor, target: Tensor, weight?: Tensor | null, pos_weight?: Tensor | null, reduction?: number): Tensor;
  /** `aten::bincount(Tensor self, Tensor? weights=None, SymInt minlength=0) -> Tensor` */
  bincount(self: Tensor, weights?: Tensor | null, minlength?: number): Tensor;
  /** `aten::bmm(Tensor self, Tensor mat2) -> Tensor` */
  bmm(self: Tensor, mat2: Tensor): Tensor;
  /** `aten::cat(Tensor[] tensors, int dim=0) -> Tensor` */
  cat(tensors: readonly Tensor[], dim?: number): Tensor;
  /** `aten::ceil(Tensor self) -> Tensor` */
  ceil(self: Tensor): Tensor;
  /** `aten::chunk(Tensor(a -> *) self, int chunks, int dim=0) -> Tensor(a)[]` */
  chunk(self: Tensor, chunks: number, dim?: number): Tensor[];
  /** `aten::clamp(Tensor self, Scalar? min=None, Scalar? max=None) -> Tensor` */
  clamp(self: Tensor, min?: number | null, max?: number | null): Tensor;
  /** `aten::clamp_(Tensor(a!) self, Scalar? min=None, Scalar? max=None) -> Tensor(a!)` */
  clamp_(self: Tensor, min?: number | null, max?: number | null): Tensor;
  /** `aten::clone(Tensor self, *, MemoryFormat? memory_format=None) -> Tensor` */
  clone(self: Tensor, options?: { memory_format?: MemoryFormat | null | undefined }): Tensor;
  /** `aten::constant_pad_nd(Tensor self, SymInt[] pad, Scalar value=0) -> Tensor` */
  constant_pad_nd(self: Tensor, pad: readonly number[], value?: number): Tensor;
  /** `aten::contiguous(Tensor(a) self, *, MemoryFormat memory_format=0) -> Tensor(a)` */
  contiguous(self: Tensor, options?: { memory_format?: MemoryFormat | undefined }): Tensor;
  /** `aten::conv1d(Tensor input, Tensor weight, Tensor? bias=None, SymInt[1] stride=[1], SymInt[1] padding=[0], SymInt[1] dilation=[1], SymInt groups=1) -> Tensor` */
  conv1d(input: Tensor, weight: Tensor, bias?: Tensor | null, stride?: number | readonly number[], padding?: number | readonly number[], dilation?: number | readonly number[], groups?: number): Tensor;
  /** `aten::conv2d(Tensor input, Tensor weight, Tensor? bias=None, SymInt[2] stride=[1, 1], SymInt[2] padding=[0, 0], SymInt[2] dilation=[1, 1], SymInt groups=1) -> Tensor` */
  conv2d(input: Tensor, weight: Tensor, bias?: Tensor | null, stride?: number | readonly number[], padding?: number | readonly number[], dilation?: number | readonly number[], groups?: number): Tensor;
  /** `aten::conv2d.padding(Tensor input, Tensor weight, Tensor? bias=None, SymInt[2] stride=[1, 1], str padding="valid", SymInt[2] dilation=[1, 1], SymInt groups=1) -> Tensor` */
  conv2dPadding(input: Tensor, weight: Tensor, bias?: Tensor | null, stride?: number | readonly number[], padding?: string, dilation?: number | readonly number[], groups?: number): Tensor;
  /** `aten::conv3d(Tensor input, Tensor weight, Tensor? bias=None, SymInt[3] stride=[1, 1, 1], SymInt[3] padding=[0, 0, 0], SymInt[3] dilation=[1, 1, 1], SymInt groups=1) -> Tensor` */
  conv3d(input: Tensor, weight: Tensor, bias?: Tensor | null, stride?: number | readonly number[], padding?: number | readonly number[], dilation?: number | readonly number[], groups?: number): Tensor;
  /** `aten::conv_transpose1d(Tensor input, Tensor weight, Tensor? bias=None, SymInt[1] stride=[1], SymInt[1] padding=[0], SymInt[1] output_padding=[0], SymInt groups=1, SymInt[1] dilation=[1]) -> Tensor` */
  conv_transpose1d(input: Tensor, weight: Tensor, bias?: Tensor | null, stride?: number | readonly number[], padding?: number | readonly number[], output_padding?: number | readonly number[], groups?: number, dilation?: number | readonly number[]): Tensor;
  /** `aten::conv_transpose2d.input(Tensor input, Tensor weight, Tensor? bias=None, SymInt[2] stride=[1, 1], SymInt[2] padding=[0, 0], SymInt[2] output_padding=[0, 0], SymInt groups=1, SymInt[2] dilation=[1, 1]) -> Tensor` */
  conv_transpose2d(input: Tensor, weight: Tensor, bias?: Tensor | null, stride?: number | readonly number[], padding?: number | readonly number[], output_padding?: number | readonly number[], groups?: number, dilation?: number | readonly number[]): Tensor;
  /** `aten::conv_transpose3d.input(Tensor input, Tensor weight, Tensor? bias=None, SymInt[3] stride=[1, 1, 1], SymInt[3] padding=[0, 0, 0], SymInt[3] output_padding=[0, 0, 0], SymInt groups=1, SymInt[3] dilation=[1, 1, 1]) -> Tensor` */
  conv_transpose3d(input: Tensor, weight: Tensor, bias?: Tensor | null, stride?: number | readonly number[], padding?: number | readonly number[], output_padding?: number | readonly number[], groups?: number, dilation?: number | readonly number[]): Tensor;
  /** `aten::convolution(Tensor input, Tensor weight, Tensor? bias, SymInt[] stride, SymInt[] padding, SymInt[] dilation, bool transposed, SymInt[] output_padding, SymInt groups) -> Tensor` */
  convolution(input: Tensor, weight: Tensor, bias: Tensor | null | undefined, stride: readonly number[], padding: readonly number[], dilation: readonly number[], transposed: boolean, output_padding: readonly number[], groups: number): Tensor;
  /** `mkldnn::_convolution_pointwise(Tensor X, Tensor W, Tensor? B, int[] padding, int[] stride, int[] dilation, int groups, str attr, Scalar?[] scalars, str? algorithm) -> Tensor Y` */
  convolution_pointwise(X: Tensor, W: Tensor, B: Tensor | null | undefined, padding: readonly number[], stride: readonly number[], dilation: readonly number[], groups: number, attr: string, scalars: readonly (number | null)[], algorithm?: string | null): Tensor;
  /** `mkldnn::_convolution_pointwise_.binary(Tensor(a!) other, Tensor X, Tensor W, Tensor? B, int[] padding, int[] stride, int[] dilation, int groups, str binary_attr, Scalar? alpha, str? unary_attr, Scalar?[] unary_scalars, str? unary_algorithm) -> Tensor(a!) Y` */
  convolution_pointwise_binary_(other: Tensor | number, X: Tensor, W: Tensor, B: Tensor | null | undefined, padding: readonly number[], stride: readonly number[], dilation: readonly number[], groups: number, binary_attr: string, alpha: number | null | undefined, unary_attr: string | null | undefined, unary_scalars: readonly (number | null)[], unary_algorithm?: string | null): Tensor;
  /** `aten::copy_(Tensor(a!) self, Tensor src, bool non_blocking=False) -> Tensor(a!)` */
  copy_(self: Tensor, src: Tensor, non_blocking?: boolean): Tensor;
  /** `aten::cos(Tensor self) -> Tensor` */
  cos(self: Tensor): Tensor;
  /** `aten::cosh(Tensor self) -> Tensor` */
  cosh(self: Tensor): Tensor;
  /** `aten::cross_entropy_loss(Tensor self, Tensor target, Tensor? weight=None, int reduction=1, SymInt ignore_index=-100, float label_smoothing=0.) -> Tensor` */
  cross_entropy_loss(self: Tensor, target: Tensor, weight?: Tensor | null, reduction?: number, ignore_index?: number, label_smoothing?: number): Tensor;
  /** `aten::cumsum(Tensor self, int dim, *, ScalarType? dtype=None) -> Tensor` */
  cumsum(self: Tensor, dim: number, options?: { dtype?: Dtype | null | undefined }): Tensor;
  /** `aten::detach(Tensor(a) self) -> Tensor(a)` */
  detach(self: Tensor): Tensor;
  /** `aten::diagonal(Tensor(a) self, int offset=0, int dim1=0, int dim2=1) -> Tensor(a)` */
  diagonal(self: Tensor, offset?: number, dim1?: number, dim2?: number): Tensor;
  /** `aten::div.Tensor(Tensor self, Tensor other) -> Tensor` */
  div(self: Tensor, other: Tensor | number): Tensor;
  /** `aten::div.Tensor_mode(Tensor self, Tensor other, *, str? rounding_mode) -> Tensor` */
  divMode(self: Tensor, other: Tensor | number, options?: { rounding_mode?: string | null | undefined }): Tensor;
  /** `aten::div_.Tensor(Tensor(a!) self, Tensor other) -> Tensor(a!)` */
  div_(self: Tensor, other: Tensor | number): Tensor;
  /** `aten::einsum(str equation, Tensor[] tensors, *, int[]? path=None) -> Tensor` */
  einsum(equation: string, tensors: readonly Tensor[], options?: { path?: readonly number[] | null | undefined }): Tensor;
  /** `aten::elu(Tensor self, Scalar alpha=1, Scalar scale=1, Scalar input_scale=1) -> Tensor` */
  elu(self: Tensor, alpha?: number, scale?: number, input_scale?: number): Tensor;
  /** `aten::embedding(Tensor weight, Tensor indices, SymInt padding_idx=-1, bool scale_grad_by_freq=False, bool sparse=False) -> Tensor` */
  embedding(weight: Tensor, indices: Tensor, padding_idx?: number, scale_grad_by_freq?: boolean, sparse?: boolean): Tensor;
  /** `aten::empty.memory_format(SymInt[] size, *, ScalarType? dtype=None, Layout? layout=None, Device? device=None, bool? pin_memory=None, MemoryFormat? memory_format=None) -> Tensor` */
  empty(size: readonly number[], options?: { dtype?: Dtype | null | undefined; layout?: "strided" | null | undefined; device?: string | null | undefined; pin_memory?: boolean | null | undefined; memory_format?: MemoryFormat | null | undefined }): Tensor;
  /** `aten::empty_like(Tensor self, *, ScalarType? dtype=None, Layout? layout=None, Device? device=None, bool? pin_memory=None, MemoryFormat? memory_format=None) -> Tensor` */
  empty_like(self: Tensor, options?: { dtype?: Dtype | null | undefined; layout?: "strided" | null | undefined; device?: string | null | undefined; pin_memory?: boolean | null | undefined; memory_format?: MemoryFormat | null | undefined }): Tensor;
  /** `aten::eq.Tensor(Tensor self, Tensor other) -> Tensor` */
  eq(self: Tensor, other: Tensor | number): Tensor;
  /** `aten::erf(Tensor self) -> Tensor` */
  erf(self: Tensor): Tensor;
  /** `aten::exp(Tensor self) -> Tensor` */
  exp(self: Tensor): Tensor;
  /** `aten::expand(Tensor(a) self, SymInt[] size, *, bool implicit=False) -> Tensor(a)` */
  expand(self: Tensor, size: readonly number[], options?: { implicit?: boolean | undefined }): Tensor;
  /** `aten::expm1(Tensor self) -> Tensor` */
  expm1(self: Tensor): Tensor;
  /** `aten::exponential_(Tensor(a!) self, float lambd=1., *, Generator? generator=None) -> Tensor(a!)` */
  exponential_(self: Tensor, lambd?: number, options?: { generator?: Generator | null | undefined }): Tensor;
  /** `aten::eye(SymInt n, *, ScalarType? dtype=None, Layout? layout=None, Device? device=None, bool? pin_memory=None) -> Tensor` */
  eye(n: number, options?: { dtype?: Dtype | null | undefined; layout?: "strided" | null | undefined; device?: string | null | undefined; pin_memory?: boolean | null | undefined }): Tensor;
  /** `aten::fill_.Scalar(Tensor(a!) self, Scalar value) -> Tensor(a!)` */
  fill_(self: Tensor, value: number): Tensor;
  /** `aten::flatten.using_ints(Tensor(a) self, int start_dim=0, int end_dim=-1) -> Tensor(a)` */
  flatten(self: Tensor, start_dim?: number, end_dim?: number): Tensor;
  /** `aten::flip(Tensor self, int[] dims) -> Tensor` */
  flip(self: Tensor, dims: readonly number[]): Tensor;
  /** `aten::floor(Tensor self) -> Tensor` */
  floor(self: Tensor): Tensor;
  /** `aten::fmod.Tensor(Tensor self, Tensor other) -> Tensor` */
  fmod(self: Tensor, other: Tensor | number): Tensor;
  /** `aten::from_file(str filename, bool? shared=None, int? size=0, *, ScalarType? dtype=None, Layout? layout=None, Device? device=None, bool? pin_memory=None) -> Tensor` */
  from_file(filename: string, shared?: boolean | null, size?: number | null, options?: { dtype?: Dtype | null | undefined; layout?: "strided" | null | undefined; device?: string | null | undefined; pin_memory?: boolean | null | undefined }): Tensor;
  /** `aten::full(SymInt[] size, Scalar fill_value, *, ScalarType? dtype=None, Layout? layout=None, Device? device=None, bool? pin_memory=None) -> Tensor` */
  full(size: readonly number[], fill_value: number, options?: { dtype?: Dtype | null | undefined; layout?: "strided" | null | undefined; device?: string | null | undefined; pin_memory?: boolean | null | undefined }): Tensor;
  /** `aten::full_like(Tensor self, Scalar fill_value, *, ScalarType? dtype=None, Layout? layout=None, Device? device=None, bool? pin_memory=None, MemoryFormat? memory_format=None) -> Tensor` */
  full_like(self: Tensor, fill_value: number, options?: { dtype?: Dtype | null | undefined; layout?: "strided" | null | undefined; device?: string | null | undefined; pin_memory?: boolean | null | undefined; memory_format?: MemoryFormat | null | undefined }): Tensor;
  /** `aten::gather(Tensor self, int dim, Tensor index, *, bool sparse_grad=False) -> Tensor` */
  gather(self: Tensor, dim: number, index: Tensor, options?: { sparse_grad?: boolean | undefined }): Tensor;
  /** `aten::ge.Tensor(Tensor self, Tensor other) -> Tensor` */
  ge(self: Tensor, other: Tensor | number): Tensor;
  /** `aten::gelu(Tensor self, *, str approximate="none") -> Tensor` */
  gelu(self: Tensor, options?: { approximate?: string | undefined }): Tensor;
  /** `aten::grid_sampler(Tensor input, Tensor grid, int interpolation_mode, int padding_mode, bool align_corners) -> Tensor` */
  grid_sampler(input: Tensor, grid: Tensor, interpolation_mode: number, padding_mode: number, align_corners: boolean): Tensor;
  /** `aten::group_norm(Tensor input, int num_groups, Tensor? weight=None, Tensor? bias=None, float eps=1.0000000000000001e-05, bool cudnn_enabled=True) -> Tensor` */
  group_norm(input: Tensor, num_groups: number, weight?: Tensor | null, bias?: Tensor | null, eps?: number, cudnn_enabled?: boolean): Tensor;
  /** `aten::gt.Tensor(Tensor self, Tensor other) -> Tensor` */
  gt(self: Tensor, other: Tensor | number): Tensor;
  /** `aten::hardsigmoid(Tensor self) -> Tensor` */
  hardsigmoid(self: Tensor): Tensor;
  /** `aten::hardswish(Tensor self) -> Tensor` */
  hardswish(self: Tensor): Tensor;
  /** `aten::hardtanh(Tensor self, Scalar min_val=-1, Scalar max_val=1) -> Tensor` */
  hardtanh(self: Tensor, min_val?: number, max_val?: number): Tensor;
  /** `aten::hardtanh_(Tensor(a!) self, Scalar min_val=-1, Scalar max_val=1) -> Tensor(a!)` */
  hardtanh_(self: Tensor, min_val?: number, max_val?: number): Tensor;
  /** `aten::index.Tensor(Tensor self, Tensor?[] indices) -> Tensor` */
  index(self: Tensor, indices: readonly (Tensor | null)[]): Tensor;
  /** `aten::index_add(Tensor self, int dim, Tensor index, Tensor source, *, Scalar alpha=1) -> Tensor` */
  index_add(self: Tensor, dim: number, index: Tensor, source: Tensor, options?: { alpha?: number | undefined }): Tensor;
  /** `aten::index_add_(Tensor(a!) self, int dim, Tensor index, Tensor source, *, Scalar alpha=1) -> Tensor(a!)` */
  index_add_(self: Tensor, dim: number, index: Tensor, source: Tensor, options?: { alpha?: number | undefined }): Tensor;
  /** `aten::index_copy_(Tensor(a!) self, int dim, Tensor index, Tensor source) -> Tensor(a!)` */
  index_copy_(self: Tensor, dim: number, index: Tensor, source: Tensor): Tensor;
  /** `aten::index_put(Tensor self, Tensor?[] indices, Tensor values, bool accumulate=False) -> Tensor` */
  index_put(self: Tensor, indices: readonly (Tensor | null)[], values: Tensor, accumulate?: boolean): Tensor;
  /** `aten::index_select(Tensor self, int dim, Tensor index) -> Tensor` */
  index_select(self: Tensor, dim: number, index: Tensor): Tensor;
  /** `aten::isfinite(Tensor self) -> Tensor` */
  isfinite(self: Tensor): Tensor;
  /** `aten::isinf(Tensor self) -> Tensor` */
  isinf(self: Tensor): Tensor;
  /** `aten::isnan(Tensor self) -> Tensor` */
  isnan(self: Tensor): Tensor;
  /** `aten::kl_div(Tensor self, Tensor target, int reduction=1, *, bool log_target=False) -> Tensor` */
  kl_div(self: Tensor, target: Tensor, reduction?: number, options?: { log_target?: boolean | undefined }): Tensor;
  /** `aten::layer_norm(Tensor input, SymInt[] normalized_shape, Tensor? weight=None, Tensor? bias=None, float eps=1.0000000000000001e-05, bool cudnn_enable=True) -> Tensor` */
  layer_norm(input: Tensor, normalized_shape: readonly number[], weight?: Tensor | null, bias?: Tensor | null, eps?: number, cudnn_enable?: boolean): Tensor;
  /** `aten::le.Tensor(Tensor self, Tensor other) -> Tensor` */
  le(self: Tensor, other: Tensor | number): Tensor;
  /** `aten::leaky_relu(Tensor self, Scalar negative_slope=0.01) -> Tensor` */
  leaky_relu(self: Tensor, negative_slope?: number): Tensor;
  /** `aten::lerp_.Scalar(Tensor(a!) self, Tensor end, Scalar weight) -> Tensor(a!)` */
  lerp_(self: Tensor, end: Tensor, weight: number): Tensor;
  /** `aten::linalg_cholesky_ex(Tensor self, *, bool upper=False, bool check_errors=False) -> (Tensor L, Tensor info)` */
  linalg_cholesky_ex(self: Tensor, options?: { upper?: boolean | undefined; check_errors?: boolean | undefined }): [Tensor, Tensor];
  /** `aten::linalg_solve_triangular(Tensor self, Tensor B, *, bool upper, bool left=True, bool unitriangular=False) -> Tensor` */
  linalg_solve_triangular(self: Tensor, B: Tensor, options: { upper: boolean; left?: boolean | undefined; unitriangular?: boolean | undefined }): Tensor;
  /** `aten::linalg_svd(Tensor A, bool full_matrices=True, *, str? driver=None) -> (Tensor U, Tensor S, Tensor Vh)` */
  linalg_svd(A: Tensor, full_matrices?: boolean, options?: { driver?: string | null | undefined }): [Tensor, Tensor, Tensor];
  /** `aten::linear(Tensor input, Tensor weight, Tensor? bias=None) -> Tensor` */
  linear(input: Tensor, weight: Tensor, bias?: Tensor | null): Tensor;
  /** `aten::log(Tensor self) -> Tensor` */
  log(self: Tensor): Tensor;
  /** `aten::log1p(Tensor self) -> Tensor` */
  log1p(self: Tensor): Tensor;
  /** `aten::log_softmax.int(Tensor self, int dim, ScalarType? dtype=None) -> Tensor` */
  log_softmax(self: Tensor, dim: number, dtype?: Dtype | null): Tensor;
  /** `aten::logical_and(Tensor self, Tensor other) -> Tensor` */
  logical_and(self: Tensor, other: Tensor | number): Tensor;
  /** `aten::logical_not(Tensor self) -> Tensor` */
  logical_not(self: Tensor): Tensor;
  /** `aten::logical_or(Tensor self, Tensor other) -> Tensor` */
  logical_or(self: Tensor, other: Tensor | number): Tensor;
  /** `aten::logical_xor(Tensor self, Tensor other) -> Tensor` */
  logical_xor(self: Tensor, other: Tensor | number): Tensor;
  /** `aten::logsumexp(Tensor self, int[1] dim, bool keepdim=False) -> Tensor` */
  logsumexp(self: Tensor, dim: number | readonly number[], keepdim?: boolean): Tensor;
  /** `aten::lt.Tensor(Tensor self, Tensor other) -> Tensor` */
  lt(self: Tensor, other: Tensor | number): Tensor;
  /** `aten::masked_fill.Scalar(Tensor self, Tensor mask, Scalar value) -> Tensor` */
  masked_fill(self: Tensor, mask: Tensor, value: number): Tensor;
  /** `aten::masked_fill_.Scalar(Tensor(a!) self, Tensor mask, Scalar value) -> Tensor(a!)` */
  masked_fill_(self: Tensor, mask: Tensor, value: number): Tensor;
  /** `aten::masked_select(Tensor self, Tensor mask) -> Tensor` */
  masked_select(self: Tensor, mask: Tensor): Tensor;
  /** `aten::matmul(Tensor self, Tensor other) -> Tensor` */
  matmul(self: Tensor, other: Tensor | number): Tensor;
  /** `aten::max(Tensor self) -> Tensor` */
  max(self: Tensor): Tensor;
  /** `aten::max_pool2d(Tensor self, int[2] kernel_size, int[2] stride=[], int[2] padding=0, int[2] dilation=1, bool ceil_mode=False) -> Tensor` */
  max_pool2d(self: Tensor, kernel_size: number | readonly number[], stride?: number | readonly number[], padding?: number | readonly number[], dilation?: number | readonly number[], ceil_mode?: boolean): Tensor;
  /** `aten::maximum(Tensor self, Tensor other) -> Tensor` */
  maximum(self: Tensor, other: Tensor | number): Tensor;
  /** `aten::mean.dim(Tensor self, int[1]? dim, bool keepdim=False, *, ScalarType? dtype=None) -> Tensor` */
  mean(self: Tensor, dim?: number | readonly number[] | null, keepdim?: boolean, options?: { dtype?: Dtype | null | undefined }): Tensor;
  /** `aten::min(Tensor self) -> Tensor` */
  min(self: Tensor): Tensor;
  /** `aten::minimum(Tensor self, Tensor other) -> Tensor` */
  minimum(self: Tensor, other: Tensor | number): Tensor;
  /** `aten::mish(Tensor self) -> Tensor` */
  mish(self: Tensor): Tensor;
  /** `aten::mm(Tensor self, Tensor mat2) -> Tensor` */
  mm(self: Tensor, mat2: Tensor): Tensor;
  /** `aten::mse_loss(Tensor self, Tensor target, int reduction=1) -> Tensor` */
  mse_loss(self: Tensor, target: Tensor, reduction?: number): Tensor;
  /** `aten::mul.Tensor(Tensor self, Tensor other) -> Tensor` */
  mul(self: Tensor, other: Tensor | number): Tensor;
  /** `aten::mul_.Tensor(Tensor(a!) self, Tensor other) -> Tensor(a!)` */
  mul_(self: Tensor, other: Tensor | number): Tensor;
  /** `aten::narrow(Tensor(a) self, int dim, SymInt start, SymInt length) -> Tensor(a)` */
  narrow(self: Tensor, dim: number, start: number, length: number): Tensor;
  /** `aten::native_batch_norm(Tensor input, Tensor? weight, Tensor? bias, Tensor? running_mean, Tensor? running_var, bool training, float momentum, float eps) -> (Tensor, Tensor, Tensor)` */
  native_batch_norm(input: Tensor, weight: Tensor | null | undefined, bias: Tensor | null | undefined, running_mean: Tensor | null | undefined, running_var: Tensor | null | undefined, training: boolean, momentum: number, eps: number): [Tensor, Tensor, Tensor];
  /** `aten::native_layer_norm(Tensor input, SymInt[] normalized_shape, Tensor? weight, Tensor? bias, float eps) -> (Tensor, Tensor, Tensor)` */
  native_layer_norm(input: Tensor, normalized_shape: readonly number[], weight: Tensor | null | undefined, bias: Tensor | null | undefined, eps: number): [Tensor, Tensor, Tensor];
  /** `aten::ne.Tensor(Tensor self, Tensor other) -> Tensor` */
  ne(self: Tensor, other: Tensor | number): Tensor;
  /** `aten::neg(Tensor self) -> Tensor` */
  neg(self: Tensor): Tensor;
  /** `aten::nll_loss(Tensor self, Tensor target, Tensor? weight=None, int reduction=1, SymInt ignore_index=-100) -> Tensor` */
  nll_loss(self: Tensor, target: Tensor, weight?: Tensor | null, reduction?: number, ignore_index?: number): Tensor;
  /** `aten::nonzero(Tensor self) -> Tensor` */
  nonzero(self: Tensor): Tensor;
  /** `aten::linalg_vector_norm(Tensor self, Scalar ord=2, int[1]? dim=None, bool keepdim=False, *, ScalarType? dtype=None) -> Tensor` */
  norm(self: Tensor, ord?: number, dim?: number | readonly number[] | null, keepdim?: boolean, options?: { dtype?: Dtype | null | undefined }): Tensor;
  /** `aten::normal_(Tensor(a!) self, float mean=0., float std=1., *, Generator? generator=None) -> Tensor(a!)` */
  normal_(self: Tensor, mean?: number, std?: number, options?: { generator?: Generator | null | undefined }): Tensor;
  /** `aten::one_hot(Tensor self, int num_classes=-1) -> Tensor` */
  one_hot(self: Tensor, num_classes?: number): Tensor;
  /** `aten::ones(SymInt[] size, *, ScalarType? dtype=None, Layout? layout=None, Device? device=None, bool? pin_memory=None) -> Tensor` */
  ones(size: readonly number[], options?: { dtype?: Dtype | null | undefined; layout?: "strided" | null | undefined; device?: string | null | undefined; pin_memory?: boolean | null | undefined }): Tensor;
  /** `aten::ones_like(Tensor self, *, ScalarType? dtype=None, Layout? layout=None, Device? device=None, bool? pin_memory=None, MemoryFormat? memory_format=None) -> Tensor` */
  ones_like(self: Tensor, options?: { dtype?: Dtype | null | undefined; layout?: "strided" | null | undefined; device?: string | null | undefined; pin_memory?: boolean | null | undefined; memory_format?: MemoryFormat | null | undefined }): Tensor;
  /** `aten::pad(Tensor self, SymInt[] pad, str mode="constant", float? value=None) -> Tensor` */
  pad(self: Tensor, pad: readonly number[], mode?: string, value?: number | null): Tensor;
  /** `aten::permute(Tensor(a) self, int[] dims) -> Tensor(a)` */
  permute(self: Tensor, dims: readonly number[]): Tensor;
  /** `aten::pow.Tensor_Scalar(Tensor self, Scalar exponent) -> Tensor` */
  pow(self: Tensor, exponent: number): Tensor;
  /** `aten::pow.Tensor_Tensor(Tensor self, Tensor exponent) -> Tensor` */
  powTensor(self: Tensor, exponent: Tensor): Tensor;
  /** `aten::prod.dim_int(Tensor self, int dim, bool keepdim=False, *, ScalarType? dtype=None) -> Tensor` */
  prod(self: Tensor, dim: number, keepdim?: boolean, options?: { dtype?: Dtype | null | undefined }): Tensor;
  /** `aten::random_.from(Tensor(a!) self, int from, int? to, *, Generator? generator=None) -> Tensor(a!)` */
  random_(self: Tensor, from: number, to?: number | null, options?: { generator?: Generator | null | undefined }): Tensor;
  /** `aten::randperm.generator(SymInt n, *, Generator? generator, ScalarType? dtype=4, Layout? layout=None, Device? device=None, bool? pin_memory=None) -> Tensor` */
  randperm(n: number, options?: { generator?: Generator | null | undefined; dtype?: Dtype | null | undefined; layout?: "strided" | null | undefined; device?: string | null | undefined; pin_memory?: boolean | null | undefined }): Tensor;
  /** `aten::reciprocal(Tensor self) -> Tensor` */
  reciprocal(self: Tensor): Tensor;
  /** `aten::relu(Tensor self) -> Tensor` */
  relu(self: Tensor): Tensor;
  /** `aten::relu_(Tensor(a!) self) -> Tensor(a!)` */
  relu_(self: Tensor): Tensor;
  /** `aten::remainder.Tensor(Tensor self, Tensor other) -> Tensor` */
  remainder(self: Tensor, other: Tensor | number): Tensor;
  /** `mkldnn::_reorder_convolution_weight(Tensor self, int[2] padding=0, int[2] stride=1, int[2] dilation=1, int groups=1, int[]? input_size=None) -> Tensor Y` */
  reorder_convolution_weight(self: Tensor, padding?: number | readonly number[], stride?: number | readonly number[], dilation?: number | readonly number[], groups?: number, input_size?: readonly number[] | null): Tensor;
  /** `aten::repeat(Tensor self, SymInt[] repeats) -> Tensor` */
  repeat(self: Tensor, repeats: readonly number[]): Tensor;
  /** `aten::repeat_interleave.self_int(Tensor self, SymInt repeats, int? dim=None, *, SymInt? output_size=None) -> Tensor` */
  repeat_interleave(self: Tensor, repeats: number, dim?: number | null, options?: { output_size?: number | null | undefined }): Tensor;
  /** `aten::reshape(Tensor(a) self, SymInt[] shape) -> Tensor(a)` */
  reshape(self: Tensor, shape: readonly number[]): Tensor;
  /** `aten::roll(Tensor self, SymInt[1] shifts, int[1] dims=[]) -> Tensor` */
  roll(self: Tensor, shifts: number | readonly number[], dims?: number | readonly number[]): Tensor;
  /** `aten::round(Tensor self) -> Tensor` */
  round(self: Tensor): Tensor;
  /** `aten::rsqrt(Tensor self) -> Tensor` */
  rsqrt(self: Tensor): Tensor;
  /** `aten::scaled_dot_product_attention(Tensor query, Tensor key, Tensor value, Tensor? attn_mask=None, float dropout_p=0., bool is_causal=False, *, float? scale=None, bool enable_gqa=False) -> Tensor` */
  scaled_dot_product_attention(query: Tensor, key: Tensor, value: Tensor, attn_mask?: Tensor | null, dropout_p?: number, is_causal?: boolean, options?: { scale?: number | null | undefined; enable_gqa?: boolean | undefined }): Tensor;
  /** `aten::scatter.src(Tensor self, int dim, Tensor index, Tensor src) -> Tensor` */
  scatter(self: Tensor, dim: number, index: Tensor, src: Tensor): Tensor;
  /** `aten::scatter.value(Tensor self, int dim, Tensor index, Scalar value) -> Tensor` */
  scatterValue(self: Tensor, dim: number, index: Tensor, value: number): Tensor;
  /** `aten::scatter_add(Tensor self, int dim, Tensor index, Tensor src) -> Tensor` */
  scatter_add(self: Tensor, dim: number, index: Tensor, src: Tensor): Tensor;
  /** `aten::select.int(Tensor(a) self, int dim, SymInt index) -> Tensor(a)` */
  select(self: Tensor, dim: number, index: number): Tensor;
  /** `aten::selu(Tensor self) -> Tensor` */
  selu(self: Tensor): Tensor;
  /** `aten::set_data(Tensor(a!) self, Tensor new_data) -> ()` */
  set_data(self: Tensor, new_data: Tensor): void;
  /** `aten::sigmoid(Tensor self) -> Tensor` */
  sigmoid(self: Tensor): Tensor;
  /** `aten::sign(Tensor self) -> Tensor` */
  sign(self: Tensor): Tensor;
  /** `aten::silu(Tensor self) -> Tensor` */
  silu(self: Tensor): Tensor;
  /** `aten::sin(Tensor self) -> Tensor` */
  sin(self: Tensor): Tensor;
  /** `aten::sinh(Tensor self) -> Tensor` */
  sinh(self: Tensor): Tensor;
  /** `aten::slice.Tensor(Tensor(a) self, int dim=0, SymInt? start=None, SymInt? end=None, SymInt step=1) -> Tensor(a)` */
  slice(self: Tensor, dim?: number, start?: number | null, end?: number | null, step?: number): Tensor;
  /** `aten::smooth_l1_loss(Tensor self, Tensor target, int reduction=1, float beta=1.) -> Tensor` */
  smooth_l1_loss(self: Tensor, target: Tensor, reduction?: number, beta?: number): Tensor;
  /** `aten::softmax.int(Tensor self, int dim, ScalarType? dtype=None) -> Tensor` */
  softmax(self: Tensor, dim: number, dtype?: Dtype | null): Tensor;
  /** `aten::softplus(Tensor self, Scalar beta=1, Scalar threshold=20) -> Tensor` */
  softplus(self: Tensor, beta?: number, threshold?: number): Tensor;
  /** `aten::sort.stable(Tensor self, *, bool? stable, int dim=-1, bool descending=False) -> (Tensor values, Tensor indices)` */
  sort(self: Tensor, options?: { stable?: boolean | null | undefined; dim?: number | undefined; descending?: boolean | undefined }): [Tensor, Tensor];
  /** `aten::split.Tensor(Tensor(a -> *) self, SymInt split_size, int dim=0) -> Tensor(a)[]` */
  split(self: Tensor, split_size: number, dim?: number): Tensor[];
  /** `aten::sqrt(Tensor self) -> Tensor` */
  sqrt(self: Tensor): Tensor;
  /** `aten::square(Tensor self) -> Tensor` */
  square(self: Tensor): Tensor;
  /** `aten::squeeze.dim(Tensor(a) self, int dim) -> Tensor(a)` */
  squeeze(self: Tensor, dim: number): Tensor;
  /** `aten::squeeze(Tensor(a) self) -> Tensor(a)` */
  squeezeAll(self: Tensor): Tensor;
  /** `aten::stack(Tensor[] tensors, int dim=0) -> Tensor` */
  stack(tensors: readonly Tensor[], dim?: number): Tensor;
  /** `aten::sub.Tensor(Tensor self, Tensor other, *, Scalar alpha=1) -> Tensor` */
  sub(self: Tensor, other: Tensor | number, options?: { alpha?: number | undefined }): Tensor;
  /** `aten::sub_.Tensor(Tensor(a!) self, Tensor other, *, Scalar alpha=1) -> Tensor(a!)` */
  sub_(self: Tensor, other: Tensor | number, options?: { alpha?: number | undefined }): Tensor;
  /** `aten::sum.dim_IntList(Tensor self, int[1]? dim, bool keepdim=False, *, ScalarType? dtype=None) -> Tensor` */
  sum(self: Tensor, dim?: number | readonly number[] | null, keepdim?: boolean, options?: { dtype?: Dtype | null | undefined }): Tensor;
  /** `aten::tan(Tensor self) -> Tensor` */
  tan(self: Tensor): Tensor;
  /** `aten::tanh(Tensor self) -> Tensor` */
  tanh(self: Tensor): Tensor;
  /** `aten::to.dtype_layout(Tensor(a) self, *, ScalarType? dtype=None, Layout? layout=None, Device? device=None, bool? pin_memory=None, bool non_blocking=False, bool copy=False, MemoryFormat? memory_format=None) -> Tensor(a)` */
  to(self: Tensor, options?: { dtype?: Dtype | null | undefined; layout?: "strided" | null | undefined; device?: string | null | undefined; pin_memory?: boolean | null | undefined; non_blocking?: boolean | undefined; copy?: boolean | undefined; memory_format?: MemoryFormat | null | undefined }): Tensor;
  /** `aten::topk(Tensor self, SymInt k, int dim=-1, bool largest=True, bool sorted=True) -> (Tensor values, Tensor indices)` */
  topk(self: Tensor, k: number, dim?: number, largest?: boolean, sorted?: boolean): [Tensor, Tensor];
  /** `aten::transpose.int(Tensor(a) self, int dim0, int dim1) -> Tensor(a)` */
  transpose(self: Tensor, dim0: number, dim1: number): Tensor;
  /** `aten::tril(Tensor self, SymInt diagonal=0) -> Tensor` */
  tril(self: Tensor, diagonal?: number): Tensor;
  /** `aten::triu(Tensor self, SymInt diagonal=0) -> Tensor` */
  triu(self: Tensor, diagonal?: number): Tensor;
  /** `aten::unbind.int(Tensor(a -> *) self, int dim=0) -> Tensor(a)[]` */
  unbind(self: Tensor, dim?: number): Tensor[];
  /** `aten::uniform_(Tensor(a!) self, float from=0., float to=1., *, Generator? generator=None) -> Tensor(a!)` */
  uniform_(self: Tensor, from?: number, to?: number, options?: { generator?: Generator | null | undefined }): Tensor;
  /** `aten::unsqueeze(Tensor(a) self, int dim) -> Tensor(a)` */
  unsqueeze(self: Tensor, dim: number): Tensor;
  /** `aten::upsample_bicubic2d(Tensor self, SymInt[2] output_size, bool align_corners, float? scales_h=None, float? scales_w=None) -> Tensor` */
  upsample_bicubic2d(self: Tensor, output_size: number | readonly number[], align_corners: boolean, scales_h?: number | null, scales_w?: number | null): Tensor;
  /** `aten::upsample_bilinear2d(Tensor self, SymInt[2] output_size, bool align_corners, float? scales_h=None, float? scales_w=None) -> Tensor` */
  upsample_bilinear2d(self: Tensor, output_size: number | readonly number[], align_corners: boolean, scales_h?: number | null, scales_w?: number | null): Tensor;
  /** `aten::upsample_nearest2d(Tensor self, SymInt[2] output_size, float? scales_h=None, float? scales_w=None) -> Tensor` */
  upsample_nearest2d(self: Tensor, output_size: number | readonly number[], scales_h?: number | null, scales_w?: number | null): Tensor;
  /** `aten::var.correction(Tensor self, int[1]? dim=None, *, Scalar? correction=None, bool keepdim=False) -> Tensor` */
  var_(self: Tensor, dim?: number | readonly number[] | null, options?: { correction?: number | null | undefined; keepdim?: boolean | undefined }): Tensor;
  /** `aten::view(Tensor(a) self, SymInt[] size) -> Tensor(a)` */
  view(self: Tensor, size: readonly number[]): Tensor;
  /** `aten::view.dtype(Tensor(a) self, ScalarType dtype) -> Tensor(a)` */
  viewDtype(self: Tensor, dtype: Dtype): Tensor;
  /** `aten::where.self(Tensor condition, Tensor self, Tensor other) -> Tensor` */
  where(condition: Tensor, self: Tensor, other: Tensor | number): Tensor;
  /** `aten::zero_(Tensor(a!) self) -> Tensor(a!)` */
  zero_(self: Tensor): Tensor;
  /** `aten::zeros(SymInt[] size, *, ScalarType? dtype=None, Layout? layout=None, Device? device=None, bool? pin_memory=None) -> Tensor` */
  zeros(size: readonly number[], options?: { dtype?: Dtype | null | undefined; layout?: "strided" | null | undefined; device?: string | null | undefined; pin_memory?: boolean | null | undefined }): Tensor;
  /** `aten::zeros_like(Tensor self, *, ScalarType? dtype=None, Layout? layout=None, Device? device=None, bool? pin_memory=None, MemoryFormat? memory_format=None) -> Tensor` */
  zeros_like(self: Tensor, options?: { dtype?: Dtype | null | undefined; layout?: "strided" | null | undefined; device?: string | null | undefined; pin_memory?: boolean | null | undefined; memory_format?: MemoryFormat | null | undefined }): Tensor;
}

export const functions: Operators<Owned> = {
  _foreach_add_: (self, other, options) => void run(operators._foreach_add_, [self, other, options?.alpha]),
  _foreach_copy_: (self, src, non_blocking) => void run(operators._foreach_copy_, [self, src, non_blocking]),
  _foreach_lerp_: (self, tensors1, weight) => void run(operators._foreach_lerp_, [self, tensors1, weight]),
  _foreach_mul_: (self, scalar) => void run(operators._foreach_mul_, [self, scalar]),
  _foreach_mul_tensor_: (self, other) => void run(operators._foreach_mul_tensor_, [self, other]),
  _foreach_norm: (self, ord, dtype) => run(operators._foreach_norm, [self, ord, dtype]) as Owned[],
  _foreach_zero_: (self) => void run(operators._foreach_zero_, [self]),
  _fused_adamw_: (self, grads, exp_avgs, exp_avg_sqs, max_exp_avg_sqs, state_steps, options) => void run(operators._fused_adamw_, [self, grads, exp_avgs, exp_avg_sqs, max_exp_avg_sqs, state_steps, options.lr, options.beta1, options.beta2, options.weight_decay, options.eps, options.amsgrad, options.maximize, options?.grad_scale, options?.found_inf]),
  _fused_sgd_: (self, grads, momentum_buffer_list, options) => void run(operators._fused_sgd_, [self, grads, momentum_buffer_list, options.weight_decay, options.momentum, options.lr, options.dampening, options.nesterov, options.maximize, options.is_first_step, options?.grad_scale, options?.found_inf]),
  _upsample_bicubic2d_aa: (self, output_size, align_corners, scales_h, scales_w) => run(operators._upsample_bicubic2d_aa, [self, output_size, align_corners, scales_h, scales_w]) as Owned,
  _upsample_bilinear2d_aa: (self, output_size, align_corners, scales_h, scales_w) => run(operators._upsample_bilinear2d_aa, [self, output_size, align_corners, scales_h, scales_w]) as Owned,
  abs: (self) => run(operators.abs, [self]) as Owned,
  acos: (self) => run(operators.acos, [self]) as Owned,
  acosh: (self) => run(operators.acosh, [self]) as Owned,
  adaptive_avg_pool2d: (self, output_size) => run(operators.adaptive_avg_pool2d, [self, output_size]) as Owned,
  add: (self, other, options) => run(operators.add, [self, other, options?.alpha]) as Owned,
  add_: (self, other, options) => run(operators.add_, [self, other, options?.alpha]) as Owned,
  addcdiv: (self, tensor1, tensor2, options) => run(operators.addcdiv, [self, tensor1, tensor2, options?.value]) as Owned,
  addcmul: (self, tensor1, tensor2, options) => run(operators.addcmul, [self, tensor1, tensor2, options?.value]) as Owned,
  addcmul_: (self, tensor1, tensor2, options) => run(operators.addcmul_, [self, tensor1, tensor2, options?.value]) as Owned,
  addmm: (self, mat1, mat2, options) => run(operators.addmm, [self, mat1, mat2, options?.beta, options?.alpha]) as Owned,
  affine_grid_generator: (theta, size, align_corners) => run(operators.affine_grid_generator, [theta, size, align_corners]) as Owned,
  alias: (self) => run(operators.alias, [self]) as Owned,
  all: (self) => run(operators.all, [self]) as Owned,
  amax: (self, dim, keepdim) => run(operators.amax, [self, dim, keepdim]) as Owned,
  amin: (self, dim, keepdim) => run(operators.amin, [self, dim, keepdim]) as Owned,
  any: (self) => run(operators.any, [self]) as Owned,
  arange: (start, end, step, options) => run(operators.arange, [start, end, step, options?.dtype, options?.layout, options?.device, options?.pin_memory]) as Owned,
  argmax: (self, dim, keepdim) => run(operators.argmax, [self, dim, keepdim]) as Owned,
  argmin: (self, dim, keepdim) => run(operators.argmin, [self, dim, keepdim]) as Owned,
  argsort: (self, options) => run(operators.argsort, [self, options.stable, options?.dim, options?.descending]) as Owned,
  as_strided: (self, size, stride, storage_offset) => run(operators.as_strided, [self, size, stride, storage_offset]) as Owned,
  asin: (self) => run(operators.asin, [self]) as Owned,
  asinh: (self) => run(operators.asinh, [self]) as Owned,
  atan: (self) => run(operators.atan, [self]) as Owned,
  atan2: (self, other) => run(operators.atan2, [self, other]) as Owned,
  atanh: (self) => run(operators.atanh, [self]) as Owned,
  avg_pool2d: (self, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override) => run(operators.avg_pool2d, [self, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override]) as Owned,
  batch_norm: (input, weight, bias, running_mean, running_var, training, momentum, eps, cudnn_enabled) => run(operators.batch_norm, [input, weight, bias, running_mean, running_var, training, momentum, eps, cudnn_enabled]) as Owned,
  bernoulli_: (self, p, options) => run(operators.bernoulli_, [self, p, options?.generator]) as Owned,
  bernoulli_from: (self, options) => run(operators.bernoulli_from, [self, options?.generator]) as Owned,
  binary_cross_entropy_with_logits: (self, target, weight, pos_weight, reduction) => run(operators.binary_cross_entropy_with_logits, [self, target, weight, pos_weight, reduction]) as Owned,
  bincount: (self, weights, minlength) => run(operators.bincount, [self, weights, minlength]) as Owned,
  bmm: (self, mat2) => run(operators.bmm, [self, mat2]) as Owned,
  cat: (tensors, dim) => run(operators.cat, [tensors, dim]) as Owned,
  ceil: (self) => run(operators.ceil, [self]) as Owned,
  chunk: (self, chunks, dim) => run(operators.chunk, [self, chunks, dim]) as Owned[],
  clamp: (self, min, max) => run(operators.clamp, [self, min, max]) as Owned,
  clamp_: (self, min, max) => run(operators.clamp_, [self, min, max]) as Owned,
  clone: (self, options) => run(operators.clone, [self, options?.memory_format]) as Owned,
  constant_pad_nd: (self, pad, value) => run(operators.constant_pad_nd, [self, pad, value]) as Owned,
  contiguous: (self, options) => run(operators.contiguous, [self, options?.memory_format]) as Owned,
  conv1d: (input, weight, bias, stride, padding, dilation, groups) => run(operators.conv1d, [input, weight, bias, stride, padding, dilation, groups]) as Owned,
  conv2d: (input, weight, bias, stride, padding, dilation, groups) => run(operators.conv2d, [input, weight, bias, stride, padding, dilation, groups]) as Owned,
  conv2dPadding: (input, weight, bias, stride, padding, dilation, groups) => run(operators.conv2dPadding, [input, weight, bias, stride, padding, dilation, groups]) as Owned,
  conv3d: (input, weight, bias, stride, padding, dilation, groups) => run(operators.conv3d, [input, weight, bias, stride, padding, dilation, groups]) as Owned,
  conv_transpose1d: (input, weight, bias, stride, padding, output_padding, groups, dilation) => run(operators.conv_transpose1d, [input, weight, bias, stride, padding, output_padding, groups, dilation]) as Owned,
  conv_transpose2d: (input, weight, bias, stride, padding, output_padding, groups, dilation) => run(operators.conv_transpose2d, [input, weight, bias, stride, padding, output_padding, groups, dilation]) as Owned,
  conv_transpose3d: (input, weight, bias, stride, padding, output_padding, groups, dilation) => run(operators.conv_transpose3d, [input, weight, bias, stride, padding, output_padding, groups, dilation]) as Owned,
  convolution: (input, weight, bias, stride, padding, dilation, transposed, output_padding, groups) => run(operators.convolution, [input, weight, bias, stride, padding, dilation, transposed, output_padding, groups]) as Owned,
  convolution_pointwise: (X, W, B, padding, stride, dilation, groups, attr, scalars, algorithm) => run(operators.convolution_pointwise, [X, W, B, padding, stride, dilation, groups, attr, scalars, algorithm]) as Owned,
  convolution_pointwise_binary_: (other, X, W, B, padding, stride, dilation, groups, binary_attr, alpha, unary_attr, unary_scalars, unary_algorithm) => run(operators.convolution_pointwise_binary_, [other, X, W, B, padding, stride, dilation, groups, binary_attr, alpha, unary_attr, unary_scalars, unary_algorithm]) as Owned,
  copy_: (self, src, non_blocking) => run(operators.copy_, [self, src, non_blocking]) as Owned,
  cos: (self) => run(operators.cos, [self]) as Owned,
  cosh: (self) => run(operators.cosh, [self]) as Owned,
  cross_entropy_loss: (self, target, weight, reduction, ignore_index, label_smoothing) => run(operators.cross_entropy_loss, [self, target, weight, reduction, ignore_index, label_smoothing]) as Owned,
  cumsum: (self, dim, options) => run(operators.cumsum, [self, dim, options?.dtype]) as Owned,
  detach: (self) => run(operators.detach, [self]) as Owned,
  diagonal: (self, offset, dim1, dim2) => run(operators.diagonal, [self, offset, dim1, dim2]) as Owned,
  div: (self, other) => run(operators.div, [self, other]) as Owned,
  divMode: (self, other, options) => run(operators.divMode, [self, other, options?.rounding_mode]) as Owned,
  div_: (self, other) => run(operators.div_, [self, other]) as Owned,
  einsum: (equation, tensors, options) => run(operators.einsum, [equation, tensors, options?.path]) as Owned,
  elu: (self, alpha, scale, input_scale) => run(operators.elu, [self, alpha, scale, input_scale]) as Owned,
  embedding: (weight, indices, padding_idx, scale_grad_by_freq, sparse) => run(operators.embedding, [weight, indices, padding_idx, scale_grad_by_freq, sparse]) as Owned,
  empty: (size, options) => run(operators.empty, [size, options?.dtype, options?.layout, options?.device, options?.pin_memory, options?.memory_format]) as Owned,
  empty_like: (self, options) => run(operators.empty_like, [self, options?.dtype, options?.layout, options?.device, options?.pin_memory, options?.memory_format]) as Owned,
  eq: (self, other) => run(operators.eq, [self, other]) as Owned,
  erf: (self) => run(operators.erf, [self]) as Owned,
  exp: (self) => run(operators.exp, [self]) as Owned,
  expand: (self, size, options) => run(operators.expand, [self, size, options?.implicit]) as Owned,
  expm1: (self) => run(operators.expm1, [self]) as Owned,
  exponential_: (self, lambd, options) => run(operators.exponential_, [self, lambd, options?.generator]) as Owned,
  eye: (n, options) => run(operators.eye, [n, options?.dtype, options?.layout, options?.device, options?.pin_memory]) as Owned,
  fill_: (self, value) => run(operators.fill_, [self, value]) as Owned,
  flatten: (self, start_dim, end_dim) => run(operators.flatten, [self, start_dim, end_dim]) as Owned,
  flip: (self, dims) => run(operators.flip, [self, dims]) as Owned,
  floor: (self) => run(operators.floor, [self]) as Owned,
  fmod: (self, other) => run(operators.fmod, [self, other]) as Owned,
  from_file: (filename, shared, size, options) => run(operators.from_file, [filename, shared, size, options?.dtype, options?.layout, options?.device, options?.pin_memory]) as Owned,
  full: (size, fill_value, options) => run(operators.full, [size, fill_value, options?.dtype, options?.layout, options?.device, options?.pin_memory]) as Owned,
  full_like: (self, fill_value, options) => run(operators.full_like, [self, fill_value, options?.dtype, options?.layout, options?.device, options?.pin_memory, options?.memory_format]) as Owned,
  gather: (self, dim, index, options) => run(operators.gather, [self, dim, index, options?.sparse_grad]) as Owned,
  ge: (self, other) => run(operators.ge, [self, other]) as Owned,
  gelu: (self, options) => run(operators.gelu, [self, options?.approximate]) as Owned,
  grid_sampler: (input, grid, interpolation_mode, padding_mode, align_corners) => run(operators.grid_sampler, [input, grid, interpolation_mode, padding_mode, align_corners]) as Owned,
  group_norm: (input, num_groups, weight, bias, eps, cudnn_enabled) => run(operators.group_norm, [input, num_groups, weight, bias, eps, cudnn_enabled]) as Owned,
  gt: (self, other) => run(operators.gt, [self, other]) as Owned,
  hardsigmoid: (self) => run(operators.hardsigmoid, [self]) as Owned,
  hardswish: (self) => run(operators.hardswish, [self]) as Owned,
  hardtanh: (self, min_val, max_val) => run(operators.hardtanh, [self, min_val, max_val]) as Owned,
  hardtanh_: (self, min_val, max_val) => run(operators.hardtanh_, [self, min_val, max_val]) as Owned,
  index: (self, indices) => run(operators.index, [self, indices]) as Owned,
  index_add: (self, dim, index, source, options) => run(operators.index_add, [self, dim, index, source, options?.alpha]) as Owned,
  index_add_: (self, dim, index, source, options) => run(operators.index_add_, [self, dim, index, source, options?.alpha]) as Owned,
  index_copy_: (self, dim, index, source) => run(operators.index_copy_, [self, dim, index, source]) as Owned,
  index_put: (self, indices, values, accumulate) => run(operators.index_put, [self, indices, values, accumulate]) as Owned,
  index_select: (self, dim, index) => run(operators.index_select, [self, dim, index]) as Owned,
  isfinite: (self) => run(operators.isfinite, [self]) as Owned,
  isinf: (self) => run(operators.isinf, [self]) as Owned,
  isnan: (self) => run(operators.isnan, [self]) as Owned,
  kl_div: (self, target, reduction, options) => run(operators.kl_div, [self, target, reduction, options?.log_target]) as Owned,
  layer_norm: (input, normalized_shape, weight, bias, eps, cudnn_enable) => run(operators.layer_norm, [input, normalized_shape, weight, bias, eps, cudnn_enable]) as Owned,
  le: (self, other) => run(operators.le, [self, other]) as Owned,
  leaky_relu: (self, negative_slope) => run(operators.leaky_relu, [self, negative_slope]) as Owned,
  lerp_: (self, end, weight) => run(operators.lerp_, [self, end, weight]) as Owned,
  linalg_cholesky_ex: (self, options) => run(operators.linalg_cholesky_ex, [self, options?.upper, options?.check_errors]) as [Owned, Owned],
  linalg_solve_triangular: (self, B, options) => run(operators.linalg_solve_triangular, [self, B, options.upper, options?.left, options?.unitriangular]) as Owned,
  linalg_svd: (A, full_matrices, options) => run(operators.linalg_svd, [A, full_matrices, options?.driver]) as [Owned, Owned, Owned],
  linear: (input, weight, bias) => run(operators.linear, [input, weight, bias]) as Owned,
  log: (self) => run(operators.log, [self]) as Owned,
  log1p: (self) => run(operators.log1p, [self]) as Owned,
  log_softmax: (self, dim, dtype) => run(operators.log_softmax, [self, dim, dtype]) as Owned,
  logical_and: (self, other) => run(operators.logical_and, [self, other]) as Owned,
  logical_not: (self) => run(operators.logical_not, [self]) as Owned,
  logical_or: (self, other) => run(operators.logical_or, [self, other]) as Owned,
  logical_xor: (self, other) => run(operators.logical_xor, [self, other]) as Owned,
  logsumexp: (self, dim, keepdim) => run(operators.logsumexp, [self, dim, keepdim]) as Owned,
  lt: (self, other) => run(operators.lt, [self, other]) as Owned,
  masked_fill: (self, mask, value) => run(operators.masked_fill, [self, mask, value]) as Owned,
  masked_fill_: (self, mask, value) => run(operators.masked_fill_, [self, mask, value]) as Owned,
  masked_select: (self, mask) => run(operators.masked_select, [self, mask]) as Owned,
  matmul: (self, other) => run(operators.matmul, [self, other]) as Owned,
  max: (self) => run(operators.max, [self]) as Owned,
  max_pool2d: (self, kernel_size, stride, padding, dilation, ceil_mode) => run(operators.max_pool2d, [self, kernel_size, stride, padding, dilation, ceil_mode]) as Owned,
  maximum: (self, other) => run(operators.maximum, [self, other]) as Owned,
  mean: (self, dim, keepdim, options) => run(operators.mean, [self, dim, keepdim, options?.dtype]) as Owned,
  min: (self) => run(operators.min, [self]) as Owned,
  minimum: (self, other) => run(operators.minimum, [self, other]) as Owned,
  mish: (self) => run(operators.mish, [self]) as Owned,
  mm: (self, mat2) => run(operators.mm, [self, mat2]) as Owned,
  mse_loss: (self, target, reduction) => run(operators.mse_loss, [self, target, reduction]) as Owned,
  mul: (self, other) => run(operators.mul, [self, other]) as Owned,
  mul_: (self, other) => run(operators.mul_, [self, other]) as Owned,
  narrow: (self, dim, start, length) => run(operators.narrow, [self, dim, start, length]) as Owned,
  native_batch_norm: (input, weight, bias, running_mean, running_var, training, momentum, eps) => run(operators.native_batch_norm, [input, weight, bias, running_mean, running_var, training, momentum, eps]) as [Owned, Owned, Owned],
  native_layer_norm: (input, normalized_shape, weight, bias, eps) => run(operators.native_layer_norm, [input, normalized_shape, weight, bias, eps]) as [Owned, Owned, Owned],
  ne: (self, other) => run(operators.ne, [self, other]) as Owned,
  neg: (self) => run(operators.neg, [self]) as Owned,
  nll_loss: (self, target, weight, reduction, ignore_index) => run(operators.nll_loss, [self, target, weight, reduction, ignore_index]) as Owned,
  nonzero: (self) => run(operators.nonzero, [self]) as Owned,
  norm: (self, ord, dim, keepdim, options) => run(operators.norm, [self, ord, dim, keepdim, options?.dtype]) as Owned,
  normal_: (self, mean, std, options) => run(operators.normal_, [self, mean, std, options?.generator]) as Owned,
  one_hot: (self, num_classes) => run(operators.one_hot, [self, num_classes]) as Owned,
  ones: (size, options) => run(operators.ones, [size, options?.dtype, options?.layout, options?.device, options?.pin_memory]) as Owned,
  ones_like: (self, options) => run(operators.ones_like, [self, options?.dtype, options?.layout, options?.device, options?.pin_memory, options?.memory_format]) as Owned,
  pad: (self, pad, mode, value) => run(operators.pad, [self, pad, mode, value]) as Owned,
  permute: (self, dims) => run(operators.permute, [self, dims]) as Owned,
  pow: (self, exponent) => run(operators.pow, [self, exponent]) as Owned,
  powTensor: (self, exponent) => run(operators.powTensor, [self, exponent]) as Owned,
  prod: (self, dim, keepdim, options) => run(operators.prod, [self, dim, keepdim, options?.dtype]) as Owned,
  random_: (self, from, to, options) => run(operators.random_, [self, from, to, options?.generator]) as Owned,
  randperm: (n, options) => run(operators.randperm, [n, options?.generator, options?.dtype, options?.layout, options?.device, options?.pin_memory]) as Owned,
  reciprocal: (self) => run(operators.reciprocal, [self]) as Owned,
  relu: (self) => run(operators.relu, [self]) as Owned,
  relu_: (self) => run(operators.relu_, [self]) as Owned,
  remainder: (self, other) => run(operators.remainder, [self, other]) as Owned,
  reorder_convolution_weight: (self, padding, stride, dilation, groups, input_size) => run(operators.reorder_convolution_weight, [self, padding, stride, dilation, groups, input_size]) as Owned,
  repeat: (self, repeats) => run(operators.repeat, [self, repeats]) as Owned,
  repeat_interleave: (self, repeats, dim, options) => run(operators.repeat_interleave, [self, repeats, dim, options?.output_size]) as Owned,
  reshape: (self, shape) => run(operators.reshape, [self, shape]) as Owned,
  roll: (self, shifts, dims) => run(operators.roll, [self, shifts, dims]) as Owned,
  round: (self) => run(operators.round, [self]) as Owned,
  rsqrt: (self) => run(operators.rsqrt, [self]) as Owned,
  scaled_dot_product_attention: (query, key, value, attn_mask, dropout_p, is_causal, options) => run(operators.scaled_dot_product_attention, [query, key, value, attn_mask, dropout_p, is_causal, options?.scale, options?.enable_gqa]) as Owned,
  scatter: (self, dim, index, src) => run(operators.scatter, [self, dim, index, src]) as Owned,
  scatterValue: (self, dim, index, value) => run(operators.scatterValue, [self, dim, index, value]) as Owned,
  scatter_add: (self, dim, index, src) => run(operators.scatter_add, [self, dim, index, src]) as Owned,
  select: (self, dim, index) => run(operators.select, [self, dim, index]) as Owned,
  selu: (self) => run(operators.selu, [self]) as Owned,
  set_data: (self, new_data) => void run(operators.set_data, [self, new_data]),
  sigmoid: (self) => run(operators.sigmoid, [self]) as Owned,
  sign: (self) => run(operators.sign, [self]) as Owned,
  silu: (self) => run(operators.silu, [self]) as Owned,
  sin: (self) => run(operators.sin, [self]) as Owned,
  sinh: (self) => run(operators.sinh, [self]) as Owned,
  slice: (self, dim, start, end, step) => run(operators.slice, [self, dim, start, end, step]) as Owned,
  smooth_l1_loss: (self, target, reduction, beta) => run(operators.smooth_l1_loss, [self, target, reduction, beta]) as Owned,
  softmax: (self, dim, dtype) => run(operators.softmax, [self, dim, dtype]) as Owned,
  softplus: (self, beta, threshold) => run(operators.softplus, [self, beta, threshold]) as Owned,
  sort: (self, options) => run(operators.sort, [self, options?.stable, options?.dim, options?.descending]) as [Owned, Owned],
  split: (self, split_size, dim) => run(operators.split, [self, split_size, dim]) as Owned[],
  sqrt: (self) => run(operators.sqrt, [self]) as Owned,
  square: (self) => run(operators.square, [self]) as Owned,
  squeeze: (self, dim) => run(operators.squeeze, [self, dim]) as Owned,
  squeezeAll: (self) => run(operators.squeezeAll, [self]) as Owned,
  stack: (tensors, dim) => run(operators.stack, [tensors, dim]) as Owned,
  sub: (self, other, options) => run(operators.sub, [self, other, options?.alpha]) as Owned,
  sub_: (self, other, options) => run(operators.sub_, [self, other, options?.alpha]) as Owned,
  sum: (self, dim, keepdim, options) => run(operators.sum, [self, dim, keepdim, options?.dtype]) as Owned,
  tan: (self) => run(operators.tan, [self]) as Owned,
  tanh: (self) => run(operators.tanh, [self]) as Owned,
  to: (self, options) => run(operators.to, [self, options?.dtype, options?.layout, options?.device, options?.pin_memory, options?.non_blocking, options?.copy, options?.memory_format]) as Owned,
  topk: (self, k, dim, largest, sorted) => run(operators.topk, [self, k, dim, largest, sorted]) as [Owned, Owned],
  transpose: (self, dim0, dim1) => run(operators.transpose, [self, dim0, dim1]) as Owned,
  tril: (self, diagonal) => run(operators.tril, [self, diagonal]) as Owned,
  triu: (self, diagonal) => run(operators.triu, [self, diagonal]) as Owned,
  unbind: (self, dim) => run(operators.unbind, [self, dim]) as Owned[],
  uniform_: (self, from, to, options) => run(operators.uniform_, [self, from, to, options?.generator]) as Owned,
  unsqueeze: (self, dim) => run(operators.unsqueeze, [self, dim]) as Owned,
  upsample_bicubic2d: (self, output_size, align_corners, scales_h, scales_w) => run(operators.upsample_bicubic2d, [self, output_size, align_corners, scales_h, scales_w]) as Owned,
  upsample_bilinear2d: (self, output_size, align_corners, scales_h, scales_w) => run(operators.upsample_bilinear2d, [self, output_size, align_corners, scales_h, scales_w]) as Owned,
  upsample_nearest2d: (self, output_size, scales_h, scales_w) => run(operators.upsample_nearest2d, [self, output_size, scales_h, scales_w]) as Owned,
  var_: (self, dim, options) => run(operators.var_, [self, dim, options?.correction, options?.keepdim]) as Owned,
  view: (self, size) => run(operators.view, [self, size]) as Owned,
  viewDtype: (self, dtype) => run(operators.viewDtype, [self, dtype]) as Owned,
  where: (condition, self, other) => run(operators.where, [condition, self, other]) as Owned,
  zero_: (self) => run(operators.zero_, [self]) as Owned,
  zeros: (size, options) => run(operators.zeros, [size, options?.dtype, options?.layout, options?.device, options?.pin_memory]) as Owned,
  zeros_like: (self, options) => run(operators.zeros_like, [self, options?.dtype, options?.layout, options?.device, options?.pin_memory, options?.memory_format]) as Owned,
};
