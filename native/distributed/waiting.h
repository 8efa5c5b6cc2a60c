// A process that waits for other ranks is in native code, where Node runs no handler of a signal. A thread ends it when they let it
// wait for long after a signal, or when a second signal comes.
#pragma once

#include <cstdint>
#include <string>

namespace hub {

// On the stack of whatever waits for other ranks.
class Waiting {
 public:
  Waiting();
  ~Waiting();
};

// Milliseconds that ranks may let this process wait after a signal, and what it ends with on standard output and standard error.
void setPatience(int64_t milliseconds, const std::string& answer, const std::string& farewell);

}  // namespace hub
