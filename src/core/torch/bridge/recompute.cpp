// Activations that are computed again in the backward pass: a node whose gradients the other side computes.
#include "guard.h"

#include <ATen/ATen.h>
#include <c10/core/AutogradState.h>
#include <c10/core/GradMode.h>
#include <torch/csrc/autograd/function.h>
#include <torch/csrc/autograd/functions/accumulate_grad.h>
#include <torch/csrc/autograd/functions/utils.h>
#include <torch/csrc/autograd/variable.h>

#include <thread>
#include <unordered_set>

namespace {

using torch::autograd::Node;
using torch::autograd::variable_list;

// What the other side holds on to, given back when the node goes.
struct Held {
  void* data;
  void (*release)(void*);
  Held(void* d, void (*r)(void*)) : data(d), release(r) {}
  Held(const Held&) = delete;
  ~Held() { release(data); }
};

struct Recompute : Node {
  std::unique_ptr<Held> held;
  LatheRecompute compute;
  size_t inputs;
  std::thread::id home = std::this_thread::get_id();

  variable_list apply(variable_list&& grads) override {
    TORCH_CHECK(held, "torch::checkpoint: a second backward pass through what was computed again: keep the graph with retain_graph");
    TORCH_CHECK(std::this_thread::get_id() == home, "torch::checkpoint: the backward pass runs on another thread than the script");
    std::vector<const void*> in;
    for (const auto& g : grads) in.push_back(g.defined() ? &g : nullptr);
    std::vector<void*> out(inputs, nullptr);
    char* message = nullptr;
    const int failed = compute(held->data, in.data(), static_cast<int64_t>(in.size()), out.data(), static_cast<int64_t>(inputs), &message);
    variable_list found(inputs);
    for (size_t i = 0; i < inputs; i++) {
      if (!out[i]) continue;
      std::unique_ptr<at::Tensor> taken(static_cast<at::Tensor*>(out[i]));
      found[i] = *taken;
    }
    const std::string said = message ? message : "";
    if (message) lathe_free_str(message);
    TORCH_CHECK(!failed, said);
    return found;
  }

  void release_variables() override { held.reset(); }
  std::string name() const override { return "Checkpoint"; }
};

}  // namespace

extern "C" char* lathe_copy_str(const char* text, int64_t len) { return strndup(text, static_cast<size_t>(len)); }

extern "C" int lathe_records(int on) {
  const bool before = c10::GradMode::is_enabled();
  if (on >= 0) c10::GradMode::set_enabled(on != 0);
  return before;
}

// The leaves that tensors were computed from, in the order in which they are met.
extern "C" int lathe_leaves(void* const* tensors, int64_t count, void* const* but, int64_t but_count, void* data, void (*each)(void*, void*),
                            char** err) {
  return lathe::guard(err, [&] {
    std::unordered_set<const void*> left_out;
    for (int64_t i = 0; i < but_count; i++) left_out.insert(static_cast<const at::Tensor*>(but[i])->unsafeGetTensorImpl());
    std::vector<Node*> open;
    std::unordered_set<Node*> seen;
    const auto visit = [&](const std::shared_ptr<Node>& node) {
      if (node && seen.insert(node.get()).second) open.push_back(node.get());
    };
    for (int64_t i = 0; i < count; i++) visit(static_cast<const at::Tensor*>(tensors[i])->grad_fn());
    // In the order of a queue, so that every rank and every run has the same.
    for (size_t i = 0; i < open.size(); i++) {
      if (auto* leaf = dynamic_cast<torch::autograd::AccumulateGrad*>(open[i])) {
        if (!left_out.count(leaf->variable.unsafeGetTensorImpl())) each(data, new at::Tensor(leaf->variable));
      }
      for (const auto& edge : open[i]->next_edges()) visit(edge.function);
    }
  });
}

// Gives `outputs`, which must have no history, that of a node with edges to `inputs`. `data` belongs to the node from here on, also in failure.
extern "C" int lathe_recompute(void* const* inputs, int64_t input_count, void* const* outputs, int64_t output_count, void* data,
                               LatheRecompute compute, void (*release)(void*), char** err) {
  auto held = std::make_unique<Held>(data, release);
  return lathe::guard(err, [&] {
    // Deep chains of nodes are freed one after the other, as libtorch frees its own.
    std::shared_ptr<Recompute> node(new Recompute(), torch::autograd::deleteNode);
    node->held = std::move(held);
    node->compute = compute;
    node->inputs = static_cast<size_t>(input_count);
    for (int64_t i = 0; i < input_count; i++) {
      node->add_next_edge(torch::autograd::impl::gradient_edge(*static_cast<const at::Tensor*>(inputs[i])));
    }
    for (int64_t i = 0; i < output_count; i++) torch::autograd::set_history(*static_cast<at::Tensor*>(outputs[i]), node);
    // The function that is called again belongs to this thread. Passes through GPUs' nodes run on threads of their own otherwise.
    c10::AutogradState::get_tls_state().set_multithreading_enabled(false);
  });
}
