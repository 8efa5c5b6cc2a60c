// Environment variables that suit libtorch to this program, whichever thread loads it: a worker's process.env is a copy
// that libraries do not see.
#include <cstdlib>
#include <initializer_list>

namespace {

constexpr const char* kWaiting[] = {"OMP_WAIT_POLICY", "KMP_BLOCKTIME"};
bool isWaitingOurs = false;

// Read whenever libtorch needs them first; a user's values stand.
// oneDNN compiles a kernel for every shape and keeps 1,024 of them. Routes give each member sub-batches of every size, in
// three passes of dozens of layers: with the library's number, steps with random routes compile anew all the time.
// cuDNN's newer interface takes about 10 ms to choose a kernel for a number of rows that it has not seen, and routes
// give new ones all the time: 46 s instead of 2 for the starter hub's first twelve steps on an H100.
void setLasting() {
  setenv("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "8192", 0);
  setenv("TORCH_CUDNN_V8_API_DISABLED", "1", 0);
}

// Read once, while OpenMP is loaded. By default its threads spin for milliseconds at every wait: on a machine with other
// work they take the processors that the rest of the same step waits for. A user's policy, in whatever words, stands.
void setWaiting() {
  for (const char* name : {"OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME"}) {
    if (getenv(name) != nullptr) return;
  }
  isWaitingOurs = true;
  setenv(kWaiting[0], "PASSIVE", 1);
  setenv(kWaiting[1], "0", 1);
}

// Child processes must not see what only loading needs.
void unsetWaiting() {
  if (!isWaitingOurs) return;
  for (const char* name : kWaiting) unsetenv(name);
}

}  // namespace

#ifdef __linux__
// A resolver runs while the addon is bound to its libraries, before the initialisers of any of them: nothing else of the
// addon does.
extern "C" void (*hubResolveEnvironment())() {
  setLasting();
  setWaiting();
  return unsetWaiting;
}
extern "C" void hubLoaded() __attribute__((ifunc("hubResolveEnvironment")));
#else
extern "C" void hubLoaded() { setLasting(); }
#endif

// The addon's own initialisers come after those of its libraries.
__attribute__((constructor)) static void loaded() { hubLoaded(); }
