//! Functions without a namespace: checks, types, and functions by name.

use crate::api;
use crate::error::{Error, Result};
use crate::interrupt;
use crate::script::Hot;
use crate::script::lang::value::type_name;
use crate::script::settings::declare::{is_plain, plain_defaults};
use crate::script::settings::params::{Arg, Made};
use crate::script::training::pointer::hot;
use crate::torch::Tensor;
use rhai::{Array, Dynamic, FnPtr, Map};
use std::time::{Duration, Instant};

api! {
    global;

    /// Stops the script with an error unless the condition holds.
    ///
    /// # Errors
    /// `E0202` with `message` when `condition` is false.
    /// # Example
    /// ```rhai
    /// assert(1 < 2, "numbers are ordered");
    /// ```
    fn assert(condition: bool, message: Option<String>) -> () {
        if condition { Ok(()) } else { Err(Error::value("assert", message.unwrap_or_else(|| "the condition is false".into()))) }
    }

    /// Stops the script with an error unless both values are equal. Arrays, maps and tensors are compared element by element;
    /// an int equals a float of the same value.
    ///
    /// # Errors
    /// `E0202` with both values when they differ.
    /// # Example
    /// ```rhai
    /// assert_eq([1, 2], [1, 2]);
    /// ```
    fn assert_eq(a: Dynamic, b: Dynamic, message: Option<String>) -> () {
        if equal(&a, &b)? {
            return Ok(());
        }
        let why = message.map_or(String::new(), |m| format!("{m}: "));
        Err(Error::value("assert_eq", format!("{why}`{}` is not `{}`", shown(&a), shown(&b))))
    }

    /// Stops the script with an error unless two numbers, arrays of numbers or tensors agree within
    /// `atol + rtol * |b|`, as in `torch.allclose`; NaN equals nothing.
    ///
    /// # Shapes
    /// - `a` and `b`: the same shape
    /// # Errors
    /// `E0202` with the largest difference when they do not agree.
    /// # Example
    /// ```rhai
    /// assert_close(0.1 + 0.2, 0.3);
    /// assert_close([1.0, 2.0], [1.0, 2.001], #{rtol: 0.01});
    /// ```
    fn assert_close(a: Dynamic, b: Dynamic;
        /// tolerance, relative to `b`
        rtol: f64 = 1e-5,
        /// tolerance that is always allowed
        atol: f64 = 1e-8,
    ) -> () {
        let ((x, x_shape), (y, y_shape)) = (numbers(&a)?, numbers(&b)?);
        if x_shape != y_shape {
            return Err(Error::value("assert_close", format!("the shapes differ: {x_shape:?} and {y_shape:?}")));
        }
        let off = |p: f64, q: f64| !(p == q || (p - q).abs() <= atol + rtol * q.abs());
        let bad: Vec<usize> = (0..x.len()).filter(|&i| off(x[i], y[i])).collect();
        let Some(&worst) = bad.iter().max_by(|&&i, &&j| (x[i] - y[i]).abs().total_cmp(&(x[j] - y[j]).abs())) else { return Ok(()) };
        let place = if x_shape.is_empty() { String::new() } else { format!(" at {:?}", unravel(worst, &x_shape)) };
        let (p, q, n) = (x[worst], y[worst], x.len());
        let message = format!("{p} is not close to {q}{place} (difference {:.3e}); {} of {n} differ by more than {atol} + {rtol} * |b|", (p - q).abs(), bad.len());
        Err(Error::value("assert_close", message))
    }

    /// Frees a variable's value at once, without waiting for the end of its block: for big activations. The variable is
    /// `()` afterwards. A variable that a closure captured is shared and stays.
    ///
    /// # Errors
    /// None: it takes any value.
    /// # Example
    /// ```rhai
    /// let x = torch::zeros([1024, 1024]);
    /// drop(x);
    /// assert_eq(x, ());
    /// ```
    fn drop(x: Dynamic) -> () {
        // The variable itself is emptied by a method of the same name, see `Engine`; a temporary value ends here.
        std::mem::drop(x);
        Ok(())
    }

    /// Opens a prompt in this place of the script: variables can be looked at and assigned, functions called; leaving it goes on.
    /// Without a terminal it says so once and goes on.
    ///
    /// # Errors
    /// `E0202` when it is called by another name, through a pointer.
    /// # Example
    /// ```rhai
    /// let x = 1;
    /// breakpoint();
    /// assert_eq(x, 1);
    /// ```
    fn breakpoint[cx]() -> () {
        // The parser knows the word and never comes here: see `script::breakpoint`.
        Err(Error::value(cx.name(), "is called by its own name only"))
    }

    /// The function `name` of this script, always in its newest version: a loop written in a script that calls it takes
    /// part in hot reload. Edited scripts take effect just before such a call, or where the script calls `reload_point()`.
    ///
    /// # Errors
    /// `E0503` when the script has no function of that name.
    /// # Example
    /// ```rhai
    /// fn double(x) { 2 * x }
    /// let f = hot("double");
    /// assert_eq(f.call(4), 8);
    /// ```
    fn hot[cx](name: String) -> FnPtr { hot(cx, &name) }

    /// Marks the moment between two steps in a loop of one's own: edited scripts and settings take effect here and nowhere else. Without
    /// it they take effect before each call of a function made with `hot`; `train::fit` needs neither.
    ///
    /// # Errors
    /// `E0301` when an edit cannot be recorded in the run's folder. An edit that is wrong is told, and the old text runs on.
    /// # Example
    /// ```rhai
    /// fn half(x) { x / 2.0 }
    /// fn twice(x) { x * 2.0 }
    /// let x = 1.0;
    /// let down = hot("half");
    /// let up = hot("twice");
    /// for i in 0..3 {
    ///     reload_point();
    ///     // Both calls run the same version of the script.
    ///     x = up.call(down.call(x));
    /// }
    /// assert_eq(x, 1.0);
    /// ```
    fn reload_point[cx]() -> () {
        match cx.host().get::<Hot>() {
            Some(hot) => {
                let program = cx.program()?;
                let _work = program.at_work(cx.native());
                hot.mark(&program, cx.native().engine())
            }
            None => Ok(()),
        }
    }

    /// A setting for `fn params()`: its default and a line of help. `--help` lists settings in the order in which they are made, so that
    /// groups of them from modules can be added up: `settings::run("ldm") + #{ steps: arg(1000, "how many") }`.
    ///
    /// # Errors
    /// `E0202` for a default that cannot be written on a command line, or an unknown option.
    /// # Example
    /// ```rhai
    /// fn params() {
    ///     #{
    ///         learning_rate: arg(1e-4, "AdamW's step size", #{min: 0.0, live: true}),
    ///         enc_type: arg("dinov2-vit-b", "the vision model", #{choices: ["dinov2-vit-b", "clip-vit-L"]}),
    ///         steps: 1000,
    ///     }
    /// }
    /// fn main(cfg) {
    ///     assert_eq(defaults(params()).steps, 1000);
    /// }
    /// ```
    fn arg[cx](default: Dynamic, help: Option<String>;
        /// the values that it may have
        choices: Array = Array::new(),
        /// whether an edit of the default applies to a running job
        live: bool = false,
        /// the least value
        min: Option<f64>,
        /// the largest value
        max: Option<f64>,
        /// another name under which it can be given, as other programs call it
        also: Option<String>,
    ) -> Arg {
        if !is_plain(&default) {
            return Err(Error::value("arg", format!("the default must be a plain value, not {}", type_name(&default))));
        }
        Ok(Arg { default, help: help.unwrap_or_default(), choices, live, min, max, also, made: Some(Made::at(cx.native().call_source().unwrap_or_default(), cx.position())) })
    }

    /// The defaults in a map of settings: each `arg(..)` becomes its default. For scripts that call another script's
    /// `main` with its settings.
    ///
    /// # Errors
    /// None: what is no `arg(..)` stays as it is.
    /// # Example
    /// ```rhai
    /// let cfg = defaults(#{steps: arg(1000, "how many"), seed: 0}) + #{steps: 3};
    /// assert_eq(cfg, #{steps: 3, seed: 0});
    /// ```
    fn defaults(params: Map) -> Map { Ok(plain_defaults(&params)) }

    /// The settings of another script: its defaults with `given` over them. Unlike `defaults(params) + given` it refuses a name
    /// that the script does not have, so that a misspelt setting is not silently without effect.
    ///
    /// # Errors
    /// `E0101` for an unknown name, with the nearest one.
    /// # Example
    /// ```rhai
    /// let cfg = settings(#{steps: arg(1000, "how many"), mapper: #{depth: 1, width: 768}}, #{steps: 3, mapper: #{depth: 2}});
    /// assert_eq(cfg, #{steps: 3, mapper: #{depth: 2, width: 768}});
    /// ```
    fn settings(params: Map, given: Map) -> Map { over(plain_defaults(&params), given, "") }

    /// Waits so many seconds. Ctrl-C ends it, as the end of the script's time does.
    ///
    /// # Errors
    /// `E0202` for a time that is negative, no number, or above a thousand million seconds.
    /// # Example
    /// ```rhai
    /// sleep(0.01);
    /// ```
    fn sleep(seconds: f64) -> () { sleep(seconds) }

    /// Whether the value is an int or a float.
    ///
    /// # Errors
    /// None: it takes any value.
    /// # Example
    /// ```rhai
    /// assert(is_number(3) && is_number(0.5) && !is_number("3"));
    /// ```
    fn is_number(x: Dynamic) -> bool { Ok(x.is_int() || x.is_float()) }

    /// Whether the value is a tensor.
    ///
    /// # Errors
    /// None: it takes any value.
    /// # Example
    /// ```rhai
    /// assert(is_tensor(torch::zeros([2])) && !is_tensor([0, 0]));
    /// ```
    fn is_tensor(x: Dynamic) -> bool { Ok(x.is::<Tensor>()) }

    /// Whether the value is an array.
    ///
    /// # Errors
    /// None: it takes any value.
    /// # Example
    /// ```rhai
    /// assert(is_array([1]) && !is_array(1));
    /// ```
    fn is_array(x: Dynamic) -> bool { Ok(x.is_array()) }

    /// Whether the value is a map.
    ///
    /// # Errors
    /// None: it takes any value.
    /// # Example
    /// ```rhai
    /// assert(is_map(#{a: 1}) && !is_map([1]));
    /// ```
    fn is_map(x: Dynamic) -> bool { Ok(x.is_map()) }

    /// Whether the value is a string.
    ///
    /// # Errors
    /// None: it takes any value.
    /// # Example
    /// ```rhai
    /// assert(is_string("a") && !is_string(1));
    /// ```
    fn is_string(x: Dynamic) -> bool { Ok(x.is_string()) }

    /// Whether the value is a function or closure.
    ///
    /// # Errors
    /// None: it takes any value.
    /// # Example
    /// ```rhai
    /// assert(is_function(|x| x + 1) && !is_function(1));
    /// ```
    fn is_function(x: Dynamic) -> bool { Ok(x.is_fnptr()) }
}

/// The longest sleep in seconds: 31 years.
const LONGEST_SLEEP: f64 = 1e9;
/// How long a request to stop may go unnoticed.
const LOOK: Duration = Duration::from_millis(50);

/// Waits, and looks meanwhile whether it must end.
pub(super) fn sleep(seconds: f64) -> Result<()> {
    if !(0.0..=LONGEST_SLEEP).contains(&seconds) {
        return Err(Error::value("sleep", format!("the time must be from 0 to {LONGEST_SLEEP} seconds, got {seconds:?}")));
    }
    let (start, time) = (Instant::now(), Duration::from_secs_f64(seconds));
    loop {
        interrupt::check()?;
        let left = time.saturating_sub(start.elapsed());
        if left.is_zero() {
            return Ok(());
        }
        std::thread::sleep(left.min(LOOK));
    }
}

/// Whether two values are equal; ints and floats compare by value.
fn equal(a: &Dynamic, b: &Dynamic) -> Result<bool> {
    if let (Some(x), Some(y)) = (a.read_lock::<Tensor>(), b.read_lock::<Tensor>()) {
        if x.shape() != y.shape() || x.dtype() != y.dtype() {
            return Ok(false);
        }
        // The floats of ints beyond 2^53 would be those of their neighbours.
        return if x.is_integral() { Ok(x.to_vec_i64()? == y.to_vec_i64()?) } else { Ok(x.to_vec_f64()? == y.to_vec_f64()?) };
    }
    if let (Some(x), Some(y)) = (a.read_lock::<Array>(), b.read_lock::<Array>()) {
        return Ok(x.len() == y.len() && all_equal(x.iter().zip(y.iter()))?);
    }
    if let (Some(x), Some(y)) = (a.read_lock::<Map>(), b.read_lock::<Map>()) {
        return Ok(x.len() == y.len() && x.keys().eq(y.keys()) && all_equal(x.values().zip(y.values()))?);
    }
    if let (Some(x), Some(y)) = (number(a), number(b)) {
        // Two ints compare exactly; beyond 2^53 their floats would not.
        return Ok(if let (Ok(i), Ok(j)) = (a.as_int(), b.as_int()) { i == j } else { x == y });
    }
    if a.type_id() != b.type_id() {
        return Ok(false);
    }
    if a.is_unit() || a.is_bool() || a.is_string() || a.is_char() {
        return Ok(a.to_string() == b.to_string());
    }
    Err(Error::value("assert_eq", format!("values of type {} cannot be compared", type_name(a))))
}

fn all_equal<'a>(mut pairs: impl Iterator<Item = (&'a Dynamic, &'a Dynamic)>) -> Result<bool> {
    pairs.try_fold(true, |so_far, (a, b)| Ok(so_far && equal(a, b)?))
}

fn number(d: &Dynamic) -> Option<f64> {
    d.as_float().ok().or_else(|| d.as_int().ok().map(|i| i as f64))
}

/// The numbers in a value, and its shape: `[]` for a number.
fn numbers(d: &Dynamic) -> Result<(Vec<f64>, Vec<i64>)> {
    if let Some(x) = number(d) {
        return Ok((vec![x], vec![]));
    }
    if let Some(t) = d.read_lock::<Tensor>() {
        return Ok((t.to_vec_f64()?, t.shape()));
    }
    let wrong = || Error::value("assert_close", format!("expected numbers, arrays of numbers or tensors, got {}", type_name(d)));
    let array = d.read_lock::<Array>().ok_or_else(wrong)?;
    let (mut all, mut inner) = (Vec::new(), None);
    for element in array.iter() {
        let (values, shape) = numbers(element)?;
        if inner.get_or_insert_with(|| shape.clone()) != &shape {
            return Err(Error::value("assert_close", "the array's rows have different lengths"));
        }
        all.extend(values);
    }
    let mut shape = vec![i64::try_from(array.len()).unwrap_or(i64::MAX)];
    shape.extend(inner.unwrap_or_default());
    Ok((all, shape))
}

/// The index of element `n` in a tensor of that shape.
fn unravel(mut n: usize, shape: &[i64]) -> Vec<usize> {
    let mut index: Vec<usize> = shape
        .iter()
        .rev()
        .map(|&size| {
            let size = usize::try_from(size).unwrap_or(1).max(1);
            let i = n % size;
            n /= size;
            i
        })
        .collect();
    index.reverse();
    index
}

/// A value, short enough for a message.
fn shown(d: &Dynamic) -> String {
    if let Some(t) = d.read_lock::<Tensor>() {
        let few = match t.numel() {
            0..=16 if t.is_integral() => t.to_vec_i64().map(|v| format!(" {v:?}")).unwrap_or_default(),
            0..=16 => t.to_vec_f64().map(|v| format!(" {v:?}")).unwrap_or_default(),
            _ => String::new(),
        };
        return format!("tensor {}{few}", t.describe());
    }
    let text = d.to_string();
    if text.chars().count() <= 200 { text } else { format!("{}...", text.chars().take(200).collect::<String>()) }
}

/// `given` over `known`, maps merged; a name that `known` lacks is an error, but for maps that are empty by default.
fn over(mut known: Map, given: Map, prefix: &str) -> Result<Map> {
    for (key, value) in given {
        let Some(slot) = known.get_mut(&key) else {
            let near = crate::error::did_you_mean(&key, known.keys().map(|k| k.as_str()));
            return Err(Error::usage(format!("unknown setting `{prefix}{key}`{near}")));
        };
        let both = slot.read_lock::<Map>().map(|m| m.clone()).filter(|m| !m.is_empty()).zip(value.read_lock::<Map>().map(|m| m.clone()));
        *slot = match both {
            Some((old, new)) => over(old, new, &format!("{prefix}{key}."))?.into(),
            None => value,
        };
    }
    Ok(known)
}
