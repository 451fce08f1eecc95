//! `dist::`, what a script may know of the processes that train together, and say to them.

use crate::dist;
use crate::error::{Error, Result};
use crate::script::lang::value::IntoScript;
use crate::torch::bridge::dist::Reduce;
use crate::torch::{DType, Tensor};
use crate::{api, script::bind::Cx};
use rhai::{Array, Dynamic, FnPtr};

/// A number of ranks as scripts hold it.
fn number(n: usize) -> Result<i64> {
    i64::try_from(n).map_err(|_| Error::value("dist", "so many ranks cannot be"))
}

/// A copy that collectives can write.
fn copy(t: &Tensor) -> Result<Tensor> {
    t.detach()?.contiguous()?.copy()
}

fn without_sync(cx: &Cx, opt: &crate::train::optim::Optimizer, f: &FnPtr) -> Result<Dynamic> {
    opt.no_sync(|| cx.call(f, vec![]))
}

api! {
    namespace "dist";

    /// Whether this process is one of several that train together: started by `lathe run --nproc`, `torchrun`, `srun` or `mpirun`.
    ///
    /// # Errors
    /// None.
    /// # Example
    /// ```rhai
    /// assert_eq(dist::is_initialized(), false);
    /// ```
    fn is_initialized() -> bool { Ok(dist::current().is_some()) }

    /// Which of them this process is, from 0; 0 for one alone. Rank 0 writes the run folder.
    ///
    /// # Errors
    /// None.
    /// # Example
    /// ```rhai
    /// if dist::get_rank() == 0 { print("once"); }
    /// ```
    fn get_rank() -> i64 { number(dist::rank()) }

    /// How many there are; 1 for one alone.
    ///
    /// # Errors
    /// None.
    /// # Example
    /// ```rhai
    /// assert_eq(dist::get_world_size(), 1);
    /// ```
    fn get_world_size() -> i64 { number(dist::size()) }

    /// Which of those on its machine this process is; its GPU is `cuda:` with this number.
    ///
    /// # Errors
    /// None.
    /// # Example
    /// ```rhai
    /// assert_eq(dist::get_local_rank(), 0);
    /// ```
    fn get_local_rank() -> i64 { number(dist::current().map_or(0, |d| d.world.local_rank)) }

    /// Waits until all ranks are here.
    ///
    /// # Errors
    /// `E0802` when another rank is gone, `E0202` where one rank works alone.
    /// # Example
    /// ```rhai
    /// dist::barrier();
    /// ```
    fn barrier() -> () { dist::together("barrier")?.map_or(Ok(()), |d| d.all(true).map(|_| ())) }

    /// The tensors of all ranks as one, on every rank; the argument stays as it is. Sum and mean are recorded: the gradient is that of every rank's loss, as of
    /// `torch.distributed.nn.functional.all_reduce`. Every rank must call it.
    ///
    /// # Shapes
    /// - any, the same on all ranks -> the same
    /// # Errors
    /// `E0802` when another rank is gone, `E0202` where one rank works alone or the device has no backend.
    /// # Example
    /// ```rhai
    /// assert_eq(dist::all_reduce(torch::ones([2]), #{ op: "mean" }).to_array(), [1.0, 1.0]);
    /// ```
    fn all_reduce(t: Tensor;
        /// what becomes of them: their sum, mean, largest or smallest
        op: String["sum", "mean", "max", "min"] = "sum".into(),
    ) -> Tensor {
        let Some(d) = dist::together("all_reduce")? else { return t.copy() };
        match op.as_str() {
            "max" | "min" => {
                let out = copy(&t)?;
                d.all_reduce(std::slice::from_ref(&out), if op == "max" { Reduce::Max } else { Reduce::Min })?;
                Ok(out)
            }
            "mean" => d.all_reduce_grad(&t)?.div(d.world.size as f64),
            _ => d.all_reduce_grad(&t),
        }
    }

    /// The tensor of the rank `src`, on every rank; the argument stays as it is. Every rank must call it, with a tensor of the same shape and dtype.
    ///
    /// # Shapes
    /// - any, the same on all ranks -> the same
    /// # Errors
    /// `E0202` for a rank that is not there, `E0802` when another rank is gone.
    /// # Example
    /// ```rhai
    /// assert_eq(dist::broadcast(torch::ones([1]), 0).item(), 1.0);
    /// ```
    fn broadcast(t: Tensor, src: i64) -> Tensor {
        let root = usize::try_from(src).ok().filter(|r| *r < dist::size());
        let root = root.ok_or_else(|| Error::value("broadcast", format!("there is no rank {src}, the last is {}", dist::size() - 1)))?;
        let out = copy(&t)?;
        if let Some(d) = dist::together("broadcast")? {
            d.broadcast(&out, root)?;
        }
        Ok(out)
    }

    /// The tensors of all ranks, in an array by rank. Every rank must call it, with a tensor of the same shape and dtype.
    ///
    /// # Shapes
    /// - any, the same on all ranks -> as many of the same
    /// # Errors
    /// `E0802` when another rank is gone, `E0202` where one rank works alone.
    /// # Example
    /// ```rhai
    /// assert_eq(dist::all_gather(torch::ones([1])).len(), 1);
    /// ```
    fn all_gather(t: Tensor) -> Array {
        let all = match dist::together("all_gather")? {
            Some(d) if t.dtype() == DType::Bool => d.all_gather(&t.to_dtype(DType::Uint8)?)?.iter().map(|t| t.to_dtype(DType::Bool)).collect::<Result<_>>()?,
            Some(d) => d.all_gather(&t)?,
            None => vec![copy(&t)?],
        };
        Ok(all.into_iter().map(IntoScript::into_script).collect())
    }

    /// Runs a function in which `optim::backward` of this optimizer averages nothing: for all but the last part of an accumulated batch. Gives what the function
    /// gives.
    ///
    /// # Errors
    /// What the function throws.
    /// # Example
    /// ```rhai
    /// let w = torch::ones([1]).requires_grad_();
    /// let opt = optim::sgd([w], #{ lr: 0.1 });
    /// dist::no_sync(opt, || optim::backward(opt, w.sum()));
    /// optim::backward(opt, w.sum());
    /// assert_eq(w.grad().item(), 2.0);
    /// ```
    fn no_sync[cx](opt: crate::train::optim::Optimizer, f: FnPtr) -> Dynamic { without_sync(cx, &opt, &f) }
}
