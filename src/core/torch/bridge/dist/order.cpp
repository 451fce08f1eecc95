// In which order a backward pass comes to parameters.
#include "dist.h"

#include <torch/csrc/autograd/function.h>
#include <torch/csrc/autograd/function_hook.h>
#include <torch/csrc/autograd/variable.h>

#include <mutex>

using torch::autograd::Node;
using torch::autograd::variable_list;

namespace {

// The engine has a thread for each device.
struct Came {
  std::mutex lock;
  std::vector<int64_t> numbers;
};

// Runs when a parameter's gradient is whole.
struct Note : torch::autograd::FunctionPostHook {
  Note(std::shared_ptr<Came> came, int64_t number) : came(std::move(came)), number(number) {}

  variable_list operator()(const variable_list& outputs, const variable_list& /*inputs*/) override {
    const std::lock_guard<std::mutex> held(came->lock);
    came->numbers.push_back(number);
    return outputs;
  }

  std::shared_ptr<Came> came;
  int64_t number;
};

}  // namespace

struct LatheOrder {
  std::shared_ptr<Came> came = std::make_shared<Came>();
  std::vector<std::pair<std::shared_ptr<Node>, uintptr_t>> hooks;

  void stop() {
    for (const auto& [node, key] : hooks) node->del_post_hook(key);
    hooks.clear();
  }

  ~LatheOrder() { stop(); }
};

extern "C" int lathe_order_begin(void* const* params, int64_t count, LatheOrder** out, char** err) {
  return lathe::guard(err, [&] {
    auto own = std::make_unique<LatheOrder>();
    for (int64_t i = 0; i < count; i++) {
      auto node = torch::autograd::impl::grad_accumulator(*static_cast<const at::Tensor*>(params[i]));
      const auto key = node->add_post_hook(std::make_unique<Note>(own->came, i));
      own->hooks.emplace_back(std::move(node), key);
    }
    *out = own.release();
  });
}

extern "C" int lathe_order_end(LatheOrder* order, int64_t* numbers, int64_t* n, char** err) {
  return lathe::guard(err, [&] {
    order->stop();
    const std::lock_guard<std::mutex> held(order->came->lock);
    std::vector<bool> seen(*n, false);
    int64_t count = 0;
    for (const auto i : order->came->numbers) {
      if (seen.at(i)) continue;
      seen[i] = true;
      numbers[count++] = i;
    }
    *n = count;
  });
}

extern "C" void lathe_order_free(LatheOrder* order) {
  try {
    delete order;
  } catch (...) {
  }
}
