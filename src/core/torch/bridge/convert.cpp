#include "convert.h"

#include <ATen/ATen.h>

#include <cstdlib>
#include <sstream>
#include <stdexcept>
#include <unordered_map>

namespace lathe {

using c10::IValue;
using c10::TypeKind;

namespace {

constexpr int kNoFit = -1;
// A number where a tensor is wanted: any overload that takes the number itself is better.
constexpr int kWrapNumber = 100;
// A tensor where a number is wanted: reads it from the device.
constexpr int kReadTensor = 50;

std::string text(const LatheValue& v) { return std::string(static_cast<const char*>(v.u.p), static_cast<size_t>(v.len)); }
const at::Tensor& tensor(const LatheValue& v) { return *static_cast<const at::Tensor*>(v.u.p); }
const LatheValue* items(const LatheValue& v) { return static_cast<const LatheValue*>(v.u.p); }

template <class T>
int named(const LatheValue& v, const std::unordered_map<std::string, T>& names, IValue& out) {
  if (v.tag != LATHE_STR) return kNoFit;
  auto it = names.find(text(v));
  if (it == names.end()) return kNoFit;
  out = IValue(static_cast<int64_t>(it->second));
  return 0;
}

const std::unordered_map<std::string, at::ScalarType>& dtypes() {
  static const std::unordered_map<std::string, at::ScalarType> names = {
      {"f32", at::kFloat},        {"float32", at::kFloat},          {"float", at::kFloat},
      {"f64", at::kDouble},       {"float64", at::kDouble},         {"double", at::kDouble},
      {"f16", at::kHalf},         {"float16", at::kHalf},           {"half", at::kHalf},
      {"bf16", at::kBFloat16},    {"bfloat16", at::kBFloat16},      {"i64", at::kLong},
      {"int64", at::kLong},       {"long", at::kLong},              {"i32", at::kInt},
      {"int32", at::kInt},        {"int", at::kInt},                {"i16", at::kShort},
      {"int16", at::kShort},      {"short", at::kShort},            {"i8", at::kChar},
      {"int8", at::kChar},        {"u8", at::kByte},                {"uint8", at::kByte},
      {"byte", at::kByte},        {"bool", at::kBool},              {"c64", at::kComplexFloat},
      {"complex64", at::kComplexFloat},                             {"c128", at::kComplexDouble},
      {"complex128", at::kComplexDouble},                           {"f8_e4m3", at::kFloat8_e4m3fn},
      {"float8_e4m3fn", at::kFloat8_e4m3fn},                        {"f8_e5m2", at::kFloat8_e5m2},
      {"float8_e5m2", at::kFloat8_e5m2}};
  return names;
}

const std::unordered_map<std::string, at::Layout>& layouts() {
  static const std::unordered_map<std::string, at::Layout> names = {
      {"strided", at::kStrided}, {"sparse_coo", at::kSparse}, {"sparse_csr", at::kSparseCsr}};
  return names;
}

const std::unordered_map<std::string, at::MemoryFormat>& formats() {
  static const std::unordered_map<std::string, at::MemoryFormat> names = {
      {"contiguous", at::MemoryFormat::Contiguous},
      {"channels_last", at::MemoryFormat::ChannelsLast},
      {"channels_last_3d", at::MemoryFormat::ChannelsLast3d},
      {"preserve", at::MemoryFormat::Preserve}};
  return names;
}

int to_tensor(const LatheValue& v, IValue& out) {
  if (v.tag == LATHE_TENSOR) {
    out = IValue(tensor(v));
    return 0;
  }
  at::Tensor wrapped;
  if (v.tag == LATHE_INT) wrapped = at::scalar_tensor(v.u.i, at::kLong);
  else if (v.tag == LATHE_FLOAT) wrapped = at::scalar_tensor(v.u.f, at::kDouble);
  else if (v.tag == LATHE_BOOL) wrapped = at::scalar_tensor(v.u.i != 0, at::kBool);
  else return kNoFit;
  // A wrapped number does not take part in type promotion, as a Python number does not.
  wrapped.unsafeGetTensorImpl()->set_wrapped_number(true);
  out = IValue(std::move(wrapped));
  return kWrapNumber;
}

int to_number(const LatheValue& v, IValue& out) {
  switch (v.tag) {
    case LATHE_INT: out = IValue(v.u.i); return 0;
    case LATHE_FLOAT: out = IValue(v.u.f); return 0;
    case LATHE_BOOL: out = IValue(v.u.i != 0); return 1;
    case LATHE_TENSOR:
      if (tensor(v).dim() != 0 || tensor(v).requires_grad()) return kNoFit;
      out = IValue(tensor(v).item());
      return kReadTensor;
    default: return kNoFit;
  }
}

int to_list(const LatheValue& v, const c10::ListType& t, const std::optional<int32_t>& n, IValue& out) {
  auto element = t.getElementType();
  if (element->kind() == TypeKind::SymIntType) element = c10::IntType::get();
  if (v.tag != LATHE_LIST && v.tag != LATHE_TUPLE) {
    if (!n) return kNoFit;
    IValue x;
    int cost = to_ivalue(v, *element, std::nullopt, x);
    if (cost < 0) return kNoFit;
    c10::impl::GenericList list(element);
    for (int32_t i = 0; i < *n; i++) list.push_back(x);
    out = IValue(std::move(list));
    return cost + 2;
  }
  const LatheValue* e = items(v);
  if (element->kind() == TypeKind::TensorType) {
    c10::List<at::Tensor> list;
    list.reserve(v.len);
    for (int64_t i = 0; i < v.len; i++) {
      if (e[i].tag != LATHE_TENSOR) return kNoFit;
      list.push_back(tensor(e[i]));
    }
    out = IValue(std::move(list));
    return 0;
  }
  if (element->kind() == TypeKind::IntType) {
    c10::List<int64_t> list;
    list.reserve(v.len);
    for (int64_t i = 0; i < v.len; i++) {
      if (e[i].tag != LATHE_INT) return kNoFit;
      list.push_back(e[i].u.i);
    }
    out = IValue(std::move(list));
    return 0;
  }
  c10::impl::GenericList list(element);
  list.reserve(v.len);
  int total = 0;
  for (int64_t i = 0; i < v.len; i++) {
    IValue x;
    int cost = to_ivalue(e[i], *element, std::nullopt, x);
    if (cost < 0) return kNoFit;
    total += cost;
    list.push_back(std::move(x));
  }
  out = IValue(std::move(list));
  return total;
}

void put_text(const std::string& s, int64_t tag, LatheValue& out) {
  char* p = static_cast<char*>(malloc(s.size() + 1));
  if (!p) throw std::bad_alloc();
  memcpy(p, s.data(), s.size());
  out.tag = tag;
  out.len = static_cast<int64_t>(s.size());
  out.u.p = p;
}

// Whether the Rust side can ask such a tensor for its strides, address and dtype.
void check_plain(const at::Tensor& t) {
  auto dtype = static_cast<int>(t.scalar_type());
  bool known = dtype <= 11 || dtype == 15 || (dtype >= 23 && dtype <= 26);
  bool plain = t.layout() == at::kStrided && !t.is_nested() && (t.is_cpu() || t.is_cuda());
  if (known && plain) return;
  std::ostringstream why;
  why << "the result is a tensor of type " << t.toString() << ", which is not supported here: only plain CPU and CUDA tensors are";
  throw std::runtime_error(why.str());
}

// An array of nones, which is valid to free at any moment while it is being filled.
LatheValue* put_array(size_t len, size_t count, int64_t tag, LatheValue& out) {
  auto* p = static_cast<LatheValue*>(calloc(count + 1, sizeof(LatheValue)));
  if (!p) throw std::bad_alloc();
  out.tag = tag;
  out.len = static_cast<int64_t>(len);
  out.u.p = p;
  return p;
}

}  // namespace

int to_ivalue(const LatheValue& v, const c10::Type& t, const std::optional<int32_t>& n, IValue& out) {
  switch (t.kind()) {
    case TypeKind::OptionalType:
      if (v.tag == LATHE_NONE) {
        out = IValue();
        return 0;
      }
      return to_ivalue(v, *t.castRaw<c10::OptionalType>()->getElementType(), n, out);
    case TypeKind::TensorType: return to_tensor(v, out);
    case TypeKind::NumberType: return to_number(v, out);
    case TypeKind::IntType:
    case TypeKind::SymIntType:
      if (v.tag != LATHE_INT) return kNoFit;
      out = IValue(v.u.i);
      return 0;
    case TypeKind::FloatType:
    case TypeKind::SymFloatType:
      if (v.tag != LATHE_FLOAT && v.tag != LATHE_INT) return kNoFit;
      out = IValue(v.tag == LATHE_FLOAT ? v.u.f : static_cast<double>(v.u.i));
      return v.tag == LATHE_INT;
    case TypeKind::BoolType:
    case TypeKind::SymBoolType:
      if (v.tag != LATHE_BOOL) return kNoFit;
      out = IValue(v.u.i != 0);
      return 0;
    case TypeKind::StringType:
      if (v.tag != LATHE_STR) return kNoFit;
      out = IValue(text(v));
      return 0;
    case TypeKind::ScalarTypeType: return named(v, dtypes(), out);
    case TypeKind::LayoutType: return named(v, layouts(), out);
    case TypeKind::MemoryFormatType: return named(v, formats(), out);
    case TypeKind::DeviceObjType:
      if (v.tag != LATHE_STR) return kNoFit;
      try {
        c10::Device device(text(v));
        if (!device.is_cpu() && !device.is_cuda()) return kNoFit;
        out = IValue(device);
      } catch (const c10::Error&) {
        return kNoFit;
      }
      return 0;
    case TypeKind::ListType: return to_list(v, *t.castRaw<c10::ListType>(), n, out);
    default: return kNoFit;
  }
}

void from_ivalue(const IValue& v, LatheValue& out) {
  out = LatheValue{LATHE_NONE, 0, {0}};
  if (v.isNone()) return;
  if (v.isTensor()) {
    auto t = v.toTensor();
    if (!t.defined()) return;
    check_plain(t);
    out.u.p = new at::Tensor(std::move(t));
    out.tag = LATHE_TENSOR;
  } else if (v.isInt()) {
    out.tag = LATHE_INT;
    out.u.i = v.toInt();
  } else if (v.isSymInt()) {
    out.u.i = v.toSymInt().guard_int(__FILE__, __LINE__);
    out.tag = LATHE_INT;
  } else if (v.isDouble()) {
    out.tag = LATHE_FLOAT;
    out.u.f = v.toDouble();
  } else if (v.isBool()) {
    out.tag = LATHE_BOOL;
    out.u.i = v.toBool();
  } else if (v.isString()) {
    put_text(v.toStringRef(), LATHE_STR, out);
  } else if (v.isDevice()) {
    put_text(v.toDevice().str(), LATHE_STR, out);
  } else if (v.isTuple()) {
    const auto& e = v.toTupleRef().elements();
    LatheValue* p = put_array(e.size(), e.size(), LATHE_TUPLE, out);
    for (size_t i = 0; i < e.size(); i++) from_ivalue(e[i], p[i]);
  } else if (v.isList()) {
    auto e = v.toListRef().vec();
    LatheValue* p = put_array(e.size(), e.size(), LATHE_LIST, out);
    for (size_t i = 0; i < e.size(); i++) from_ivalue(e[i], p[i]);
  } else if (v.isGenericDict()) {
    auto d = v.toGenericDict();
    LatheValue* p = put_array(d.size(), 2 * d.size(), LATHE_DICT, out);
    for (const auto& kv : d) {
      from_ivalue(kv.key(), *p++);
      from_ivalue(kv.value(), *p++);
    }
  } else {
    put_text(v.tagKind(), LATHE_OPAQUE, out);
  }
}

const char* tag_name(int64_t tag) {
  static const char* const names[] = {"None", "Tensor", "int", "float", "bool", "str", "list", "tuple", "dict", "opaque"};
  return tag >= 0 && tag <= LATHE_OPAQUE ? names[tag] : "?";
}

}  // namespace lathe

extern "C" void lathe_free_value(LatheValue* v) {
  if (v->tag == LATHE_LIST || v->tag == LATHE_TUPLE || v->tag == LATHE_DICT) {
    int64_t count = v->tag == LATHE_DICT ? 2 * v->len : v->len;
    auto* e = static_cast<LatheValue*>(v->u.p);
    for (int64_t i = 0; i < count; i++) lathe_free_value(&e[i]);
    free(e);
  } else if (v->tag == LATHE_STR || v->tag == LATHE_OPAQUE) {
    free(v->u.p);
  }
  v->tag = LATHE_NONE;
}

extern "C" void lathe_free_str(char* s) { free(s); }
