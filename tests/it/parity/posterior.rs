//! The posterior alone, with log-variances beyond both clamps.

use super::fixture::Fixture;
use super::report::Report;
use lathe::error::{Error, Result};
use lathe::models::Posterior;

pub fn check(f: &Fixture, r: &mut Report) -> Result<()> {
    let moments = f.get("moments")?.copy()?.requires_grad_(true)?;
    let p = Posterior::new(&moments)?;
    let z = p.sample(Some(f.get("eps")?))?;
    let loss = z.mul(f.get("w")?)?.sum(&[], false)?.add(&p.kl()?.sum(&[], false)?.div(moments.size(0)?)?.mul(1e-6)?)?;
    let got = [
        ("mean", p.mean.clone()),
        ("logvar", p.logvar.clone()),
        ("std", p.std()?),
        ("var", p.var()?),
        ("kl", p.kl()?),
        ("nll", p.nll(&z)?),
        ("z", z.clone()),
        ("loss", loss.clone()),
    ];
    got.iter().try_for_each(|(name, t)| r.close(name, t, f.get(name)?, 1e-5))?;
    loss.backward()?;
    let grad = moments.grad()?.ok_or_else(|| Error::value("parity", "no gradient of the moments"))?;
    r.gradient("grad_moments", &grad, f.get("grad_moments")?, 1e-4, 0.0)
}
