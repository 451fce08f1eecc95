// TorchScript programs: what the files of this folder share.
#pragma once
#include "../convert.h"

#include <torch/csrc/jit/api/compilation_unit.h>
#include <torch/csrc/jit/api/module.h>
#include <torch/csrc/jit/frontend/source_range.h>

#include <map>
#include <memory>
#include <set>
#include <stdexcept>
#include <string>
#include <unordered_set>

namespace lathe {

// The operators that programs may use.
struct Allowed {
  // `aten::add.Tensor`, `prim::If`.
  std::unordered_set<std::string> overloads;
  // The same without the overload.
  std::unordered_set<std::string> names;
};

// What is wrong with a program.
struct Refused : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// What every function and class of a program refers to, by dotted names.
using References = std::map<std::string, std::set<std::string>>;

// Whether the text of one file of code can be compiled without harm: compiling evaluates defaults of arguments, constants of classes, and
// every operator on numbers and strings that are known. `name` is its module; what its functions and classes refer to is added.
void check_text(const std::shared_ptr<torch::jit::Source>& source, const std::string& name, const Allowed& allowed, References& references);

// Whether no chain of references is longer than in any model: the compiler follows each while it is within the one before.
void check_references(const References& references);

// Whether every function of the program uses allowed operators only, none calls itself, and what they become when calls are written out has
// a sane size. Takes warnings out.
void check_graphs(torch::jit::CompilationUnit& unit, const Allowed& allowed);

// Whether values of that type may be in a program.
void check_type(const c10::TypePtr& type, const std::string& where);

// Gives the interpreter's operators the checks that they lack. Once for the process, before anything is compiled.
void guard_operators();

}  // namespace lathe
