// libtorch's own profiler: what its operators and kernels take, and ranges of ours around them.
#include "guard.h"

#include <ATen/record_function.h>
#include <torch/csrc/autograd/profiler_kineto.h>

#include <atomic>
#include <memory>

// Of libkineto, which libtorch has in it: no header of it is installed.
namespace libkineto {
class Logger {
 public:
  static std::atomic_int severityLevel_ __attribute__((weak));
};
}  // namespace libkineto

namespace {

// Above every kind of message that libkineto writes.
constexpr int NOTHING = 9;

// libkineto looks for GPUs whatever is being recorded, and where a machine has none it writes an error to stderr.
struct Quiet {
  bool on;
  int before;
  explicit Quiet(int cuda) : on(!cuda && &libkineto::Logger::severityLevel_ != nullptr) {
    before = on ? libkineto::Logger::severityLevel_.exchange(NOTHING) : 0;
  }
  ~Quiet() {
    if (on) libkineto::Logger::severityLevel_ = before;
  }
};

namespace profiler = torch::autograd::profiler;

profiler::ProfilerConfig config() { return profiler::ProfilerConfig(profiler::ProfilerState::KINETO); }

// A range of this thread's, to be ended in the reverse order.
struct Range {
  std::string name;
  at::RecordFunction record{at::RecordScope::USER_SCOPE};
  // The record refers to the name for as long as it lives.
  explicit Range(const char* n) : name(n) {
    if (record.isActive()) record.before(std::string_view(name));
  }
};

}  // namespace

// Begins to record on this thread; `cuda` for the kernels of GPUs as well.
extern "C" int lathe_profiler_begin(int cuda, char** err) {
  return lathe::guard(err, [&] {
    std::set<profiler::ActivityType> activities{profiler::ActivityType::CPU};
    if (cuda) activities.insert(profiler::ActivityType::CUDA);
    const Quiet quiet(cuda);
    profiler::prepareProfiler(config(), activities);
    profiler::enableProfiler(config(), activities);
  });
}

// Ends it, and writes what was recorded as a Chrome trace; null writes nothing.
extern "C" int lathe_profiler_end(int cuda, const char* path, char** err) {
  return lathe::guard(err, [&] {
    const Quiet quiet(cuda);
    const auto result = profiler::disableProfiler();
    if (path) result->save(path);
  });
}

extern "C" int lathe_range_begin(const char* name, void** range, char** err) {
  return lathe::guard(err, [&] { *range = new Range(name); });
}

extern "C" void lathe_range_end(void* range) { delete static_cast<Range*>(range); }
