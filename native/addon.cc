// The addon's face: what the boxed call cannot express (data exchange, autograd, modes, generators, threads, memory).
#include <ATen/CPUGeneratorImpl.h>
#include <ATen/Parallel.h>
#include <ATen/autocast_mode.h>
#include <ATen/core/grad_mode.h>
#include <ATen/detail/CUDAHooksInterface.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_strided.h>
#include <c10/core/InferenceMode.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/csrc/autograd/variable.h>
#include <torch/version.h>

#include <cstdlib>
#include <cstring>
#include <functional>
#include <sstream>

#include "entry.h"

namespace hub {

namespace {

struct Bytes {
  char* data;
  size_t length;
};

Bytes bytesOf(napi_env env, napi_value view) {
  bool isTyped = false;
  check(env, napi_is_typedarray(env, view, &isTyped));
  if (!isTyped) throw CallError("expected a typed array");
  napi_typedarray_type type;
  size_t length = 0;
  void* data = nullptr;
  check(env, napi_get_typedarray_info(env, view, &type, &length, &data, nullptr, nullptr));
  size_t width = 1;
  switch (type) {
    case napi_int16_array: case napi_uint16_array: width = 2; break;
    case napi_int32_array: case napi_uint32_array: case napi_float32_array: width = 4; break;
    case napi_float64_array: case napi_bigint64_array: case napi_biguint64_array: width = 8; break;
    default: break;
  }
  return {static_cast<char*>(data), length * width};
}

void copyBytes(napi_env env, at::Tensor& tensor, napi_value view) {
  const auto bytes = bytesOf(env, view);
  if (bytes.length != tensor.nbytes()) {
    throw CallError("the typed array has " + std::to_string(bytes.length) + " bytes, the tensor needs " +
                    std::to_string(tensor.nbytes()));
  }
  if (bytes.length > 0) std::memcpy(tensor.mutable_data_ptr(), bytes.data, bytes.length);
}

// fromBytes(typedArray, sizes, dtype, device): one copy.
napi_value fromBytes(napi_env env, const Args& args) {
  const auto sizes = toInts(env, args.at(1));
  at::Tensor tensor = at::empty(sizes, at::TensorOptions().dtype(toScalarType(toString(env, args.at(2)))));
  copyBytes(env, tensor, args.at(0));
  const c10::Device device(toString(env, args.at(3)));
  return wrapTensor(env, device.is_cpu() ? tensor : tensor.to(device));
}

// writeBytes(tensor, typedArray): overwrites a contiguous CPU tensor, or copies into any other.
napi_value writeBytes(napi_env env, const Args& args) {
  at::Tensor tensor = unwrapTensor(env, args.at(0));
  at::NoGradGuard guard;
  if (tensor.device().is_cpu() && tensor.is_contiguous()) {
    // As an in-place operator: autograd refuses to use what it saved of the old content.
    torch::autograd::impl::bump_version(tensor);
    copyBytes(env, tensor, args.at(1));
    throwIfTruncated();
    return undefined(env);
  }
  at::Tensor staging = at::empty(tensor.sizes(), at::TensorOptions().dtype(tensor.scalar_type()));
  copyBytes(env, staging, args.at(1));
  tensor.copy_(staging);
  return undefined(env);
}

// readBytes(tensor) -> ArrayBuffer with the elements in row-major order: one copy.
napi_value readBytes(napi_env env, const Args& args) {
  const at::Tensor tensor = unwrapTensor(env, args.at(0)).detach().to(at::kCPU).contiguous();
  void* data = nullptr;
  napi_value buffer;
  check(env, napi_create_arraybuffer(env, tensor.nbytes(), &data, &buffer));
  if (tensor.nbytes() > 0) std::memcpy(data, tensor.const_data_ptr(), tensor.nbytes());
  throwIfTruncated();
  return buffer;
}

// copyBytes(tensor, view, offset): fills the view with the bytes of a contiguous CPU tensor from an offset on.
napi_value copyBytesOut(napi_env env, const Args& args) {
  const at::Tensor& tensor = unwrapTensor(env, args.at(0));
  const auto bytes = bytesOf(env, args.at(1));
  const auto offset = static_cast<size_t>(toInt(env, args.at(2)));
  const bool inside = offset <= tensor.nbytes() && bytes.length <= tensor.nbytes() - offset;
  if (!tensor.device().is_cpu() || !tensor.is_contiguous() || !inside) {
    throw CallError("copyBytes needs a contiguous CPU tensor and a view inside it");
  }
  if (bytes.length > 0) std::memcpy(bytes.data, static_cast<const char*>(tensor.const_data_ptr()) + offset, bytes.length);
  throwIfTruncated();
  return undefined(env);
}

napi_value item(napi_env env, const Args& args) {
  const at::Scalar scalar = unwrapTensor(env, args.at(0)).item();
  throwIfTruncated();
  if (scalar.isBoolean()) return fromInt(env, scalar.toBool() ? 1 : 0);
  if (scalar.isIntegral(false)) return fromInt(env, scalar.toLong());
  napi_value result;
  check(env, napi_create_double(env, scalar.toDouble(), &result));
  return result;
}

napi_value sizes(napi_env env, const Args& args) {
  const auto shape = unwrapTensor(env, args.at(0)).sizes();
  napi_value result;
  check(env, napi_create_array_with_length(env, shape.size(), &result));
  for (size_t i = 0; i < shape.size(); ++i) {
    check(env, napi_set_element(env, result, static_cast<uint32_t>(i), fromInt(env, shape[i])));
  }
  return result;
}

napi_value dtype(napi_env env, const Args& args) {
  return fromString(env, scalarTypeName(unwrapTensor(env, args.at(0)).scalar_type()));
}

napi_value device(napi_env env, const Args& args) {
  return fromString(env, unwrapTensor(env, args.at(0)).device().str());
}

napi_value isContiguous(napi_env env, const Args& args) {
  const bool channelsLast = args.size() > 1 && toString(env, args[1]) == "channels_last";
  const auto format = channelsLast ? at::MemoryFormat::ChannelsLast : at::MemoryFormat::Contiguous;
  return fromBool(env, unwrapTensor(env, args.at(0)).is_contiguous(format));
}

napi_value isLive(napi_env env, const Args& args) { return fromBool(env, handleOf(env, args.at(0))->live); }

napi_value dispose(napi_env env, const Args& args) {
  release(env, handleOf(env, args.at(0)));
  return undefined(env);
}

// disposeAll(handles): one crossing for a whole scope.
napi_value disposeAll(napi_env env, const Args& args) {
  uint32_t length = 0;
  check(env, napi_get_array_length(env, args.at(0), &length));
  for (uint32_t i = 0; i < length; ++i) {
    napi_value element;
    check(env, napi_get_element(env, args[0], i, &element));
    release(env, handleOf(env, element));
  }
  return undefined(env);
}

napi_value requiresGrad(napi_env env, const Args& args) {
  return fromBool(env, unwrapTensor(env, args.at(0)).requires_grad());
}

napi_value setRequiresGrad(napi_env env, const Args& args) {
  unwrapTensor(env, args.at(0)).requires_grad_(toBool(env, args.at(1)));
  return undefined(env);
}

napi_value gradient(napi_env env, const Args& args) { return wrapTensor(env, unwrapTensor(env, args.at(0)).grad()); }

std::string describe(const at::Tensor& tensor) {
  std::ostringstream text;
  text << scalarTypeName(tensor.scalar_type()) << tensor.sizes() << " on " << tensor.device();
  if (tensor.layout() != at::kStrided) text << ", " << tensor.layout();
  return text.str();
}

// The gradient in the memory order of its tensor: the fused optimizers walk both, and both moments, by one index.
at::Tensor gradientFor(const at::Tensor& tensor, const at::Tensor& given) {
  if (!given.sizes().equals(tensor.sizes()) || given.dtype() != tensor.dtype() || given.device() != tensor.device() ||
      given.layout() != tensor.layout()) {
    throw CallError("the gradient " + describe(given) + " does not fit its tensor, " + describe(tensor));
  }
  if (given.is_same(tensor)) throw CallError("a tensor cannot be its own gradient");
  if (given.strides().equals(tensor.strides())) return given;
  at::NoGradGuard guard;
  return at::empty_strided(tensor.sizes(), tensor.strides(), tensor.options().requires_grad(false)).copy_(given);
}

napi_value setGradient(napi_env env, const Args& args) {
  auto& tensor = unwrapTensor(env, args.at(0));
  tensor.mutable_grad() = isNullish(env, args.at(1)) ? at::Tensor() : gradientFor(tensor, unwrapTensor(env, args[1]));
  return undefined(env);
}

// backward(tensors, gradients, retainGraph, createGraph)
napi_value backward(napi_env env, const Args& args) {
  torch::autograd::backward(toTensors(env, args.at(0)), toTensors(env, args.at(1)), toBool(env, args.at(2)),
                            toBool(env, args.at(3)));
  throwIfTruncated(Reads::Anything);
  return undefined(env);
}

// grad(outputs, inputs, gradients, retainGraph, createGraph, allowUnused) -> gradients
napi_value grad(napi_env env, const Args& args) {
  const auto results = torch::autograd::grad(toTensors(env, args.at(0)), toTensors(env, args.at(1)),
                                             toTensors(env, args.at(2)), toBool(env, args.at(3)),
                                             toBool(env, args.at(4)), toBool(env, args.at(5)));
  throwIfTruncated(Reads::Anything);
  napi_value array;
  check(env, napi_create_array_with_length(env, results.size(), &array));
  for (size_t i = 0; i < results.size(); ++i) {
    check(env, napi_set_element(env, array, static_cast<uint32_t>(i), wrapTensor(env, results[i])));
  }
  return array;
}

napi_value gradEnabled(napi_env env, const Args&) { return fromBool(env, at::GradMode::is_enabled()); }

napi_value setGradEnabled(napi_env env, const Args& args) {
  at::GradMode::set_enabled(toBool(env, args.at(0)));
  return undefined(env);
}

// Inference mode is a guard object in libtorch; the calls nest because the JavaScript side is a synchronous scope.
thread_local std::vector<std::unique_ptr<c10::InferenceMode>> inferenceGuards;

// enterInference(enabled)
napi_value enterInference(napi_env env, const Args& args) {
  inferenceGuards.push_back(std::make_unique<c10::InferenceMode>(toBool(env, args.at(0))));
  return undefined(env);
}

napi_value exitInference(napi_env env, const Args&) {
  if (inferenceGuards.empty()) throw CallError("no inference scope is open");
  inferenceGuards.pop_back();
  return undefined(env);
}

struct AutocastState {
  at::DeviceType device;
  bool enabled;
  at::ScalarType dtype;
};
thread_local std::vector<AutocastState> autocastStates;

void setAutocast(const AutocastState& state) {
  at::autocast::set_autocast_dtype(state.device, state.dtype);
  at::autocast::set_autocast_enabled(state.device, state.enabled);
}

// enterAutocast(device, dtype, enabled): everything is read before anything is changed, so that what throws leaves no scope.
napi_value enterAutocast(napi_env env, const Args& args) {
  const auto type = c10::Device(toString(env, args.at(0))).type();
  const AutocastState next{type, toBool(env, args.at(2)), toScalarType(toString(env, args.at(1)))};
  if (next.enabled && !at::autocast::is_autocast_available(type)) {
    throw CallError("autocast does not exist for " + c10::DeviceTypeName(type, true));
  }
  autocastStates.push_back({type, at::autocast::is_autocast_enabled(type), at::autocast::get_autocast_dtype(type)});
  setAutocast(next);
  at::autocast::increment_nesting();
  return undefined(env);
}

napi_value exitAutocast(napi_env env, const Args&) {
  if (autocastStates.empty()) throw CallError("no autocast scope is open");
  const auto state = autocastStates.back();
  autocastStates.pop_back();
  if (at::autocast::decrement_nesting() == 0) at::autocast::clear_cache();
  setAutocast(state);
  return undefined(env);
}

// createGenerator(device, seed)
napi_value createGenerator(napi_env env, const Args& args) {
  const c10::Device device(toString(env, args.at(0)));
  at::Generator generator = device.is_cpu()
                                ? at::Generator(at::detail::createCPUGenerator())
                                : at::globalContext().getAcceleratorHooksInterface(device.type()).getNewGenerator(
                                      device.has_index() ? device.index() : 0);
  generator.set_current_seed(static_cast<uint64_t>(toInt(env, args.at(1))));
  return wrapGenerator(env, generator);
}

napi_value generatorState(napi_env env, const Args& args) {
  return wrapTensor(env, unwrap(env, args.at(0), Kind::Generator)->generator.get_state());
}

napi_value setGeneratorState(napi_env env, const Args& args) {
  unwrap(env, args.at(0), Kind::Generator)->generator.set_state(unwrapTensor(env, args.at(1)));
  return undefined(env);
}

napi_value setThreads(napi_env env, const Args& args) {
  at::set_num_threads(static_cast<int>(toInt(env, args.at(0))));
  return undefined(env);
}

napi_value threads(napi_env env, const Args&) { return fromInt(env, at::get_num_threads()); }

napi_value memory(napi_env env, const Args&) {
  const auto* addon = instance(env);
  napi_value result;
  check(env, napi_create_object(env, &result));
  check(env, napi_set_named_property(env, result, "handles", fromInt(env, addon->liveHandles)));
  check(env, napi_set_named_property(env, result, "bytes", fromInt(env, addon->liveBytes)));
  return result;
}

napi_value library(napi_env env, const Args&) {
  napi_value result;
  check(env, napi_create_object(env, &result));
  check(env, napi_set_named_property(env, result, "headers", fromString(env, TORCH_VERSION)));
  check(env, napi_set_named_property(env, result, "cuda", fromBool(env, at::hasCUDA())));
  check(env, napi_set_named_property(env, result, "parallel", fromString(env, at::get_parallel_info())));
  return result;
}

napi_value initialise(napi_env env, napi_value exports) {
  quietLibtorch();
  check(env, napi_set_instance_data(env, new Addon(), nullptr, nullptr));
  expose<findOperator>(env, exports, "findOperator");
  expose<callOperator>(env, exports, "callOperator");
  expose<fromBytes>(env, exports, "fromBytes");
  expose<writeBytes>(env, exports, "writeBytes");
  expose<readBytes>(env, exports, "readBytes");
  expose<copyBytesOut>(env, exports, "copyBytes");
  expose<item>(env, exports, "item");
  expose<sizes>(env, exports, "sizes");
  expose<dtype>(env, exports, "dtype");
  expose<device>(env, exports, "device");
  expose<isContiguous>(env, exports, "isContiguous");
  expose<isLive>(env, exports, "isLive");
  expose<dispose>(env, exports, "dispose");
  expose<disposeAll>(env, exports, "disposeAll");
  expose<requiresGrad>(env, exports, "requiresGrad");
  expose<setRequiresGrad>(env, exports, "setRequiresGrad");
  expose<gradient>(env, exports, "gradient");
  expose<setGradient>(env, exports, "setGradient");
  expose<backward>(env, exports, "backward");
  expose<grad>(env, exports, "grad");
  expose<gradEnabled>(env, exports, "gradEnabled");
  expose<setGradEnabled>(env, exports, "setGradEnabled");
  expose<enterInference>(env, exports, "enterInference");
  expose<exitInference>(env, exports, "exitInference");
  expose<enterAutocast>(env, exports, "enterAutocast");
  expose<exitAutocast>(env, exports, "exitAutocast");
  expose<createGenerator>(env, exports, "createGenerator");
  expose<generatorState>(env, exports, "generatorState");
  expose<setGeneratorState>(env, exports, "setGeneratorState");
  expose<setThreads>(env, exports, "setThreads");
  expose<threads>(env, exports, "threads");
  expose<trimMemory>(env, exports, "trimMemory");
  expose<keepFreedMemory>(env, exports, "keepFreedMemory");
  expose<guardMapping>(env, exports, "guardMapping");
  expose<loadScript>(env, exports, "loadScript");
  expose<scriptTensors>(env, exports, "scriptTensors");
  expose<runScript>(env, exports, "runScript");
  expose<observeScript>(env, exports, "observeScript");
  expose<memory>(env, exports, "memory");
  expose<library>(env, exports, "library");
  if (exposeDistributed) exposeDistributed(env, exports);
  return exports;
}

}  // namespace

}  // namespace hub

NAPI_MODULE_INIT() {
  return hub::guarded(env, [&] { return hub::initialise(env, exports); });
}
