// Gradients of some tensors with respect to others, as torch.autograd.grad gives them.
#include "guard.h"

#include <ATen/ATen.h>
#include <torch/csrc/autograd/autograd.h>

namespace {

at::Tensor tensor_of(const void* p) { return p ? *static_cast<const at::Tensor*>(p) : at::Tensor(); }

std::vector<at::Tensor> tensors_of(void* const* list, int64_t count) {
  std::vector<at::Tensor> tensors;
  for (int64_t i = 0; i < count; i++) tensors.push_back(tensor_of(list[i]));
  return tensors;
}

}  // namespace

extern "C" int lathe_grad(const LatheGrad* g, void** grads, char** err) {
  return lathe::guard(err, [&] {
    const auto outputs = tensors_of(g->outputs, g->output_count);
    const auto inputs = tensors_of(g->inputs, g->input_count);
    const auto weights = g->grad_outputs ? tensors_of(g->grad_outputs, g->output_count) : std::vector<at::Tensor>();
    const auto found = torch::autograd::grad(outputs, inputs, weights, g->retain_graph != 0, g->create_graph != 0, g->allow_unused != 0);
    for (size_t i = 0; i < found.size(); i++) grads[i] = found[i].defined() ? new at::Tensor(found[i]) : nullptr;
  });
}
