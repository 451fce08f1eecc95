//! The optimizers of `optim::` beside AdamW and SGD.

use super::params::Trained;
use crate::error::{Error, Result};
use crate::script::lang::value::FromArg;
use crate::train::optim::{
    AdjustLr, Coefficients, DataFormat, GMuonOptions, LionOptions, MuonOptions, NsAlgorithm, Optimizer, RestOptions, ScheduleFreeOptions,
    SoapOptions, YOU, best_restarts, gmuon, lion, muon, polar_express, schedule_free_adamw, soap,
};
use crate::{api, choices, entries, options};
use rhai::{Array, Dynamic, Map};

choices! {
    AdjustLr {
        Original = "original",
        MatchRmsAdamW = "match_rms_adamw",
        RmsNorm = "rms_norm",
        SpectralNorm = "spectral_norm",
        Unchanged = "none",
    }
    NsAlgorithm { Gram = "gram_newton_schulz", Standard = "standard_newton_schulz" }
    DataFormat { ChannelsFirst = "channels_first", ChannelsLast = "channels_last" }
}

impl FromArg for Coefficients {
    const NAME: &'static str = "\"POLAR_EXPRESS_COEFFICIENTS\", \"YOU_COEFFICIENTS\" or an array of [a, b, c]";
    fn from_dynamic(d: &Dynamic) -> Option<Self> {
        if let Some(name) = String::from_dynamic(d) {
            return match name.as_str() {
                "POLAR_EXPRESS_COEFFICIENTS" => Some(Coefficients(polar_express())),
                "YOU_COEFFICIENTS" => Some(Coefficients(YOU.to_vec())),
                _ => None,
            };
        }
        d.read_lock::<Array>()?.iter().map(<[f64; 3]>::from_dynamic).collect::<Option<Vec<_>>>().filter(|c| !c.is_empty()).map(Coefficients)
    }
    fn text(&self) -> Option<String> {
        (self.0 == polar_express()).then(|| "\"POLAR_EXPRESS_COEFFICIENTS\"".to_owned())
    }
}

options! {
    MuonOptions {
        /// learning rate of the matrices
        lr,
        /// decoupled: each step first multiplies the weights by `1 - lr * weight_decay`
        weight_decay,
        /// how much of the averaged gradient each step keeps
        momentum,
        /// whether the gradient goes into the step once more
        nesterov,
        /// the polynomial `a x + b x^3 + c x^5` that is applied to the singular values
        ns_coefficients,
        /// the smallest norm that a matrix is divided by
        eps,
        /// how often the polynomial is applied
        ns_steps,
        /// how the rate follows a matrix `[R, C]`: `sqrt(max(1, R / C))`, or `0.2 sqrt(max(R, C))`
        adjust_lr_fn: ["original", "match_rms_adamw"],
    }
    GMuonOptions {
        /// learning rate of the matrices
        lr,
        /// decoupled: each step first multiplies the weights by `1 - lr * weight_decay`
        weight_decay,
        /// how much of the sum of gradients each step keeps
        momentum,
        /// whether the gradient goes into the step once more
        nesterov,
        /// how the rate follows a matrix `[R, C]`: `0.2 sqrt(max(R, C))`, `sqrt(R / C)`, or not
        adjust_lr: ["rms_norm", "spectral_norm", "none"],
        /// the polynomial of each step of the iteration, `[a, b, c]`
        ns_coefficients,
        /// whether matrices that are not square go by their Gram matrix
        ns_algorithm,
        /// added to the norm that a matrix is divided by
        ns_epsilon,
        /// how often the Gram matrix is computed anew, at the best places
        num_restarts as "gram_newton_schulz_num_restarts": [0..],
        /// or before which steps
        restart_iterations as "gram_newton_schulz_restart_iterations",
    }
    RestOptions {
        /// learning rate; Muon's unless given
        lr,
        /// decay of the averages of the gradient and of its square
        betas,
        /// added to the denominator
        eps,
        /// weight decay; Muon's unless given
        weight_decay,
        /// whether the largest average so far takes the place of the average of squares
        amsgrad,
    }
    ScheduleFreeOptions {
        /// learning rate, one to ten times AdamW's
        lr,
        /// how near gradients are taken to the average, and the decay of the average of their squares
        betas,
        /// added to the denominator
        eps,
        /// weight decay at the weights of training
        weight_decay,
        /// steps in which the learning rate rises
        warmup_steps: [0..],
        /// the average weighs step `t` by `t^r`
        r,
        /// and by the largest rate so far to this power
        weight_lr_power,
    }
    LionOptions {
        /// learning rate, a third to a tenth of AdamW's
        lr,
        /// how much of the average goes into the direction, and how much of it each step keeps
        betas,
        /// each step first multiplies the weights by `1 - lr * weight_decay`
        weight_decay,
        /// divides `weight_decay` by `lr`
        decoupled_weight_decay,
        /// what of the step stays where it goes against the gradient (arXiv 2411.16085): 1 all of it
        cautious_factor,
        /// weight decay only where the step makes a weight smaller (arXiv 2510.12402)
        cautious_wd,
    }
    SoapOptions {
        /// learning rate
        lr,
        /// decay of the averages of the gradient and of its square
        betas,
        /// decay of the preconditioner; below 0 it is the second of `betas`
        shampoo_beta,
        /// added to the denominator
        eps,
        /// after each step the weights lose `lr * weight_decay` of themselves
        weight_decay,
        /// steps between two updates of the eigenbasis
        precondition_frequency: [1..],
        /// dimensions that are larger have no preconditioner
        max_precond_dim: [1..],
        /// whether neighbouring dimensions are taken together as long as they fit into `max_precond_dim`
        merge_dims,
        /// whether vectors have a preconditioner
        precondition_1d,
        /// whether each step is scaled to a mean square of 1
        normalize_grads,
        /// where kernels of convolutions have their channels, while dimensions are merged
        data_format,
        /// whether the averages are corrected for their beginning at 0
        correct_bias,
    }
}

/// How the rest is trained, as an option says it.
fn rest_of(op: &str, rest: Option<Map>) -> Result<Option<RestOptions>> {
    let Some(map) = rest else { return Ok(None) };
    entries!(all op, map; options: RestOptions);
    Ok(Some(options))
}

api! {
    namespace "optim";

    /// Muon (Jordan et al. 2024), as `torch.optim.Muon`: momentum of matrices, orthogonalized by a few steps of Newton-Schulz in bf16. Matrices of one
    /// size go together.
    ///
    /// It trains matrices, `[R, C]`, and refuses anything else by name, unless `rest` is given: then AdamW with these options, `#{}` for its own, trains
    /// all other parameters, and every group with `algorithm: "adamw"` (embeddings, last layers). These groups come behind Muon's.
    ///
    /// # Shapes
    /// - matrices `[R, C]`; with `rest` any float leaves
    /// # Errors
    /// `E0202` for a parameter that is no matrix while there is no `rest`, or when an option is out of range.
    /// # Example
    /// ```rhai
    /// let w = torch::tensor([[1.0, 0.0], [0.0, 1.0]], #{ requires_grad: true });
    /// let opt = optim::muon([w], #{ lr: 0.1, weight_decay: 0.0 });
    /// (w * w).sum().backward();
    /// opt.step();
    /// assert(w[0][0].item() < 0.95);
    /// let m = nn::linear(4, 8);
    /// let opt = optim::muon(m, #{ lr: 0.02, adjust_lr_fn: "match_rms_adamw", rest: #{ lr: 3e-4, betas: [0.9, 0.95] } });
    /// assert_eq(opt.groups.map(|g| g.algorithm), ["muon", "adamw"]);
    /// ```
    fn muon_of as "muon"[cx](params: Trained;
        options: MuonOptions,
        /// options of AdamW, which then trains what is no matrix
        rest: Option<Map>,
        /// groups by name or condition, as for `adamw`
        groups: Option<Array>,
    ) -> Optimizer {
        let rest = rest_of("muon", rest)?;
        muon(params.read(cx, groups)?, options, rest)
    }

    /// Muon by the arithmetic of Dao-AILab/gram-newton-schulz, with which diffusion-bench trains: momentum is a sum of gradients, and the iteration runs in
    /// f16, on the small Gram matrix where a matrix is not square. Otherwise as `muon`.
    ///
    /// # Shapes
    /// - matrices `[R, C]`; with `rest` any float leaves
    /// # Errors
    /// As `muon`, and when no restarts keep the iteration in bounds.
    /// # Example
    /// ```rhai
    /// let m = nn::linear(4, 8);
    /// let opt = optim::gmuon(m, #{ lr: 0.02, rest: #{} });
    /// m.forward(torch::ones([1, 4])).sum().backward();
    /// opt.step();
    /// assert_eq(opt.state().keys().contains("weight.momentum"), true);
    /// ```
    fn gmuon_of as "gmuon"[cx](params: Trained;
        options: GMuonOptions,
        /// options of AdamW, which then trains what is no matrix
        rest: Option<Map>,
        /// groups by name or condition, as for `adamw`
        groups: Option<Array>,
    ) -> Optimizer {
        let rest = rest_of("gmuon", rest)?;
        gmuon(params.read(cx, groups)?, options, rest)
    }

    /// Before which steps of an iteration by Gram matrices these are best computed anew: what `gmuon` takes unless it is told.
    ///
    /// # Errors
    /// `E0202` when there are no coefficients of that name, or no restarts keep the iteration in bounds.
    /// # Example
    /// ```rhai
    /// assert_eq(optim::gram_restarts("POLAR_EXPRESS_COEFFICIENTS"), [2]);
    /// ```
    fn gram_restarts(coefficients: Coefficients;
        /// how many
        count: i64[0..] = 1,
    ) -> Vec<i64> {
        let count = usize::try_from(count).map_err(|_| Error::value("gram_restarts", "so many restarts cannot be"))?;
        Ok(best_restarts(&coefficients.0, count)?.into_iter().filter_map(|i| i64::try_from(i).ok()).collect())
    }

    /// Schedule-free AdamW (Defazio et al. 2024, arXiv 2405.15682), for what `adamw` takes: no schedule and no end need be known.
    ///
    /// While it trains, the parameters hold the weights at which gradients are taken. `opt.eval()` puts the average into them, which is what to evaluate,
    /// sample from and publish; `opt.train()` goes back. A checkpoint holds the parameters as they are and knows which they are.
    ///
    /// # Shapes
    /// - any float leaves
    /// # Errors
    /// `E0202` when there is nothing to train or an option is out of range.
    /// # Example
    /// ```rhai
    /// let w = torch::tensor([1.0], #{ requires_grad: true });
    /// let opt = optim::schedule_free_adamw([w], #{ lr: 0.1, warmup_steps: 2 });
    /// for i in 0..3 {
    ///     opt.zero_grad();
    ///     (w * w).sum().backward();
    ///     opt.step();
    /// }
    /// let y = w.item();
    /// opt.eval();
    /// assert_eq(opt.training, false);
    /// opt.train();
    /// assert_close(w.item(), y, #{ atol: 1e-6 });
    /// ```
    fn schedule_free_of as "schedule_free_adamw"[cx](params: Trained;
        options: ScheduleFreeOptions,
        /// groups by name or condition, as for `adamw`
        groups: Option<Array>,
    ) -> Optimizer { schedule_free_adamw(params.read(cx, groups)?, options) }

    /// Lion (Chen et al. 2023, arXiv 2302.06675), for what `adamw` takes: steps of one size along the sign of an average.
    ///
    /// # Shapes
    /// - any float leaves
    /// # Errors
    /// `E0202` when there is nothing to train or an option is out of range.
    /// # Example
    /// ```rhai
    /// let w = torch::tensor([1.0, -2.0], #{ requires_grad: true });
    /// let opt = optim::lion([w], #{ lr: 0.5 });
    /// (w * w).sum().backward();
    /// opt.step();
    /// assert_eq(w.to_array(), [0.5, -1.5]);
    /// ```
    fn lion_of as "lion"[cx](params: Trained;
        options: LionOptions,
        /// groups by name or condition, as for `adamw`
        groups: Option<Array>,
    ) -> Optimizer { lion(params.read(cx, groups)?, options) }

    /// SOAP (Vyas et al. 2024, arXiv 2409.11321), for what `adamw` takes: Adam in the eigenbasis of Shampoo's preconditioner. The first step only
    /// begins the preconditioner and changes no weight.
    ///
    /// # Shapes
    /// - any float leaves
    /// # Errors
    /// `E0202` when there is nothing to train or an option is out of range.
    /// # Example
    /// ```rhai
    /// let w = torch::tensor([[1.0, 2.0], [3.0, 4.0]], #{ requires_grad: true });
    /// let opt = optim::soap([w], #{ lr: 0.1, precondition_frequency: 2 });
    /// for i in 0..3 {
    ///     opt.zero_grad();
    ///     (w * w * w).sum().backward();
    ///     opt.step();
    /// }
    /// assert(w.sum().item() < 10.0);
    /// assert_eq(opt.state()["0.GG.1"].shape, [2, 2]);
    /// ```
    fn soap_of as "soap"[cx](params: Trained;
        options: SoapOptions,
        /// groups by name or condition, as for `adamw`
        groups: Option<Array>,
    ) -> Optimizer { soap(params.read(cx, groups)?, options) }
}
