#include "waiting.h"

#include <semaphore.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <mutex>
#include <thread>

namespace hub {

namespace {

constexpr int handled[] = {SIGINT, SIGTERM, SIGHUP};
constexpr int interruptedCode = 130;
constexpr int64_t tick = 100;
constexpr int64_t sameSignal = 300;  // Milliseconds in which a signal counts once, as in src/cli/interrupt.ts.

std::atomic<int64_t> patience{0};
std::atomic<int64_t> since{0};  // Milliseconds; 0 while nothing waits.
std::atomic<int> firstNumber{0};
std::atomic<int64_t> sameUntil{INT64_MAX};
sem_t arrived;
struct sigaction before[NSIG];
std::mutex guard;

// On standard output and standard error.
struct LastWords {
  std::string answer;
  std::string farewell;
};

LastWords& lastWords() {
  static auto* words = new LastWords();  // Never freed: the thread outlives static objects.
  return *words;
}

void say(int stream, const std::string& text) {
  if (write(stream, text.data(), text.size()) < 0) _exit(interruptedCode);
}

int64_t now() {
  const auto time = std::chrono::steady_clock::now().time_since_epoch();
  return std::chrono::duration_cast<std::chrono::milliseconds>(time).count();
}

void onSignal(int number) {
  int none = 0;
  if (firstNumber.compare_exchange_strong(none, number)) {
    sameUntil = now() + sameSignal;
  } else if (number != none || now() > sameUntil) {
    patience = tick;
  }
  sem_post(&arrived);
  before[number].sa_handler(number);
}

void watch() {
  while (sem_wait(&arrived) != 0) {
  }
  for (const auto first = now();; std::this_thread::sleep_for(std::chrono::milliseconds(tick))) {
    const auto began = since.load();
    if (began == 0 || now() - std::max(began, first) < patience.load()) continue;
    const std::lock_guard<std::mutex> lock(guard);
    say(STDERR_FILENO, lastWords().farewell);
    say(STDOUT_FILENO, lastWords().answer);
    _exit(interruptedCode);
  }
}

// Node puts its own handler in place when the first listener comes, and takes it away with the last one.
void chain(int number) {
  struct sigaction current;
  sigaction(number, nullptr, &current);
  const bool isPlain = (current.sa_flags & SA_SIGINFO) == 0;
  if (!isPlain || current.sa_handler == SIG_DFL || current.sa_handler == SIG_IGN || current.sa_handler == onSignal) return;
  before[number] = current;
  current.sa_handler = onSignal;
  sigaction(number, &current, nullptr);
}

}  // namespace

Waiting::Waiting() {
  for (const int number : handled) chain(number);
  since = now();
}

Waiting::~Waiting() { since = 0; }

void setPatience(int64_t milliseconds, const std::string& answer, const std::string& farewell) {
  static std::once_flag started;
  std::call_once(started, [] {
    sem_init(&arrived, 0, 0);
    std::thread(watch).detach();
  });
  const std::lock_guard<std::mutex> lock(guard);
  patience = milliseconds;
  lastWords() = {answer, farewell};
}

}  // namespace hub
