// From a function of ours to one that JavaScript calls.
#pragma once

#include <c10/util/Exception.h>

#include "handle.h"

namespace hub {

using Args = std::vector<napi_value>;
using Body = napi_value (*)(napi_env, const Args&);

inline void throwError(napi_env env, const char* message) { napi_throw_error(env, nullptr, message); }

// C++ exceptions of any type become JavaScript errors: none may reach Node, which was built without exceptions.
template <class Run>
napi_value guarded(napi_env env, Run run) {
  try {
    return run();
  } catch (const PendingException&) {
  } catch (const c10::Error& error) {
    throwError(env, error.what_without_backtrace());
  } catch (const std::exception& error) {
    throwError(env, error.what());
  } catch (...) {
    throwError(env, "a C++ exception of an unknown type");
  }
  return nullptr;
}

// Every exported function goes through here.
template <Body body>
napi_value entry(napi_env env, napi_callback_info info) {
  return guarded(env, [&] {
    beginEntry();
    size_t count = 6;
    napi_value values[6];
    check(env, napi_get_cb_info(env, info, &count, values, nullptr, nullptr));
    return body(env, Args(values, values + (count < 6 ? count : 6)));
  });
}

template <Body body>
void expose(napi_env env, napi_value exports, const char* name) {
  napi_value function;
  check(env, napi_create_function(env, name, NAPI_AUTO_LENGTH, entry<body>, nullptr, &function));
  check(env, napi_set_named_property(env, exports, name, function));
}

// Process groups (distributed/); absent where set-up was not asked for them.
__attribute__((weak)) void exposeDistributed(napi_env env, napi_value exports);

}  // namespace hub
