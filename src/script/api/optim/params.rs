//! What an optimizer trains, as scripts give it.

use crate::entries;
use crate::error::{Error, Result, did_you_mean};
use crate::nn::Module;
use crate::script::Cx;
use crate::script::lang::value::{FromArg, type_name};
use crate::torch::Tensor;
use crate::train::optim::{ParamGroup, ParamGroups};
use rhai::{Array, Dynamic, FnPtr, Map};

/// Parameters in any form: a module, an array of tensors or modules, a map of names to tensors or modules.
pub(super) struct Params(Vec<(String, Tensor)>);

impl FromArg for Params {
    const NAME: &'static str = "a module, an array of tensors or modules, or a map of them";
    fn from_dynamic(d: &Dynamic) -> Option<Self> {
        let mut out = Vec::new();
        if let Some(m) = d.read_lock::<Map>() {
            for (name, v) in m.iter() {
                collect(v, name, &mut out)?;
            }
        } else if let Some(list) = d.read_lock::<Array>() {
            for (i, v) in list.iter().enumerate() {
                collect(v, &i.to_string(), &mut out)?;
            }
        } else if let Some(m) = d.read_lock::<Module>() {
            out = m.named_parameters();
        } else {
            collect(d, "0", &mut out)?;
        }
        Some(Params(out))
    }
}

fn collect(d: &Dynamic, name: &str, out: &mut Vec<(String, Tensor)>) -> Option<()> {
    if let Some(t) = d.read_lock::<Tensor>() {
        out.push((name.to_owned(), t.clone()));
        return Some(());
    }
    let module = d.read_lock::<Module>()?;
    out.extend(module.named_parameters().into_iter().map(|(n, t)| (format!("{name}.{n}"), t)));
    Some(())
}

impl Params {
    /// The tensors alone.
    pub(super) fn tensors(self) -> Vec<Tensor> {
        self.0.into_iter().map(|(_, t)| t).collect()
    }
}

/// What an optimizer trains: parameters in any form, or groups of them, `#{params: .., lr: .., weight_decay: ..}`.
pub(super) enum Trained {
    All(Params),
    Groups(Vec<Map>),
}

impl FromArg for Trained {
    const NAME: &'static str = "a module, an array of tensors or modules, a map of them, or an array of groups `#{params: ..}`";
    fn from_dynamic(d: &Dynamic) -> Option<Self> {
        let groups: Option<Vec<Map>> = d.read_lock::<Array>().and_then(|list| list.iter().map(Map::from_dynamic).collect());
        groups.filter(|g| !g.is_empty()).map(Trained::Groups).or_else(|| Params::from_dynamic(d).map(Trained::All))
    }
}

impl Trained {
    /// The groups. Names of the parameters of given groups begin with the group's index, as those of an array do; with the option `groups` they are
    /// the names of the whole.
    pub(super) fn read(self, cx: &Cx, rules: Option<Array>) -> Result<ParamGroups> {
        let op = cx.name();
        match (self, rules) {
            (Trained::All(params), None) => Ok(params.0.into()),
            (Trained::All(params), Some(rules)) => divide(cx, params.0, rules),
            (Trained::Groups(groups), None) => {
                let read = |(i, map)| {
                    let (params, group) = group(op, map)?;
                    let params = params.ok_or_else(|| Error::value(op, format!("group {i} has no `params`")))?.0;
                    Ok(ParamGroup { params: params.into_iter().map(|(name, t)| (format!("{i}.{name}"), t)).collect(), ..group })
                };
                groups.into_iter().enumerate().map(read).collect::<Result<_>>().map(ParamGroups)
            }
            (Trained::Groups(_), Some(_)) => Err(Error::value(op, "there are groups in the first argument and in the option `groups`")
                .help("give the module first, and the groups as the option")),
        }
    }
}

/// What a group says but for which parameters it takes by name.
fn group(op: &str, map: Map) -> Result<(Option<Params>, ParamGroup)> {
    entries!(all op, map; params: Option<Params>, lr: Option<f64>, weight_decay: Option<f64>, betas: Option<(f64, f64)>, algorithm: Option<String>);
    let algorithm = match algorithm.as_deref() {
        None => 0,
        Some("adamw") if op != "adamw" => 1,
        Some(name) if name == op => 0,
        Some(name) => {
            return Err(Error::value(op, format!("a group cannot be trained by `{name}` here")).help("`optim::muon` has \"muon\" and \"adamw\""));
        }
    };
    Ok((params, ParamGroup { params: Vec::new(), lr, weight_decay, betas, algorithm }))
}

/// Which parameters a rule takes.
struct Rule {
    /// Patterns of names.
    names: Option<Vec<String>>,
    condition: Option<FnPtr>,
    params: Option<Vec<Tensor>>,
    group: ParamGroup,
}

impl Rule {
    fn read(cx: &Cx, i: usize, rule: &Dynamic) -> Result<Rule> {
        let op = cx.name();
        let not_a_map = || Error::value(op, format!("group {i} must be a map, got {}", type_name(rule)));
        let mut map = Map::from_dynamic(rule).ok_or_else(not_a_map)?;
        let mut take = |key: &str| map.remove(key).filter(|d| !d.is_unit());
        let (names, condition) = (take("names"), take("where"));
        let wrong = |key: &str, what: &str, d: &Dynamic| Error::value(op, format!("`{key}` of group {i} must be {what}, got {}", type_name(d)));
        let names = names.map(|d| {
            let several = Vec::<String>::from_dynamic(&d).or_else(|| String::from_dynamic(&d).map(|one| vec![one]));
            several.ok_or_else(|| wrong("names", "a pattern or an array of patterns", &d))
        });
        let condition = condition.map(|d| FnPtr::from_dynamic(&d).ok_or_else(|| wrong("where", "a function of a name and a tensor", &d)));
        let (names, condition) = (names.transpose()?, condition.transpose()?);
        let (params, group) = group(op, map)?;
        if names.is_none() && condition.is_none() && params.is_none() {
            let help = "`names: \"*.bias\"`, `where: |name, p| p.shape.len() < 2`, or `params: [module.weight]`; the rest is a group of its own";
            return Err(Error::value(op, format!("group {i} does not say which parameters it takes")).help(help));
        }
        Ok(Rule { names, condition, params: params.map(Params::tensors), group })
    }

    fn takes(&self, cx: &Cx, name: &str, p: &Tensor) -> Result<bool> {
        if self.names.as_ref().is_some_and(|all| !all.iter().any(|pattern| fits(pattern.as_bytes(), name.as_bytes())))
            || self.params.as_ref().is_some_and(|all| !all.iter().any(|t| t.id() == p.id()))
        {
            return Ok(false);
        }
        let Some(f) = &self.condition else { return Ok(true) };
        let answer = cx.call(f, vec![name.to_owned().into(), Dynamic::from(p.clone())])?;
        answer.as_bool().map_err(|ty| Error::value(cx.name(), format!("`where` must say true or false, it said {ty} of `{name}`")))
    }
}

/// Each parameter goes to the first group that takes it; what none takes is the last group.
fn divide(cx: &Cx, params: Vec<(String, Tensor)>, rules: Array) -> Result<ParamGroups> {
    let rules = rules.iter().enumerate().map(|(i, rule)| Rule::read(cx, i, rule)).collect::<Result<Vec<_>>>()?;
    let mut groups: Vec<ParamGroup> = rules.iter().map(|r| r.group.clone()).collect();
    let mut rest = ParamGroup::default();
    for (name, p) in &params {
        let mut place = &mut rest;
        for (rule, group) in rules.iter().zip(&mut groups) {
            if rule.takes(cx, name, p)? {
                place = group;
                break;
            }
        }
        place.params.push((name.clone(), p.clone()));
    }
    if let Some(i) = groups.iter().position(|g| g.params.is_empty()) {
        let pattern = rules.get(i).and_then(|r| r.names.as_ref()).and_then(|n| n.first()).map_or(String::new(), |p| format!(" (`{p}`)"));
        let near = did_you_mean(pattern.trim_matches([' ', '(', ')', '`']), params.iter().map(|(n, _)| n.as_str()));
        return Err(Error::value(cx.name(), format!("group {i}{pattern} takes no parameter, or others before it took them{near}")));
    }
    if !rest.params.is_empty() {
        groups.push(rest);
    }
    Ok(ParamGroups(groups))
}

/// Whether a name fits a pattern: `*` stands for any text, `?` for one character.
fn fits(pattern: &[u8], name: &[u8]) -> bool {
    let (mut p, mut n) = (0, 0);
    // Where the last star stands, and up to where it has been tried.
    let mut star: Option<(usize, usize)> = None;
    while n < name.len() {
        if pattern.get(p).is_some_and(|c| *c == b'?' || (*c == name[n] && *c != b'*')) {
            (p, n) = (p + 1, n + 1);
        } else if pattern.get(p) == Some(&b'*') {
            star = Some((p, n));
            p += 1;
        } else if let Some((at, tried)) = star {
            star = Some((at, tried + 1));
            (p, n) = (at + 1, tried + 1);
        } else {
            return false;
        }
    }
    pattern[p..].iter().all(|c| *c == b'*')
}

#[cfg(test)]
mod tests {
    use super::fits;

    #[test]
    fn patterns_fit_whole_names() {
        let fits = |p: &str, n: &str| fits(p.as_bytes(), n.as_bytes());
        assert!(fits("*.bias", "blocks.0.attn.bias") && fits("blocks.?.*", "blocks.3.x") && fits("*", "") && fits("a*b*c", "a.b.b.c"));
        assert!(!fits("*.bias", "bias") && !fits("bias", "a.bias") && !fits("blocks.?.x", "blocks.10.x") && !fits("a*b", "a.b.c") && !fits("", "a"));
    }
}
