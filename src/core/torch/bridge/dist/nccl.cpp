// ProcessGroupNCCL by its two exported constructors. Their objects' sizes belong to one version of libtorch: nccl_size.h.
#include "dist.h"
#include "nccl.h"
#include "nccl_size.h"

#include <dlfcn.h>

namespace {

const char* const kOptions = "_ZN4c10d16ProcessGroupNCCL7OptionsC1Eb";
const char* const kGroup =
    "_ZN4c10d16ProcessGroupNCCLC1EN3c1013intrusive_ptrINS_5StoreENS1_6detail34intrusive_target_default_null_typeIS3_EEEEiiNS2_INS0_"
    "7OptionsENS5_IS8_EEEE";

using MakeOptions = void (*)(void*, bool is_high_priority);
using MakeGroup = void (*)(void*, c10::intrusive_ptr<c10d::Store>, int, int, c10::intrusive_ptr<c10d::Backend::Options>);

c10::intrusive_ptr<c10d::Backend::Options> options_of(std::chrono::milliseconds timeout) {
#ifdef LATHE_NCCL_UNKNOWN
  throw std::runtime_error("the size of NCCL's objects is known for Linux on x86_64 only; `--dist-backend gloo` works everywhere");
#endif
  const auto make = reinterpret_cast<MakeOptions>(dlsym(RTLD_DEFAULT, kOptions));
  if (!make) throw std::runtime_error("this libtorch has no NCCL: libtorch_cuda.so is not loaded, or is not that of torch 2.11");
  void* memory = ::operator new(LATHE_NCCL_OPTIONS_SIZE);
  try {
    make(memory, false);
  } catch (...) {
    ::operator delete(memory);
    throw;
  }
  auto options = c10::intrusive_ptr<c10d::Backend::Options>::unsafe_steal_from_new(static_cast<c10d::Backend::Options*>(memory));
  // Where the layout were another one, this would be other bytes.
  if (options->backend != "nccl") throw std::runtime_error("ProcessGroupNCCL::Options has another layout than in torch 2.11");
  options->timeout = timeout;
  return options;
}

}  // namespace

c10::intrusive_ptr<c10d::Backend> lathe::nccl_backend(const c10::intrusive_ptr<c10d::Store>& store, int rank, int size,
                                                      std::chrono::milliseconds timeout) {
  auto options = options_of(timeout);
  const auto make = reinterpret_cast<MakeGroup>(dlsym(RTLD_DEFAULT, kGroup));
  if (!make) throw std::runtime_error("ProcessGroupNCCL has another constructor than in torch 2.11");
  void* memory = ::operator new(LATHE_NCCL_GROUP_SIZE);
  try {
    make(memory, store, rank, size, std::move(options));
  } catch (...) {
    ::operator delete(memory);
    throw;
  }
  return c10::intrusive_ptr<c10d::Backend>::unsafe_steal_from_new(static_cast<c10d::Backend*>(memory));
}

extern "C" int lathe_nccl(char** text, char** err) {
  return lathe::guard(err, [&] {
    options_of(std::chrono::milliseconds(60000));
    *text = lathe::c_string(dlsym(RTLD_DEFAULT, kGroup) ? "found" : "without its constructor");
  });
}
