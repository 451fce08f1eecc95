// The state of libtorch that tch does not reach: gradients, random generators, autocast, loaded libraries, build information.
#include "guard.h"

#include <ATen/ATen.h>
#include <ATen/Context.h>
#include <ATen/Version.h>
#include <ATen/autocast_mode.h>
#include <ATen/core/Generator.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/core/ivalue.h>
#include <ATen/cpu/Utils.h>
#include <dlfcn.h>
#ifdef __GLIBC__
#include <malloc.h>
#endif

#include <limits>
#include <mutex>
#include <stdexcept>

namespace {

at::Generator generator(int device) {
  return at::globalContext().defaultGenerator(device < 0 ? at::Device(at::kCPU) : at::Device(at::kCUDA, device));
}

at::DeviceType type_of(int cuda) { return cuda ? at::kCUDA : at::kCPU; }

}  // namespace

extern "C" int lathe_clear_grad(void* tensor, char** err) {
  return lathe::guard(err, [&] { static_cast<at::Tensor*>(tensor)->mutable_grad().reset(); });
}

extern "C" int lathe_rng_get(int device, void** state, char** err) {
  return lathe::guard(err, [&] {
    auto g = generator(device);
    std::lock_guard<std::mutex> held(g.mutex());
    *state = new at::Tensor(g.get_state());
  });
}

extern "C" int lathe_rng_set(int device, const void* state, char** err) {
  return lathe::guard(err, [&] {
    auto g = generator(device);
    std::lock_guard<std::mutex> held(g.mutex());
    g.set_state(*static_cast<const at::Tensor*>(state));
  });
}

extern "C" int lathe_rng_seed(int device, uint64_t seed, char** err) {
  return lathe::guard(err, [&] {
    auto g = generator(device);
    std::lock_guard<std::mutex> held(g.mutex());
    g.set_current_seed(seed);
  });
}

extern "C" int lathe_autocast_get(int cuda, int* enabled, int* dtype, char** err) {
  return lathe::guard(err, [&] {
    *enabled = at::autocast::is_autocast_enabled(type_of(cuda));
    *dtype = static_cast<int>(at::autocast::get_autocast_dtype(type_of(cuda)));
  });
}

extern "C" int lathe_autocast_set(int cuda, int enabled, int dtype, char** err) {
  return lathe::guard(err, [&] {
    at::autocast::set_autocast_dtype(type_of(cuda), static_cast<at::ScalarType>(dtype));
    at::autocast::set_autocast_enabled(type_of(cuda), enabled != 0);
  });
}

extern "C" int lathe_autocast_nest(int enter, char** err) {
  return lathe::guard(err, [&] {
    if (enter) {
      at::autocast::increment_nesting();
    } else if (at::autocast::decrement_nesting() == 0) {
      at::autocast::clear_cache();
    }
  });
}

extern "C" int lathe_autocast_active(void) {
  return at::autocast::is_autocast_enabled(at::kCPU) || at::autocast::is_autocast_enabled(at::kCUDA);
}

extern "C" void lathe_autocast_clear(void) {
  char* err = nullptr;
  lathe::guard(&err, [] { at::autocast::clear_cache(); });
  lathe_free_str(err);
}

extern "C" int lathe_allow_tf32(int on, char** err) {
  return lathe::guard(err, [&] {
    at::globalContext().setAllowTF32CuBLAS(on != 0);
    at::globalContext().setAllowTF32CuDNN(on != 0);
  });
}

extern "C" int lathe_library(char** path, char** err) {
  return lathe::guard(err, [&] {
    Dl_info info;
    // globalContext lives in libtorch_cpu.so; with position-independent code its address is the library's own.
    if (!dladdr(reinterpret_cast<void*>(&at::globalContext), &info) || !info.dli_fname) {
      throw std::runtime_error("the loader does not know where libtorch_cpu.so came from");
    }
    *path = lathe::c_string(info.dli_fname);
  });
}

extern "C" void lathe_keep_memory() {
#ifdef __GLIBC__
  mallopt(M_MMAP_THRESHOLD, 32 << 20);
  mallopt(M_TRIM_THRESHOLD, std::numeric_limits<int>::max());
  mallopt(M_TOP_PAD, 64 << 20);
#endif
}

extern "C" int lathe_dlopen(const char* path, char** err) {
  return lathe::guard(err, [&] {
    if (dlopen(path, RTLD_NOW | RTLD_GLOBAL)) return;
    const char* why = dlerror();
    throw std::runtime_error(why ? why : "unknown reason");
  });
}

extern "C" int64_t lathe_kernels(const char* key) {
  try {
    auto& dispatcher = c10::Dispatcher::singleton();
    return static_cast<int64_t>(dispatcher.getRegistrationsForDispatchKey(c10::parseDispatchKey(key)).size());
  } catch (...) {
    return -1;
  }
}

extern "C" int lathe_build_info(char** text, char** err) {
  return lathe::guard(err, [&] {
    std::string features;
    for (const auto& kv : at::cpu::get_cpu_capabilities()) {
      if (kv.second.isBool() && kv.second.toBool()) features += " " + kv.first;
    }
    *text = lathe::c_string(std::string(TORCH_VERSION) + "\n" + at::get_cpu_capability() + "\n" + features + "\n" + at::show_config());
  });
}
