use super::*;
use crate::torch::{DType, Device, Tensor, no_grad};

const F32: DType = DType::Float;
const CPU: Device = Device::Cpu;

fn arange(n: i64, shape: &[i64]) -> Tensor {
    Tensor::arange(0.0, n as f64, 1.0, F32, CPU).unwrap().view(shape).unwrap()
}

#[test]
fn calls_overloads_by_argument_types() {
    let x = arange(6, &[2, 3]);
    let sum = call1("add", &[(&x).into(), (&x).into()], &[("alpha", 2i64.into())]).unwrap();
    assert_eq!(sum.to_vec_f64().unwrap(), [0.0, 3.0, 6.0, 9.0, 12.0, 15.0]);
    let shifted = call1("aten::add.Scalar", &[(&x).into(), 1.5.into()], &[]).unwrap();
    assert_eq!(shifted.to_vec_f64().unwrap()[0], 1.5);
    let both = call("max", &[(&x).into(), 1i64.into()], &[("keepdim", true.into())]).unwrap();
    let [Value::Tensor(values), Value::Tensor(indices)] = &both[..] else { panic!("{both:?}") };
    assert_eq!((values.shape(), indices.to_vec_i64().unwrap()), (vec![2, 1], vec![2, 2]));
    let parts = call("split", &[(&x).into(), 1i64.into()], &[]).unwrap().remove(0).into_tensors().unwrap();
    assert_eq!(parts.len(), 2);
    let zeros = call1("zeros", &[[2, 2].into()], &[("dtype", DType::BFloat16.into()), ("device", CPU.into())]).unwrap();
    assert_eq!(zeros.dtype(), DType::BFloat16);
    // An optional list of optional tensors, as indexing takes it.
    let row = call1("index", &[(&x).into(), vec![Value::None, Tensor::from_slice(&[2i64]).unwrap().into()].into()], &[]).unwrap();
    assert_eq!(row.to_vec_f64().unwrap(), [2.0, 5.0]);
}

#[test]
fn records_gradients() {
    let w = arange(3, &[3]).requires_grad_(true).unwrap();
    call1("mul", &[(&w).into(), (&w).into()], &[]).unwrap().sum(&[], false).unwrap().backward().unwrap();
    assert_eq!(w.grad().unwrap().unwrap().to_vec_f64().unwrap(), [0.0, 2.0, 4.0]);
    assert!(!no_grad(|| w.copy()).unwrap().requires_grad());
    assert!(w.copy().unwrap().requires_grad());
}

#[test]
fn copy_has_its_own_storage() {
    for x in [arange(3, &[3]), Tensor::from_slice(&[true, false]).unwrap(), Tensor::from_slice(&[1i64]).unwrap()] {
        let y = x.copy().unwrap();
        assert_eq!((y.dtype(), y.to_vec_f64().unwrap()), (x.dtype(), x.to_vec_f64().unwrap()));
        y.zero_().unwrap();
        assert_ne!(x.to_vec_f64().unwrap(), y.to_vec_f64().unwrap());
    }
}

#[test]
fn leaky_relu_is_exact_at_zero() {
    let x = Tensor::from_slice(&[-2.0f32, 0.0, 3.0]).unwrap().requires_grad_(true).unwrap();
    let y = x.leaky_relu(0.2).unwrap();
    assert_eq!(y.to_vec_f32().unwrap(), [-0.4, 0.0, 3.0]);
    y.sum(&[], false).unwrap().backward().unwrap();
    assert_eq!(x.grad().unwrap().unwrap().to_vec_f32().unwrap(), [0.2, 0.2, 1.0]);
}

#[test]
fn errors_name_the_operator_and_what_it_takes() {
    let (a, b) = (arange(6, &[2, 3]), arange(4, &[2, 2]));
    let e = call("matmul", &[(&a).into(), (&b).into()], &[]).unwrap_err();
    assert!(e.to_string().contains("[2, 3] f32") && !e.to_string().contains("Exception raised"), "{e}");
    let e = call("matmull", &[], &[]).unwrap_err();
    assert!(e.to_string().contains("did you mean `matmul`?"), "{e}");
    let e = call("relu", &["x".into()], &[]).unwrap_err();
    assert!(e.to_string().contains("`self` must be Tensor, got str") && e.help_text().unwrap().contains("aten::relu(Tensor self)"), "{e:?}");
    let e = call("relu", &[(&a).into()], &[("inplace", true.into())]).unwrap_err();
    assert!(e.to_string().contains("unknown option `inplace`"), "{e}");
    let undefined = Tensor::from_tch(tch::Tensor::new());
    assert!(call("relu", &[(&undefined).into()], &[]).is_err());
    assert!(call("cat", &[Value::list(&[undefined])], &[]).is_err());
    let e = call("empty", &[[1 << 60].into()], &[]).unwrap_err();
    assert!(e.code() == "E0203" || e.code() == "E0201", "{e:?}");
    assert!(call("nul\0byte", &[], &[]).is_err());
}

#[test]
fn lists_schemas() {
    assert!(schemas("add").iter().any(|s| s.starts_with("aten::add.Tensor(")));
    assert!(schemas("no_such_operator").is_empty());
    assert!(names().len() > 1500);
}

#[test]
fn random_state_is_checked() {
    // What is drawn after a restore is compared in tests/it/train/alone/rng.rs, in a process of its own: the generator is global.
    let state = rng_state(CPU).unwrap();
    assert_eq!(state.dtype(), DType::Uint8);
    set_rng_state(CPU, &state).unwrap();
    assert!(set_rng_state(CPU, &Tensor::zeros(&[3], DType::Uint8, CPU).unwrap()).is_err());
    assert!(set_rng_state(CPU, &arange(3, &[3])).is_err());
    assert!(rng_state(Device::Cuda(7)).is_err() || crate::torch::cuda_is_available());
}

#[test]
fn autocast_has_a_dtype_and_an_end() {
    let (a, w) = (arange(4, &[2, 2]), arange(4, &[2, 2]).requires_grad_(true).unwrap());
    let dtype = || a.matmul(&w).unwrap().dtype();
    let seen = autocast(CPU, DType::BFloat16, || {
        // A weight converted without gradients must not be reused with them.
        no_grad(|| a.matmul(&w)).unwrap();
        let out = a.matmul(&w).unwrap();
        assert!(out.requires_grad());
        let inner = autocast(CPU, DType::Float, dtype).unwrap();
        (out.dtype(), inner, dtype())
    })
    .unwrap();
    assert_eq!(seen, (DType::BFloat16, F32, DType::BFloat16));
    assert_eq!(dtype(), F32);
    assert!(!autocast_is_on());
    assert!(Autocast::enter(CPU, DType::Half).err().unwrap().to_string().contains("f16 on the CPU"));
    assert!(Autocast::enter(CPU, DType::Int64).is_err());
    let panicked = std::panic::catch_unwind(|| autocast(CPU, DType::BFloat16, || panic!("inside")));
    assert!(panicked.is_err() && !autocast_is_on());
}

#[test]
fn knows_the_libtorch_in_use() {
    assert!(library().unwrap().ends_with("libtorch_cpu.so"));
    let info = build_info().unwrap();
    assert!(info.compiled.starts_with("2.11"), "{info:?}");
    assert_eq!(info.version.as_deref(), Some("2.11.0"), "{}", info.config);
    assert!(kernels("CPU") > 1000 && kernels("nonsense") == 0);
    assert!(info.features.iter().any(|f| f.contains("avx2")) || !cfg!(target_arch = "x86_64"), "{:?}", info.features);
}

#[test]
fn memory_format_changes_strides_only() {
    let x = arange(24, &[1, 2, 3, 4]);
    let y = x.to_memory_format("channels_last").unwrap();
    assert_eq!(y.as_tch().stride(), [24, 1, 8, 2]);
    assert!(y.is_dense() && x.is_dense() && !x.narrow(3, 0, 2).unwrap().is_dense());
    assert_eq!(x.to_vec_f64().unwrap(), y.to_vec_f64().unwrap());
    assert!(x.to_memory_format("sideways").is_err());
}

#[test]
fn pools_resizes_and_losses() {
    let x = arange(16, &[1, 1, 4, 4]);
    assert_eq!(x.avg_pool2d([2, 2], [2, 2], [0, 0], true).unwrap().to_vec_f64().unwrap(), [2.5, 4.5, 10.5, 12.5]);
    assert_eq!(x.max_pool2d([2, 2], [2, 2], [0, 0]).unwrap().to_vec_f64().unwrap(), [5.0, 7.0, 13.0, 15.0]);
    assert_eq!(x.adaptive_avg_pool2d([1, 1]).unwrap().item().unwrap(), 7.5);
    for (mode, antialias) in
        [("nearest", false), ("nearest-exact", false), ("area", false), ("bilinear", true), ("bicubic", true), ("bilinear", false)]
    {
        assert_eq!(x.interpolate([2, 2], mode, false, antialias).unwrap().shape(), [1, 1, 2, 2], "{mode}");
    }
    // Antialiased bilinear halving weighs 3 taps on each side, torchvision's numbers for this ramp: symmetric around the mean.
    let half = x.interpolate([2, 2], "bilinear", false, true).unwrap().to_vec_f64().unwrap();
    assert!((half.iter().sum::<f64>() / 4.0 - 7.5).abs() < 1e-5 && half[0] > 2.5 && half[0] < 3.6, "{half:?}");
    assert!(x.interpolate([2, 2], "bilinaer", false, false).unwrap_err().to_string().contains("did you mean `bilinear`"));
    assert!(x.interpolate([2, 2], "nearest", false, true).is_err());
    let logits = Tensor::from_slice(&[2.0f32, 0.0]).unwrap().view(&[1, 2]).unwrap();
    let class = Tensor::from_slice(&[0i64]).unwrap();
    let expected = (1.0 + (-2.0f64).exp()).ln();
    assert!((logits.cross_entropy(&class, None, "mean", 0.0).unwrap().item().unwrap() - expected).abs() < 1e-6);
    assert!(logits.cross_entropy(&Tensor::from_slice(&[7i64]).unwrap(), None, "mean", 0.0).is_err());
    let bce = logits.bce_with_logits(&Tensor::from_slice(&[1.0f32, 0.0]).unwrap().view(&[1, 2]).unwrap(), None, None, "sum").unwrap();
    assert!((bce.item().unwrap() - expected - 2.0f64.ln()).abs() < 1e-6);
    assert!(logits.mse_loss(&class, "mean").is_err() && logits.mse_loss(&logits, "average").is_err());
    assert!((logits.cosine_similarity(&logits, 1, 1e-8).unwrap().item().unwrap() - 1.0).abs() < 1e-6);
}
