//! Methods of modules: every layer, group and model has them.

pub mod parts;

use crate::api;
use crate::nn::Module;
use crate::script::api::io::pt::write_state;
use crate::script::api::models::given::Given;
use crate::script::api::module::parts::{get_part, part, run, set_part, tree};
use crate::script::lang::value::{FromArg, IntoScript};
use crate::torch::{Tensor, parse_device, parse_dtype};
use rhai::{Dynamic, Map};
use std::path::Path;

api! {
    methods Module;

    /// Runs the module on up to four inputs. The `forward` of a group that a script wrote may take and give any values; everything else takes and
    /// gives tensors.
    ///
    /// # Shapes
    /// - as the module says
    /// # Errors
    /// `E0202` for a group without a forward function; otherwise what its layers say.
    /// # Example
    /// ```rhai
    /// assert_eq(nn::linear(3, 4).forward(torch::ones([2, 3])).shape, [2, 4]);
    /// ```
    fn forward[cx](m: Module, x: Option<Dynamic>, a: Option<Dynamic>, b: Option<Dynamic>, c: Option<Dynamic>) -> Dynamic { run(cx, &m, [x, a, b, c]) }

    /// The same as `forward`.
    ///
    /// # Shapes
    /// - as the module says
    /// # Errors
    /// As `forward`.
    /// # Example
    /// ```rhai
    /// assert_eq(nn::linear(3, 4).call(torch::ones([2, 3])).shape, [2, 4]);
    /// ```
    fn call_module as "call$"[cx](m: Module, x: Option<Dynamic>, a: Option<Dynamic>, b: Option<Dynamic>, c: Option<Dynamic>) -> Dynamic {
        run(cx, &m, [x, a, b, c])
    }

    /// All parameters, frozen ones too, in the order of their definition; one that is used twice comes once.
    ///
    /// # Shapes
    /// - none
    /// # Errors
    /// None.
    /// # Example
    /// ```rhai
    /// assert_eq(nn::linear(3, 4).parameters().len(), 2);
    /// ```
    fn parameters(m: Module) -> Vec<Tensor> { Ok(m.named_parameters().into_iter().map(|(_, t)| t).collect()) }

    /// The names of `parameters()`, in the same order.
    ///
    /// # Shapes
    /// - none
    /// # Errors
    /// None.
    /// # Example
    /// ```rhai
    /// assert_eq(nn::linear(3, 4).parameter_names(), ["weight", "bias"]);
    /// ```
    fn parameter_names(m: Module) -> Vec<String> { Ok(m.named_parameters().into_iter().map(|(name, _)| name).collect()) }

    /// All parameters by name, for looking up. Maps are sorted by name in scripts; `parameter_names()` has the order of definition.
    ///
    /// # Shapes
    /// - none
    /// # Errors
    /// None.
    /// # Example
    /// ```rhai
    /// assert_eq(nn::linear(3, 4).named_parameters()["weight"].shape, [4, 3]);
    /// ```
    fn named_parameters(m: Module) -> Map { Ok(m.named_parameters().into_iter().map(|(name, t)| (name.into(), t.into_script())).collect()) }

    /// The state dict: every parameter and saved buffer by name, sharing memory with the module. Maps are sorted by name in scripts; files made by
    /// `save` have the order of definition.
    ///
    /// # Shapes
    /// - none
    /// # Errors
    /// None.
    /// # Example
    /// ```rhai
    /// let m = nn::linear(3, 4);
    /// assert_eq(m.state().keys(), ["bias", "weight"]);
    /// ```
    fn state(m: Module) -> Map { Ok(m.state().into_iter().map(|(name, t)| (name.into(), t.into_script())).collect()) }

    /// Copies weights in, from a map, a file (`.safetensors`, `.pt`, `.pth`, `.ckpt`, `.bin`, `.npz`, the index of a sharded one) or a folder of
    /// diffusers, and tells what did not fit: arrays of names `missing`, `unexpected`, `mismatched`. Of a checkpoint with several networks the part
    /// that is this module's is taken, of a network and its moving average the average.
    ///
    /// # Shapes
    /// - every tensor of the shape that it has in the module
    /// # Errors
    /// `E0401` with the difference, or with the list of parts when several fit or none; `E0301` or `E0302` for the file.
    /// # Example
    /// ```rhai
    /// let a = nn::linear(3, 4);
    /// let b = nn::linear(3, 4);
    /// b.load(a.state());
    /// assert(a.weight == b.weight);
    /// assert_eq(b.load(#{weight: a.weight}, #{strict: false}).missing, ["bias"]);
    /// ```
    fn load[cx](m: Module, from: Dynamic;
        /// nothing changes unless everything fits
        strict: bool = true,
        /// the part to take: `"model"`
        key: Option<String>,
        /// beginnings of names that may be missing, left over or of another shape: `["bn."]`
        optional: Vec<String> = Vec::new(),
    ) -> Map {
        let report = Given::open(cx, &from)?.load(&m, key.as_deref(), strict, &optional)?;
        let mismatched: Vec<String> = report.mismatched.into_iter().map(|(name, ..)| name).collect();
        let lists = [("missing", report.missing), ("unexpected", report.unexpected), ("mismatched", mismatched)];
        Ok(lists.into_iter().map(|(name, list)| (name.into(), list.into_script())).collect())
    }

    /// Writes the state dict: a safetensors file, or by a name ending in `.pt`, `.pth`, `.ckpt` or `.bin` one for `torch.load`. It appears whole or not
    /// at all.
    ///
    /// # Shapes
    /// - none
    /// # Errors
    /// `E0301` when the file cannot be written.
    /// # Example
    /// ```rhai
    /// let m = nn::linear(3, 4);
    /// let file = io::temp_dir() + "/linear.safetensors";
    /// m.save(file);
    /// nn::linear(3, 4).load(file);
    /// ```
    fn save[cx](m: Module, path: String) -> () {
        cx.writable(&path)?;
        write_state(Path::new(&path), &m.state())
    }

    /// Switches to training mode: dropout drops, batch norm uses the batch. Returns the module.
    ///
    /// # Shapes
    /// - none
    /// # Errors
    /// None.
    /// # Example
    /// ```rhai
    /// assert(nn::dropout(0.5).eval().train().is_training());
    /// ```
    fn train(m: Module, on: Option<bool>) -> Module {
        m.set_training(on.unwrap_or(true));
        Ok(m)
    }

    /// Switches to evaluation mode. Returns the module.
    ///
    /// # Shapes
    /// - none
    /// # Errors
    /// None.
    /// # Example
    /// ```rhai
    /// assert(!nn::dropout(0.5).eval().is_training());
    /// ```
    fn evaluate as "eval$"(m: Module) -> Module {
        m.set_training(false);
        Ok(m)
    }

    /// Whether it is in training mode.
    ///
    /// # Shapes
    /// - none
    /// # Errors
    /// None.
    /// # Example
    /// ```rhai
    /// assert(nn::linear(1, 1).is_training());
    /// ```
    fn is_training(m: Module) -> bool { Ok(m.is_training()) }

    /// Switches the gradients of all parameters off. Returns the module.
    ///
    /// # Shapes
    /// - none
    /// # Errors
    /// `E0201` when libtorch refuses the input.
    /// # Example
    /// ```rhai
    /// assert(!nn::linear(3, 4).freeze().weight.requires_grad);
    /// ```
    fn freeze(m: Module) -> Module {
        m.set_requires_grad(false)?;
        Ok(m)
    }

    /// Switches the gradients of all parameters on. Returns the module.
    ///
    /// # Shapes
    /// - none
    /// # Errors
    /// `E0201` when libtorch refuses the input.
    /// # Example
    /// ```rhai
    /// assert(nn::linear(3, 4).freeze().unfreeze().weight.requires_grad);
    /// ```
    fn unfreeze(m: Module) -> Module {
        m.set_requires_grad(true)?;
        Ok(m)
    }

    /// Sets the gradients of all parameters to zero.
    ///
    /// # Shapes
    /// - none
    /// # Errors
    /// `E0201` when libtorch refuses the input.
    /// # Example
    /// ```rhai
    /// let m = nn::linear(3, 1);
    /// m.forward(torch::ones([1, 3])).sum().backward();
    /// m.zero_grad();
    /// assert_eq(m.weight.grad.sum().item(), 0.0);
    /// ```
    fn zero_grad(m: Module) -> () { m.named_parameters().iter().try_for_each(|(_, t)| t.zero_grad()) }

    /// Moves and converts every tensor in place: to a device, a float dtype, or both; integer buffers keep their dtype. Returns the module.
    ///
    /// # Shapes
    /// - none
    /// # Errors
    /// `E0202` for an unknown name, `E0204` for a device that is not there.
    /// # Example
    /// ```rhai
    /// assert_eq(nn::linear(3, 4).to("bf16").weight.dtype, "bf16");
    /// nn::linear(3, 4).to("cpu", "f64");
    /// ```
    fn to(m: Module, target: String, other: Option<String>) -> Module {
        let (mut device, mut dtype) = (None, None);
        for name in [Some(target), other].into_iter().flatten() {
            match parse_dtype(&name) {
                Ok(k) => dtype = Some(k),
                Err(_) if name == "cpu" || name.starts_with("cuda") => device = Some(parse_device(&name)?),
                Err(e) => return Err(e.help("a dtype such as `bf16`, a device such as `cuda:0`, or both")),
            }
        }
        m.to(device, dtype)?;
        Ok(m)
    }

    /// The number of parameter elements, without buffers.
    ///
    /// # Shapes
    /// - none
    /// # Errors
    /// `E0202` for an unknown option.
    /// # Example
    /// ```rhai
    /// assert_eq(nn::linear(3, 4).count(), 16);
    /// assert_eq(nn::linear(3, 4).freeze().count(#{trainable: true}), 0);
    /// ```
    fn count(m: Module;
        /// only those whose gradients are wanted
        trainable: bool = false,
    ) -> i64 {
        Ok(if trainable { m.trainable().iter().map(|t| t.numel() as i64).sum() } else { m.count() })
    }

    /// An independent network with copies of all tensors.
    ///
    /// # Shapes
    /// - none
    /// # Errors
    /// `E0201` when libtorch refuses the input.
    /// # Example
    /// ```rhai
    /// let a = nn::linear(3, 4);
    /// let b = a.copy();
    /// torch::no_grad(|| b.weight.zero_());
    /// assert(a.weight.abs().sum().item() > 0);
    /// ```
    fn copy(m: Module) -> Module { m.deep_copy() }

    /// The modules directly in it, in order.
    ///
    /// # Shapes
    /// - none
    /// # Errors
    /// None.
    /// # Example
    /// ```rhai
    /// assert_eq(nn::sequential([nn::linear(1, 1), nn::linear(1, 1)]).children().len(), 2);
    /// ```
    fn children(m: Module) -> Vec<Module> { Ok(m.children().into_iter().map(|(_, c)| c).collect()) }

    /// The names of the modules directly in it, in order.
    ///
    /// # Shapes
    /// - none
    /// # Errors
    /// None.
    /// # Example
    /// ```rhai
    /// let m = nn::group();
    /// m.head = nn::linear(1, 1);
    /// assert_eq(m.child_names(), ["head"]);
    /// ```
    fn child_names(m: Module) -> Vec<String> { Ok(m.children().into_iter().map(|(name, _)| name).collect()) }

    /// Whether it has a module, parameter, buffer or other value of that name.
    ///
    /// # Shapes
    /// - none
    /// # Errors
    /// None.
    /// # Example
    /// ```rhai
    /// assert(nn::linear(1, 1).has("bias"));
    /// ```
    fn has(m: Module, name: String) -> bool { Ok(part(&m, &name).is_some()) }

    /// The number of modules directly in it.
    ///
    /// # Shapes
    /// - none
    /// # Errors
    /// None.
    /// # Example
    /// ```rhai
    /// assert_eq(nn::list([nn::linear(1, 1)]).len(), 1);
    /// ```
    fn len(m: Module) -> i64 { Ok(m.children().len() as i64) }

    /// What it is: `linear`, `group`, `vae f16d32`, ...
    ///
    /// # Shapes
    /// - none
    /// # Errors
    /// None.
    /// # Example
    /// ```rhai
    /// assert_eq(nn::linear(1, 1).kind(), "linear");
    /// ```
    fn kind(m: Module) -> String { Ok(m.kind().to_owned()) }

    /// Turns a switch on or off in every layer that has it, and gives their number: `frozen` keeps a batch norm on its running statistics while the
    /// rest trains.
    ///
    /// # Shapes
    /// - none
    /// # Errors
    /// None.
    /// # Example
    /// ```rhai
    /// assert_eq(nn::batch_norm2d(4).set_switch("frozen", true), 1);
    /// ```
    fn set_switch(m: Module, name: String, on: bool) -> i64 { Ok(m.set_switch(&name, on) as i64) }

    /// The module as an indented tree: its parts with their shapes and counts.
    ///
    /// # Shapes
    /// - none
    /// # Errors
    /// None.
    /// # Example
    /// ```rhai
    /// print(nn::sequential([nn::linear(3, 4), nn::activation("relu")]));
    /// ```
    fn to_text as "to_string"(m: Module) -> String { Ok(tree(&m)) }

    /// The module in one line, inside arrays and maps.
    ///
    /// # Shapes
    /// - none
    /// # Errors
    /// None.
    /// # Example
    /// ```rhai
    /// assert_eq(nn::linear(3, 4).to_debug(), "linear (16 parameters)");
    /// ```
    fn to_debug(m: Module) -> String { Ok(format!("{m:?}")) }

    /// A part by name, `m.head` or `m["head"]`: a module, a parameter or buffer (`m.weight`, `m["attn.qkv.weight"]`), another value of a group; or
    /// by index, `m[0]`, a module of a list or sequence.
    ///
    /// # Shapes
    /// - none
    /// # Errors
    /// `E0202` when there is no such part, with the nearest name.
    /// # Example
    /// ```rhai
    /// let m = nn::group();
    /// m.head = nn::linear(3, 4);
    /// m.width = 7;
    /// assert_eq(m.head.weight.shape, [4, 3]);
    /// assert_eq(m["width"], 7);
    /// ```
    fn get_part as "index$get$"(m: Module, name: Dynamic) -> Dynamic { get_part(&m, &name) }

    /// Gives a group a part, `m.head = ..`: a module, a parameter (a tensor that records gradients: `nn::parameter`), a buffer (any other tensor),
    /// the function `forward`, or another value.
    ///
    /// # Shapes
    /// - none
    /// # Errors
    /// `E0202` when it is not a group, or the part contains the group itself.
    /// # Example
    /// ```rhai
    /// let m = nn::group();
    /// m.pos = torch::zeros([4, 8]);
    /// m.forward = |m, x| x + m.pos;
    /// assert_eq(m.forward(torch::ones([2, 4, 8])).shape, [2, 4, 8]);
    /// ```
    fn set_at as "index$set$"(m: Module, name: String, value: Dynamic) -> () { set_part(&m, &name, value) }

    /// Whether both are the same network.
    ///
    /// # Shapes
    /// - none
    /// # Errors
    /// None.
    /// # Example
    /// ```rhai
    /// let a = nn::linear(1, 1);
    /// assert(a == a && a != a.copy());
    /// ```
    fn same as "=="(m: Module, other: Dynamic) -> bool { Ok(Module::from_dynamic(&other).is_some_and(|o| m.is_same(&o))) }

    /// Whether they are not the same network.
    ///
    /// # Shapes
    /// - none
    /// # Errors
    /// None.
    /// # Example
    /// ```rhai
    /// assert(nn::linear(1, 1) != ());
    /// ```
    fn different as "!="(m: Module, other: Dynamic) -> bool { Ok(!Module::from_dynamic(&other).is_some_and(|o| m.is_same(&o))) }
}
