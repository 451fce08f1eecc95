// NCCL without CUDA's headers and without linking libtorch_cuda.so.
#pragma once
#include <torch/csrc/distributed/c10d/Backend.hpp>
#include <torch/csrc/distributed/c10d/Store.hpp>

#include <chrono>

namespace lathe {

// Throws where libtorch_cuda.so is not loaded, or is another than the one whose sizes are known.
c10::intrusive_ptr<c10d::Backend> nccl_backend(const c10::intrusive_ptr<c10d::Store>& store, int rank, int size,
                                               std::chrono::milliseconds timeout);

}  // namespace lathe
