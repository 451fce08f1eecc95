//! The C side of the bridge, as `bridge.h` declares it. Change both together.

use std::ffi::{c_char, c_int, c_void};

pub const NONE: i64 = 0;
pub const TENSOR: i64 = 1;
pub const INT: i64 = 2;
pub const FLOAT: i64 = 3;
pub const BOOL: i64 = 4;
pub const STR: i64 = 5;
pub const LIST: i64 = 6;
pub const TUPLE: i64 = 7;
pub const DICT: i64 = 8;
pub const OBJECT: i64 = 10;
pub const DEVICE: i64 = 11;

/// Error class: no overload takes the arguments.
pub const NO_MATCH: c_int = 2;
/// Error class: out of memory.
pub const MEMORY: c_int = 3;

#[repr(C)]
#[derive(Clone, Copy)]
pub union Payload {
    pub i: i64,
    pub f: f64,
    pub p: *mut c_void,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct RawValue {
    pub tag: i64,
    pub len: i64,
    pub u: Payload,
}

impl RawValue {
    pub const EMPTY: RawValue = RawValue { tag: NONE, len: 0, u: Payload { i: 0 } };
}

#[repr(C)]
pub struct RawOp {
    _private: [u8; 0],
}

/// Takes a new tensor.
pub type OnLeaf = unsafe extern "C" fn(*mut c_void, *mut c_void);
/// The gradients of inputs from those of outputs.
pub type OnRecompute = unsafe extern "C" fn(*mut c_void, *const *const c_void, i64, *mut *mut c_void, i64, *mut *mut c_char) -> c_int;
/// Drops what a node held.
pub type OnRelease = unsafe extern "C" fn(*mut c_void);

#[repr(C)]
pub struct RawGrad {
    pub outputs: *const *mut c_void,
    pub output_count: i64,
    pub inputs: *const *mut c_void,
    pub input_count: i64,
    pub grad_outputs: *const *mut c_void,
    pub retain_graph: c_int,
    pub create_graph: c_int,
    pub allow_unused: c_int,
}

#[repr(C)]
pub struct RawParam {
    pub param: *mut c_void,
    pub grad: *mut c_void,
    pub exp_avg: *mut c_void,
    pub exp_avg_sq: *mut c_void,
    pub average: *mut c_void,
    pub step: f64,
}

#[repr(C)]
pub struct RawAdamW {
    pub lr: f64,
    pub beta1: f64,
    pub beta2: f64,
    pub eps: f64,
    pub weight_decay: f64,
    pub scale: f64,
    pub decay: f64,
}

pub type Ask = extern "C" fn(usize, *mut c_char, usize) -> c_int;
pub type Moved = extern "C" fn(i64);

#[repr(C)]
pub struct RawProgram {
    _private: [u8; 0],
}

#[repr(C)]
pub struct RawItem {
    pub value: RawValue,
    pub text: *const c_char,
    pub text_length: i64,
    pub children: *const i64,
    pub child_count: i64,
}

#[repr(C)]
pub struct RawGradients {
    _private: [u8; 0],
}

#[repr(C)]
pub struct RawStore {
    _private: [u8; 0],
}

#[repr(C)]
pub struct RawGroup {
    _private: [u8; 0],
}

#[repr(C)]
pub struct RawWork {
    _private: [u8; 0],
}

#[repr(C)]
pub struct RawReducer {
    _private: [u8; 0],
}

#[repr(C)]
pub struct RawOrder {
    _private: [u8; 0],
}

pub type OnTensor = extern "C" fn(*mut c_void, *const c_char, *const c_void);
pub type OnSchema = extern "C" fn(*mut c_void, *const c_char, *const c_char);

unsafe extern "C" {
    pub fn lathe_op(name: *const c_char) -> *const RawOp;
    pub fn lathe_op_of(name: *const c_char, overloads: *const *const c_char, count: i64) -> *const RawOp;
    pub fn lathe_pick(
        op: *const RawOp,
        args: *const RawValue,
        positional: i64,
        keywords: *const *const c_char,
        keyword_count: i64,
        overload: *mut *mut c_char,
        err: *mut *mut c_char,
    ) -> c_int;
    pub fn lathe_call(
        op: *const RawOp,
        args: *const RawValue,
        positional: i64,
        keywords: *const *const c_char,
        keyword_count: i64,
        results: *mut RawValue,
        err: *mut *mut c_char,
    ) -> c_int;
    pub fn lathe_free_value(value: *mut RawValue);
    pub fn lathe_free_str(s: *mut c_char);
    pub fn lathe_schemas(name: *const c_char, data: *mut c_void, f: OnSchema, err: *mut *mut c_char) -> c_int;
    pub fn lathe_grad(g: *const RawGrad, grads: *mut *mut c_void, err: *mut *mut c_char) -> c_int;
    pub fn lathe_dual_enter(level: *mut i64, err: *mut *mut c_char) -> c_int;
    pub fn lathe_dual_exit(level: i64, err: *mut *mut c_char) -> c_int;
    pub fn lathe_dual_make(primal: *const c_void, tangent: *const c_void, level: i64, dual: *mut *mut c_void, err: *mut *mut c_char) -> c_int;
    pub fn lathe_dual_unpack(dual: *const c_void, level: i64, primal: *mut *mut c_void, tangent: *mut *mut c_void, err: *mut *mut c_char) -> c_int;
    pub fn lathe_copy_str(text: *const c_char, len: i64) -> *mut c_char;
    pub fn lathe_leaves(
        tensors: *const *mut c_void,
        count: i64,
        but: *const *mut c_void,
        but_count: i64,
        data: *mut c_void,
        each: OnLeaf,
        err: *mut *mut c_char,
    ) -> c_int;
    pub fn lathe_records(on: c_int) -> c_int;
    pub fn lathe_recompute(
        inputs: *const *mut c_void,
        input_count: i64,
        outputs: *const *mut c_void,
        output_count: i64,
        data: *mut c_void,
        compute: OnRecompute,
        release: OnRelease,
        err: *mut *mut c_char,
    ) -> c_int;
    pub fn lathe_finite(tensor: *const c_void, what: *mut c_int, err: *mut *mut c_char) -> c_int;
    pub fn lathe_gradients_new() -> *mut RawGradients;
    pub fn lathe_gradients_free(gradients: *mut RawGradients);
    pub fn lathe_gradients_look(gradients: *mut RawGradients, tensor: *const c_void, call: i64, err: *mut *mut c_char) -> c_int;
    pub fn lathe_gradients_lost(gradients: *mut RawGradients, call: *mut i64, name: *mut *mut c_char) -> c_int;
    pub fn lathe_profiler_begin(cuda: c_int, err: *mut *mut c_char) -> c_int;
    pub fn lathe_profiler_end(cuda: c_int, path: *const c_char, err: *mut *mut c_char) -> c_int;
    pub fn lathe_range_begin(name: *const c_char, range: *mut *mut c_void, err: *mut *mut c_char) -> c_int;
    pub fn lathe_range_end(range: *mut c_void);
    pub fn lathe_clear_grad(tensor: *mut c_void, err: *mut *mut c_char) -> c_int;
    pub fn lathe_rng_get(device: c_int, state: *mut *mut c_void, err: *mut *mut c_char) -> c_int;
    pub fn lathe_rng_set(device: c_int, state: *const c_void, err: *mut *mut c_char) -> c_int;
    pub fn lathe_rng_seed(device: c_int, seed: u64, err: *mut *mut c_char) -> c_int;
    pub fn lathe_allow_tf32(on: c_int, err: *mut *mut c_char) -> c_int;
    pub fn lathe_autocast_get(cuda: c_int, enabled: *mut c_int, dtype: *mut c_int, err: *mut *mut c_char) -> c_int;
    pub fn lathe_autocast_set(cuda: c_int, enabled: c_int, dtype: c_int, err: *mut *mut c_char) -> c_int;
    pub fn lathe_autocast_nest(enter: c_int, err: *mut *mut c_char) -> c_int;
    pub fn lathe_autocast_active() -> c_int;
    pub fn lathe_autocast_clear();
    pub fn lathe_library(path: *mut *mut c_char, err: *mut *mut c_char) -> c_int;
    pub fn lathe_adamw_check(item: *const RawParam, err: *mut *mut c_char) -> c_int;
    pub fn lathe_adamw_pass(item: *const RawParam, from: i64, to: i64, o: *const RawAdamW);
    pub fn lathe_squares(tensor: *const c_void, from: i64, to: i64) -> f64;
    pub fn lathe_bump_version(tensor: *mut c_void);
    pub fn lathe_guard_memory(byte: c_int, limit: i64);
    pub fn lathe_storage(tensor: *const c_void, at: *mut i64, bytes: *mut i64, err: *mut *mut c_char) -> c_int;
    pub fn lathe_keep_memory();
    pub fn lathe_bound_memory(may: Ask, went: Moved, err: *mut *mut c_char) -> c_int;
    pub fn lathe_release_memory();
    pub fn lathe_dlopen(path: *const c_char, err: *mut *mut c_char) -> c_int;
    pub fn lathe_kernels(key: *const c_char) -> i64;
    pub fn lathe_program_new(operators: *const *const c_char, count: i64, version: i64, out: *mut *mut RawProgram, err: *mut *mut c_char) -> c_int;
    pub fn lathe_program_free(program: *mut RawProgram);
    pub fn lathe_program_source(program: *mut RawProgram, name: *const c_char, text: *const c_char, length: i64, err: *mut *mut c_char) -> c_int;
    pub fn lathe_program_value(program: *mut RawProgram, item: *const RawItem, err: *mut *mut c_char) -> c_int;
    pub fn lathe_program_constant(program: *mut RawProgram, id: i64, err: *mut *mut c_char) -> c_int;
    pub fn lathe_program_build(program: *mut RawProgram, root: i64, err: *mut *mut c_char) -> c_int;
    pub fn lathe_program_parameters(program: *const RawProgram, data: *mut c_void, f: OnTensor, err: *mut *mut c_char) -> c_int;
    pub fn lathe_program_forward(program: *mut RawProgram, input: *const c_void, result: *mut RawValue, err: *mut *mut c_char) -> c_int;
    #[cfg(test)]
    pub fn lathe_program_has(name: *const c_char) -> c_int;
    pub fn lathe_dist_log();
    pub fn lathe_store_tcp(
        host: *const c_char,
        port: *mut c_int,
        server: c_int,
        timeout_ms: i64,
        out: *mut *mut RawStore,
        err: *mut *mut c_char,
    ) -> c_int;
    pub fn lathe_store_prefix(store: *const RawStore, prefix: *const c_char, out: *mut *mut RawStore, err: *mut *mut c_char) -> c_int;
    pub fn lathe_store_set(store: *mut RawStore, key: *const c_char, bytes: *const c_void, n: i64, err: *mut *mut c_char) -> c_int;
    pub fn lathe_store_get(
        store: *mut RawStore,
        key: *const c_char,
        timeout_ms: i64,
        bytes: *mut *mut c_char,
        n: *mut i64,
        err: *mut *mut c_char,
    ) -> c_int;
    pub fn lathe_store_has(store: *mut RawStore, key: *const c_char, there: *mut c_int, err: *mut *mut c_char) -> c_int;
    pub fn lathe_store_free(store: *mut RawStore);
    pub fn lathe_group(
        store: *const RawStore,
        backend: *const c_char,
        name: *const c_char,
        rank: c_int,
        size: c_int,
        timeout_ms: i64,
        iface: *const c_char,
        out: *mut *mut RawGroup,
        err: *mut *mut c_char,
    ) -> c_int;
    pub fn lathe_group_abort(group: *mut RawGroup, err: *mut *mut c_char) -> c_int;
    pub fn lathe_group_free(group: *mut RawGroup);
    pub fn lathe_all_reduce(
        group: *mut RawGroup,
        tensors: *const *mut c_void,
        count: i64,
        op: c_int,
        coalesced: c_int,
        out: *mut *mut RawWork,
        err: *mut *mut c_char,
    ) -> c_int;
    pub fn lathe_broadcast(group: *mut RawGroup, tensor: *mut c_void, root: c_int, out: *mut *mut RawWork, err: *mut *mut c_char) -> c_int;
    pub fn lathe_all_gather(
        group: *mut RawGroup,
        tensor: *mut c_void,
        outputs: *const *mut c_void,
        out: *mut *mut RawWork,
        err: *mut *mut c_char,
    ) -> c_int;
    pub fn lathe_work_wait(work: *mut RawWork, err: *mut *mut c_char) -> c_int;
    pub fn lathe_reducer(
        group: *mut RawGroup,
        params: *const *mut c_void,
        order: *const i64,
        count: i64,
        first_bytes: i64,
        bucket_bytes: i64,
        wire: c_int,
        out: *mut *mut RawReducer,
        err: *mut *mut c_char,
    ) -> c_int;
    pub fn lathe_order_begin(params: *const *mut c_void, count: i64, out: *mut *mut RawOrder, err: *mut *mut c_char) -> c_int;
    pub fn lathe_order_end(order: *mut RawOrder, numbers: *mut i64, n: *mut i64, err: *mut *mut c_char) -> c_int;
    pub fn lathe_order_free(order: *mut RawOrder);
    pub fn lathe_reaches(loss: *mut c_void, params: *const *mut c_void, count: i64, any: *mut c_int, err: *mut *mut c_char) -> c_int;
    pub fn lathe_reducer_prepare(reducer: *mut RawReducer, loss: *mut c_void, err: *mut *mut c_char) -> c_int;
    pub fn lathe_reducer_free(reducer: *mut RawReducer);
    pub fn lathe_all_reduce_grad(group: *mut RawGroup, tensor: *mut c_void, out: *mut *mut c_void, err: *mut *mut c_char) -> c_int;
    pub fn lathe_set_grad(tensor: *mut c_void, grad: *mut c_void, err: *mut *mut c_char) -> c_int;
    pub fn lathe_mark_grad(tensor: *mut c_void, err: *mut *mut c_char) -> c_int;
    pub fn lathe_grad_state(tensor: *mut c_void, state: *mut c_int, err: *mut *mut c_char) -> c_int;
    pub fn lathe_nccl(text: *mut *mut c_char, err: *mut *mut c_char) -> c_int;
    pub fn lathe_build_info(text: *mut *mut c_char, err: *mut *mut c_char) -> c_int;
}

/// A failed call: its class and libtorch's message.
pub struct Failure {
    pub class: c_int,
    pub message: String,
}

/// Calls `f` with a place for the error message.
pub fn checked(f: impl FnOnce(*mut *mut c_char) -> c_int) -> Result<(), Failure> {
    let mut err = std::ptr::null_mut();
    let class = f(&mut err);
    if class == 0 {
        return Ok(());
    }
    Err(Failure { class, message: take_string(err) })
}

/// Takes over a string that the C side allocated; empty where it had no memory left for it.
pub fn take_string(s: *mut c_char) -> String {
    if s.is_null() {
        return "no message: memory is exhausted".into();
    }
    // SAFETY: the C side hands over a terminated string, which only this function frees.
    unsafe {
        let text = std::ffi::CStr::from_ptr(s).to_string_lossy().into_owned();
        lathe_free_str(s);
        text
    }
}
