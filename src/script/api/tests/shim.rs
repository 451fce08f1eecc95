use crate::api;
use crate::error::Result;
use crate::script::value::*;
use crate::torch::*;
use rhai::{Array, Dynamic};

fn leaves(d: &Dynamic, shape: &mut Vec<i64>, depth: usize, out: &mut Vec<f64>, float: &mut bool) {
    if let Some(a) = d.read_lock::<Array>() {
        if shape.len() == depth {
            shape.push(a.len() as i64);
        }
        a.iter().for_each(|x| leaves(x, shape, depth + 1, out, float));
    } else {
        *float |= d.is_float();
        out.push(f64::from_dynamic(d).unwrap());
    }
}
fn tensor(d: &Dynamic) -> Result<Tensor> {
    let (mut s, mut o, mut f) = (vec![], vec![], false);
    leaves(d, &mut s, 0, &mut o, &mut f);
    Tensor::from_slice(&o)?.view(&s)?.to_dtype(if f { DType::Float } else { DType::Int64 })
}
api! {
    fn torch; namespace "torch";
    /// x
    fn tensor(a: Dynamic) -> Tensor { tensor(&a) }
    /// x
    fn zeros(s: Dims, o: Kw) -> Tensor { let mut o = o; let d: String = o.get("dtype", "f32".into())?; Tensor::zeros(&s.0, parse_dtype(&d)?, Device::Cpu) }
    /// x
    fn ones(s: Dims) -> Tensor { Tensor::ones(&s.0, DType::Float, Device::Cpu) }
    /// x
    fn randn(s: Dims) -> Tensor { Tensor::randn(&s.0, DType::Float, Device::Cpu) }
    /// x
    fn rand(s: Dims) -> Tensor { Tensor::rand(&s.0, DType::Float, Device::Cpu) }
    /// x
    fn eye(n: i64) -> Tensor { Tensor::eye(n, DType::Float, Device::Cpu) }
    /// x
    fn arange(n: i64) -> Tensor { Tensor::arange(0.0, n as f64, 1.0, DType::Int64, Device::Cpu) }
    /// x
    fn device() -> String { Ok("cpu".into()) }
    /// x
    fn cat(a: Vec<Tensor>, dim: i64) -> Tensor { Tensor::cat(&a, dim) }
    /// x
    fn manual_seed(n: i64) -> () { tch::manual_seed(n); Ok(()) }
}
api! {
    fn no_grad; namespace "torch";
    /// x
    fn no_grad[cx](f: rhai::FnPtr) -> Dynamic { crate::torch::no_grad(|| cx.call(&f, vec![])) }
}
