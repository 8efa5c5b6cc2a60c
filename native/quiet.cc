// Filter of libtorch's messages on standard error: nothing about the processor, and one line of ours for each warning.
#include <ATen/Context.h>
#include <c10/util/Exception.h>
#include <c10/util/Logging.h>

#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <string>
#include <unordered_set>

#include "handle.h"

namespace hub {

namespace {

class OneLineEach : public c10::WarningHandler {
 public:
  void process(const c10::Warning& warning) override {
    const std::string line = warning.msg().substr(0, warning.msg().find('\n'));
    // Of a process that ends because another rank did, which has been said.
    if (line.find("unwaited collective calls") != std::string::npos) return;
    const std::lock_guard<std::mutex> lock(mutex_);
    if (seen_.size() < kMost && seen_.insert(line).second) fprintf(stderr, "libtorch: %.200s\n", line.c_str());
  }

 private:
  // Some warnings hold shapes: without a bound the set would grow with every batch.
  static constexpr size_t kMost = 20;
  std::mutex mutex_;
  std::unordered_set<std::string> seen_;
};

}  // namespace

void quietLibtorch() {
  // NNPACK runs on some processors only, and on the others says so at every convolution. oneDNN does its work.
  at::globalContext().setUserEnabledNNPACK(false);
  // c10d writes an error with its frames before it throws it.
  if (getenv("TORCH_CPP_LOG_LEVEL") == nullptr) FLAGS_caffe2_log_level = c10::GLOG_FATAL;
  // One for all threads, each of which has to be given it; never freed, since warnings may come while the process ends.
  static auto* handler = new OneLineEach();
  c10::WarningUtils::set_warning_handler(handler);
}

}  // namespace hub
