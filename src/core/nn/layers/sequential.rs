//! Lists of modules: one after the other, or only kept together.

use crate::error::Result;
use crate::nn::Module;
use std::rc::Rc;

impl Module {
    /// Modules run one after the other; they are called `0`, `1`, ... in the state, as in `nn.Sequential`.
    ///
    /// # Errors
    /// Never at present.
    pub fn sequential(parts: Vec<Module>) -> Result<Module> {
        let out = Self::group_of("sequential");
        out.fill(parts)?;
        out.set_forward(Rc::new(|m, inputs| {
            let mut parts = m.children().into_iter();
            let Some((_, first)) = parts.next() else { return Ok(super::one("sequential", inputs)?.clone()) };
            parts.try_fold(first.forward(inputs)?, |x, (_, part)| part.forward(&[x]))
        }))?;
        Ok(out)
    }

    /// Modules called `0`, `1`, ... without a forward function, as `nn.ModuleList`.
    ///
    /// # Errors
    /// Never at present.
    pub fn list(parts: Vec<Module>) -> Result<Module> {
        let out = Self::group_of("list");
        out.fill(parts)?;
        Ok(out)
    }

    fn fill(&self, parts: Vec<Module>) -> Result<()> {
        parts.into_iter().enumerate().try_for_each(|(i, part)| self.set_child(&i.to_string(), part))
    }
}
