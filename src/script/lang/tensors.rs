//! The tensors in a script's value.

use crate::torch::Tensor;
use rhai::{Array, Dynamic, Map};

/// How deep arrays and maps in arrays and maps are looked into.
const DEPTH: usize = 4;

/// Calls `f` for each tensor in a value, with where it stands: nothing, `.mean`, `[2]`.
pub(crate) fn each(value: &Dynamic, f: &mut dyn FnMut(&str, &Tensor)) {
    walk(value, &mut String::new(), DEPTH, f);
}

fn walk(value: &Dynamic, at: &mut String, depth: usize, f: &mut dyn FnMut(&str, &Tensor)) {
    let before = at.len();
    if let Some(t) = value.read_lock::<Tensor>() {
        return f(at, &t);
    }
    if depth == 0 {
        return;
    }
    if let Some(list) = value.read_lock::<Array>() {
        for (i, v) in list.iter().enumerate() {
            at.push_str(&format!("[{i}]"));
            walk(v, at, depth - 1, f);
            at.truncate(before);
        }
    } else if let Some(map) = value.read_lock::<Map>() {
        for (key, v) in map.iter() {
            at.push('.');
            at.push_str(key);
            walk(v, at, depth - 1, f);
            at.truncate(before);
        }
    }
}

/// Whether a value holds a number that is not finite, written as such: what is made of it then is so on purpose.
pub(crate) fn holds_endless_number(value: &Dynamic) -> bool {
    fn any(value: &Dynamic, depth: usize) -> bool {
        if let Ok(x) = value.as_float() {
            return !x.is_finite();
        }
        if depth == 0 {
            return false;
        }
        if let Some(list) = value.read_lock::<Array>() {
            return list.iter().any(|v| any(v, depth - 1));
        }
        value.read_lock::<Map>().is_some_and(|map| map.values().any(|v| any(v, depth - 1)))
    }
    any(value, DEPTH)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::torch::{DType, Device};

    #[test]
    fn tensors_are_found_where_they_stand() {
        let t = || Dynamic::from(Tensor::zeros(&[2], DType::Float, Device::Cpu).unwrap());
        let inner: Map = [("mean".into(), t()), ("n".into(), 3.into())].into_iter().collect();
        let value = Dynamic::from_array(vec![t(), Dynamic::from_map(inner)]);
        let mut found = Vec::new();
        each(&value, &mut |at, _| found.push(at.to_owned()));
        assert_eq!(found, ["[0]", "[1].mean"]);
        assert!(!holds_endless_number(&value));
        assert!(holds_endless_number(&Dynamic::from_array(vec![1.into(), f64::NEG_INFINITY.into()])));
    }
}
