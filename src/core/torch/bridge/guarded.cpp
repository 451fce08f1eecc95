// Memory of CPU tensors between walls, for the fuzz: what reads or writes behind a tensor, or after it was freed, ends the process, and new
// memory holds a chosen byte, so that results which depend on it are seen.
#include "guard.h"

#include <ATen/ATen.h>
#include <c10/core/Allocator.h>
#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <unordered_map>

namespace {

constexpr size_t kAlign = 16;
constexpr unsigned char kCanary = 0xc5;

struct Block {
  char* base;
  size_t mapped, before, bytes;
};

std::atomic<int> fill{0x5a};
std::atomic<size_t> most{0}, in_use{0};

std::mutex& lock() {
  static auto* m = new std::mutex;
  return *m;
}
std::unordered_map<void*, Block>& blocks() {
  static auto* b = new std::unordered_map<void*, Block>;
  return *b;
}

void release(void* p) {
  if (!p) return;
  Block b;
  {
    std::lock_guard<std::mutex> held(lock());
    auto it = blocks().find(p);
    if (it == blocks().end()) {
      fprintf(stderr, "guarded memory: freed twice\n");
      abort();
    }
    b = it->second;
    blocks().erase(it);
  }
  auto* data = static_cast<unsigned char*>(p);
  auto intact = [&](const unsigned char* from, const unsigned char* to) {
    for (; from < to; from++) {
      if (*from != kCanary) return false;
    }
    return true;
  };
  auto* base = reinterpret_cast<unsigned char*>(b.base);
  size_t page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  if (!intact(base + page, data) || !intact(data + b.bytes, base + b.mapped - page)) {
    fprintf(stderr, "guarded memory: written outside of a tensor of %zu bytes\n", b.bytes);
    abort();
  }
  in_use -= b.mapped;
  munmap(b.base, b.mapped);
}

// A wall, the room with the data at its end, a wall.
struct Guarded final : c10::Allocator {
  c10::DataPtr allocate(size_t n) override {
    c10::Device cpu(c10::DeviceType::CPU);
    if (n == 0) return {nullptr, nullptr, &release, cpu};
    size_t page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
    size_t limit = most;
    bool fits = n < limit && in_use + n < limit;
    TORCH_CHECK_WITH(OutOfMemoryError, fits, "out of memory: ", n, " bytes asked for, ", limit, " are the limit of the fuzz");
    size_t padded = (n + kAlign - 1) / kAlign * kAlign;
    size_t room = (padded + page - 1) / page * page;
    size_t mapped = room + 2 * page;
    void* at = mmap(nullptr, mapped, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    bool usable = at != MAP_FAILED && mprotect(static_cast<char*>(at) + page, room, PROT_READ | PROT_WRITE) == 0;
    TORCH_CHECK_WITH(OutOfMemoryError, usable, "out of memory: the system has no ", n, " bytes left");
    char* base = static_cast<char*>(at);
    char* data = base + page + room - padded;
    memset(base + page, kCanary, room);
    memset(data, fill, n);
    in_use += mapped;
    std::lock_guard<std::mutex> held(lock());
    blocks()[data] = Block{base, mapped, static_cast<size_t>(data - base), n};
    return {data, data, &release, cpu};
  }
  c10::DeleterFnPtr raw_deleter() const override { return &release; }
  void copy_data(void* to, const void* from, size_t n) const override { memcpy(to, from, n); }
};

}  // namespace

extern "C" void lathe_guard_memory(int byte, int64_t limit) {
  static auto* allocator = new Guarded;
  fill = byte;
  most = static_cast<size_t>(limit);
  c10::SetAllocator(c10::DeviceType::CPU, allocator, 255);
}

extern "C" int lathe_storage(const void* tensor, int64_t* at, int64_t* bytes, char** err) {
  return lathe::guard(err, [&] {
    const auto& t = *static_cast<const at::Tensor*>(tensor);
    *at = reinterpret_cast<int64_t>(t.storage().data());
    *bytes = static_cast<int64_t>(t.storage().nbytes());
  });
}
