//! Lathe: an embedded scripting runtime for latent-diffusion research.
//!
//! A script is what a researcher reads and edits; everything under it is Rust and libtorch. The `lathe` command runs scripts;
//! this library is the same engine for a program of your own, which adds its own operators and keeps its own state.
//!
//! # Embedding
//! Functions are declared with [`api!`]: arguments are converted and named in messages, options are checked, a doc comment
//! is kept for the documentation, and an error shows the line of the script that made the call.
//!
//! ```
//! use lathe::script::rhai::{Dynamic, Map};
//! use lathe::script::value::Kw;
//! use lathe::script::{Engine, EngineOptions};
//! use lathe::torch::Tensor;
//!
//! lathe::api! {
//!     namespace "lab";
//!
//!     /// Swish with a slope: `x * sigmoid(beta * x)`. Option: `beta` (1.0).
//!     ///
//!     /// # Shapes
//!     /// - `x`: any -> the same
//!     fn swish(x: Tensor, opts: Kw) -> Tensor {
//!         let beta = opts.get("beta", 1.0)?;
//!         opts.done()?;
//!         x.mul(&x.mul(beta)?.sigmoid()?)
//!     }
//!
//!     /// How often a run was counted: state that lives in the host program.
//!     fn count[cx]() -> i64 {
//!         let counter = cx.host().get_or_default::<std::cell::Cell<i64>>();
//!         counter.set(counter.get() + 1);
//!         Ok(counter.get())
//!     }
//! }
//!
//! # fn main() -> lathe::error::Result<()> {
//! let mut engine = Engine::new(EngineOptions::default());
//! engine.register(functions());
//! // A plain closure serves where its types are exactly the script's.
//! engine.register_fn("twice", |x: i64| 2 * x);
//!
//! engine.load_text(
//!     "experiment.rhai",
//!     r#"
//!         fn step(x) {
//!             lab::count();
//!             lab::swish(x, #{beta: 2.0}).sum().item()
//!         }
//!         fn main(cfg) {
//!             assert_eq(twice(cfg.n), 6);
//!         }
//!     "#,
//! )?;
//! let mut cfg = Map::new();
//! cfg.insert("n".into(), 3_i64.into());
//! engine.run(cfg)?;
//!
//! // Functions by name, always in their newest version: after `engine.reload()` the next call runs the edited text.
//! let x = Tensor::from_slice(&[0.0_f32, 1.0])?;
//! let y = engine.call("step", vec![Dynamic::from(x)])?;
//! assert!((y.as_float().unwrap_or_default() - 0.8808).abs() < 1e-4);
//! assert_eq!(engine.host().get::<std::cell::Cell<i64>>().map(|c| c.get()), Some(1));
//!
//! // What is wrong with a script is known before it runs, and says what was meant.
//! let e = engine.load_text("typo.rhai", "fn main() { lab::swsh(1) }").unwrap_err();
//! assert!(e.to_string().contains("did you mean `swish`?"));
//! # Ok(())
//! # }
//! ```
//!
//! Scripts that recurse deeply want a large stack: run the engine inside [`script::on_big_stack`]. A host that wants CUDA
//! calls [`torch::bridge::load_cuda`] before anything else.
//!
//! # Parts
//! Arrows go down only: `cli` -> [`script`] -> [`train`] -> [`models`], [`data`] -> [`nn`] -> [`torch`] -> [`error`].
pub mod cli;
pub mod data;
pub mod error;
pub mod eval;
pub mod interrupt;
pub mod models;
pub mod nn;
pub mod progress;
pub mod repl;
pub mod script;
pub mod torch;
pub mod train;
