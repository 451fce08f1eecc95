#pragma once
// sizeof(ProcessGroupNCCL::Options) and sizeof(ProcessGroupNCCL) of torch 2.11.0 (the wheel for CUDA 13.0) for Linux on x86_64, from two sources that agree:
// compiled from the wheel's headers, and read from the wheel's code. Another libtorch needs them anew:
//
//     python3 tests/tools/nccl_size.py SITE_PACKAGES_OF_A_CUDA_TORCH
//
// On 2026-11-29 it said, for 2.11.0+cu130 with NCCL 2.28.9: Options 248 by the headers, 248 to operator delete in its destructor, 248 to operator new before 3
// calls of its constructor; ProcessGroupNCCL 1112, 1112, and 1112 before 4 calls.
#include <torch/headeronly/version.h>
#if TORCH_VERSION_MAJOR != 2 || TORCH_VERSION_MINOR != 11
#error "the sizes of NCCL's objects belong to libtorch 2.11: run tests/tools/nccl_size.py for this one, and write here what it says"
#endif
#if !defined(__linux__) || !defined(__x86_64__)
#define LATHE_NCCL_UNKNOWN 1
#endif
#define LATHE_NCCL_OPTIONS_SIZE 248
#define LATHE_NCCL_GROUP_SIZE 1112
