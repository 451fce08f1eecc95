// CPU tensors under the limit of the process: the allocator of libtorch, which is asked before it allocates.
#include "guard.h"

#include <c10/core/Allocator.h>
#include <c10/core/CPUAllocator.h>
#ifdef __GLIBC__
#include <malloc.h>
#endif

namespace {

// From here on tensors are counted one by one.
constexpr size_t kLarge = 1 << 20;
// Smaller ones are asked for in sums of this.
constexpr size_t kSum = 64 << 20;

lathe_ask ask = nullptr;
lathe_moved moved = nullptr;
c10::Allocator* inner = nullptr;
c10::DeleterFnPtr inner_release = nullptr;
thread_local size_t small = 0;

// What the system gave for a pointer: the same when it comes and when it goes.
size_t size_of(void* p) {
#ifdef __GLIBC__
  return malloc_usable_size(p);
#else
  return 0;
#endif
}

void release(void* p) {
  if (p == nullptr) return;
  const size_t n = size_of(p);
  inner_release(p);
  if (n >= kLarge) moved(-static_cast<int64_t>(n));
}

void check(size_t n) {
  char text[256];
  if (ask(n, text, sizeof text)) return;
  throw c10::OutOfMemoryError({__func__, __FILE__, __LINE__}, text);
}

struct Bounded final : c10::Allocator {
  c10::DataPtr allocate(size_t n) override {
    if (n >= kLarge) {
      check(n);
    } else if ((small += n) >= kSum) {
      const size_t sum = small;
      small = 0;
      check(sum);
    }
    c10::DataPtr made = inner->allocate(n);
    const c10::Device device = made.device();
    void* p = made.release_context();
    if (p != nullptr) {
      const size_t given = size_of(p);
      if (given >= kLarge) moved(static_cast<int64_t>(given));
    }
    return {p, p, &release, device};
  }

  c10::DeleterFnPtr raw_deleter() const override { return &release; }

  void copy_data(void* to, const void* from, size_t n) const override { default_copy_data(to, from, n); }
};

Bounded bounded;

}  // namespace

extern "C" int lathe_bound_memory(lathe_ask may, lathe_moved went, char** err) {
  return lathe::guard(err, [&] {
    c10::Allocator* now = c10::GetCPUAllocator();
    if (now == &bounded) return;
    c10::DeleterFnPtr releases = now->raw_deleter();
    if (releases == nullptr) throw std::runtime_error("the allocator of CPU tensors cannot be bounded");
    ask = may;
    moved = went;
    inner = now;
    inner_release = releases;
    c10::SetCPUAllocator(&bounded, 1);
  });
}

extern "C" void lathe_release_memory(void) {
#ifdef __GLIBC__
  malloc_trim(0);
#endif
}
