// A file that shrinks while it is mapped: reading what is no longer there raises SIGBUS, which would end the process.
// The handler puts a page of zeros in the place and marks the mapping; from then on every call that reads it throws.
#include <csignal>
#include <sys/mman.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <mutex>
#include <optional>

#include "handle.h"

namespace hub {

namespace {

struct Mapping {
  std::atomic<uintptr_t> begin{0};
  std::atomic<uintptr_t> end{0};
  std::atomic<bool> truncated{false};
};

// Fixed in size, because a signal handler may not allocate; older entries are overwritten, and are then not protected.
constexpr size_t kMappings = 4096;
std::array<Mapping, kMappings> mappings;
std::array<std::string, kMappings> paths;
// They tell whether a file is still mapped: its addresses are somebody else's memory later.
std::array<std::optional<c10::weak_intrusive_ptr<c10::StorageImpl>>, kMappings> storages;
std::mutex registration;
size_t registered = 0;
// Pages that were found missing in this process.
std::atomic<uint64_t> faults{0};
std::atomic<int64_t> lastFault{-1};
// Arguments of the exported function that runs on this thread, and the number of missing pages when it began.
thread_local std::vector<uintptr_t> given;
thread_local uint64_t faultsBefore = 0;
struct sigaction previous;

int64_t find(uintptr_t address) {
  for (size_t i = 0; i < kMappings; ++i) {
    if (address >= mappings[i].begin.load(std::memory_order_relaxed) &&
        address < mappings[i].end.load(std::memory_order_relaxed)) {
      return static_cast<int64_t>(i);
    }
  }
  return -1;
}

void onBusError(int signal, siginfo_t* info, void*) {
  const auto size = static_cast<uintptr_t>(sysconf(_SC_PAGESIZE));
  const auto address = reinterpret_cast<uintptr_t>(info->si_addr);
  const int64_t found = find(address);
  void* page = reinterpret_cast<void*>(address & ~(size - 1));
  if (found >= 0 && mmap(page, size, PROT_READ | PROT_WRITE, MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == page) {
    mappings[static_cast<size_t>(found)].truncated.store(true);
    lastFault.store(found);
    faults.fetch_add(1);
    return;
  }
  // Not ours: whoever was there before handles it when the instruction runs again.
  sigaction(signal, &previous, nullptr);
}

void install() {
  struct sigaction action {};
  action.sa_sigaction = onBusError;
  action.sa_flags = SA_SIGINFO | SA_NODEFER | SA_ONSTACK;
  sigemptyset(&action.sa_mask);
  sigaction(SIGBUS, &action, &previous);
}

// Whether a slot's file is still mapped; one that is not gives its addresses free.
bool isMapped(size_t slot) {
  const std::lock_guard<std::mutex> lock(registration);
  if (storages[slot] && !storages[slot]->expired()) return true;
  mappings[slot].end.store(0);
  return false;
}

}  // namespace

// guardMapping(tensor, path): the tensor's storage is a mapped file.
napi_value guardMapping(napi_env env, const std::vector<napi_value>& args) {
  const at::Tensor& tensor = unwrapTensor(env, args.at(0));
  const std::string path = toString(env, args.at(1));
  const auto begin = reinterpret_cast<uintptr_t>(tensor.storage().data());
  const auto end = begin + tensor.storage().nbytes();
  const std::lock_guard<std::mutex> lock(registration);
  if (registered == 0) install();
  // Entries stay until they are looked at again: what is mapped in their place since is this file's.
  for (auto& old : mappings) {
    if (old.begin.load() < end && begin < old.end.load()) old.end.store(0);
  }
  const size_t slot = registered++ % kMappings;
  mappings[slot].end.store(0);
  mappings[slot].truncated.store(false);
  paths[slot] = path;
  storages[slot] = tensor.storage().getWeakStorageImpl();
  mappings[slot].begin.store(begin);
  mappings[slot].end.store(end);
  return undefined(env);
}

void beginEntry() {
  given.clear();
  faultsBefore = faults.load(std::memory_order_relaxed);
}

void noteRead(const at::Tensor& tensor) {
  if (tensor.has_storage()) given.push_back(reinterpret_cast<uintptr_t>(tensor.storage().data()));
}

void throwIfTruncated(Reads reads) {
  const uint64_t now = faults.load();
  if (now == 0) return;
  int64_t slot = reads == Reads::Anything && now != faultsBefore ? lastFault.load() : -1;
  for (const auto address : given) {
    const int64_t found = find(address);
    if (found < 0 || !mappings[static_cast<size_t>(found)].truncated.load()) continue;
    if (isMapped(static_cast<size_t>(found))) slot = found;
  }
  if (slot < 0) return;
  const std::lock_guard<std::mutex> lock(registration);
  throw CallError("the file " + paths[static_cast<size_t>(slot)] + " became shorter while it was in use");
}

}  // namespace hub
