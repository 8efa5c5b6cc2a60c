// Process groups of torch.distributed: a store where ranks find each other, and Gloo between them. Collectives are operators
// (_c10d_functional) that name their group.
#define USE_C10D_GLOO
#include <torch/csrc/autograd/custom_function.h>
#include <torch/csrc/distributed/c10d/Functional.hpp>
#include <torch/csrc/distributed/c10d/GroupRegistry.hpp>
#include <torch/csrc/distributed/c10d/PrefixStore.hpp>
#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>
#include <torch/csrc/distributed/c10d/TCPStore.hpp>

#include <map>
#include <sstream>

#include "entry.h"
#include "waiting.h"

namespace hub {

namespace {

// Of this process. Never freed: threads of Gloo may outlive static objects.
auto& groups() {
  static auto* all = new std::map<std::string, c10::intrusive_ptr<c10d::ProcessGroup>>();
  return *all;
}

// Stores outlive their groups: other ranks may still ask the one that serves.
auto& stores() {
  static auto* all = new std::map<std::string, c10::intrusive_ptr<c10d::Store>>();
  return *all;
}

c10::intrusive_ptr<c10d::Store> findStore(const std::string& name) {
  const auto found = stores().find(name);
  if (found == stores().end()) throw CallError("there is no store " + name);
  return found->second;
}

at::Tensor finished(const at::Tensor& started) {
  const Waiting waiting;
  return c10d::wait_tensor(started);
}

// libtorch's own operators have their gradients in its Python package; these are the same.
at::Tensor gathered(const at::Tensor& values, const std::string& group) {
  const auto size = c10d::resolve_process_group(group)->getSize();
  return finished(c10d::all_gather_into_tensor(values.contiguous(), size, group));
}

at::Tensor scattered(const at::Tensor& values, const std::string& group) {
  const auto size = c10d::resolve_process_group(group)->getSize();
  return finished(c10d::reduce_scatter_tensor(values.contiguous(), "sum", size, group));
}

at::Tensor exchanged(const at::Tensor& values, const std::vector<int64_t>& received, const std::vector<int64_t>& sent,
                     const std::string& group) {
  const auto rows = [](const std::vector<int64_t>& counts) { return c10::fromIntArrayRefSlow(counts); };
  return finished(c10d::all_to_all_single(values.contiguous(), rows(received), rows(sent), group));
}

// A collective of a backward pass, which no call names.
template <class Run>
at::Tensor named(const char* collective, const at::Tensor& values, Run run) {
  try {
    return run();
  } catch (const std::exception& error) {
    std::ostringstream text;
    text << collective << " of " << c10::getDtypeNames(values.scalar_type()).first << values.sizes() << ": " << error.what();
    throw CallError(text.str());
  }
}

using torch::autograd::AutogradContext;
using torch::autograd::Function;
using torch::autograd::variable_list;

struct Gather : public Function<Gather> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& values, const std::string& group) {
    context->saved_data["group"] = group;
    return gathered(values, group);
  }
  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const auto& group = context->saved_data["group"].toStringRef();
    return {named("reduce_scatter", gradients.at(0), [&] { return scattered(gradients.at(0), group); }), at::Tensor()};
  }
};

struct Scatter : public Function<Scatter> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& values, const std::string& group) {
    context->saved_data["group"] = group;
    return scattered(values, group);
  }
  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const auto& group = context->saved_data["group"].toStringRef();
    return {named("all_gather", gradients.at(0), [&] { return gathered(gradients.at(0), group); }), at::Tensor()};
  }
};

struct Exchange : public Function<Exchange> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& values, const std::vector<int64_t>& received,
                            const std::vector<int64_t>& sent, const std::string& group) {
    context->saved_data["received"] = received;
    context->saved_data["sent"] = sent;
    context->saved_data["group"] = group;
    return exchanged(values, received, sent, group);
  }
  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const auto& saved = context->saved_data;
    const auto back = named("all_to_all", gradients.at(0), [&] {
      return exchanged(gradients.at(0), saved.at("sent").toIntVector(), saved.at("received").toIntVector(),
                       saved.at("group").toStringRef());
    });
    return {back, at::Tensor(), at::Tensor(), at::Tensor()};
  }
};

std::chrono::milliseconds toTime(napi_env env, napi_value value) { return std::chrono::milliseconds(toInt(env, value)); }

// bearSignals(patience ms, last line on standard output, on standard error): of this process, while it waits for others
napi_value bearSignals(napi_env env, const Args& args) {
  setPatience(toInt(env, args.at(0)), toString(env, args.at(1)), toString(env, args.at(2)));
  return undefined(env);
}

// openStore(name, host, port, serves, prefix, timeout ms): port
napi_value openStore(napi_env env, const Args& args) {
  const Waiting waiting;
  c10d::TCPStoreOptions options;
  options.port = static_cast<uint16_t>(toInt(env, args.at(2)));
  options.isServer = toBool(env, args.at(3));
  options.waitWorkers = false;
  options.timeout = toTime(env, args.at(5));
  const auto server = c10::make_intrusive<c10d::TCPStore>(toString(env, args.at(1)), options);
  const auto port = server->getPort();
  stores()[toString(env, args.at(0))] = c10::make_intrusive<c10d::PrefixStore>(toString(env, args.at(4)), server);
  return fromInt(env, port);
}

// storeSet(name, key, value)
napi_value storeSet(napi_env env, const Args& args) {
  const Waiting waiting;
  const auto value = toString(env, args.at(2));
  findStore(toString(env, args.at(0)))->set(toString(env, args.at(1)), std::vector<uint8_t>(value.begin(), value.end()));
  return undefined(env);
}

// storeGet(name, key): string, once some rank has set it; throws after the store's timeout
napi_value storeGet(napi_env env, const Args& args) {
  const Waiting waiting;
  const auto value = findStore(toString(env, args.at(0)))->get(toString(env, args.at(1)));
  return fromString(env, std::string(value.begin(), value.end()));
}

// openGroup(name, rank, size, timeout ms, start ms): connects to all ranks of the store of that name, which may take as long as a start
napi_value openGroup(napi_env env, const Args& args) {
  const Waiting waiting;
  const auto name = toString(env, args.at(0));
  const auto rank = static_cast<int>(toInt(env, args.at(1)));
  const auto size = static_cast<int>(toInt(env, args.at(2)));
  const auto store = findStore(name);
  auto options = c10d::ProcessGroupGloo::Options::create(toTime(env, args.at(4)));
  const char* interface = getenv("GLOO_SOCKET_IFNAME");
  options->devices.push_back(interface ? c10d::ProcessGroupGloo::createDeviceForInterface(interface)
                                       : c10d::ProcessGroupGloo::createDefaultDevice());
  const auto group = c10::make_intrusive<c10d::ProcessGroup>(store, rank, size);
  const auto backend = c10::make_intrusive<c10d::ProcessGroupGloo>(store, rank, size, options);
  group->setBackend(at::kCPU, c10d::ProcessGroup::BackendType::GLOO, backend);
  group->setDefaultBackend(c10d::ProcessGroup::BackendType::GLOO);
  group->setGroupName(name);
  c10d::register_process_group(name, group);
  const auto timeout = toTime(env, args.at(3));
  group->setTimeout(timeout);
  store->setTimeout(timeout);
  groups()[name] = group;
  return undefined(env);
}

// waitTensor(tensor of an operator that has begun): tensor
napi_value waitTensor(napi_env env, const Args& args) { return wrapTensor(env, finished(unwrapTensor(env, args.at(0)))); }

// allGather(group, tensor): tensor
napi_value allGather(napi_env env, const Args& args) {
  return wrapTensor(env, Gather::apply(unwrapTensor(env, args.at(1)), toString(env, args.at(0))));
}

// reduceScatter(group, tensor): tensor
napi_value reduceScatter(napi_env env, const Args& args) {
  return wrapTensor(env, Scatter::apply(unwrapTensor(env, args.at(1)), toString(env, args.at(0))));
}

// allToAll(group, tensor, rows received from each rank, rows sent to each): tensor
napi_value allToAll(napi_env env, const Args& args) {
  const auto received = toInts(env, args.at(2));
  const auto sent = toInts(env, args.at(3));
  return wrapTensor(env, Exchange::apply(unwrapTensor(env, args.at(1)), received, sent, toString(env, args.at(0))));
}

// closeGroup(name): of the group and its store; nothing where there is none
napi_value closeGroup(napi_env env, const Args& args) {
  const auto name = toString(env, args.at(0));
  if (groups().erase(name) > 0) c10d::unregister_process_group(name);
  stores().erase(name);
  return undefined(env);
}

}  // namespace

void exposeDistributed(napi_env env, napi_value exports) {
  expose<bearSignals>(env, exports, "bearSignals");
  expose<openStore>(env, exports, "openStore");
  expose<storeSet>(env, exports, "storeSet");
  expose<storeGet>(env, exports, "storeGet");
  expose<openGroup>(env, exports, "openGroup");
  expose<closeGroup>(env, exports, "closeGroup");
  expose<waitTensor>(env, exports, "waitTensor");
  expose<allGather>(env, exports, "allGather");
  expose<reduceScatter>(env, exports, "reduceScatter");
  expose<allToAll>(env, exports, "allToAll");
}

}  // namespace hub
