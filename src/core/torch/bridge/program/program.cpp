// TorchScript programs, put together from what the Rust side has read and checked: no archive and no pickle is read here.
#include "program.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <torch/csrc/jit/operator_upgraders/upgraders_entry.h>
#include <torch/csrc/jit/serialization/import_source.h>

#include <map>
#include <unordered_map>
#include <vector>

using namespace torch::jit;
using c10::IValue;

namespace {

// Deeper than modules are nested in any model.
constexpr size_t kMaxDepth = 200;
// Places at which modules stand, each counted as often as it is reached: every one has a name, and so have its parameters.
constexpr double kMaxPlaces = 1e6;

// A value as the archive has it: lists and dicts get their types from where they are put.
struct Raw {
  int64_t tag = LATHE_NONE;
  LatheValue plain{LATHE_NONE, 0, {0}};
  at::Tensor tensor;
  // A string, a device, or the class of an object.
  std::string text;
  std::vector<size_t> children;
};

}  // namespace

struct LatheProgram {
  lathe::Allowed allowed;
  std::shared_ptr<CompilationUnit> unit = std::make_shared<CompilationUnit>();
  std::unordered_map<std::string, std::shared_ptr<Source>> sources;
  lathe::References references;
  std::vector<IValue> constants;
  std::vector<Raw> raw;
  std::unique_ptr<SourceImporter> importer;
  bool is_checked = false;
  // Values that were made, and for which type.
  std::unordered_map<size_t, std::pair<c10::TypePtr, IValue>> made;
  std::unordered_set<size_t> open;
  // Places below an object.
  std::unordered_map<const Raw*, double> places;
  std::optional<Module> module;

  const Raw& at(size_t id) const {
    if (id >= raw.size()) throw lathe::Refused("it refers to a value that is not there");
    return raw[id];
  }

  [[noreturn]] void misfit(const Raw& r, const c10::Type& type) const {
    const std::string what = r.tag == LATHE_OBJECT ? "an object of `" + r.text + "`" : r.tag == LATHE_DEVICE ? "a device" : lathe::tag_name(r.tag);
    throw lathe::Refused("it holds " + what + " where its code says " + type.annotation_str());
  }

  IValue make(size_t id, const c10::TypePtr& type, size_t depth) {
    const Raw& r = at(id);
    if (depth > kMaxDepth) throw lathe::Refused("its values are nested too deeply");
    if (type->kind() == c10::TypeKind::OptionalType) {
      return r.tag == LATHE_NONE ? IValue() : make(id, type->expect<c10::OptionalType>()->getElementType(), depth + 1);
    }
    const bool is_any = type->kind() == c10::TypeKind::AnyType;
    const auto fits = [&](c10::TypeKind kind) { return is_any || type->kind() == kind; };
    const bool is_number = type->kind() == c10::TypeKind::NumberType;
    switch (r.tag) {
      case LATHE_NONE: if (fits(c10::TypeKind::NoneType)) return IValue(); break;
      case LATHE_TENSOR: if (fits(c10::TypeKind::TensorType)) return IValue(r.tensor); break;
      case LATHE_INT: if (fits(c10::TypeKind::IntType) || is_number) return IValue(r.plain.u.i); break;
      case LATHE_FLOAT: if (fits(c10::TypeKind::FloatType) || is_number) return IValue(r.plain.u.f); break;
      case LATHE_BOOL: if (fits(c10::TypeKind::BoolType)) return IValue(r.plain.u.i != 0); break;
      case LATHE_STR: if (fits(c10::TypeKind::StringType)) return IValue(r.text); break;
      case LATHE_DEVICE: if (fits(c10::TypeKind::DeviceObjType)) return IValue(c10::Device(r.text)); break;
      default: return shared(id, type, depth);
    }
    misfit(r, *type);
  }

  // Containers and objects: one that stands in two places is the same in both.
  IValue shared(size_t id, const c10::TypePtr& type, size_t depth) {
    const auto before = made.find(id);
    if (before != made.end()) {
      if (*before->second.first != *type) throw lathe::Refused("it uses one value as " + before->second.first->annotation_str() + " and as " + type->annotation_str());
      return before->second.second;
    }
    if (!open.insert(id).second) throw lathe::Refused("it holds a value that contains itself");
    IValue v = contained(id, type, depth);
    open.erase(id);
    made.emplace(id, std::make_pair(type, v));
    return v;
  }

  IValue contained(size_t id, const c10::TypePtr& type, size_t depth) {
    const Raw& r = at(id);
    const bool is_any = type->kind() == c10::TypeKind::AnyType;
    if (r.tag == LATHE_LIST && (is_any || type->kind() == c10::TypeKind::ListType)) {
      const c10::TypePtr element = is_any ? type : type->expect<c10::ListType>()->getElementType();
      c10::impl::GenericList list(element);
      for (const size_t child : r.children) list.push_back(make(child, element, depth + 1));
      return IValue(std::move(list));
    }
    if (r.tag == LATHE_TUPLE && (is_any || type->kind() == c10::TypeKind::TupleType)) {
      std::vector<c10::TypePtr> elements(r.children.size(), type);
      if (!is_any) elements = type->expect<c10::TupleType>()->elements().vec();
      if (elements.size() != r.children.size()) misfit(r, *type);
      std::vector<IValue> values;
      for (size_t i = 0; i < elements.size(); i++) values.push_back(make(r.children[i], elements[i], depth + 1));
      return IValue(c10::ivalue::Tuple::create(std::move(values)));
    }
    if (r.tag == LATHE_DICT && type->kind() == c10::TypeKind::DictType) {
      const auto dict_type = type->expect<c10::DictType>();
      c10::impl::GenericDict dict(dict_type->getKeyType(), dict_type->getValueType());
      for (size_t i = 0; i + 1 < r.children.size(); i += 2) {
        dict.insert_or_assign(make(r.children[i], dict_type->getKeyType(), depth + 1), make(r.children[i + 1], dict_type->getValueType(), depth + 1));
      }
      return IValue(std::move(dict));
    }
    if (r.tag == LATHE_OBJECT) {
      const auto named = unit->get_type(c10::QualifiedName(r.text));
      if (const auto choice = named ? named->cast<c10::EnumType>() : nullptr) {
        if (!is_any && *choice != *type) misfit(r, *type);
        return chosen(r, choice, depth);
      }
      const auto cls = unit->get_class(c10::QualifiedName(r.text));
      if (!cls || !(is_any || cls->isSubtypeOf(*type))) misfit(r, *type);
      return object(r, cls, depth);
    }
    misfit(r, *type);
  }

  // A value of an enumeration, which the archive names by what it stands for.
  IValue chosen(const Raw& r, const c10::EnumTypePtr& type, size_t depth) {
    const IValue value = make(r.children.empty() ? raw.size() : r.children[0], type->getValueType(), depth + 1);
    for (const auto& entry : type->enumNamesValues()) {
      if (entry.second == value) return IValue(c10::make_intrusive<c10::ivalue::EnumHolder>(type, entry.first, entry.second));
    }
    throw lathe::Refused("`" + r.text + "` has no such value");
  }

  IValue object(const Raw& r, const c10::ClassTypePtr& cls, size_t depth) {
    if (!is_checked || r.children.size() != 1) throw lathe::Refused("an object of `" + r.text + "` has no state");
    auto object = c10::ivalue::Object::create(c10::StrongTypePtr(unit, cls), cls->numAttributes());
    auto* restore = cls->findMethod("__setstate__");
    if (restore && cls->findMethod("__getstate__")) {
      const auto& arguments = restore->getSchema().arguments();
      if (arguments.size() != 2) throw lathe::Refused("`__setstate__` of `" + r.text + "` does not take a state");
      // Its graph has been walked.
      GraphOptimizerEnabledGuard plain(false);
      (*restore)({IValue(object), make(r.children[0], arguments[1].type(), depth + 1)});
      for (size_t i = 0; i < cls->numAttributes(); i++) {
        if (!object->getSlot(i).type()->isSubtypeOf(*cls->getAttribute(i))) {
          throw lathe::Refused("`__setstate__` of `" + r.text + "` leaves `" + cls->getAttributeName(i) + "` unset");
        }
      }
      return IValue(object);
    }
    const Raw& state = at(r.children[0]);
    if (state.tag != LATHE_DICT) throw lathe::Refused("an object of `" + r.text + "` has no state");
    std::unordered_map<std::string, size_t> fields;
    for (size_t i = 0; i + 1 < state.children.size(); i += 2) {
      const Raw& key = at(state.children[i]);
      if (key.tag == LATHE_STR) fields[key.text] = state.children[i + 1];
    }
    double below = 1;
    for (size_t i = 0; i < cls->numAttributes(); i++) {
      const auto found = fields.find(cls->getAttributeName(i));
      if (found == fields.end()) throw lathe::Refused("an object of `" + r.text + "` has no `" + cls->getAttributeName(i) + "`");
      object->setSlot(i, make(found->second, cls->getAttribute(i), depth + 1));
      const auto inner = places.find(&at(found->second));
      if (inner != places.end()) below += inner->second;
    }
    if (below > kMaxPlaces) throw lathe::Refused("its modules stand in more than a million places");
    places[&r] = below;
    return IValue(object);
  }

  void compile() {
    auto load = [this](const std::string& name) {
      const auto found = sources.find(name);
      return found == sources.end() ? nullptr : found->second;
    };
    lathe::check_references(references);
    lathe::guard_operators();
    // What operators of older formats are called now.
    populate_upgraders_graph_map();
    importer = std::make_unique<SourceImporter>(unit, &constants, load, version);
    for (const auto& r : raw) {
      if (r.tag == LATHE_OBJECT && !unit->get_type(c10::QualifiedName(r.text))) importer->loadType(c10::QualifiedName(r.text));
    }
    lathe::check_graphs(*unit, allowed);
    is_checked = true;
  }

  size_t version = 0;
};

namespace {

// Whether what `forward` returns can be handed over: a list of anything could hold itself.
bool is_plain(const c10::TypePtr& type, std::unordered_set<const c10::Type*>& seen) {
  if (type->kind() == c10::TypeKind::AnyType || type->kind() == c10::TypeKind::UnionType) return false;
  if (!seen.insert(type.get()).second) return true;
  for (const auto& inner : type->containedTypes()) {
    if (!is_plain(inner, seen)) return false;
  }
  return true;
}

}  // namespace

extern "C" int lathe_program_new(const char* const* operators, int64_t count, int64_t version, LatheProgram** out, char** err) {
  return lathe::guard(err, [&] {
    auto p = std::make_unique<LatheProgram>();
    for (int64_t i = 0; i < count; i++) {
      const std::string name = operators[i];
      p->allowed.overloads.insert(name);
      p->allowed.names.insert(name.substr(0, name.find('.')));
    }
    p->version = static_cast<size_t>(version);
    *out = p.release();
  });
}

extern "C" void lathe_program_free(LatheProgram* p) { delete p; }

extern "C" int lathe_program_source(LatheProgram* p, const char* name, const char* text, int64_t length, char** err) {
  return lathe::guard(err, [&] {
    auto source = std::make_shared<Source>(std::string_view(text, static_cast<size_t>(length)), std::string(name));
    lathe::check_text(source, name, p->allowed, p->references);
    p->sources[name] = std::move(source);
  });
}

extern "C" int lathe_program_value(LatheProgram* p, const LatheItem* item, char** err) {
  return lathe::guard(err, [&] {
    Raw r;
    r.tag = item->value.tag;
    r.plain = item->value;
    if (r.tag == LATHE_TENSOR) r.tensor = *static_cast<const at::Tensor*>(item->value.u.p);
    if (item->text) r.text.assign(item->text, static_cast<size_t>(item->text_length));
    for (int64_t i = 0; i < item->child_count; i++) r.children.push_back(static_cast<size_t>(item->children[i]));
    p->raw.push_back(std::move(r));
  });
}

extern "C" int lathe_program_constant(LatheProgram* p, int64_t id, char** err) {
  return lathe::guard(err, [&] { p->constants.push_back(p->make(static_cast<size_t>(id), c10::AnyType::get(), 0)); });
}

extern "C" int lathe_program_build(LatheProgram* p, int64_t root, char** err) {
  return lathe::guard(err, [&] {
    p->compile();
    const Raw& r = p->at(static_cast<size_t>(root));
    const auto cls = r.tag == LATHE_OBJECT ? p->unit->get_class(c10::QualifiedName(r.text)) : nullptr;
    if (!cls || !cls->is_module()) throw lathe::Refused("its root is no module");
    p->module = Module(p->make(static_cast<size_t>(root), cls, 0).toObject());
    const auto method = p->module->find_method("forward");
    if (!method) throw lathe::Refused("its module has no `forward`");
    for (const auto& result : method->function().getSchema().returns()) {
      std::unordered_set<const c10::Type*> seen;
      if (!is_plain(result.type(), seen)) throw lathe::Refused("its `forward` returns " + result.type()->annotation_str());
    }
    p->module->eval();
    p->raw.clear();
    p->made.clear();
    p->places.clear();
  });
}

extern "C" int lathe_program_parameters(const LatheProgram* p, void* data, void (*f)(void*, const char*, const void*), char** err) {
  return lathe::guard(err, [&] {
    for (const auto& named : p->module->named_parameters()) f(data, named.name.c_str(), &named.value);
  });
}

extern "C" int lathe_program_forward(LatheProgram* p, const void* input, LatheValue* result, char** err) {
  *result = LatheValue{LATHE_NONE, 0, {0}};
  return lathe::guard(err, [&] {
    // A program may switch gradients off, and leave by an error.
    const c10::AutoGradMode as_before(c10::GradMode::is_enabled());
    // Another handle of the same memory: what the program makes of its shape is not the caller's.
    const auto v = p->module->get_method("forward")({IValue(static_cast<const at::Tensor*>(input)->alias())});
    lathe::from_ivalue(v, *result);
  });
}
