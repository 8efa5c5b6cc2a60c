// Memory of tensors. glibc hands large blocks back to the kernel, and a training step asks for its activations anew each time:
// the page faults cost more than the arithmetic they delay. Kept in its heap, blocks of many sizes leave holes that nothing
// fits, and searching them costs time. Here freed blocks are kept, and joined with neighbours that are free too. Whoever asks
// gets the smallest that suits, cut to size. Pages are never moved: under some hypervisors that costs what a fault costs.
#include <c10/core/CPUAllocator.h>
#include <c10/core/impl/alloc_cpu.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <map>
#include <mutex>

#include "handle.h"

#ifdef __GLIBC__
#include <malloc.h>
#endif

namespace hub {

namespace {

// Before each block lies its size; as long as the alignment that kernels want.
constexpr size_t kHeader = 64;
// Smaller blocks are malloc's. From kMapped on, a block comes from the kernel and goes back to it alone.
constexpr size_t kKept = 16 << 10;
constexpr size_t kMapped = 64 << 10;
const size_t kPage = sysconf(_SC_PAGESIZE);

size_t& sizeOf(void* block) { return *static_cast<size_t*>(block); }
void* endOf(void* block) { return static_cast<char*>(block) + sizeOf(block); }
size_t pages(size_t bytes) { return (bytes + kPage - 1) / kPage * kPage; }

// Null where there is not that much memory.
void* fromSystem(size_t size) {
  if (size < kMapped) {
    try {
      return c10::alloc_cpu(size);
    } catch (const c10::Error&) {
      return nullptr;
    }
  }
  void* block = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  return block == MAP_FAILED ? nullptr : block;
}

void toSystem(void* block) {
  const size_t size = sizeOf(block);
  if (size < kMapped) {
    c10::free_cpu(block);
  } else {
    munmap(block, size);
  }
}

// Kept ones add this to the peak at most: holes between blocks in use suit no one for a while.
constexpr size_t kBeyond = 64 << 20;

// A kept block that cannot be cut may be so much larger than what is asked for: routes change all sizes in every step.
constexpr size_t kLarger = 2;

// Blocks in use and kept ones together are at most what was in use at once, and up to twice that while it is little.
class Blocks final : public c10::Allocator {
  using Kept = std::multimap<size_t, void*>;

 public:
  c10::DataPtr allocate(size_t bytes) override {
    const c10::Device cpu(c10::DeviceType::CPU);
    if (bytes == 0) return {nullptr, nullptr, &release, cpu};
    const size_t size = bytes + kHeader;
    void* block = size < kKept ? c10::alloc_cpu(size) : take(size);
    if (size < kKept) sizeOf(block) = size;
    void* data = static_cast<char*>(block) + kHeader;
    return {data, data, &release, cpu};
  }
  c10::DeleterFnPtr raw_deleter() const override { return &release; }
  void copy_data(void* to, const void* from, size_t count) const override { default_copy_data(to, from, count); }

  // Hands back kept blocks, the largest first, until blocks in use, kept ones and `more` bytes are at most `limit`.
  void shrink(size_t more, size_t limit) {
    while (!kept_.empty() && used_ + keptBytes_ + more > limit) {
      const size_t excess = std::max(pages(used_ + keptBytes_ + more - limit), kMapped);
      void* block = pop(std::prev(kept_.end()));
      const bool isPart = sizeOf(block) >= excess + kMapped;
      toSystem(isPart ? cut(block, sizeOf(block) - excess) : block);
      if (isPart) push(block);
    }
  }
  void trim() {
    const std::lock_guard<std::mutex> lock(mutex_);
    shrink(0, 0);
    most_ = used_;
  }

 private:
  static void release(void* data);

  void* take(size_t wanted) {
    const size_t size = pages(wanted);
    const std::lock_guard<std::mutex> lock(mutex_);
    const size_t limit = most_ + std::min(most_, kBeyond);
    const auto found = kept_.lower_bound(size);
    void* block = nullptr;
    if (found != kept_.end() && (size >= kMapped || found->first <= kLarger * size)) {
      block = pop(found);
      if (size >= kMapped && sizeOf(block) >= size + kMapped) push(cut(block, size));
    } else {
      shrink(size, limit);
      block = fromSystem(size);
      if (block == nullptr) shrink(0, 0), block = fromSystem(size);
      TORCH_CHECK(block != nullptr, "not enough memory: you tried to allocate ", wanted, " bytes");
      sizeOf(block) = size;
    }
    used_ += sizeOf(block);
    most_ = std::max(most_, used_);
    return block;
  }

  void* pop(const Kept::iterator found) {
    void* block = found->second;
    keptBytes_ -= found->first;
    kept_.erase(found);
    mapped_.erase(block);
    return block;
  }

  void push(void* block) {
    if (sizeOf(block) >= kMapped) block = joined(block);
    keptBytes_ += sizeOf(block);
    const auto at = kept_.emplace(sizeOf(block), block);
    if (sizeOf(block) >= kMapped) mapped_[block] = at;
  }

  // A block from the kernel with kept ones that begin where it ends, or end where it begins.
  void* joined(void* block) {
    auto next = mapped_.upper_bound(block);
    if (next != mapped_.end() && next->first == endOf(block)) sizeOf(block) += sizeOf(pop((next++)->second));
    if (next == mapped_.begin() || endOf(std::prev(next)->first) != block) return block;
    void* before = pop(std::prev(next)->second);
    sizeOf(before) += sizeOf(block);
    return before;
  }

  // Shortens a block from the kernel to `size`, and gives the rest of it.
  static void* cut(void* block, size_t size) {
    void* rest = static_cast<char*>(block) + size;
    sizeOf(rest) = sizeOf(block) - size;
    sizeOf(block) = size;
    return rest;
  }

  void keep(void* block) {
    const std::lock_guard<std::mutex> lock(mutex_);
    used_ -= sizeOf(block);
    push(block);
  }

  std::mutex mutex_;
  Kept kept_;
  std::map<void*, Kept::iterator> mapped_;  // Kept ones from the kernel, by their places.
  size_t used_ = 0;
  size_t keptBytes_ = 0;
  size_t most_ = 0;
};

Blocks& blocks() {
  static auto* all = new Blocks();  // Never destroyed: tensors may outlive everything else.
  return *all;
}

void Blocks::release(void* data) {
  if (data == nullptr) return;
  void* block = static_cast<char*>(data) - kHeader;
  if (sizeOf(block) < kKept) {
    c10::free_cpu(block);
  } else {
    blocks().keep(block);
  }
}

}  // namespace

// trimMemory(): free memory that the process keeps goes back to the kernel, holes between blocks in use included.
napi_value trimMemory(napi_env env, const std::vector<napi_value>&) {
  blocks().trim();
#ifdef __GLIBC__
  malloc_trim(0);
#endif
  return undefined(env);
}

// keepFreedMemory(): freed memory of tensors stays in the process; so does the rest of the heap. This program's tensors are
// owned by scopes: activations that come and go would have the collector run in every step, for nothing.
napi_value keepFreedMemory(napi_env env, const std::vector<napi_value>&) {
  hostShare = 16;
  c10::SetCPUAllocator(&blocks());
#ifdef __GLIBC__
  mallopt(M_MMAP_MAX, 0);
  mallopt(M_TRIM_THRESHOLD, INT32_MAX);
  mallopt(M_TOP_PAD, 64 << 20);
#endif
  return undefined(env);
}

}  // namespace hub
