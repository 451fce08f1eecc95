use super::*;
use crate::torch::bridge;
use crate::torch::{DType, Device, Tensor};

const F32: DType = DType::Float;
const CPU: Device = Device::Cpu;

fn zeros(shape: &[i64]) -> Tensor {
    Tensor::zeros(shape, F32, CPU).unwrap()
}

fn ints(values: &[i64]) -> Tensor {
    Tensor::from_slice(values).unwrap()
}

fn refused(name: &str, args: &[Value], kw: &[(&str, Value)], why: &str) {
    let e = script_call(name, args, kw).expect_err(name);
    assert!(e.to_string().contains(why), "{name}: {e}");
}

#[test]
fn scripts_do_not_reach_internals() {
    for name in [
        "_sobol_engine_draw",
        "aten::set_",
        "resize_",
        "from_file",
        "set_.source_Tensor",
        "native_layer_norm_backward",
        "c10d::broadcast_",
        "data",
        "set_data",
        "fbgemm_pack_quantized_matrix",
        "mkldnn_convolution",
        "quantized::linear",
        "as_strided_",
        "empty",
    ] {
        assert!(!allowed(name), "{name}");
        refused(name, &[], &[], "not for scripts");
    }
    refused("no_such_operator", &[], &[], "has no operator");
    for name in [
        "add",
        "add_",
        "aten::upsample_bicubic2d",
        "_foreach_norm",
        "_fused_adamw_",
        "scaled_dot_product_attention",
        "add.out",
        "embedding_bag",
        "linalg_eigvals",
    ] {
        assert!(allowed(name), "{name}");
    }
    assert!(count() >= 1500, "what a paper needs stays reachable: {}", count());
}

#[test]
fn every_listed_overload_exists() {
    for name in list::names() {
        let schemas = list::schemas(name);
        let wanted = list::overloads(name, None).unwrap();
        for overload in &wanted.overloads {
            assert!(schemas.iter().any(|s| s.overload == *overload), "{name}.{overload}");
        }
        assert!(wanted.outs.iter().all(|o| !o.is_empty()), "{name}");
    }
}

#[test]
fn fused_optimizers_compare_their_lists() {
    let (p, g) = (zeros(&[4]), zeros(&[2]));
    let list = |t: &Tensor| Value::list(&[t]);
    let kw = [("lr", 0.1), ("beta1", 0.9), ("beta2", 0.99), ("weight_decay", 0.0), ("eps", 1e-8)].map(|(k, v)| (k, Value::from(v)));
    let kw = [kw.to_vec(), vec![("amsgrad", false.into()), ("maximize", false.into())]].concat();
    let args = |grad: &Tensor, avg: &Tensor, step: &Tensor| [list(&p), list(grad), list(avg), list(&p), Value::List(vec![]), list(step)];
    refused("_fused_adamw_", &args(&g, &p, &zeros(&[])), &kw, "does not go with");
    // A scalar in the place of anything but a counter.
    refused("_fused_adamw_", &args(&zeros(&[]), &p, &zeros(&[])), &kw, "does not go with");
    refused("_fused_adam_", &args(&p, &zeros(&[]), &zeros(&[])), &kw, "does not go with");
    refused("_fused_adam_", &args(&p, &p, &zeros(&[3])), &kw, "scalars in f32");
    refused("_fused_adam_", &args(&p.to_dtype(DType::Double).unwrap(), &p, &zeros(&[])), &kw, "does not go with");
    let mut short = args(&p, &p, &zeros(&[]));
    short[1] = Value::List(vec![]);
    refused("_fused_adamw_", &short, &kw, "0 tensors");
    let (grad, avg, sq) = (zeros(&[4]), zeros(&[4]), zeros(&[4]));
    let fine = [list(&p), list(&grad), list(&avg), list(&sq), Value::List(vec![]), list(&Tensor::ones(&[], F32, CPU).unwrap())];
    script_call("_fused_adamw_", &fine, &kw).unwrap();
}

#[test]
fn out_is_never_resized() {
    let (x, out) = (Tensor::ones(&[3], F32, CPU).unwrap(), zeros(&[3]));
    let r = script_call("add", &[(&x).into(), (&x).into()], &[("out", (&out).into())]).unwrap();
    assert!(matches!(&r[..], [Value::Tensor(t)] if t.id() == out.id()));
    assert_eq!(out.to_vec_f64().unwrap(), [2.0; 3]);
    refused("zeros", &[[4_000_000].into()], &[("out", (&out).into())], "`out` is [3] f32, the result [4000000] f32");
    refused("add.out", &[(&x).into(), (&x).into()], &[("out", zeros(&[]).into())], "the result [3] f32");
    refused("add", &[(&x).into(), (&x).into()], &[("out", ints(&[1, 2, 3]).into())], "`out` is [3] i64");
    let (values, at) = (zeros(&[]), Tensor::zeros(&[], DType::Int64, CPU).unwrap());
    script_call("max", &[(&out).into(), 0i64.into()], &[("max", (&values).into()), ("max_values", (&at).into())]).unwrap();
    assert_eq!(values.item().unwrap(), 2.0);
    refused("max", &[(&out).into(), 0i64.into()], &[("max", (&values).into())], "for all results");
}

#[test]
fn the_least_integer_is_not_divided_by_minus_one() {
    let least = Tensor::full(&[9], 0.0, DType::Int64, CPU).unwrap().add(i64::MIN).unwrap();
    let minus = ints(&[-1; 9]);
    for mode in ["trunc", "floor"] {
        refused("div", &[(&least).into(), (&minus).into()], &[("rounding_mode", mode.into())], "divided by -1");
        refused("div", &[(&least).into(), (-1i64).into()], &[("rounding_mode", mode.into())], "divided by -1");
    }
    for name in ["floor_divide", "remainder", "fmod"] {
        refused(name, &[(&least).into(), (&minus).into()], &[], "divided by -1");
    }
    assert!(script_call("div", &[(&least).into(), ints(&[2]).into()], &[("rounding_mode", "trunc".into())]).is_ok());
}

#[test]
fn ranges_of_integers_do_not_trap() {
    refused("arange", &[0i64.into(), i64::MIN.into(), (-1i64).into()], &[], "within 2^61");
    refused("arange", &[0i64.into(), 4i64.into(), 0.9.into()], &[("dtype", "i64".into())], "`step` must be at least 1");
    assert!(script_call("arange", &[0i64.into(), 4i64.into(), 0.9.into()], &[]).is_ok());
    let small = Tensor::from_slice(&[i32::MIN]).unwrap();
    let minus = Tensor::from_slice(&[-1i32]).unwrap();
    refused("remainder", &[i64::from(i32::MIN).into(), (&minus).into()], &[], "divided by -1");
    refused("remainder", &[(&small).into(), Tensor::full(&[], 4294967295.0, DType::Int64, CPU).unwrap().into()], &[], "divided by -1");
    assert!(script_call("div", &[(&small).into(), (&minus).into()], &[]).is_ok());
}

#[test]
fn indices_are_within_what_they_point_into() {
    let w = zeros(&[10, 4]);
    let bag = |indices: &[i64], offsets: &[i64]| script_call("embedding_bag", &[(&w).into(), ints(indices).into(), ints(offsets).into()], &[]);
    assert!(bag(&[1, 2, 3], &[0, 2]).is_ok());
    for (indices, offsets) in [([1, 2, 3], [0, -1_000_000_000]), ([1, 2, 10], [0, 2]), ([-1, 2, 3], [0, 2]), ([1, 2, 3], [2, 0]), ([1, 2, 3], [0, 4])]
    {
        assert!(bag(&indices, &offsets).is_err(), "{indices:?} {offsets:?}");
    }
    let targets = Tensor::full(&[1, 10], 1e9, DType::Int64, CPU).unwrap();
    let args =
        |t: &Tensor, n: i64| [zeros(&[50, 1, 5]).into(), t.into(), Value::from([50]), Value::from([n]), 0i64.into(), 1i64.into(), false.into()];
    refused("ctc_loss", &args(&targets, 10), &[], "`targets` must be indices of 5");
    refused("ctc_loss", &args(&targets.zero_().unwrap(), 11), &[], "`target_lengths`");
    refused(
        "segment_reduce",
        &[zeros(&[10]).into(), "max".into()],
        &[("offsets", ints(&[0, 100_000_000, 2_000_000_000]).into())],
        "`offsets` must rise",
    );
    refused("repeat_interleave", &[ints(&[i64::MAX, i64::MAX, 4]).into()], &[], "`repeats` must be");
}

#[test]
fn what_kernels_take_on_trust_is_checked() {
    let x = |shape: &[i64]| Value::from(Tensor::randn(shape, F32, CPU).unwrap());
    refused("scaled_dot_product_attention", &[x(&[1, 4, 3, 4]), x(&[1, 3, 3, 4]), x(&[1, 3, 3, 4])], &[("enable_gqa", true.into())], "no multiple");
    let nan = zeros(&[6, 6]).div(0.0).unwrap();
    refused("linalg_eigvals", &[nan.into()], &[], "not finite");
    let one = || x(&[1]);
    refused("native_batch_norm", &[x(&[2, 64, 8, 8]), one(), one(), one(), one(), true.into(), 0.1.into(), 1e-5.into()], &[], "must be [64]");
    refused("conv_transpose1d", &[x(&[2, 4, 2]), x(&[4, 2, 2])], &[("dilation", [1i64 << 62].into())], "`dilation` must be between");
    refused("grid_sampler", &[x(&[1, 1, 2, 2]), x(&[1, 2, 2, 2]), 7i64.into(), 0i64.into(), false.into()], &[], "`interpolation_mode`");
    let far = zeros(&[1, 2, 2, 2]).add(1e30).unwrap();
    refused("grid_sampler", &[x(&[1, 1, 2, 2]), far.into(), 0i64.into(), 0i64.into(), false.into()], &[], "`grid` has places");
    refused("binary_cross_entropy", &[x(&[2, 3]), x(&[3])], &[], "`target` must have the shape");
    refused("lu_unpack", &[x(&[2, 3, 3]), Value::from(Tensor::ones(&[3], DType::Int, CPU).unwrap())], &[], "`LU_pivots` must be [2, 3]");
    refused("scaled_dot_product_attention", &[x(&[2, 0, 16, 8]), x(&[2, 0, 16, 8]), x(&[2, 0, 16, 8])], &[], "nothing attends to nothing");
    refused("unfold", &[x(&[2, 4, 1, 5]), 3i64.into(), 1i64.into(), (1i64 << 62).into()], &[], "`step` must be between");
    refused("pdist", &[x(&[0, 2])], &[], "is empty");
    refused("_foreach_add_", &[Value::list(&[zeros(&[2])]), Value::List(vec![])], &[], "0 elements");
    refused(
        "lstm",
        &[
            x(&[2, 1, 0]),
            Value::list(&[zeros(&[1, 1, 4]), zeros(&[1, 1, 4])]),
            Value::List(vec![]),
            true.into(),
            1i64.into(),
            0.0.into(),
            true.into(),
            false.into(),
            false.into(),
        ],
        &[],
        "an input of",
    );
}

#[test]
fn what_is_written_is_seen_by_autograd() {
    let p = zeros(&[4]);
    let before = p.version().unwrap();
    let ones = Tensor::ones(&[4], F32, CPU).unwrap();
    let kw = [("weight_decay", 0.0), ("momentum", 0.0), ("lr", 1.0), ("dampening", 0.0)].map(|(k, v)| (k, Value::from(v))).to_vec();
    let flags = ["nesterov", "maximize", "is_first_step"].map(|k| (k, Value::from(false))).to_vec();
    script_call("_fused_sgd_", &[Value::list(&[&p]), Value::list(&[&ones]), Value::List(vec![])], &[kw, flags].concat()).unwrap();
    assert_eq!(p.to_vec_f64().unwrap(), [-1.0; 4]);
    assert!(p.version().unwrap() > before);
    // Indices that a backward pass relies on are not seen as floats.
    refused("view", &[ints(&[1, 2]).into(), "f64".into()], &[], "is not seen as f64");
    assert!(script_call("view", &[zeros(&[2]).into(), "bf16".into()], &[]).is_ok());
    let kv = |n: i64| Value::from(zeros(&[1, 2, n, 8]));
    refused("scaled_dot_product_attention", &[kv(3), kv(5), kv(5000)], &[], "do not go together");
}

#[test]
fn results_are_plain_tensors() {
    assert!(script_call("zeros", &[[2].into()], &[("device", "meta".into())]).is_err());
    assert!(script_call("zeros", &[[2].into()], &[("dtype", "uint16".into())]).is_err());
    assert!(script_call("zeros", &[[2].into()], &[("layout", "sparse_coo".into())]).is_err());
    assert!(bridge::call("to_sparse", &[zeros(&[2, 2]).into()], &[]).is_err());
}
