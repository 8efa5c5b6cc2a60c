#include "handle.h"

#include <unordered_map>

namespace hub {

namespace {

// Tensors smaller than this are not reported to the garbage collector: the report costs more than they weigh.
constexpr size_t kReportedBytes = 1 << 14;

// The collector hears of a small part of another device's memory. It collects at every few dozen MB, which is nothing
// on a GPU, and took a third of a training step there.
constexpr int64_t kDeviceShare = 64;

void report(node_api_basic_env env, const Handle& handle, int64_t sign) {
  if (handle.bytes < kReportedBytes) return;
  const auto bytes = static_cast<int64_t>(handle.bytes);
  int64_t total = 0;
  napi_adjust_external_memory(env, sign * (bytes / (handle.onHost ? hostShare : kDeviceShare)), &total);
}

void drop(node_api_basic_env env, Handle* handle) {
  if (!handle->live) return;
  handle->live = false;
  handle->addon->liveHandles -= 1;
  handle->addon->liveBytes -= static_cast<int64_t>(handle->bytes);
  report(env, *handle, -1);
  handle->tensor.reset();
  handle->generator = at::Generator();
  handle->object.reset();
}

void finalize(node_api_basic_env env, void* data, void*) {
  auto* handle = static_cast<Handle*>(data);
  drop(env, handle);
  delete handle;
}

// Marks the externals of this addon: those of another one hold something else.
constexpr napi_type_tag kTag = {0x6875622d70617468, 0x7761792d68616e64};

napi_value wrap(napi_env env, std::unique_ptr<Handle> owned) {
  napi_value external;
  check(env, napi_create_external(env, owned.get(), finalize, nullptr, &external));
  // From here on the collector owns it.
  auto* handle = owned.release();
  handle->addon->liveHandles += 1;
  handle->addon->liveBytes += static_cast<int64_t>(handle->bytes);
  report(env, *handle, 1);
  check(env, napi_type_tag_object(env, external, &kTag));
  return external;
}

const std::unordered_map<std::string, at::ScalarType>& scalarTypes() {
  static const std::unordered_map<std::string, at::ScalarType> types = {
      {"float32", at::kFloat}, {"float64", at::kDouble}, {"float16", at::kHalf}, {"bfloat16", at::kBFloat16},
      {"int64", at::kLong},    {"int32", at::kInt},      {"int16", at::kShort},  {"int8", at::kChar},
      {"uint8", at::kByte},    {"bool", at::kBool},
  };
  return types;
}

}  // namespace

int64_t hostShare = 1;

void check(napi_env env, napi_status status) {
  if (status == napi_ok) return;
  bool pending = false;
  napi_is_exception_pending(env, &pending);
  if (pending) throw PendingException();
  const napi_extended_error_info* info = nullptr;
  napi_get_last_error_info(env, &info);
  throw CallError(info && info->error_message ? info->error_message : "unknown Node-API error");
}

Addon* instance(napi_env env) {
  void* data = nullptr;
  check(env, napi_get_instance_data(env, &data));
  return static_cast<Addon*>(data);
}

napi_value wrapTensor(napi_env env, const at::Tensor& tensor) {
  if (!tensor.defined()) return undefined(env);
  auto handle = std::make_unique<Handle>(Kind::Tensor);
  handle->addon = instance(env);
  handle->tensor = tensor;
  handle->bytes = tensor.has_storage() ? tensor.nbytes() : 0;
  handle->onHost = tensor.is_cpu();
  return wrap(env, std::move(handle));
}

napi_value wrapGenerator(napi_env env, const at::Generator& generator) {
  auto handle = std::make_unique<Handle>(Kind::Generator);
  handle->addon = instance(env);
  handle->generator = generator;
  return wrap(env, std::move(handle));
}

napi_value wrapObject(napi_env env, Kind kind, std::shared_ptr<void> object) {
  auto handle = std::make_unique<Handle>(kind);
  handle->addon = instance(env);
  handle->object = std::move(object);
  return wrap(env, std::move(handle));
}

namespace {

const char* expectation(Kind kind) {
  if (kind == Kind::Tensor) return "expected a Tensor";
  return kind == Kind::Generator ? "expected a Generator" : "expected a TorchScript program";
}

}  // namespace

Handle* handleOf(napi_env env, napi_value value) {
  napi_valuetype type;
  check(env, napi_typeof(env, value, &type));
  bool isOurs = false;
  if (type == napi_external) check(env, napi_check_object_type_tag(env, value, &kTag, &isOurs));
  if (!isOurs) throw CallError("expected a handle of this library");
  void* data = nullptr;
  check(env, napi_get_value_external(env, value, &data));
  return static_cast<Handle*>(data);
}

Handle* unwrap(napi_env env, napi_value value, Kind kind) {
  napi_valuetype type;
  check(env, napi_typeof(env, value, &type));
  if (type != napi_external) throw CallError(expectation(kind));
  auto* handle = handleOf(env, value);
  if (handle->kind != kind) throw CallError(expectation(kind));
  if (!handle->live) {
    throw CallError(
        "this handle was released: it was disposed, or left the scope it was made in (return it from the scope, or "
        "keep() it)");
  }
  return handle;
}

at::Tensor& unwrapTensor(napi_env env, napi_value value) {
  auto& tensor = unwrap(env, value, Kind::Tensor)->tensor;
  noteRead(tensor);
  return tensor;
}

void release(napi_env env, Handle* handle) { drop(env, handle); }

std::string toString(napi_env env, napi_value value) {
  size_t length = 0;
  check(env, napi_get_value_string_utf8(env, value, nullptr, 0, &length));
  std::string text(length, '\0');
  check(env, napi_get_value_string_utf8(env, value, text.data(), length + 1, &length));
  return text;
}

int64_t toInt(napi_env env, napi_value value) {
  napi_valuetype type;
  check(env, napi_typeof(env, value, &type));
  if (type == napi_bigint) {
    int64_t result = 0;
    bool lossless = false;
    check(env, napi_get_value_bigint_int64(env, value, &result, &lossless));
    if (!lossless) throw CallError("a BigInt does not fit into 64 bits");
    return result;
  }
  if (type != napi_number) throw CallError("expected an integer");
  double number = 0;
  check(env, napi_get_value_double(env, value, &number));
  if (!(std::abs(number) <= 9007199254740992.0) || number != static_cast<double>(static_cast<int64_t>(number))) {
    throw CallError("expected an integer, got " + std::to_string(number));
  }
  return static_cast<int64_t>(number);
}

double toDouble(napi_env env, napi_value value) {
  double number = 0;
  if (napi_get_value_double(env, value, &number) != napi_ok) throw CallError("expected a number");
  return number;
}

bool toBool(napi_env env, napi_value value) {
  bool result = false;
  if (napi_get_value_bool(env, value, &result) != napi_ok) throw CallError("expected a boolean");
  return result;
}

namespace {

template <class T, class Convert>
std::vector<T> toVector(napi_env env, napi_value value, Convert convert) {
  bool isArray = false;
  check(env, napi_is_array(env, value, &isArray));
  if (!isArray) throw CallError("expected an array");
  uint32_t length = 0;
  check(env, napi_get_array_length(env, value, &length));
  std::vector<T> result;
  result.reserve(length);
  for (uint32_t i = 0; i < length; ++i) {
    napi_value element;
    check(env, napi_get_element(env, value, i, &element));
    result.push_back(convert(element));
  }
  return result;
}

}  // namespace

std::vector<int64_t> toInts(napi_env env, napi_value value) {
  return toVector<int64_t>(env, value, [&](napi_value element) { return toInt(env, element); });
}

std::vector<at::Tensor> toTensors(napi_env env, napi_value value) {
  return toVector<at::Tensor>(env, value, [&](napi_value element) {
    return isNullish(env, element) ? at::Tensor() : unwrapTensor(env, element);
  });
}

bool isNullish(napi_env env, napi_value value) {
  napi_valuetype type;
  check(env, napi_typeof(env, value, &type));
  return type == napi_undefined || type == napi_null;
}

napi_value fromString(napi_env env, const std::string& value) {
  napi_value result;
  check(env, napi_create_string_utf8(env, value.data(), value.size(), &result));
  return result;
}

napi_value fromInt(napi_env env, int64_t value) {
  constexpr int64_t kSafe = 9007199254740991;
  if (value > kSafe || value < -kSafe) {
    throw CallError("the integer " + std::to_string(value) + " is not safe as a JavaScript number");
  }
  napi_value result;
  check(env, napi_create_int64(env, value, &result));
  return result;
}

napi_value fromBool(napi_env env, bool value) {
  napi_value result;
  check(env, napi_get_boolean(env, value, &result));
  return result;
}

napi_value undefined(napi_env env) {
  napi_value result;
  check(env, napi_get_undefined(env, &result));
  return result;
}

at::ScalarType toScalarType(const std::string& name) {
  const auto found = scalarTypes().find(name);
  if (found == scalarTypes().end()) throw CallError("unknown dtype \"" + name + "\"");
  return found->second;
}

std::string scalarTypeName(at::ScalarType type) {
  for (const auto& [name, candidate] : scalarTypes()) {
    if (candidate == type) return name;
  }
  return at::toString(type);
}

}  // namespace hub
