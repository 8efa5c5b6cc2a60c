// TorchScript programs: loading, their parameters and buffers, and running them with autograd.
#include <ATen/record_function.h>
#include <torch/csrc/jit/api/module.h>
#include <torch/csrc/jit/serialization/import.h>

#include "handle.h"

namespace hub {

namespace {

torch::jit::Module& unwrapScript(napi_env env, napi_value value) {
  return *std::static_pointer_cast<torch::jit::Module>(unwrap(env, value, Kind::Script)->object);
}

void append(napi_env env, napi_value array, const std::string& name, const at::Tensor& tensor, bool parameter) {
  napi_value entry;
  uint32_t length = 0;
  check(env, napi_create_object(env, &entry));
  check(env, napi_set_named_property(env, entry, "name", fromString(env, name)));
  check(env, napi_set_named_property(env, entry, "tensor", wrapTensor(env, tensor)));
  check(env, napi_set_named_property(env, entry, "parameter", fromBool(env, parameter)));
  check(env, napi_get_array_length(env, array, &length));
  check(env, napi_set_element(env, array, length, entry));
}

// One operator call of a program: what a call from JavaScript would show to the hook.
struct Observed {
  std::string name;
  std::vector<c10::IValue> inputs;
  std::vector<c10::IValue> outputs;
};

// Set while a program is observed on this thread; `depth` tells the program's own calls from those inside operators.
thread_local std::vector<Observed>* observed = nullptr;
thread_local int depth = 0;

// Some calls of libtorch's own, such as detach, are shown without their inputs, and asking for them throws.
std::vector<c10::IValue> inputsOf(const at::RecordFunction& fn) {
  try {
    const auto inputs = fn.inputs();
    return std::vector<c10::IValue>(inputs.begin(), inputs.end());
  } catch (const c10::Error&) {
    return {};
  }
}

std::unique_ptr<at::ObserverContext> onEnter(const at::RecordFunction& fn) {
  if (observed && depth++ == 0) {
    const auto name = fn.operator_name();
    observed->push_back({name ? c10::toString(*name) : std::string(fn.name()), inputsOf(fn), {}});
  }
  return nullptr;
}

void onExit(const at::RecordFunction& fn, at::ObserverContext*) {
  if (observed && --depth == 0) observed->back().outputs = fn.outputs();
}

napi_value toValue(napi_env env, const c10::IValue& value) {
  if (value.isTensor() && value.toTensor().defined()) return wrapTensor(env, value.toTensor());
  return value.isBool() ? fromBool(env, value.toBool()) : undefined(env);
}

napi_value toArray(napi_env env, const std::vector<c10::IValue>& values) {
  napi_value array;
  check(env, napi_create_array_with_length(env, values.size(), &array));
  for (size_t i = 0; i < values.size(); i++) check(env, napi_set_element(env, array, i, toValue(env, values[i])));
  return array;
}

}  // namespace

// loadScript(path, device) -> script, in evaluation mode
napi_value loadScript(napi_env env, const std::vector<napi_value>& args) {
  auto module = torch::jit::load(toString(env, args.at(0)), c10::Device(toString(env, args.at(1))));
  module.eval();
  return wrapObject(env, Kind::Script, std::make_shared<torch::jit::Module>(std::move(module)));
}

// scriptTensors(script) -> [{name, tensor, parameter}]: the very tensors that the program computes with
napi_value scriptTensors(napi_env env, const std::vector<napi_value>& args) {
  auto& module = unwrapScript(env, args.at(0));
  napi_value result;
  check(env, napi_create_array(env, &result));
  for (const auto& item : module.named_parameters()) append(env, result, item.name, item.value, true);
  for (const auto& item : module.named_buffers()) append(env, result, item.name, item.value, false);
  return result;
}

// runScript(script, tensor) -> tensor
napi_value runScript(napi_env env, const std::vector<napi_value>& args) {
  auto& module = unwrapScript(env, args.at(0));
  const c10::IValue result = module.forward({unwrapTensor(env, args.at(1))});
  throwIfTruncated(Reads::Anything);
  if (!result.isTensor()) throw CallError("the program returns " + result.tagKind() + ", not one tensor");
  return wrapTensor(env, result.toTensor());
}

// observeScript(script, tensor) -> [[operator, arguments, results]] of the calls that the program makes
napi_value observeScript(napi_env env, const std::vector<napi_value>& args) {
  auto& module = unwrapScript(env, args.at(0));
  std::vector<Observed> calls;
  const auto handle = at::addThreadLocalCallback(
      at::RecordFunctionCallback(onEnter, onExit).needsInputs(true).needsOutputs(true).scopes({at::RecordScope::FUNCTION}));
  const auto stop = [&](void*) {
    observed = nullptr;
    depth = 0;
    at::removeCallback(handle);
  };
  const std::unique_ptr<void, decltype(stop)> guard(&calls, stop);
  observed = &calls;
  module.forward({unwrapTensor(env, args.at(1))});
  napi_value result;
  check(env, napi_create_array_with_length(env, calls.size(), &result));
  for (size_t i = 0; i < calls.size(); i++) {
    napi_value entry;
    check(env, napi_create_array_with_length(env, 3, &entry));
    check(env, napi_set_element(env, entry, 0, fromString(env, calls[i].name)));
    check(env, napi_set_element(env, entry, 1, toArray(env, calls[i].inputs)));
    check(env, napi_set_element(env, entry, 2, toArray(env, calls[i].outputs)));
    check(env, napi_set_element(env, result, i, entry));
  }
  return result;
}

}  // namespace hub
