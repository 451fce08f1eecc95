// A sum over all ranks that autograd knows, for statistics of the whole batch; and which gradients are those of all ranks already.
#include "dist.h"

#include <torch/csrc/autograd/custom_function.h>

#include <unordered_map>

#include "handles.h"

namespace {

using Weak = c10::weak_intrusive_ptr<c10::TensorImpl, c10::UndefinedTensorImpl>;

// A gradient as it was when it was that of all ranks. Weak: neither keeps its memory, and the address is not given to another meanwhile.
struct Mark {
  Weak param, grad;
  int64_t version;
};

std::unordered_map<const c10::TensorImpl*, Mark>& marks() {
  static thread_local std::unordered_map<const c10::TensorImpl*, Mark> all;
  return all;
}

int64_t version_of(const at::Tensor& t) { return t.is_inference() ? 0 : t._version(); }

at::Tensor summed(const at::Tensor& x, const c10::intrusive_ptr<c10d::Backend>& backend) {
  std::vector<at::Tensor> list{x.detach().clone(at::MemoryFormat::Contiguous)};
  backend->allreduce(list, c10d::AllreduceOptions())->wait();
  return list[0];
}

// As torch.distributed.nn.functional.all_reduce: each rank's loss depends on the sum, so its gradient is the sum of theirs.
struct AllReduce : torch::autograd::Function<AllReduce> {
  static at::Tensor forward(torch::autograd::AutogradContext* context, const at::Tensor& x, const c10::intrusive_ptr<c10d::Backend>& backend) {
    context->saved_data["backend"] = c10::IValue::make_capsule(backend);
    return summed(x, backend);
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context, const torch::autograd::variable_list& grads) {
    const auto backend = c10::static_intrusive_pointer_cast<c10d::Backend>(context->saved_data["backend"].toCapsule());
    return {summed(grads[0], backend), at::Tensor()};
  }
};

}  // namespace

extern "C" int lathe_all_reduce_grad(LatheGroup* group, void* tensor, void** out, char** err) {
  return lathe::guard(err, [&] { *out = new at::Tensor(AllReduce::apply(*static_cast<at::Tensor*>(tensor), group->backend)); });
}

extern "C" int lathe_mark_grad(void* tensor, char** err) {
  return lathe::guard(err, [&] {
    const auto& param = *static_cast<at::Tensor*>(tensor);
    auto& all = marks();
    if (all.size() % 4096 == 4095) {
      for (auto it = all.begin(); it != all.end();) it = it->second.param.expired() ? all.erase(it) : std::next(it);
    }
    const auto* key = param.unsafeGetTensorImpl();
    all.erase(key);
    const auto& grad = param.grad();
    if (grad.defined()) all.emplace(key, Mark{Weak(param.getIntrusivePtr()), Weak(grad.getIntrusivePtr()), version_of(grad)});
  });
}

extern "C" int lathe_grad_state(void* tensor, int* state, char** err) {
  return lathe::guard(err, [&] {
    const auto& param = *static_cast<at::Tensor*>(tensor);
    const auto& grad = param.grad();
    if (!grad.defined()) {
      *state = LATHE_GRAD_NONE;
      return;
    }
    const auto found = marks().find(param.unsafeGetTensorImpl());
    const bool is_marked = found != marks().end() && found->second.grad.lock().get() == grad.unsafeGetTensorImpl() &&
                           found->second.version == version_of(grad);
    *state = is_marked ? LATHE_GRAD_MARKED : LATHE_GRAD_NEW;
  });
}

extern "C" int lathe_set_grad(void* tensor, void* grad, char** err) {
  return lathe::guard(err, [&] { static_cast<at::Tensor*>(tensor)->mutable_grad() = *static_cast<at::Tensor*>(grad); });
}
