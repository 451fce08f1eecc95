// One pass over memory for what follows a backward pass on the CPU: scaled gradient, AdamW, moving average.
//
// On two cores this is bound by memory, through which libtorch's kernels for the three go once each.
#include "guard.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <stdexcept>

// The widest vectors of the processor that it runs on. Without contraction (see build.rs) all of them give the same bits.
#if defined(__x86_64__) && defined(__GLIBC__) && defined(__GNUC__)
#define LATHE_CLONES __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define LATHE_CLONES
#endif

namespace {

// Elements of a block: its five arrays stay in the second-level cache between the loops.
constexpr int64_t BLOCK = 8192;

struct Numbers {
  // `rest`: 1 minus a rate, taken in double: in float it would be wrong by up to 1e-4 of itself for rates near 1.
  float shrink, rest1, beta2, rest2, step, correction, eps, decay, rest;
};

// torch.optim.AdamW's arithmetic. `correction` is 1 / sqrt(1 - beta2^t), `step` is lr / (1 - beta1^t).
inline __attribute__((always_inline)) void element(float& p, float g, float& m, float& v, const Numbers& k) {
  m += k.rest1 * (g - m);
  v = k.beta2 * v + k.rest2 * g * g;
  p = p * k.shrink - k.step * m / (std::sqrt(v) * k.correction + k.eps);
}

LATHE_CLONES void scale(int64_t n, float* g, float by) {
  for (int64_t i = 0; i < n; i++) g[i] *= by;
}

LATHE_CLONES void walk(int64_t n, float* __restrict p, const float* __restrict g, float* __restrict m, float* __restrict v, Numbers k) {
  for (int64_t i = 0; i < n; i++) element(p[i], g[i], m[i], v[i], k);
}

LATHE_CLONES void walk_average(int64_t n, float* __restrict p, const float* __restrict g, float* __restrict m, float* __restrict v,
                               float* __restrict e, Numbers k) {
  // at::lerp's two forms: the one that is exact at its nearer end.
  const float w = k.rest;
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

// Sixteen lanes, so that they become vectors; summed in f64 after each block.
LATHE_CLONES double squares(int64_t n, const float* g) {
  float lanes[16] = {};
  int64_t i = 0;
  for (; i + 16 <= n; i += 16) {
    for (int j = 0; j < 16; j++) lanes[j] += g[i + j] * g[i + j];
  }
  double sum = 0.0;
  for (float lane : lanes) sum += lane;
  for (; i < n; i++) sum += static_cast<double>(g[i]) * g[i];
  return sum;
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
  auto data = [](void* t) { return t ? static_cast<at::Tensor*>(t)->mutable_data_ptr<float>() : nullptr; };
  float *p = data(item->param), *g = data(item->grad), *m = data(item->exp_avg), *v = data(item->exp_avg_sq), *e = data(item->average);
  const Numbers k{static_cast<float>(1.0 - o->lr * o->weight_decay),
                  static_cast<float>(1.0 - o->beta1),
                  static_cast<float>(o->beta2),
                  static_cast<float>(1.0 - o->beta2),
                  static_cast<float>(o->lr / (1.0 - std::pow(o->beta1, item->step))),
                  static_cast<float>(1.0 / std::sqrt(1.0 - std::pow(o->beta2, item->step))),
                  static_cast<float>(o->eps),
                  static_cast<float>(o->decay),
                  static_cast<float>(1.0 - o->decay)};
  for (int64_t i = from; i < to; i += BLOCK) {
    const int64_t n = std::min(BLOCK, to - i);
    if (o->scale != 1.0) scale(n, g + i, static_cast<float>(o->scale));
    if (e) {
      walk_average(n, p + i, g + i, m + i, v + i, e + i, k);
    } else {
      walk(n, p + i, g + i, m + i, v + i, k);
    }
  }
}

extern "C" double lathe_squares(const void* tensor, int64_t from, int64_t to) {
  const float* g = static_cast<const at::Tensor*>(tensor)->const_data_ptr<float>();
  double sum = 0.0;
  for (int64_t i = from; i < to; i += BLOCK) sum += squares(std::min(BLOCK, to - i), g + i);
  return sum;
}

extern "C" void lathe_bump_version(void* tensor) { static_cast<at::Tensor*>(tensor)->unsafeGetTensorImpl()->bump_version(); }
