// Forward-mode differentiation: one level of dual numbers, and the attention that can carry them.
#include "guard.h"

#include <ATen/ATen.h>
#include <ATen/Context.h>
#include <ATen/ops/_make_dual.h>
#include <ATen/ops/_unpack_dual.h>
#include <torch/csrc/autograd/forward_grad.h>

namespace {

// The fused attention kernels have no forward derivative: the one that is written out is taken instead.
struct Attention {
  bool flash, efficient, cudnn;
};
Attention before;

}  // namespace

extern "C" int lathe_dual_enter(int64_t* level, char** err) {
  return lathe::guard(err, [&] {
    // libtorch throws here when a level is open already.
    *level = static_cast<int64_t>(torch::autograd::ForwardADLevel::get_next_idx());
    auto& context = at::globalContext();
    before = {context.userEnabledFlashSDP(), context.userEnabledMemEfficientSDP(), context.userEnabledCuDNNSDP()};
    context.setSDPUseFlash(false);
    context.setSDPUseMemEfficient(false);
    context.setSDPUseCuDNN(false);
  });
}

extern "C" int lathe_dual_exit(int64_t level, char** err) {
  return lathe::guard(err, [&] {
    auto& context = at::globalContext();
    context.setSDPUseFlash(before.flash);
    context.setSDPUseMemEfficient(before.efficient);
    context.setSDPUseCuDNN(before.cudnn);
    torch::autograd::ForwardADLevel::release_idx(static_cast<uint64_t>(level));
  });
}

extern "C" int lathe_dual_make(const void* primal, const void* tangent, int64_t level, void** dual, char** err) {
  return lathe::guard(err, [&] {
    *dual = new at::Tensor(at::_make_dual(*static_cast<const at::Tensor*>(primal), *static_cast<const at::Tensor*>(tangent), level));
  });
}

extern "C" int lathe_dual_unpack(const void* dual, int64_t level, void** primal, void** tangent, char** err) {
  return lathe::guard(err, [&] {
    auto [p, t] = at::_unpack_dual(*static_cast<const at::Tensor*>(dual), level);
    auto kept = std::make_unique<at::Tensor>(std::move(p));
    *tangent = t.defined() ? new at::Tensor(std::move(t)) : nullptr;
    *primal = kept.release();
  });
}
