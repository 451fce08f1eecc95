// What crosses between Rust and PyTorch's c10d. Mirrored by ffi.rs: change both together. Tensors are at::Tensor*, borrowed.
#pragma once
#include "../guard.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct LatheStore LatheStore;      // c10d::Store: a TCPStore, perhaps behind a prefix
typedef struct LatheGroup LatheGroup;      // c10d::ProcessGroup with one backend
typedef struct LatheWork LatheWork;        // c10d::Work and the tensors that it needs
typedef struct LatheReducer LatheReducer;  // c10d::Reducer
typedef struct LatheOrder LatheOrder;      // notes in which order gradients come

enum { LATHE_SUM = 0, LATHE_MAX = 1, LATHE_MIN = 2 };
enum { LATHE_WIRE_SAME = 0, LATHE_WIRE_BF16 = 1, LATHE_WIRE_FP16 = 2 };

// Makes libtorch read TORCH_CPP_LOG_LEVEL, which is ERROR where the user says nothing; without it a store that died writes a trace for
// every call.
void lathe_dist_log();

// `*port`: 0 asks a server for a free one; the one in use comes back.
int lathe_store_tcp(const char* host, int* port, int server, int64_t timeout_ms, LatheStore** out, char** err);
int lathe_store_prefix(const LatheStore* store, const char* prefix, LatheStore** out, char** err);
int lathe_store_set(LatheStore* store, const char* key, const void* bytes, int64_t n, char** err);
// Waits until there is such a key. `*bytes` is freed with lathe_free_str.
int lathe_store_get(LatheStore* store, const char* key, int64_t timeout_ms, char** bytes, int64_t* n, char** err);
int lathe_store_has(LatheStore* store, const char* key, int* there, char** err);
void lathe_store_free(LatheStore* store);

// backend: "gloo" or "nccl". iface: the name of an interface or an address to listen at; empty: as Gloo and NCCL choose.
int lathe_group(const LatheStore* store, const char* backend, const char* name, int rank, int size, int64_t timeout_ms, const char* iface,
                LatheGroup** out, char** err);
// Ends its connections: collectives of others that wait for this process fail.
int lathe_group_abort(LatheGroup* group, char** err);
void lathe_group_free(LatheGroup* group);
// Collectives begin; lathe_work_wait ends them. `coalesced`: tensors of one dtype go as one.
int lathe_all_reduce(LatheGroup* group, void* const* tensors, int64_t count, int op, int coalesced, LatheWork** out, char** err);
int lathe_broadcast(LatheGroup* group, void* tensor, int root, LatheWork** out, char** err);
int lathe_all_gather(LatheGroup* group, void* tensor, void* const* outputs, LatheWork** out, char** err);
int lathe_work_wait(LatheWork* work, char** err);  // frees it

// `order`: the numbers of all parameters in the order in which their gradients come.
int lathe_reducer(LatheGroup* group, void* const* params, const int64_t* order, int64_t count, int64_t first_bytes, int64_t bucket_bytes,
                  int wire, LatheReducer** out, char** err);
// From now on. `lathe_order_end` writes the numbers of those that came, at most `count`, and how many; it does not free.
int lathe_order_begin(void* const* params, int64_t count, LatheOrder** out, char** err);
int lathe_order_end(LatheOrder* order, int64_t* numbers, int64_t* n, char** err);
void lathe_order_free(LatheOrder* order);
// Whether the graph of `loss` leads to any of these leaves.
int lathe_reaches(void* loss, void* const* params, int64_t count, int* any, char** err);
int lathe_reducer_prepare(LatheReducer* reducer, void* loss, char** err);
void lathe_reducer_free(LatheReducer* reducer);

// The sum over all ranks, whose gradient is the sum of all ranks' gradients.
int lathe_all_reduce_grad(LatheGroup* group, void* tensor, void** out, char** err);
int lathe_set_grad(void* tensor, void* grad, char** err);
// Notes that a parameter's gradient is that of all ranks, and whether it still is.
enum { LATHE_GRAD_NONE = 0, LATHE_GRAD_MARKED = 1, LATHE_GRAD_NEW = 2 };
int lathe_mark_grad(void* tensor, char** err);
int lathe_grad_state(void* tensor, int* state, char** err);

// Whether this process has an NCCL that fits; a line of text for people.
int lathe_nccl(char** text, char** err);

#ifdef __cplusplus
}
#endif
