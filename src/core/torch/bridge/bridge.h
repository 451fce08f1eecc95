// What crosses between Rust and libtorch beyond tch. Mirrored by ffi.rs: change both together.
#pragma once
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

// Kinds of LatheValue.
enum {
  LATHE_NONE = 0,
  LATHE_TENSOR = 1,  // p: at::Tensor*; borrowed as an argument, owned as a result
  LATHE_INT = 2,
  LATHE_FLOAT = 3,
  LATHE_BOOL = 4,    // i: 0 or 1
  LATHE_STR = 5,     // p: len bytes, not terminated
  LATHE_LIST = 6,    // p: len values
  LATHE_TUPLE = 7,   // p: len values
  LATHE_DICT = 8,    // p: 2 * len values, key and value in turn
  LATHE_OPAQUE = 9,  // p: len bytes that describe a value which has no Rust form
};

typedef struct LatheValue {
  int64_t tag;
  int64_t len;
  union {
    int64_t i;
    double f;
    void* p;
  } u;
} LatheValue;

typedef struct LatheOp LatheOp;

// Fallible functions return 0, or an error class and a message in *err, to be freed with lathe_free_str.
enum {
  LATHE_OK = 0,
  LATHE_ERROR = 1,
  LATHE_NO_MATCH = 2,  // no overload takes these arguments: one line of reason, then one line per schema
  LATHE_MEMORY = 3,
};

// Operators by name. `name` is `add`, `aten::add`, `add.Scalar` or `quantized::linear`.
const LatheOp* lathe_op(const char* name);
// The operator `aten::add` with these of its overloads alone, for as long as the process lives; null when it has none of them.
const LatheOp* lathe_op_of(const char* name, const char* const* overloads, int64_t count);
// The name of the overload that a call with these arguments would take, to be freed with lathe_free_str.
int lathe_pick(const LatheOp* op, const LatheValue* args, int64_t positional, const char* const* keywords, int64_t keyword_count,
               char** overload, char** err);
int lathe_call(const LatheOp* op, const LatheValue* args, int64_t positional, const char* const* keywords,
               int64_t keyword_count, LatheValue* results, char** err);
// Frees strings and arrays of results. Tensors are not freed: their ownership has moved out.
void lathe_free_value(LatheValue* value);
void lathe_free_str(char* s);
// A copy that lathe_free_str frees.
char* lathe_copy_str(const char* text, int64_t len);
// Calls `f` for every overload of every operator, or of the operator `name` if that is not null.
int lathe_schemas(const char* name, void* data, void (*f)(void*, const char* name, const char* schema), char** err);

// Gradients. Handles are at::Tensor*; `grad_outputs` may be null, and so may entries of it.
typedef struct LatheGrad {
  void* const* outputs;
  int64_t output_count;
  void* const* inputs;
  int64_t input_count;
  void* const* grad_outputs;
  int retain_graph, create_graph, allow_unused;
} LatheGrad;
// Fills one new handle for each input into `grads`, null where the outputs do not depend on it.
int lathe_grad(const LatheGrad* g, void** grads, char** err);
// Dual numbers, one level at a time. A tangent that is not there is null.
int lathe_dual_enter(int64_t* level, char** err);
int lathe_dual_exit(int64_t level, char** err);
int lathe_dual_make(const void* primal, const void* tangent, int64_t level, void** dual, char** err);
int lathe_dual_unpack(const void* dual, int64_t level, void** primal, void** tangent, char** err);
// Calls `each` with a new handle for every leaf that the tensors were computed from, except those in `but`.
int lathe_leaves(void* const* tensors, int64_t count, void* const* but, int64_t but_count, void* data, void (*each)(void*, void*), char** err);
// The gradients of inputs from those of outputs, which may be null: new handles or null into `inputs`. Fails with a message made by lathe_copy_str.
typedef int (*LatheRecompute)(void* data, const void* const* outputs, int64_t output_count, void** inputs, int64_t input_count, char** err);
int lathe_recompute(void* const* inputs, int64_t input_count, void* const* outputs, int64_t output_count, void* data,
                    LatheRecompute compute, void (*release)(void*), char** err);
// Whether this thread records gradients, and from now on: -1 leaves it as it is.
int lathe_records(int on);
// Forgets the gradient of a leaf.
int lathe_clear_grad(void* tensor, char** err);

// What is in a tensor: 0 for finite numbers alone, 1 where infinities are, 2 where something is no number.
int lathe_finite(const void* tensor, int* what, char** err);
// A look at gradients that go through graphs; null without memory.
typedef struct LatheGradients LatheGradients;
LatheGradients* lathe_gradients_new(void);
void lathe_gradients_free(LatheGradients* gradients);
// Has every node looked at in backward passes that a tensor was computed by, and that no call before this one made.
int lathe_gradients_look(LatheGradients* gradients, const void* tensor, int64_t call, char** err);
// The call and the node where a gradient stopped being finite since this was asked last: 0 where none did. The name is freed with lathe_free_str.
int lathe_gradients_lost(LatheGradients* gradients, int64_t* call, char** name);

// libtorch's profiler, on this thread; `cuda` for the kernels of GPUs as well. It ends with a Chrome trace in a file, or with none for null.
int lathe_profiler_begin(int cuda, char** err);
int lathe_profiler_end(int cuda, const char* path, char** err);
// A range of this thread's, to be ended in the reverse order.
int lathe_range_begin(const char* name, void** range, char** err);
void lathe_range_end(void* range);

// Random numbers. `device` is -1 for the CPU, else the index of a CUDA device.
int lathe_rng_get(int device, void** state, char** err);
int lathe_rng_set(int device, const void* state, char** err);
int lathe_rng_seed(int device, uint64_t seed, char** err);
int lathe_allow_tf32(int on, char** err);

// Mixed precision. `cuda` chooses the device type, `dtype` is a c10::ScalarType.
int lathe_autocast_get(int cuda, int* enabled, int* dtype, char** err);
int lathe_autocast_set(int cuda, int enabled, int dtype, char** err);
int lathe_autocast_nest(int enter, char** err);
int lathe_autocast_active(void);
void lathe_autocast_clear(void);

// AdamW. Handles are at::Tensor*, all f32 on the CPU in one layout; `average` may be null. `step` counts from 1.
typedef struct LatheParam {
  void* param;
  void* grad;
  void* exp_avg;
  void* exp_avg_sq;
  void* average;
  double step;
} LatheParam;
typedef struct LatheAdamW {
  double lr, beta1, beta2, eps, weight_decay, scale, decay;
} LatheAdamW;
// Whether the pass can take them; to be asked first.
int lathe_adamw_check(const LatheParam* item, char** err);
// Elements `from` to `to`, in the order of memory.
void lathe_adamw_pass(const LatheParam* item, int64_t from, int64_t to, const LatheAdamW* o);
// The sum of the squares of elements `from` to `to` of a dense f32 tensor on the CPU, in the order of memory.
double lathe_squares(const void* tensor, int64_t from, int64_t to);
void lathe_bump_version(void* tensor);

// For the fuzz: memory of CPU tensors between walls, filled with `byte`, of at most `limit` bytes in all.
void lathe_guard_memory(int byte, int64_t limit);
// Where the storage of a tensor lies, and how many bytes it has.
int lathe_storage(const void* tensor, int64_t* at, int64_t* bytes, char** err);

// Has the C library keep freed memory for the next step.
void lathe_keep_memory(void);

// Puts an allocator before that of CPU tensors. `may` says whether so many bytes may be allocated; otherwise it writes why into `text`, which
// holds `len` bytes, and returns 0. `went` is told of large tensors, with their size when they come and its negative when they go.
typedef int (*lathe_ask)(size_t bytes, char* text, size_t len);
typedef void (*lathe_moved)(int64_t bytes);
int lathe_bound_memory(lathe_ask may, lathe_moved went, char** err);
// Hands what the C library has kept back to the system.
void lathe_release_memory(void);

// The folder of the libtorch_cpu.so that is loaded, to be freed with lathe_free_str.
int lathe_library(char** path, char** err);
int lathe_dlopen(const char* path, char** err);
// How many kernels are registered for a dispatch key (`CPU`, `CUDA`), or -1.
int64_t lathe_kernels(const char* key);
// Compile-time version, run-time configuration and CPU capability, one per line, to be freed with lathe_free_str.
int lathe_build_info(char** text, char** err);

// TorchScript programs.
typedef struct LatheProgram LatheProgram;
// Further kinds of values in an archive: `text` is the class, the only child its state; `text` is the device.
enum { LATHE_OBJECT = 10, LATHE_DEVICE = 11 };
// One value of an archive. `children` are numbers of values that came before: elements, or keys and values in turn.
typedef struct LatheItem {
  LatheValue value;
  const char* text;
  int64_t text_length;
  const int64_t* children;
  int64_t child_count;
} LatheItem;
// An empty program that may use these operators; `version` is the archive's.
int lathe_program_new(const char* const* operators, int64_t count, int64_t version, LatheProgram** out, char** err);
void lathe_program_free(LatheProgram* program);
// Takes a file of code in, after it was checked: `name` is `__torch__.torch.nn`.
int lathe_program_source(LatheProgram* program, const char* name, const char* text, int64_t length, char** err);
// Takes the next value in: they are numbered from 0.
int lathe_program_value(LatheProgram* program, const LatheItem* item, char** err);
// Makes a value the next of the constants that the code refers to.
int lathe_program_constant(LatheProgram* program, int64_t id, char** err);
// Compiles, checks every graph, and makes the module `root`. Once, and last.
int lathe_program_build(LatheProgram* program, int64_t root, char** err);
// Calls `f` for every parameter, a borrowed at::Tensor*.
int lathe_program_parameters(const LatheProgram* program, void* data, void (*f)(void*, const char* name, const void* tensor), char** err);
int lathe_program_forward(LatheProgram* program, const void* input, LatheValue* result, char** err);
// Whether TorchScript has an operator of that name: `aten::add.Tensor`, `prim::If`.
int lathe_program_has(const char* name);

#ifdef __cplusplus
}
#endif
