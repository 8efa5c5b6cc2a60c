// A handle is what JavaScript holds of a tensor or a random generator: one reference, released by dispose or by the
// garbage collector, whichever comes first.
#pragma once

#include <ATen/core/Generator.h>
#include <ATen/core/Tensor.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <node_api.h>

#include <memory>
#include <string>
#include <vector>

namespace hub {

// State of one JavaScript environment (the main thread or a worker). It is never freed: finalizers of handles may run
// after the environment's own teardown.
struct Addon {
  std::vector<c10::OperatorHandle> operators;
  int64_t liveHandles = 0;
  int64_t liveBytes = 0;
};

enum class Kind : uint32_t { Tensor = 0x7e50a001, Generator = 0x7e50a002, Script = 0x7e50a003 };

struct Handle {
  Kind kind;
  bool live = true;
  size_t bytes = 0;
  // In main memory when the handle was made.
  bool onHost = true;
  Addon* addon;
  at::Tensor tensor;
  at::Generator generator;
  std::shared_ptr<void> object;
};

// Errors thrown by our own conversions; they become JavaScript errors like libtorch's.
struct CallError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// Thrown after an N-API call failed because a JavaScript exception is already pending.
struct PendingException {};

// The collector hears of this part of a tensor's main memory: all of it, unless the program releases its tensors itself.
extern int64_t hostShare;

void check(napi_env env, napi_status status);
Addon* instance(napi_env env);
napi_value wrapTensor(napi_env env, const at::Tensor& tensor);
napi_value wrapGenerator(napi_env env, const at::Generator& generator);
napi_value wrapObject(napi_env env, Kind kind, std::shared_ptr<void> object);
// Handle of an object made by this addon, live or not; throws for anything else.
Handle* handleOf(napi_env env, napi_value value);
Handle* unwrap(napi_env env, napi_value value, Kind kind);
at::Tensor& unwrapTensor(napi_env env, napi_value value);
void release(napi_env env, Handle* handle);

// Plain conversions.
std::string toString(napi_env env, napi_value value);
int64_t toInt(napi_env env, napi_value value);
double toDouble(napi_env env, napi_value value);
bool toBool(napi_env env, napi_value value);
std::vector<int64_t> toInts(napi_env env, napi_value value);
std::vector<at::Tensor> toTensors(napi_env env, napi_value value);
bool isNullish(napi_env env, napi_value value);
napi_value fromString(napi_env env, const std::string& value);
napi_value fromInt(napi_env env, int64_t value);
napi_value fromBool(napi_env env, bool value);
napi_value undefined(napi_env env);
at::ScalarType toScalarType(const std::string& name);
std::string scalarTypeName(at::ScalarType type);

// Sees that libtorch writes nothing of its own on standard error in this thread (quiet.cc).
void quietLibtorch();

// The generic boxed call (call.cc).
napi_value findOperator(napi_env env, const std::vector<napi_value>& args);
napi_value callOperator(napi_env env, const std::vector<napi_value>& args);

// Mapped files (mapped.cc). What an exported function reads is known from the tensors that it unwraps after beginEntry;
// throwIfTruncated throws when one of them lies in a file that has become shorter. Functions that read tensors they were
// not given, such as backward, also answer for every file that became so meanwhile.
enum class Reads { Arguments, Anything };
napi_value guardMapping(napi_env env, const std::vector<napi_value>& args);
void beginEntry();
void noteRead(const at::Tensor& tensor);
void throwIfTruncated(Reads reads = Reads::Arguments);

// Memory of tensors (blocks.cc).
napi_value trimMemory(napi_env env, const std::vector<napi_value>& args);
napi_value keepFreedMemory(napi_env env, const std::vector<napi_value>& args);

// TorchScript programs (script.cc).
napi_value loadScript(napi_env env, const std::vector<napi_value>& args);
napi_value scriptTensors(napi_env env, const std::vector<napi_value>& args);
napi_value runScript(napi_env env, const std::vector<napi_value>& args);
napi_value observeScript(napi_env env, const std::vector<napi_value>& args);

}  // namespace hub
