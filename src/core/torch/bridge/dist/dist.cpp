// c10d: the store, process groups, collectives, the Reducer.
#include "dist.h"
#include "nccl.h"

#include <c10/util/Logging.h>
#include <torch/csrc/autograd/function.h>
#include <torch/csrc/autograd/variable.h>
#include <torch/csrc/distributed/c10d/PrefixStore.hpp>
#include <torch/csrc/distributed/c10d/ProcessGroup.hpp>
#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>
#include <torch/csrc/distributed/c10d/TCPStore.hpp>
#include <torch/csrc/distributed/c10d/comm.hpp>
#include <torch/csrc/distributed/c10d/reducer.hpp>

#include <unordered_set>

#include "handles.h"

using c10d::ProcessGroup;
using c10d::ReduceOp;
using std::chrono::milliseconds;

struct LatheStore {
  c10::intrusive_ptr<c10d::Store> store;
};

struct LatheWork {
  c10::intrusive_ptr<c10d::Work> work;
  std::vector<at::Tensor> kept;
};

struct LatheReducer {
  std::unique_ptr<c10d::Reducer> reducer;
};

namespace {

at::Tensor tensor_of(const void* p) { return *static_cast<const at::Tensor*>(p); }

std::vector<at::Tensor> tensors_of(void* const* list, int64_t count) {
  std::vector<at::Tensor> tensors;
  for (int64_t i = 0; i < count; i++) tensors.push_back(tensor_of(list[i]));
  return tensors;
}

ReduceOp::RedOpType op_of(int op) { return op == LATHE_MAX ? ReduceOp::MAX : op == LATHE_MIN ? ReduceOp::MIN : ReduceOp::SUM; }

// Gloo's group with an end to its connections: whoever waits for this process in a collective gets an error, and nothing can be sent any more.
struct Gloo : c10d::ProcessGroupGloo {
  using ProcessGroupGloo::ProcessGroupGloo;

  void abort() override {
    for (const auto& context : contexts_) context->closeConnections();
  }
};

// f32 gradients in 16 bits on the way, as torch.distributed's bf16_compress_hook: divided, sent, and put back into the bucket.
struct Narrow : c10d::CppCommHookInterface<c10::intrusive_ptr<ProcessGroup>> {
  Narrow(const c10::intrusive_ptr<ProcessGroup>& group, at::ScalarType dtype) : CppCommHookInterface(group), dtype(dtype) {}

  at::ScalarType dtype;

  c10::intrusive_ptr<c10::ivalue::Future> runHook(c10d::GradBucket& bucket) override {
    const auto full = bucket.getBufferRef();
    const auto sent = full.scalar_type() == at::kFloat ? dtype : full.scalar_type();
    std::vector<at::Tensor> small{full.to(sent, /*non_blocking=*/false, /*copy=*/true).div_(state_->getSize())};
    return state_->allreduce(small)->getFuture()->then(
        [full](c10::ivalue::Future& done) {
          auto out = full;
          out.copy_(done.value().toTensorVector()[0]);
          return c10::IValue(std::vector<at::Tensor>{out});
        },
        c10::ListType::create(c10::TensorType::get()));
  }
};

}  // namespace

extern "C" void lathe_dist_log() {
  try {
    // Its warnings speak of options of Python's DistributedDataParallel, on every rank.
    setenv("TORCH_CPP_LOG_LEVEL", "ERROR", 0);
    c10::initLogging();
  } catch (...) {
  }
}

extern "C" int lathe_store_tcp(const char* host, int* port, int server, int64_t timeout_ms, LatheStore** out, char** err) {
  return lathe::guard(err, [&] {
    c10d::TCPStoreOptions options;
    options.port = static_cast<uint16_t>(*port);
    options.isServer = server != 0;
    options.waitWorkers = false;
    options.timeout = milliseconds(timeout_ms);
    auto store = c10::make_intrusive<c10d::TCPStore>(host, options);
    *port = store->getPort();
    *out = new LatheStore{std::move(store)};
  });
}

extern "C" int lathe_store_prefix(const LatheStore* store, const char* prefix, LatheStore** out, char** err) {
  return lathe::guard(err, [&] { *out = new LatheStore{c10::make_intrusive<c10d::PrefixStore>(prefix, store->store)}; });
}

extern "C" int lathe_store_set(LatheStore* store, const char* key, const void* bytes, int64_t n, char** err) {
  return lathe::guard(err, [&] {
    const auto* p = static_cast<const uint8_t*>(bytes);
    store->store->set(key, std::vector<uint8_t>(p, p + n));
  });
}

extern "C" int lathe_store_get(LatheStore* store, const char* key, int64_t timeout_ms, char** bytes, int64_t* n, char** err) {
  return lathe::guard(err, [&] {
    store->store->wait({key}, milliseconds(timeout_ms));
    const auto value = store->store->get(key);
    auto* copy = static_cast<char*>(malloc(value.size() + 1));
    if (!copy) throw std::bad_alloc();
    memcpy(copy, value.data(), value.size());
    *n = static_cast<int64_t>(value.size());
    *bytes = copy;
  });
}

extern "C" int lathe_store_has(LatheStore* store, const char* key, int* there, char** err) {
  return lathe::guard(err, [&] { *there = store->store->check({key}); });
}

extern "C" void lathe_store_free(LatheStore* store) {
  try {
    delete store;
  } catch (...) {
  }
}

extern "C" int lathe_group(const LatheStore* store, const char* backend, const char* name, int rank, int size, int64_t timeout_ms,
                           const char* iface, LatheGroup** out, char** err) {
  return lathe::guard(err, [&] {
    const auto timeout = milliseconds(timeout_ms);
    c10::intrusive_ptr<c10d::Store> own = c10::make_intrusive<c10d::PrefixStore>(std::string(backend) + "/" + name, store->store);
    auto group = std::make_unique<LatheGroup>();
    group->size = size;
    group->group = c10::make_intrusive<ProcessGroup>(own, rank, size);
    if (std::string(backend) == "nccl") {
      group->backend = lathe::nccl_backend(own, rank, size, timeout);
      group->group->setDefaultBackend(ProcessGroup::BackendType::NCCL);
      group->group->setBackend(at::kCUDA, ProcessGroup::BackendType::NCCL, group->backend);
    } else {
      auto options = c10d::ProcessGroupGloo::Options::create_default(timeout);
      if (*iface) {
        options = c10d::ProcessGroupGloo::Options::create(timeout);
        // An address has a dot or a colon; the name of an interface has neither.
        const bool is_address = std::string(iface).find_first_of(".:") != std::string::npos;
        options->devices.push_back(is_address ? c10d::ProcessGroupGloo::createDeviceForHostname(iface)
                                              : c10d::ProcessGroupGloo::createDeviceForInterface(iface));
      }
      group->backend = c10::make_intrusive<Gloo>(own, rank, size, options);
      group->group->setDefaultBackend(ProcessGroup::BackendType::GLOO);
      group->group->setBackend(at::kCPU, ProcessGroup::BackendType::GLOO, group->backend);
    }
    group->group->setGroupName(name);
    *out = group.release();
  });
}

extern "C" int lathe_group_abort(LatheGroup* group, char** err) {
  return lathe::guard(err, [&] { group->backend->abort(); });
}

extern "C" void lathe_group_free(LatheGroup* group) {
  try {
    delete group;
  } catch (...) {
  }
}

extern "C" int lathe_all_reduce(LatheGroup* group, void* const* tensors, int64_t count, int op, int coalesced, LatheWork** out, char** err) {
  return lathe::guard(err, [&] {
    auto list = tensors_of(tensors, count);
    c10::intrusive_ptr<c10d::Work> work;
    if (coalesced) {
      c10d::AllreduceCoalescedOptions options;
      options.reduceOp = op_of(op);
      work = group->backend->allreduce_coalesced(list, options);
    } else {
      c10d::AllreduceOptions options;
      options.reduceOp = op_of(op);
      work = group->backend->allreduce(list, options);
    }
    *out = new LatheWork{std::move(work), std::move(list)};
  });
}

extern "C" int lathe_broadcast(LatheGroup* group, void* tensor, int root, LatheWork** out, char** err) {
  return lathe::guard(err, [&] {
    std::vector<at::Tensor> list{tensor_of(tensor)};
    c10d::BroadcastOptions options;
    options.rootRank = root;
    auto work = group->backend->broadcast(list, options);
    *out = new LatheWork{std::move(work), std::move(list)};
  });
}

extern "C" int lathe_all_gather(LatheGroup* group, void* tensor, void* const* outputs, LatheWork** out, char** err) {
  return lathe::guard(err, [&] {
    std::vector<at::Tensor> in{tensor_of(tensor)};
    std::vector<std::vector<at::Tensor>> all{tensors_of(outputs, group->size)};
    auto work = group->backend->allgather(all, in);
    auto kept = all[0];
    kept.push_back(in[0]);
    *out = new LatheWork{std::move(work), std::move(kept)};
  });
}

extern "C" int lathe_work_wait(LatheWork* work, char** err) {
  std::unique_ptr<LatheWork> own(work);
  return lathe::guard(err, [&] { own->work->wait(); });
}

extern "C" int lathe_reducer(LatheGroup* group, void* const* params, const int64_t* order, int64_t count, int64_t first_bytes,
                             int64_t bucket_bytes, int wire, LatheReducer** out, char** err) {
  return lathe::guard(err, [&] {
    const auto list = tensors_of(params, count);
    const std::vector<int64_t> numbers(order, order + count);
    std::vector<at::Tensor> coming;
    for (const auto i : numbers) coming.push_back(list.at(i));
    const std::vector<bool> sparse(list.size(), false);
    const auto first = static_cast<size_t>(first_bytes), most = static_cast<size_t>(bucket_bytes);
    // The Reducer sends its buckets in this order, as its own rebuild_buckets would make them: it does that only where no parameter may be left out.
    auto buckets = std::get<0>(c10d::compute_bucket_assignment_by_size(coming, {first, most}, sparse, numbers, {}));
    auto own = std::make_unique<LatheReducer>();
    own->reducer = std::make_unique<c10d::Reducer>(list, std::move(buckets), group->group, sparse, bucket_bytes,
                                                   /*find_unused_parameters=*/true, /*gradient_as_bucket_view=*/true,
                                                   std::unordered_map<size_t, std::string>(), first_bytes,
                                                   /*skip_all_reduce_unused_params=*/false, /*use_python_reducer=*/false,
                                                   std::vector<int64_t>{});
    if (wire != LATHE_WIRE_SAME) {
      own->reducer->register_comm_hook(std::make_unique<Narrow>(group->group, wire == LATHE_WIRE_BF16 ? at::kBFloat16 : at::kHalf));
    }
    *out = own.release();
  });
}

extern "C" int lathe_reaches(void* loss, void* const* params, int64_t count, int* any, char** err) {
  return lathe::guard(err, [&] {
    std::unordered_set<torch::autograd::Node*> leaves, seen;
    for (const auto& t : tensors_of(params, count)) {
      if (t.requires_grad()) leaves.insert(torch::autograd::impl::grad_accumulator(t).get());
    }
    std::vector<torch::autograd::Node*> todo;
    if (const auto f = tensor_of(loss).grad_fn()) todo.push_back(f.get());
    *any = 0;
    while (!todo.empty()) {
      auto* f = todo.back();
      todo.pop_back();
      if (!seen.insert(f).second) continue;
      if (leaves.count(f)) {
        *any = 1;
        return;
      }
      for (const auto& edge : f->next_edges()) {
        if (edge.function) todo.push_back(edge.function.get());
      }
    }
  });
}

extern "C" int lathe_reducer_prepare(LatheReducer* reducer, void* loss, char** err) {
  return lathe::guard(err, [&] {
    reducer->reducer->prepare_for_backward({tensor_of(loss)});
  });
}

extern "C" void lathe_reducer_free(LatheReducer* reducer) {
  try {
    delete reducer;
  } catch (...) {
  }
}
