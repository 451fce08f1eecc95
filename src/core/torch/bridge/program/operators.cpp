// Operators that end the process, leave memory as it was found, or fill it, for arguments that they do not look at. TorchScript's
// interpreter and compiler call them directly, so they are put in its table again with the checks that they lack. The dispatcher, by which
// everything else calls operators, is not touched.
#include "program.h"

#include <ATen/ATen.h>
#include <ATen/ExpandUtils.h>
#include <torch/csrc/jit/runtime/operator.h>

#include <cmath>
#include <functional>
#include <limits>
#include <map>
#include <mutex>
#include <sstream>
#include <vector>

using torch::jit::Operation;
using torch::jit::Operator;
using torch::jit::Stack;

namespace lathe {

namespace {

// Longer texts and repeated lists than any network makes.
constexpr size_t kMaxText = 1 << 20;
constexpr int64_t kMaxList = 1 << 20, kMaxShown = 4096, kMaxRepeated = int64_t{1} << 33;

// Looks at the last `n` values of a stack.
using Check = std::function<void(const Stack&, size_t n)>;

struct Guard {
  Check before;
  // The result is filled with zeros.
  bool zeros = false;
};

const c10::IValue& argument(const Stack& s, size_t i, size_t n) { return s.at(s.size() - n + i); }

[[noreturn]] void refuse(const char* what) { throw std::runtime_error(what); }

void divide_ints(const Stack& s, size_t n) {
  const auto &a = argument(s, 0, n), &b = argument(s, 1, n);
  if (!a.isInt() || !b.isInt()) return;
  if (b.toInt() == 0) refuse("division by zero");
  if (b.toInt() == -1 && a.toInt() == std::numeric_limits<int64_t>::min()) refuse("the quotient of the least integer by -1 is too large");
}

bool is_integral(const c10::IValue& v) {
  return v.isInt() || (v.isTensor() && v.toTensor().defined() && at::isIntegralType(v.toTensor().scalar_type(), /*includeBool=*/false));
}

at::Tensor as_tensor(const c10::IValue& v) {
  if (v.isTensor()) return v.toTensor();
  at::Tensor t = at::scalar_tensor(v.toInt(), at::kLong);
  t.unsafeGetTensorImpl()->set_wrapped_number(true);
  return t;
}

// The first argument is divided by the second: processors trap where the quotient does not fit.
void divide_tensors(const Stack& s, size_t n) {
  const auto &a = argument(s, 0, n), &b = argument(s, 1, n);
  if (!is_integral(a) || !is_integral(b)) return;
  // What counts is the type that both are converted to.
  const at::Tensor x = as_tensor(a), y = as_tensor(b);
  const auto common = at::result_type(x, y);
  if (common != at::kLong && common != at::kInt) return;
  const int64_t least = common == at::kInt ? std::numeric_limits<int32_t>::min() : std::numeric_limits<int64_t>::min();
  if (!y.to(common).eq(-1).any().item<bool>()) return;
  if (x.to(common).eq(least).any().item<bool>()) refuse("the quotient of the least integer by -1 is too large");
}

void join(const Stack& s, size_t n) {
  if (argument(s, 0, n).toStringRef().size() + argument(s, 1, n).toStringRef().size() > kMaxText) refuse("a text is too long");
}

void show(const c10::IValue& v) {
  if (v.isTensor() && v.toTensor().defined() && v.toTensor().numel() > kMaxShown) refuse("a tensor of so many elements is not made a text");
  if (v.isList() && v.toListRef().size() > static_cast<size_t>(kMaxShown)) refuse("a list of so many elements is not made a text");
}

// The number of its arguments lies above them.
void format(const Stack& s, size_t) {
  const auto n = static_cast<size_t>(s.back().toInt());
  size_t length = 0;
  for (size_t i = 0; i < n; i++) {
    const auto& v = argument(s, i, n + 1);
    show(v);
    if (v.isString()) length += v.toStringRef().size();
  }
  if (length > kMaxText) refuse("a text is too long");
}

void repeat_list(const c10::IValue& list, const c10::IValue& times) {
  const auto length = static_cast<int64_t>(list.toListRef().size());
  if (length > 0 && times.toInt() > kMaxList / length) refuse("a list is repeated too often");
}

void normalise(const Stack& s, size_t n) {
  const auto& x = argument(s, 0, n).toTensor();
  if (x.dim() < 2) refuse("batch_norm needs an input of two or more dimensions");
  for (size_t i = 1; i < 5; i++) {
    const auto& v = argument(s, i, n);
    if (v.isTensor() && v.toTensor().defined() && (v.toTensor().dim() != 1 || v.toTensor().size(0) != x.size(1))) {
      refuse("batch_norm needs a weight, a bias and statistics with one value for each channel");
    }
  }
}

void attend(const Stack& s, size_t n) {
  const auto &query = argument(s, 0, n).toTensor(), &key = argument(s, 1, n).toTensor(), &value = argument(s, 2, n).toTensor();
  if (query.dim() < 2 || key.dim() < 2 || value.dim() < 2 || key.size(-2) != value.size(-2) || query.size(-1) != key.size(-1)) {
    refuse("queries, keys and values do not go together");
  }
  if (query.numel() == 0 || key.numel() == 0 || value.numel() == 0) refuse("queries, keys or values of attention are empty");
  if (!argument(s, 7, n).toBool()) return;
  for (size_t i = 0; i < 3; i++) {
    const auto& t = argument(s, i, n).toTensor();
    if (t.dim() < 3 || t.size(-3) == 0) refuse("attention with shared heads needs heads");
  }
}

// The whole layer at once, as `torch.nn.MultiheadAttention` calls it.
void attend_natively(const Stack& s, size_t n) {
  const auto& query = argument(s, 0, n).toTensor();
  const auto width = argument(s, 3, n).toInt(), heads = argument(s, 4, n).toInt();
  if (heads < 1 || width < 1 || width % heads != 0) refuse("attention needs a width that its heads divide");
  for (const size_t i : {0, 1, 2, 5, 6, 7, 8}) {
    const auto& t = argument(s, i, n).toTensor();
    if (!t.defined() || t.scalar_type() != query.scalar_type() || t.numel() == 0) refuse("attention needs tensors of one type, none of them empty");
    if (i < 3 && (t.dim() != 3 || t.size(2) != width || t.size(0) != query.size(0))) refuse("attention needs inputs [B, N, D]");
  }
  const auto &proj = argument(s, 7, n).toTensor(), &bias = argument(s, 8, n).toTensor();
  if (proj.dim() != 2 || proj.size(0) != width || proj.size(1) != width || bias.dim() != 1 || bias.size(0) != width) {
    refuse("attention needs a projection [D, D] with a bias [D]");
  }
  if (!argument(s, 9, n).isNone()) refuse("a mask of this form of attention is not supported");
}

void interleave(const Stack& s, size_t n) {
  const auto& t = argument(s, 0, n).toTensor();
  const auto times = argument(s, 1, n).toInt();
  if (times < 0 || (t.numel() > 0 && times > kMaxRepeated / t.numel())) refuse("repeat_interleave repeats too often, or less than never");
}

// Factors beside the sizes: places in the input are computed from them, and not looked at again.
void resample(const Stack& s, size_t n) {
  const auto& x = argument(s, 0, n).toTensor();
  if (x.dim() < 3 || x.dim() > 5 || x.numel() == 0) refuse("interpolation needs a batch of maps, and none of them empty");
  const auto spatial = static_cast<size_t>(x.dim() - 2);
  std::vector<double> factors;
  for (size_t i = 1; i < n; i++) {
    const auto& v = argument(s, i, n);
    if (v.isDouble()) factors.push_back(v.toDouble());
    if (v.isDoubleList()) factors = v.toDoubleVector();
  }
  for (const double f : factors) {
    if (!(f > 1.0 / 65536 && f < 65536)) refuse("a factor of interpolation is out of range");
  }
  const auto& sizes = argument(s, 1, n);
  if (sizes.isNone() || factors.empty()) return;
  const auto wanted = sizes.toIntVector();
  if (wanted.size() != spatial || factors.size() != spatial) refuse("interpolation needs a size and a factor for each side");
  for (size_t i = 0; i < spatial; i++) {
    const double size = factors[i] * static_cast<double>(x.size(static_cast<int64_t>(i) + 2));
    if (std::abs(size - static_cast<double>(wanted[i])) > 1.5) refuse("the size and the factor of an interpolation do not belong together");
  }
}

void resample_floats(const Stack& s, size_t n) {
  if (!argument(s, 0, n).toTensor().is_floating_point()) refuse("interpolation between values needs floats");
  resample(s, n);
}

// Windows that move: sizes, steps and paddings of kernels that check some of them.
void slide(const Stack& s, size_t n) {
  const auto& x = argument(s, 0, n).toTensor();
  if (x.numel() == 0) refuse("an input of a convolution or of pooling is empty");
  for (size_t i = 1; i < n; i++) {
    const auto& v = argument(s, i, n);
    if (v.isTensor() && v.toTensor().defined() && v.toTensor().numel() == 0) refuse("a weight of a convolution is empty");
    if (!v.isIntList()) continue;
    for (const auto side : v.toIntVector()) {
      if (side < 0 || side > kMaxList) refuse("a size, a step or a padding of a window is out of range");
    }
  }
}

// A dilated window that begins in the border may step over the whole input, and then remembers a place outside.
void pool(const Stack& s, size_t n) {
  slide(s, n);
  const auto& x = argument(s, 0, n).toTensor();
  const auto kernel = argument(s, 1, n).toIntVector(), padding = argument(s, 3, n).toIntVector(), dilation = argument(s, 4, n).toIntVector();
  const auto dims = static_cast<int64_t>(kernel.size());
  if (padding.size() != kernel.size() || dilation.size() != kernel.size() || x.dim() < dims) refuse("a window has other sides than the input");
  for (int64_t i = 0; i < dims; i++) {
    const int64_t p = padding[i], d = dilation[i];
    if (d <= 1 || p <= 0) continue;
    if (x.size(i - dims) < d || (p + d - 1) / d >= kernel[i]) refuse("a window of pooling may miss every element");
  }
}

void pad(const Stack& s, size_t n) {
  const auto& mode = argument(s, 2, n).toStringRef();
  const auto sides = argument(s, 1, n).toIntVector();
  if (mode == "constant") return;
  if (argument(s, 0, n).toTensor().numel() == 0 || sides.size() > 4) refuse("such a padding needs maps of one or two sides that are not empty");
  for (const auto side : sides) {
    if (side < 0) refuse("such a padding cannot take away");
  }
}

// Places are made integers before they are held against the picture's sides.
void sample_grid(const Stack& s, size_t n) {
  const auto& grid = argument(s, 1, n).toTensor();
  if (grid.numel() > 0 && !grid.abs().lt(1 << 24).all().item<bool>()) refuse("a place of a grid is not a number, or too far outside");
  for (size_t i = 2; i < 4; i++) {
    const auto mode = argument(s, i, n).toInt();
    if (mode < 0 || mode > 2) refuse("grid_sampler has no such mode");
  }
}

// A result is written into memory that is there: it has to have the shape already.
void divide_into(const Stack& s, size_t n) {
  const auto &a = argument(s, 0, n).toTensor(), &b = argument(s, 1, n).toTensor(), &out = argument(s, 2, n).toTensor();
  if (at::infer_size(a.sizes(), b.sizes()) != out.sizes().vec()) refuse("`out` has another shape than the quotient");
}

void contract(const Stack& s, size_t n) {
  if (!argument(s, n - 1, n).isNone()) refuse("einsum with a path is not supported");
}

const std::map<std::string, Guard>& guards() {
  static const std::map<std::string, Guard> all = {
      {"aten::floordiv.int", {divide_ints}},
      {"aten::floordiv", {divide_ints}},
      {"aten::remainder.int", {divide_ints}},
      {"aten::remainder", {divide_ints}},
      {"aten::remainder.Tensor", {divide_tensors}},
      {"aten::remainder.Scalar", {divide_tensors}},
      {"aten::remainder.Scalar_Tensor", {divide_tensors}},
      {"aten::remainder_.Tensor", {divide_tensors}},
      {"aten::remainder_.Scalar", {divide_tensors}},
      {"aten::fmod.Tensor", {divide_tensors}},
      {"aten::fmod.Scalar", {divide_tensors}},
      {"aten::fmod_.Tensor", {divide_tensors}},
      {"aten::fmod_.Scalar", {divide_tensors}},
      {"aten::floor_divide", {divide_tensors}},
      {"aten::floor_divide.Scalar", {divide_tensors}},
      {"aten::floor_divide_.Tensor", {divide_tensors}},
      {"aten::floor_divide_.Scalar", {divide_tensors}},
      {"aten::div.Tensor_mode", {divide_tensors}},
      {"aten::div.Scalar_mode", {divide_tensors}},
      {"aten::div_.Tensor_mode", {divide_tensors}},
      {"aten::div_.Scalar_mode", {divide_tensors}},
      {"aten::add.str", {join}},
      {"aten::format", {format}},
      {"aten::str", {[](const Stack& s, size_t) { show(s.back()); }}},
      {"aten::mul.left_t", {[](const Stack& s, size_t n) { repeat_list(argument(s, 0, n), argument(s, 1, n)); }}},
      {"aten::mul.right_", {[](const Stack& s, size_t n) { repeat_list(argument(s, 1, n), argument(s, 0, n)); }}},
      {"aten::batch_norm", {normalise}},
      {"aten::scaled_dot_product_attention", {attend}},
      {"aten::_native_multi_head_attention", {attend_natively}},
      {"aten::repeat_interleave.self_int", {interleave}},
      {"aten::embedding", {[](const Stack& s, size_t n) { if (argument(s, 4, n).toBool()) refuse("sparse gradients are not supported"); }}},
      {"aten::grid_sampler", {sample_grid}},
      {"aten::einsum", {contract}},
      {"aten::div.out", {divide_into}},
      {"aten::pad", {pad}},
      {"aten::conv1d", {slide}},
      {"aten::conv2d", {slide}},
      {"aten::conv3d", {slide}},
      {"aten::conv1d.padding", {slide}},
      {"aten::conv2d.padding", {slide}},
      {"aten::conv3d.padding", {slide}},
      {"aten::conv_transpose1d", {slide}},
      {"aten::conv_transpose2d.input", {slide}},
      {"aten::conv_transpose3d.input", {slide}},
      {"aten::convolution", {slide}},
      {"aten::_convolution", {slide}},
      {"aten::_convolution.deprecated", {slide}},
      {"aten::_convolution_mode", {slide}},
      {"aten::max_pool1d", {pool}},
      {"aten::max_pool2d", {pool}},
      {"aten::max_pool3d", {pool}},
      {"aten::max_pool2d_with_indices", {pool}},
      {"aten::avg_pool1d", {slide}},
      {"aten::avg_pool2d", {slide}},
      {"aten::avg_pool3d", {slide}},
      {"aten::im2col", {slide}},
      {"aten::col2im", {slide}},
      {"aten::adaptive_avg_pool1d", {slide}},
      {"aten::adaptive_avg_pool2d", {slide}},
      {"aten::adaptive_avg_pool3d", {slide}},
      {"aten::adaptive_max_pool1d", {slide}},
      {"aten::adaptive_max_pool2d", {slide}},
      {"aten::adaptive_max_pool3d", {slide}},
      {"aten::upsample_nearest1d", {resample}},
      {"aten::upsample_nearest1d.vec", {resample}},
      {"aten::upsample_nearest2d", {resample}},
      {"aten::upsample_nearest2d.vec", {resample}},
      {"aten::upsample_nearest3d", {resample}},
      {"aten::upsample_nearest3d.vec", {resample}},
      {"aten::upsample_linear1d", {resample_floats}},
      {"aten::upsample_linear1d.vec", {resample_floats}},
      {"aten::upsample_bilinear2d", {resample_floats}},
      {"aten::upsample_bilinear2d.vec", {resample_floats}},
      {"aten::upsample_bicubic2d", {resample_floats}},
      {"aten::upsample_bicubic2d.vec", {resample_floats}},
      {"aten::upsample_trilinear3d", {resample_floats}},
      {"aten::upsample_trilinear3d.vec", {resample_floats}},
      {"aten::_upsample_nearest_exact1d", {resample}},
      {"aten::_upsample_nearest_exact1d.vec", {resample}},
      {"aten::_upsample_nearest_exact2d", {resample}},
      {"aten::_upsample_nearest_exact2d.vec", {resample}},
      {"aten::_upsample_nearest_exact3d", {resample}},
      {"aten::_upsample_nearest_exact3d.vec", {resample}},
      {"aten::_upsample_bilinear2d_aa", {resample_floats}},
      {"aten::_upsample_bilinear2d_aa.vec", {resample_floats}},
      {"aten::_upsample_bicubic2d_aa", {resample_floats}},
      {"aten::_upsample_bicubic2d_aa.vec", {resample_floats}},
      {"aten::empty.memory_format", {nullptr, true}},
      {"aten::empty_like", {nullptr, true}},
      {"aten::new_empty", {nullptr, true}},
  };
  return all;
}

// The same operator with its guard.
Operator guarded(const Operator& op, const Guard& guard) {
  Operation original = op.getOperation();
  const size_t n = op.schema().arguments().size();
  Operation operation([original, guard, n](Stack& s) mutable {
    if (guard.before) guard.before(s, n);
    original(s);
    if (guard.zeros) s.back().toTensor().zero_();
  });
  const auto& schema = op.schema();
  if (!schema.is_vararg()) {
    return Operator(schema.name(), schema.overload_name(), schema.arguments(), schema.returns(), std::move(operation), op.aliasAnalysisKind());
  }
  std::ostringstream text;
  text << schema;
  return Operator(text.str(), std::move(operation), op.aliasAnalysisKind());
}

}  // namespace

void guard_operators() {
  static std::once_flag once;
  std::call_once(once, [] {
    std::unordered_set<std::string> families, missing;
    for (const auto& kv : guards()) {
      families.insert(kv.first.substr(0, kv.first.find('.')));
      missing.insert(kv.first);
    }
    for (const auto& family : families) {
      for (const auto& op : torch::jit::getAllOperatorsFor(c10::Symbol::fromQualString(family))) {
        missing.erase(c10::toString(op->schema().operator_name()));
      }
    }
    if (!missing.empty()) throw std::logic_error("this libtorch has no operator `" + *missing.begin() + "`");
    // Graphs that were compiled before hold them by address.
    static std::vector<std::shared_ptr<Operator>> kept;
    for (const auto& family : families) {
      // All of a name in the order in which they stand: the compiler takes the first that fits.
      const auto operators = torch::jit::getAllOperatorsFor(c10::Symbol::fromQualString(family));
      kept.insert(kept.end(), operators.begin(), operators.end());
      for (const auto& op : operators) torch::jit::deregisterOperator(op->schema());
      for (const auto& op : operators) {
        const auto it = guards().find(c10::toString(op->schema().operator_name()));
        torch::jit::registerOperator(it == guards().end() ? Operator(*op) : guarded(*op, it->second));
      }
    }
  });
}

}  // namespace lathe

extern "C" int lathe_program_has(const char* name) {
  try {
    const std::string given = name;
    const auto symbol = c10::Symbol::fromQualString(given.substr(0, given.find('.')));
    for (const auto& op : torch::jit::getAllOperatorsFor(symbol)) {
      if (c10::toString(op->schema().operator_name()) == given) return 1;
    }
    return 0;
  } catch (...) {
    return 0;
  }
}
