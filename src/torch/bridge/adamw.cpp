// One pass over memory for what follows a backward pass on the CPU: scaled gradient, AdamW, moving average.
//
// On two cores these are bound by memory: libtorch's kernels for the three read and write every number twelve times, this nine times.
#include "guard.h"

#include <ATen/ATen.h>

#include <cmath>
#include <stdexcept>

// The widest vectors of the processor that it runs on. Without contraction (see build.rs) all of them give the same bits.
#if defined(__x86_64__) && defined(__GLIBC__) && defined(__GNUC__)
#define LATHE_CLONES __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define LATHE_CLONES
#endif

namespace {

struct Numbers {
  float scale, shrink, beta1, beta2, step, correction, eps, decay;
};

// torch.optim.AdamW's arithmetic. `correction` is 1 / sqrt(1 - beta2^t), `step` is lr / (1 - beta1^t).
inline __attribute__((always_inline)) void element(float& p, float g, float& m, float& v, const Numbers& k) {
  g *= k.scale;
  m += (1.0f - k.beta1) * (g - m);
  v = k.beta2 * v + (1.0f - k.beta2) * g * g;
  p = p * k.shrink - k.step * m / (std::sqrt(v) * k.correction + k.eps);
}

LATHE_CLONES void walk(int64_t n, float* __restrict p, const float* __restrict g, float* __restrict m, float* __restrict v, Numbers k) {
  for (int64_t i = 0; i < n; i++) element(p[i], g[i], m[i], v[i], k);
}

LATHE_CLONES void walk_average(int64_t n, float* __restrict p, const float* __restrict g, float* __restrict m, float* __restrict v,
                               float* __restrict e, Numbers k) {
  // at::lerp's two forms: the one that is exact at its nearer end.
  const float w = 1.0f - k.decay;
  if (w < 0.5f) {
    for (int64_t i = 0; i < n; i++) {
      element(p[i], g[i], m[i], v[i], k);
      e[i] += w * (p[i] - e[i]);
    }
  } else {
    for (int64_t i = 0; i < n; i++) {
      element(p[i], g[i], m[i], v[i], k);
      e[i] = p[i] - (p[i] - e[i]) * k.decay;
    }
  }
}

float* numbers(const at::Tensor& t, const at::Tensor& like) {
  if (!t.device().is_cpu() || t.scalar_type() != at::kFloat || !t.is_non_overlapping_and_dense() || t.sizes() != like.sizes() ||
      t.strides() != like.strides()) {
    throw std::invalid_argument("adamw_pass: f32 tensors of one layout on the CPU are needed");
  }
  return t.mutable_data_ptr<float>();
}

}  // namespace

extern "C" int lathe_adamw_check(const LatheParam* item, char** err) {
  return lathe::guard(err, [&] {
    auto& param = *static_cast<at::Tensor*>(item->param);
    for (void* t : {item->param, item->grad, item->exp_avg, item->exp_avg_sq, item->average}) {
      if (t) numbers(*static_cast<at::Tensor*>(t), param);
    }
  });
}

extern "C" void lathe_adamw_pass(const LatheParam* item, int64_t from, int64_t to, const LatheAdamW* o) {
  auto at = [from](void* t) { return static_cast<at::Tensor*>(t)->mutable_data_ptr<float>() + from; };
  const Numbers k{static_cast<float>(o->scale),
                  static_cast<float>(1.0 - o->lr * o->weight_decay),
                  static_cast<float>(o->beta1),
                  static_cast<float>(o->beta2),
                  static_cast<float>(o->lr / (1.0 - std::pow(o->beta1, item->step))),
                  static_cast<float>(1.0 / std::sqrt(1.0 - std::pow(o->beta2, item->step))),
                  static_cast<float>(o->eps),
                  static_cast<float>(o->decay)};
  if (item->average) {
    walk_average(to - from, at(item->param), at(item->grad), at(item->exp_avg), at(item->exp_avg_sq), at(item->average), k);
  } else {
    walk(to - from, at(item->param), at(item->grad), at(item->exp_avg), at(item->exp_avg_sq), k);
  }
}

extern "C" void lathe_bump_version(void* tensor) { static_cast<at::Tensor*>(tensor)->unsafeGetTensorImpl()->bump_version(); }
