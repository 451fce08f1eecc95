//! What a checkpoint holds: objects that can be written down and put back.

use super::optim::{Ema, GradScaler, Optimizer, Profile};
use super::shared::Shared;
use crate::data::{Changed, Loader, LoaderState};
use crate::error::{Error, Result};
use crate::nn::{Module, State};
use crate::torch::Tensor;
use serde_json::Value;

/// The state of one object: tensors for the bulk, JSON for the rest.
#[derive(Debug, Clone)]
pub struct Saved {
    /// Its tensors by name. They may share memory with the live object: write them before going on.
    pub tensors: State,
    /// Numbers, names, positions.
    pub meta: Value,
}

impl Saved {
    /// Tensors without anything beside them.
    pub fn tensors(tensors: State) -> Self {
        Saved { tensors, meta: Value::Null }
    }

    /// Anything that serde can write, without tensors.
    ///
    /// # Errors
    /// `E0601` when it has no JSON form.
    pub fn meta(meta: &impl serde::Serialize) -> Result<Self> {
        let meta = serde_json::to_value(meta).map_err(|e| Error::run(format!("a state cannot be written as JSON: {e}")))?;
        Ok(Saved { tensors: State::new(), meta })
    }

    /// Reads the JSON part back into its type.
    ///
    /// # Errors
    /// `E0601` when it was written by another kind of object.
    pub fn read_meta<T: serde::de::DeserializeOwned>(&self) -> Result<T> {
        serde_json::from_value(self.meta.clone()).map_err(|e| Error::run(format!("the saved state is of another kind: {e}")))
    }
}

/// An object that a checkpoint holds. Restoring works in place, so that every handle to the object stays valid.
pub trait Tracked {
    /// What it is, for messages and for refusing another kind: `module`, `adamw`.
    fn kind(&self) -> &'static str;

    /// Its state now.
    ///
    /// # Errors
    /// `E0201` when libtorch refuses.
    fn save(&self) -> Result<Saved>;

    /// How often each of its tensors was changed in place: equal when nothing happened to any of them.
    ///
    /// # Errors
    /// `E0201` when libtorch refuses.
    fn versions(&self) -> Result<Vec<i64>> {
        self.save()?.tensors.values().map(Tensor::version).collect()
    }

    /// What there is to it where ranks share it out, and [`Tracked::save`] gives this rank's part.
    fn shared(&self) -> Option<&dyn Shared> {
        None
    }

    /// Drops the gradients of its parameters, if it has any.
    ///
    /// # Errors
    /// `E0201` when libtorch refuses.
    fn drop_gradients(&self) -> Result<()> {
        Ok(())
    }

    /// Puts a saved state back.
    ///
    /// # Errors
    /// `E0401` with the difference when the state belongs to something of another shape; nothing is changed then.
    fn restore(&self, saved: &Saved) -> Result<()>;

    /// The same where data or batches may be others than they were; what that comes to, for people.
    ///
    /// # Errors
    /// As [`Tracked::restore`] for what is not allowed.
    fn restore_changed(&self, saved: &Saved, _: Changed) -> Result<Option<String>> {
        self.restore(saved).map(|()| None)
    }
}

impl Tracked for Module {
    fn kind(&self) -> &'static str {
        "module"
    }

    fn save(&self) -> Result<Saved> {
        Ok(Saved::tensors(self.state()))
    }

    fn restore(&self, saved: &Saved) -> Result<()> {
        self.load_state(&saved.tensors, true).map(|_| ())
    }

    fn drop_gradients(&self) -> Result<()> {
        self.named_parameters().iter().try_for_each(|(_, p)| p.clear_grad())
    }
}

impl Tracked for Optimizer {
    fn kind(&self) -> &'static str {
        Optimizer::kind(self)
    }

    fn save(&self) -> Result<Saved> {
        self.state().map(Saved::tensors)
    }

    fn shared(&self) -> Option<&dyn Shared> {
        self.is_shared().then_some(self)
    }

    fn drop_gradients(&self) -> Result<()> {
        self.zero_grad()
    }

    fn restore(&self, saved: &Saved) -> Result<()> {
        self.load_state(&saved.tensors)
    }
}

/// The averaged weights under the module's own names, so that they load into such a module. The decay is the script's; of one that follows a rule,
/// the number of updates is kept beside them.
impl Tracked for Ema {
    fn kind(&self) -> &'static str {
        "ema"
    }

    fn save(&self) -> Result<Saved> {
        Ok(Saved { tensors: self.kept(), ..self.about() })
    }

    fn shared(&self) -> Option<&dyn Shared> {
        self.is_shared().then_some(self)
    }

    fn restore(&self, saved: &Saved) -> Result<()> {
        self.load(&saved.tensors)?;
        if let Some(n) = saved.meta.get("updates").and_then(Value::as_u64) {
            self.set_updates(n);
        }
        Ok(())
    }
}

impl Ema {
    /// What is saved of it beside its weights.
    pub(super) fn about(&self) -> Saved {
        let follows = self.profile() != Profile::Constant;
        let meta = if follows { serde_json::json!({ "updates": self.updates() }) } else { Value::Null };
        Saved { tensors: State::new(), meta }
    }
}

impl Tracked for GradScaler {
    fn kind(&self) -> &'static str {
        "grad scaler"
    }

    fn save(&self) -> Result<Saved> {
        Ok(Saved::tensors(self.state()))
    }

    fn restore(&self, saved: &Saved) -> Result<()> {
        self.load_state(&saved.tensors)
    }
}

impl Tracked for Loader {
    fn kind(&self) -> &'static str {
        "loader"
    }

    fn save(&self) -> Result<Saved> {
        Saved::meta(&self.state())
    }

    fn restore(&self, saved: &Saved) -> Result<()> {
        self.set_state(&saved.read_meta::<LoaderState>()?)
    }

    fn restore_changed(&self, saved: &Saved, may: Changed) -> Result<Option<String>> {
        self.set_state_changed(&saved.read_meta::<LoaderState>()?, may)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::torch::{DType, Device, no_grad};
    use crate::train::optim::{AdamWOptions, GradScalerOptions, adamw};

    fn net(out: i64) -> Module {
        let build = move |p: &crate::nn::Path| {
            let w = p.param("weight", &[out, 2], crate::nn::Init::Ones)?;
            Ok(crate::nn::Built::layer(move |x: &[Tensor]| x[0].linear(&w, None)))
        };
        Module::build("linear", Device::Cpu, build).unwrap()
    }

    fn step(net: &Module, opt: &Optimizer, ema: &Ema) {
        let x = Tensor::arange(0.0, 6.0, 1.0, DType::Float, Device::Cpu).unwrap().reshape(&[3, 2]).unwrap();
        opt.zero_grad().unwrap();
        net.forward(&[x]).unwrap().square().unwrap().mean(&[], false).unwrap().backward().unwrap();
        opt.step().unwrap();
        ema.update().unwrap();
    }

    fn make(out: i64) -> (Module, Optimizer, Ema, GradScaler) {
        let net = net(out);
        let opt = adamw(net.named_parameters(), AdamWOptions::default()).unwrap();
        let ema = Ema::new(&net, 0.5).unwrap();
        (net, opt, ema, GradScaler::new(GradScalerOptions::default()).unwrap())
    }

    #[test]
    fn everything_goes_on_as_if_nothing_had_happened() {
        let (net, opt, ema, scaler) = make(4);
        step(&net, &opt, &ema);
        step(&net, &opt, &ema);
        no_grad(|| scaler.state()["scale"].mul_(0.25)).unwrap();
        let objects: [&dyn Tracked; 4] = [&net, &opt, &ema, &scaler];
        // Copies: a saved state shares memory with the object until it is written.
        let copy = |s: Saved| Saved { tensors: s.tensors.into_iter().map(|(k, t)| (k, t.copy().unwrap())).collect(), meta: s.meta };
        let saved: Vec<Saved> = objects.iter().map(|o| copy(o.save().unwrap())).collect();
        let (net2, opt2, ema2, scaler2) = make(4);
        opt2.set_lr(0.5).unwrap();
        let others: [&dyn Tracked; 4] = [&net2, &opt2, &ema2, &scaler2];
        others.iter().zip(&saved).for_each(|(o, s)| o.restore(s).unwrap());
        assert_eq!((opt2.lr(), scaler2.get_scale().unwrap()), (opt.lr(), 16384.0));
        step(&net, &opt, &ema);
        step(&net2, &opt2, &ema2);
        for (a, b) in objects.iter().zip(others) {
            for (name, t) in &a.save().unwrap().tensors {
                assert_eq!(t.to_bytes().unwrap(), b.save().unwrap().tensors[name].to_bytes().unwrap(), "{} {name}", a.kind());
            }
        }
        let (net3, opt3, ema3, _) = make(5);
        for (o, s) in [&net3 as &dyn Tracked, &opt3, &ema3].iter().zip(&saved) {
            assert_eq!(o.restore(s).unwrap_err().code(), "E0401", "{}", o.kind());
        }
    }
}
