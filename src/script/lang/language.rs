//! The language's own syntax, which every parser shares.

use super::{formats, indices, reading};
use rhai::{Engine, OptimizationLevel, Token};
use std::cell::Cell;

/// The deepest expression that a script may hold; a limit because the parser recurses.
const MAX_EXPR_DEPTH: usize = 128;
/// What `x.call(..)` is called inside: see [`words`].
pub(crate) const CALL: &str = "call$";

/// What `m.eval()` is called inside.
pub(crate) const EVAL: &str = "eval$";

thread_local! {
    /// Whether `_` is a variable in the text that is being parsed.
    static UNDERSCORE: Cell<bool> = const { Cell::new(false) };
}

/// What the parser needs to know of the language.
pub(crate) fn set_syntax(rhai: &mut Engine) {
    rhai.set_strict_variables(true);
    // Folding constants would lose positions.
    rhai.set_optimization_level(OptimizationLevel::None);
    rhai.set_max_expr_depths(MAX_EXPR_DEPTH, MAX_EXPR_DEPTH);
    // As tight as `*`, like Python's.
    rhai.register_custom_operator("@", 180).expect("`@` is a reserved symbol without a meaning of its own");
    indices::set_syntax(rhai);
    formats::set_syntax(rhai);
    words(rhai);
}

/// What the operators of the syntax do.
pub(crate) fn set_operators(rhai: &mut Engine) {
    indices::install(rhai);
    formats::install(rhai);
}

/// A parser that lets unknown variables pass: where functions may name what is typed later, or faults are still to be found. It has no
/// functions: parsing needs none.
pub(crate) fn lenient() -> Engine {
    let mut rhai = Engine::new_raw();
    set_syntax(&mut rhai);
    rhai.set_strict_variables(false);
    rhai
}

/// Lets `var`, `eval` and `call` be methods and `module` a property. rhai reserves `var` and `module` without a use for them; it refuses `x.eval()` and `eval::psnr`, and keeps
/// `x.call(..)` for function pointers, so `eval` and `call` get other names inside, under which modules have them, and function
/// pointers the latter. The function `eval` stays what it is.
fn words(engine: &mut Engine) {
    let after_dot = Cell::new(false);
    #[allow(deprecated)] // rhai's word for "may change": the version is pinned.
    engine.on_parse_token(move |token, at, _| {
        let method = after_dot.replace(matches!(token, Token::Period | Token::Elvis));
        let token = match token {
            // The last result of a prompt.
            Token::Underscore if UNDERSCORE.get() => Token::Identifier(Box::new("_".into())),
            Token::Reserved(word) if *word == "var" => Token::Identifier(word),
            Token::Reserved(word) if method && *word == "module" => Token::Identifier(word),
            Token::Reserved(word) if method && *word == "call" => Token::Identifier(Box::new(CALL.into())),
            Token::Reserved(word) if *word == "eval" => Token::Identifier(if method { Box::new(EVAL.into()) } else { word }),
            other => other,
        };
        reading::exchanged(token, at)
    });
}

/// Parses by `f` a line of a prompt: `_` is a variable, but in a line with a `switch` it is the default case.
pub(crate) fn with_underscore<T>(text: &str, f: impl FnOnce() -> T) -> T {
    let before = UNDERSCORE.replace(!text.contains("=>"));
    let value = f();
    UNDERSCORE.set(before);
    value
}
