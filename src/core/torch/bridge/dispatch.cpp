// Any operator of libtorch by name: boxed calls through the dispatcher, so that autograd, no_grad and autocast apply.
#include "convert.h"

#include <ATen/core/dispatch/Dispatcher.h>

#include <climits>
#include <memory>
#include <mutex>
#include <sstream>
#include <unordered_map>
#include <vector>

using c10::IValue;

namespace {

struct Overload {
  c10::OperatorHandle op;
  const c10::FunctionSchema* schema;
  bool has_out;
};

}  // namespace

struct LatheOp {
  std::string name;
  std::vector<Overload> overloads;
};

namespace {

using Table = std::unordered_map<std::string, std::unique_ptr<LatheOp>>;

std::mutex& table_lock() {
  static std::mutex m;
  return m;
}

// Every operator with its overloads, cheapest to match first: those that write into `out=` last.
Table build_table() {
  Table table;
  auto& dispatcher = c10::Dispatcher::singleton();
  for (const auto& name : dispatcher.getAllOpNames()) {
    auto handle = dispatcher.findSchema(name);
    if (!handle) continue;
    const auto& schema = handle->schema();
    bool has_out = false;
    for (const auto& a : schema.arguments()) has_out |= a.is_out();
    auto& entry = table[name.name];
    if (!entry) entry.reset(new LatheOp{name.name, {}});
    entry->overloads.push_back({*handle, &schema, has_out});
  }
  for (auto& kv : table) {
    std::stable_sort(kv.second->overloads.begin(), kv.second->overloads.end(), [](const Overload& a, const Overload& b) {
      if (a.has_out != b.has_out) return !a.has_out;
      auto na = a.schema->arguments().size(), nb = b.schema->arguments().size();
      return na != nb ? na < nb : a.schema->overload_name() < b.schema->overload_name();
    });
  }
  return table;
}

Table& table() {
  static Table t = build_table();
  return t;
}

// Fills the stack for one overload. Returns what the conversions cost, or -1 and why; `reached` is how many arguments fitted.
int match(const Overload& o, const LatheValue* values, int64_t positional, const char* const* keywords, int64_t keyword_count,
          torch::jit::Stack& stack, std::string* why, int* reached) {
  const auto& params = o.schema->arguments();
  int cost = 0;
  int64_t used = 0;
  stack.clear();
  auto fail = [&](size_t at, std::string reason) {
    if (why) *why = std::move(reason);
    if (reached) *reached = static_cast<int>(at);
    return -1;
  };
  if (positional > static_cast<int64_t>(params.size())) return fail(0, "too many arguments");
  for (size_t i = 0; i < params.size(); i++) {
    const auto& p = params[i];
    const LatheValue* v = nullptr;
    if (static_cast<int64_t>(i) < positional) {
      if (p.kwarg_only()) return fail(i, "too many arguments: `" + p.name() + "` is taken by name only");
      v = &values[i];
    }
    for (int64_t k = 0; k < keyword_count; k++) {
      if (p.name() != keywords[k]) continue;
      if (v) return fail(i, "`" + p.name() + "` is given twice");
      v = &values[positional + k];
      used++;
    }
    if (v) {
      stack.emplace_back();
      int c = lathe::to_ivalue(*v, *p.real_type(), p.N(), stack.back());
      if (c < 0) return fail(i, "`" + p.name() + "` must be " + p.real_type()->str() + ", got " + lathe::tag_name(v->tag));
      cost += c;
    } else if (p.default_value()) {
      stack.push_back(*p.default_value());
    } else {
      return fail(i, "`" + p.name() + "` is missing");
    }
  }
  if (used != keyword_count) {
    for (int64_t k = 0; k < keyword_count; k++) {
      bool known = false;
      for (const auto& p : params) known |= p.name() == keywords[k];
      if (!known) return fail(params.size(), "unknown option `" + std::string(keywords[k]) + "`");
    }
  }
  return cost;
}

// The reason of the overload that came furthest, then every schema.
[[noreturn]] void no_match(const LatheOp& op, const LatheValue* values, int64_t positional, const char* const* keywords,
                           int64_t keyword_count) {
  torch::jit::Stack stack;
  std::ostringstream schemas;
  std::string best;
  int furthest = -1;
  for (const auto& o : op.overloads) {
    if (o.has_out && op.overloads.size() > 1) continue;
    std::string why;
    int reached = 0;
    match(o, values, positional, keywords, keyword_count, stack, &why, &reached);
    if (reached > furthest) {
      furthest = reached;
      best = why;
    }
    schemas << "\n" << *o.schema;
  }
  throw lathe::NoMatch(best + schemas.str());
}

// The cheapest overload that takes the arguments, which are then in `best`.
const Overload* choose(const LatheOp& op, const LatheValue* values, int64_t positional, const char* const* keywords, int64_t keyword_count,
                       torch::jit::Stack& best) {
  torch::jit::Stack stack;
  stack.reserve(16);
  const Overload* pick = nullptr;
  int lowest = INT_MAX;
  for (const auto& o : op.overloads) {
    int cost = match(o, values, positional, keywords, keyword_count, stack, nullptr, nullptr);
    if (cost < 0 || cost >= lowest) continue;
    lowest = cost;
    pick = &o;
    best.swap(stack);
    if (cost == 0) break;
  }
  if (!pick) no_match(op, values, positional, keywords, keyword_count);
  return pick;
}

}  // namespace

extern "C" const LatheOp* lathe_op(const char* given) {
  try {
    std::lock_guard<std::mutex> held(table_lock());
    auto& t = table();
    std::string name = strstr(given, "::") ? given : std::string("aten::") + given;
    auto it = t.find(name);
    if (it != t.end()) return it->second.get();
    auto dot = name.rfind('.');
    if (dot == std::string::npos) return nullptr;
    auto base = t.find(name.substr(0, dot));
    if (base == t.end()) return nullptr;
    std::string overload = name.substr(dot + 1);
    for (const auto& o : base->second->overloads) {
      if (o.schema->overload_name() != overload && !(overload == "default" && o.schema->overload_name().empty())) continue;
      auto& entry = t[name];
      entry.reset(new LatheOp{name, {o}});
      return entry.get();
    }
    return nullptr;
  } catch (...) {
    return nullptr;
  }
}

extern "C" const LatheOp* lathe_op_of(const char* name, const char* const* overloads, int64_t count) {
  try {
    std::lock_guard<std::mutex> held(table_lock());
    auto& t = table();
    std::string key = name;
    for (int64_t i = 0; i < count; i++) key += std::string(i ? "," : "|") + overloads[i];
    auto known = t.find(key);
    if (known != t.end()) return known->second.get();
    auto base = t.find(name);
    if (base == t.end()) return nullptr;
    auto op = std::make_unique<LatheOp>(LatheOp{name, {}});
    for (const auto& o : base->second->overloads) {
      for (int64_t i = 0; i < count; i++) {
        if (o.schema->overload_name() == overloads[i]) op->overloads.push_back(o);
      }
    }
    if (op->overloads.empty()) return nullptr;
    return (t[key] = std::move(op)).get();
  } catch (...) {
    return nullptr;
  }
}

extern "C" int lathe_pick(const LatheOp* op, const LatheValue* values, int64_t positional, const char* const* keywords,
                          int64_t keyword_count, char** overload, char** err) {
  return lathe::guard(err, [&] {
    torch::jit::Stack stack;
    const Overload* pick = choose(*op, values, positional, keywords, keyword_count, stack);
    *overload = lathe::c_string(pick->schema->overload_name());
  });
}

extern "C" int lathe_call(const LatheOp* op, const LatheValue* values, int64_t positional, const char* const* keywords,
                          int64_t keyword_count, LatheValue* results, char** err) {
  *results = LatheValue{LATHE_NONE, 0, {0}};
  return lathe::guard(err, [&] {
    torch::jit::Stack best;
    const Overload* pick = choose(*op, values, positional, keywords, keyword_count, best);
    pick->op.callBoxed(&best);
    auto tuple = c10::ivalue::Tuple::create(std::move(best));
    lathe::from_ivalue(IValue(std::move(tuple)), *results);
  });
}

extern "C" int lathe_schemas(const char* name, void* data, void (*f)(void*, const char*, const char*), char** err) {
  return lathe::guard(err, [&] {
    auto report = [&](const LatheOp& op) {
      for (const auto& o : op.overloads) {
        std::ostringstream s;
        s << *o.schema;
        f(data, op.name.c_str(), s.str().c_str());
      }
    };
    if (name) {
      if (const LatheOp* op = lathe_op(name)) report(*op);
      return;
    }
    std::lock_guard<std::mutex> held(table_lock());
    for (const auto& kv : table()) {
      if (kv.first == kv.second->name && kv.first.find('.') == std::string::npos) report(*kv.second);
    }
  });
}
