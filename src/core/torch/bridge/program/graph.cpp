// The compiled graphs of a program, walked before anything of it runs.
#include "program.h"

#include <torch/csrc/jit/ir/constants.h>
#include <torch/csrc/jit/ir/ir.h>
#include <torch/csrc/jit/runtime/operator.h>
#include <torch/custom_class.h>

#include <sstream>
#include <unordered_map>
#include <vector>

using namespace torch::jit;

namespace lathe {

namespace {

// Deeper calls, and more nodes once calls are written out, than any model has: the optimiser copies what is called into its callers.
constexpr size_t kMaxCalls = 200;
constexpr double kMaxNodes = 2e6;

bool is_library_class(const c10::ClassTypePtr& type) {
  const auto name = type->name();
  return !name || torch::getCustomClass(name->qualifiedName()) != nullptr || name->qualifiedName().rfind("__torch__.torch.classes", 0) == 0;
}

struct Graphs {
  const Allowed& allowed;
  std::vector<Function*> functions;
  std::unordered_set<const Function*> known;
  std::vector<c10::ClassTypePtr> classes;
  std::unordered_map<const Function*, std::vector<const Function*>> calls;
  // Nodes of its own, then with everything that it calls.
  std::unordered_map<const Function*, double> nodes;
  std::unordered_map<const Function*, double> sizes;
  std::unordered_set<const Function*> open;
  std::string where;

  [[noreturn]] void refuse(const std::string& what) const { throw Refused("its function `" + where + "` " + what); }

  void call(const Function* caller, const Function* callee) {
    if (!callee || !known.count(callee)) refuse("calls a function that is not in the archive");
    calls[caller].push_back(callee);
  }

  void call_method(const Function* f, const Node* n) {
    const auto type = n->input(0)->type();
    const std::string& name = n->s(attr::name);
    if (const auto cls = type->cast<c10::ClassType>()) return call(f, cls->findMethod(name));
    const auto face = type->cast<c10::InterfaceType>();
    if (!face) refuse("calls a method of a value without a class");
    for (const auto& cls : classes) {
      const auto* method = cls->findMethod(name);
      if (method && cls->isSubtypeOf(*face)) call(f, method);
    }
  }

  void constant(const Node* n) {
    if (const auto v = toIValue(n->output())) value(*v);
  }

  void value(const c10::IValue& v) {
    if (v.isDevice() && !v.toDevice().is_cpu() && !v.toDevice().is_cuda()) refuse("names the device `" + v.toDevice().str() + "`");
    if (v.isObject() || v.isCapsule() || v.isPyObject()) refuse("has an object as a constant");
    if (v.isTuple()) for (const auto& e : v.toTupleRef().elements()) value(e);
    if (v.isList()) for (const c10::IValue& e : v.toListRef()) value(e);
  }

  // A value may be taken for what it is already known to be; the interpreter looks at no class again before it uses an object's memory.
  void cast(const Node* n) {
    auto from = n->input(0)->type();
    const auto to = n->output()->type();
    if (const auto optional = from->cast<c10::OptionalType>()) from = optional->getElementType();
    switch (to->kind()) {
      case c10::TypeKind::TensorType: case c10::TypeKind::IntType: case c10::TypeKind::FloatType: case c10::TypeKind::BoolType:
      case c10::TypeKind::StringType: case c10::TypeKind::NoneType: case c10::TypeKind::DeviceObjType: return;
      default: break;
    }
    if (!from->isSubtypeOf(*to)) refuse("takes a value of type " + from->annotation_str() + " for one of type " + to->annotation_str());
  }

  void node(const Function* f, const Node* n) {
    for (const auto name : n->attributeNames()) {
      const auto kind = n->kindOf(name);
      if (kind == AttributeKind::g || kind == AttributeKind::gs) refuse("holds a graph within `" + std::string(n->kind().toQualString()) + "`");
    }
    std::string name = n->kind().toQualString();
    const auto* schema = n->maybeSchema();
    if (schema) name = c10::toString(schema->operator_name());
    if (n->kind() == Symbol::aten("device") || !allowed.overloads.count(name)) {
      refuse("uses `" + name + "`, which is not among the operators that programs may use");
    }
    for (const auto* out : n->outputs()) check_type(out->type(), where);
    if (schema) options(n, *schema);
    switch (n->kind()) {
      case prim::Constant: constant(n); break;
      case prim::unchecked_cast: cast(n); break;
      case prim::CallMethod: call_method(f, n); break;
      case prim::CallFunction: {
        const auto type = n->input(0)->type()->cast<c10::FunctionType>();
        call(f, type ? type->function() : nullptr);
        break;
      }
      default: break;
    }
  }

  // Only plain tensors of plain types are made.
  void options(const Node* n, const c10::FunctionSchema& schema) const {
    for (size_t i = 0; i < schema.arguments().size() && i < n->inputs().size(); i++) {
      const std::string& name = schema.arguments()[i].name();
      const Node* from = n->input(i)->node();
      if (name == "layout" && from->kind() != prim::layout) {
        const auto v = from->kind() == prim::Constant ? toIValue(n->input(i)) : std::nullopt;
        if (!v || !(v->isNone() || (v->isInt() && v->toInt() == 0))) refuse("makes a tensor of another layout than the plain one");
      }
      if (name == "dtype" && from->kind() == prim::Constant) {
        const auto v = toIValue(n->input(i));
        const bool plain = v && (v->isNone() || (v->isInt() && ((v->toInt() >= 0 && v->toInt() <= 11) || v->toInt() == 15)));
        if (!plain) refuse("makes a tensor of an unknown type");
      }
    }
  }

  double block(const Function* f, const Block* b) {
    double count = 0;
    for (const auto* in : b->inputs()) check_type(in->type(), where);
    for (const auto* n : b->nodes()) {
      node(f, n);
      count += 1;
      for (const auto* inner : n->blocks()) count += block(f, inner);
    }
    return count;
  }

  double size(const Function* f, size_t depth) {
    const auto done = sizes.find(f);
    if (done != sizes.end()) return done->second;
    where = f->qualname().qualifiedName();
    if (depth > kMaxCalls) refuse("is called too deeply");
    if (!open.insert(f).second) refuse("calls itself");
    double total = nodes[f];
    for (const auto* callee : calls[f]) total += size(callee, depth + 1);
    where = f->qualname().qualifiedName();
    if (total > kMaxNodes) refuse("becomes more than two million operations when its calls are written out");
    open.erase(f);
    return sizes[f] = total;
  }
};

// Warnings go to the terminal as the program words them; the interpreter leaves no way to stop them there.
void silence(Block* b) {
  for (auto it = b->nodes().begin(); it != b->nodes().end();) {
    Node* n = *it++;
    for (auto* inner : n->blocks()) silence(inner);
    if (n->kind() == Symbol::aten("warn")) n->destroy();
  }
}

void type_of(const c10::TypePtr& type, const std::string& where, std::unordered_set<const c10::Type*>& seen) {
  if (!seen.insert(type.get()).second) return;
  switch (type->kind()) {
    case c10::TypeKind::TensorType: case c10::TypeKind::IntType: case c10::TypeKind::FloatType: case c10::TypeKind::BoolType:
    case c10::TypeKind::StringType: case c10::TypeKind::NoneType: case c10::TypeKind::NumberType: case c10::TypeKind::DeviceObjType:
    case c10::TypeKind::AnyType: case c10::TypeKind::ListType: case c10::TypeKind::DictType: case c10::TypeKind::TupleType:
    case c10::TypeKind::OptionalType: case c10::TypeKind::UnionType: case c10::TypeKind::FunctionType: case c10::TypeKind::InterfaceType:
    case c10::TypeKind::ComplexType: case c10::TypeKind::AnyListType: case c10::TypeKind::AnyTupleType: case c10::TypeKind::LayoutType:
    case c10::TypeKind::ScalarTypeType: case c10::TypeKind::MemoryFormatType: case c10::TypeKind::EnumType:
      break;
    case c10::TypeKind::ClassType:
      if (!is_library_class(type->expect<c10::ClassType>())) break;
      [[fallthrough]];
    default: throw Refused("its function `" + where + "` has a value of type " + type->annotation_str() + ", which programs may not use");
  }
  if (type->kind() == c10::TypeKind::FunctionType || type->kind() == c10::TypeKind::InterfaceType) return;
  for (const auto& inner : type->containedTypes()) type_of(inner, where, seen);
}

}  // namespace

void check_type(const c10::TypePtr& type, const std::string& where) {
  std::unordered_set<const c10::Type*> seen;
  type_of(type, where, seen);
}

void check_graphs(CompilationUnit& unit, const Allowed& allowed) {
  Graphs g{allowed};
  std::unordered_set<const c10::Type*> seen;
  for (auto* f : unit.get_functions()) {
    if (!f) continue;
    g.where = f->qualname().qualifiedName();
    if (!f->isGraphFunction()) g.refuse("is none of TorchScript's own");
    f->ensure_defined();
    g.functions.push_back(f);
    g.known.insert(f);
    const auto& arguments = f->getSchema().arguments();
    const auto self = arguments.empty() ? nullptr : arguments[0].type()->cast<c10::ClassType>();
    if (self && seen.insert(self.get()).second) g.classes.push_back(self);
  }
  for (const auto& cls : g.classes) {
    g.where = cls->repr_str();
    for (const auto* method : cls->methods()) {
      if (!g.known.count(method)) g.refuse("has a method that is not in the archive");
    }
  }
  for (auto* f : g.functions) {
    g.where = f->qualname().qualifiedName();
    g.nodes[f] = g.block(f, toGraphFunction(*f).graph()->block());
  }
  for (const auto* f : g.functions) g.size(f, 0);
  for (auto* f : g.functions) silence(toGraphFunction(*f).graph()->block());
}

}  // namespace lathe
