// Where numbers stop being finite: of tensors, and of the gradients that go through the nodes of a graph.
#include "guard.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <c10/core/impl/LocalDispatchKeySet.h>
#include <torch/csrc/autograd/function.h>
#include <torch/csrc/autograd/function_hook.h>
#include <torch/csrc/autograd/functions/accumulate_grad.h>
#include <torch/csrc/autograd/variable.h>

#include <memory>
#include <mutex>
#include <vector>

namespace {

using torch::autograd::Node;
using torch::autograd::variable_list;

// Whether there is nothing to find in it: the bits of whole numbers are always finite.
bool is_out_of_question(const at::Tensor& t) {
  return !t.defined() || t.is_meta() || t.layout() != at::kStrided || t.is_quantized() || t.numel() == 0 ||
         !(at::isFloatingType(t.scalar_type()) || at::isComplexType(t.scalar_type()));
}

bool is_finite(const at::Tensor& t) {
  const c10::NoGradGuard without;
  return is_out_of_question(t) || at::isfinite(t.detach()).all().item<bool>();
}

// The first node of backward passes that was given finite gradients and made others. Nodes of GPUs run on threads of their own.
struct First {
  std::mutex lock;
  bool is_found = false;
  int64_t call = 0;
  std::string name;
};

struct Look : torch::autograd::FunctionPostHook {
  Node* node;
  int64_t call;
  std::shared_ptr<First> first;
  Look(Node* n, int64_t c, std::shared_ptr<First> f) : node(n), call(c), first(std::move(f)) {}

  variable_list operator()(const variable_list& made, const variable_list& given) override {
    auto& f = *first;
    {
      const std::lock_guard<std::mutex> hold(f.lock);
      if (f.is_found) return made;
    }
    const auto all = [](const variable_list& list) {
      for (const auto& t : list)
        if (!is_finite(t)) return false;
      return true;
    };
    if (!all(made) && all(given)) {
      const std::lock_guard<std::mutex> hold(f.lock);
      if (!f.is_found) {
        f.is_found = true;
        f.call = call;
        f.name = node->name();
      }
    }
    return made;
  }
};

bool is_looked_at(Node& node, const std::shared_ptr<First>& first) {
  for (const auto& hook : node.post_hooks()) {
    const auto* look = dynamic_cast<Look*>(hook.get());
    if (look && look->first == first) return true;
  }
  return false;
}

}  // namespace

struct LatheGradients {
  std::shared_ptr<First> first = std::make_shared<First>();
};

extern "C" LatheGradients* lathe_gradients_new(void) { return new (std::nothrow) LatheGradients(); }

// Nodes that are looked at keep what they need.
extern "C" void lathe_gradients_free(LatheGradients* gradients) { delete gradients; }

// What is in a tensor: 0 for finite numbers alone, 1 where infinities are, 2 where something is no number.
extern "C" int lathe_finite(const void* tensor, int* what, char** err) {
  return lathe::guard(err, [&] {
    const auto& t = *static_cast<const at::Tensor*>(tensor);
    const c10::NoGradGuard without;
    *what = is_finite(t) ? 0 : at::isnan(t.detach()).any().item<bool>() ? 2 : 1;
  });
}

// Has every node looked at in backward passes that a tensor was computed by, and that no call before this one made.
extern "C" int lathe_gradients_look(LatheGradients* gradients, const void* tensor, int64_t call, char** err) {
  return lathe::guard(err, [&] {
    std::vector<Node*> open;
    const auto visit = [&](const std::shared_ptr<Node>& node) {
      // A leaf's node hands its gradient on as it is, and may be shared.
      if (!node || is_looked_at(*node, gradients->first) || dynamic_cast<torch::autograd::AccumulateGrad*>(node.get())) return;
      node->add_post_hook(std::make_unique<Look>(node.get(), call, gradients->first));
      open.push_back(node.get());
    };
    visit(static_cast<const at::Tensor*>(tensor)->grad_fn());
    while (!open.empty()) {
      Node* node = open.back();
      open.pop_back();
      for (const auto& edge : node->next_edges()) visit(edge.function);
    }
  });
}

// The call and the node where a gradient stopped being finite since this was asked last: 0 where none did. The name is freed with lathe_free_str.
extern "C" int lathe_gradients_lost(LatheGradients* gradients, int64_t* call, char** name) {
  auto& f = *gradients->first;
  const std::lock_guard<std::mutex> hold(f.lock);
  if (!f.is_found) return 0;
  f.is_found = false;
  *call = f.call;
  *name = lathe::c_string(f.name);
  return 1;
}
