// Values of the boundary to and from libtorch's IValue.
#pragma once
#include "guard.h"

#include <ATen/core/ivalue.h>
#include <ATen/core/jit_type.h>

#include <optional>

namespace lathe {

// What using `v` for a parameter of type `t` costs: 0 is exact, negative does not fit. `n` is the length of a fixed-size
// list such as `int[2] stride`, for which one number stands for all.
int to_ivalue(const LatheValue& v, const c10::Type& t, const std::optional<int32_t>& n, c10::IValue& out);

// The reverse; strings, arrays and tensors become the receiver's.
void from_ivalue(const c10::IValue& v, LatheValue& out);

// For messages: `Tensor`, `int`, ...
const char* tag_name(int64_t tag);

}  // namespace lathe
