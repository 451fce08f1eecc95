#pragma once
// sizeof(ProcessGroupNCCL::Options) and sizeof(ProcessGroupNCCL) of torch 2.11.0 for Linux on x86_64, by two ways that agree: compiled
// from the wheel's headers, and read from what the wheel's own ProcessGroupNCCL::split hands to operator new.
#if !defined(__linux__) || !defined(__x86_64__)
#define LATHE_NCCL_UNKNOWN 1
#endif
#define LATHE_NCCL_OPTIONS_SIZE 248
#define LATHE_NCCL_GROUP_SIZE 1112
