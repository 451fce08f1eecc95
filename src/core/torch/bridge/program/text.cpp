// The text of a program, checked before anything of it is compiled. It is taken apart by libtorch's own lexer and parser, so that what is
// checked is what is compiled.
#include "program.h"

#include <torch/csrc/jit/frontend/lexer.h>
#include <torch/csrc/jit/frontend/parser.h>
#include <torch/csrc/jit/frontend/tree_views.h>
#include <torch/csrc/jit/runtime/operator.h>

#include <map>
#include <unordered_map>
#include <vector>

using namespace torch::jit;

namespace lathe {

namespace {

// The parser, the compiler and the trees' destructors call themselves for each of these: more would use up the stack. An exporter writes a
// variable for anything longer.
constexpr size_t kMaxChain = 2000, kMaxNesting = 100, kMaxIndent = 100, kMaxElif = 200, kMaxDepth = 200;
// Functions and classes that refer to each other in a row.
constexpr size_t kMaxReferences = 200;

[[noreturn]] void refuse(const std::string& what) { throw Refused("its code " + what); }

// Tokens without a comma between them, over all brackets that are open.
void check_tokens(const std::shared_ptr<Source>& source) {
  Lexer lexer(source);
  std::vector<size_t> open;
  size_t run = 0, indent = 0, elif = 0;
  for (;; ) {
    const int kind = lexer.next().kind;
    switch (kind) {
      case TK_EOF: return;
      case '(': case '[': case '{':
        open.push_back(run);
        if (open.size() > kMaxNesting) refuse("nests brackets too deeply");
        break;
      case ')': case ']': case '}':
        if (!open.empty()) {
          run = open.back();
          open.pop_back();
        }
        break;
      case ',': case TK_NEWLINE: run = open.empty() ? 0 : open.back(); continue;
      case TK_INDENT:
        run = 0;
        if (++indent > kMaxIndent) refuse("nests blocks too deeply");
        continue;
      case TK_DEDENT:
        if (indent > 0) indent--;
        continue;
      case TK_ELIF:
        if (++elif > kMaxElif) refuse("has too many branches in a row");
        break;
      default: break;
    }
    if (++run > kMaxChain) refuse("has an expression that is too long");
  }
}

// Operators on numbers, strings and other values that cannot change: the compiler runs them where their arguments are known.
const std::unordered_set<std::string>& run_by_compiler() {
  static const std::unordered_set<std::string> names = [] {
    std::unordered_set<std::string> out;
    for (const auto& op : getAllOperators()) {
      const auto& schema = op->schema();
      auto fixed = [](const std::vector<c10::Argument>& list) {
        return std::all_of(list.begin(), list.end(), [](const c10::Argument& a) {
          const auto kind = a.type()->kind();
          return kind != c10::TypeKind::TensorType && kind != c10::TypeKind::ListType && kind != c10::TypeKind::DictType;
        });
      };
      if (fixed(schema.arguments()) && fixed(schema.returns())) out.insert(c10::Symbol::fromQualString(schema.name()).toUnqualString());
    }
    return out;
  }();
  return names;
}

// What may be called by a bare name.
const std::unordered_set<std::string> kCallable = {"annotate", "unchecked_cast", "uninitialized", "getattr", "hasattr", "isinstance", "int",
                                                   "float", "bool", "str", "len", "range", "enumerate", "zip", "list", "tuple", "min", "max",
                                                   "abs", "round", "all", "any", "rangelist", "complex", "dict", "sum"};
// Names of the importer's own: whatever stood for one of them would step past the checks below.
const std::unordered_set<std::string> kReserved = {"torch", "ops", "__torch__", "CONSTANTS"};

bool is_var(const TreeRef& t) { return t->kind() == TK_VAR; }
std::string var_name(const TreeRef& t) { return Var(t).name().name(); }

// The name that a chain of `.` spells, or nothing.
std::string dotted(TreeRef t) {
  std::string name;
  for (; t->kind() == '.'; t = t->tree(0)) name = "." + Select(t).selector().name() + name;
  return is_var(t) ? var_name(t) + name : "";
}

// The variable that a chain of `.` begins with, or nothing.
std::string root(TreeRef t) {
  while (t->kind() == '.') t = t->tree(0);
  return is_var(t) ? var_name(t) : "";
}

struct Walk {
  const Allowed& allowed;
  std::set<std::string>* references;
  std::vector<std::pair<TreeRef, size_t>> todo;
  // Variables of the function that is walked: those that only ever stand for a function of the archive, and all others.
  std::set<std::string> functions, others;

  void push(const TreeRef& t, size_t depth) { todo.emplace_back(t, depth); }

  void run(const TreeRef& top) {
    push(top, 0);
    while (!todo.empty()) {
      auto [t, depth] = todo.back();
      todo.pop_back();
      if (depth > kMaxDepth) refuse("is nested too deeply");
      if (!t->isAtom()) visit(t, depth + 1);
    }
  }

  void visit(const TreeRef& t, size_t depth) {
    switch (t->kind()) {
      case TK_CLASS_DEF:
        for (const auto& statement : ClassDef(t).body()) class_statement(statement, depth);
        return;
      case TK_DEF: {
        const Def def(t);
        declaration(def.decl(), depth);
        // Methods of a class are walked one after the other, each with its statements.
        bindings(t);
        for (const auto& s : def.statements()) {
          if (s.kind() == TK_DEF || s.kind() == TK_CLASS_DEF) refuse("defines a function within a function");
          push(s, depth);
        }
        return;
      }
      case TK_GLOBAL: case '%': case TK_MOD_EQ: refuse("has a statement that no exporter writes");
      case TK_VAR:
        if (kReserved.count(var_name(t))) refuse("uses the name `" + var_name(t) + "` as a value");
        return;
      case '.': select(t, depth); return;
      case TK_APPLY: apply(t, depth); return;
      default:
        for (const auto& child : t->trees()) {
          if (child->kind() == TK_DEF || child->kind() == TK_CLASS_DEF) refuse("defines a function within a function");
          push(child, depth);
        }
    }
  }

  // Finds what names stand for in a function.
  void bindings(const TreeRef& def) {
    functions.clear();
    others.clear();
    std::vector<std::pair<TreeRef, bool>> list = {{def, false}};
    while (!list.empty()) {
      const auto [t, is_bound] = list.back();
      list.pop_back();
      if (t->isAtom()) continue;
      if (t->kind() == TK_VAR && is_bound) others.insert(var_name(t));
      if (t->kind() == TK_PARAM) others.insert(Param(t).ident().name());
      if (t->kind() == TK_ASSIGN) {
        const Assign assign{t};
        const auto lhs = assign.lhs().tree();
        const bool named = is_var(lhs) && assign.rhs().present() && assign.rhs().get().kind() == '.' && root(assign.rhs().get()) == "__torch__";
        if (named) functions.insert(var_name(lhs));
        else list.emplace_back(lhs, true);
        if (assign.rhs().present()) list.emplace_back(assign.rhs().get(), false);
        continue;
      }
      // The names that these bind are among their first parts; that more names than those are taken for bound does no harm.
      const bool binds = t->kind() == TK_FOR || t->kind() == TK_AUG_ASSIGN || t->kind() == TK_WITH_ITEM || t->kind() == TK_LIST_COMP ||
                         t->kind() == TK_DICT_COMP;
      for (const auto& child : t->trees()) {
        const bool part = child->kind() == TK_VAR || child->kind() == TK_LIST || child->kind() == TK_TUPLE_LITERAL || child->kind() == TK_OPTION ||
                          child->kind() == TK_STARRED;
        const bool body = t->kind() == TK_FOR && child.get() == t->trees().back().get();
        list.emplace_back(child, part && !body && (binds || is_bound));
      }
    }
  }

  bool is_callable(const std::string& name) const {
    return !others.count(name) && (functions.count(name) || kCallable.count(name));
  }

  void declaration(const Decl& decl, size_t depth) {
    for (const auto& p : decl.params()) {
      if (kReserved.count(p.ident().name())) refuse("uses the name `" + p.ident().name() + "` as a value");
      if (p.defaultValue().present()) literal(p.defaultValue().get(), depth);
    }
  }

  // What the compiler evaluates by running it.
  void literal(const TreeRef& t, size_t depth) {
    switch (t->kind()) {
      case TK_CONST: case TK_STRINGLITERAL: case TK_NONE: case TK_TRUE: case TK_FALSE: return;
      case TK_UNARY_MINUS: case TK_LIST_LITERAL: case TK_TUPLE_LITERAL: case TK_DICT_LITERAL: case TK_LIST:
        if (depth > kMaxDepth) refuse("is nested too deeply");
        for (const auto& child : t->trees()) literal(child, depth + 1);
        return;
      case TK_APPLY: {
        const Apply call(t);
        const auto callee = call.callee().tree();
        const std::string name = is_var(callee) ? var_name(callee) : "";
        if (name == "float" && call.inputs().size() == 1) return literal(call.inputs()[0], depth + 1);
        if (name == "annotate" && call.inputs().size() == 2) return literal(call.inputs()[1], depth + 1);
        break;
      }
      default: break;
    }
    refuse("has a default or a constant that would have to be computed");
  }

  void class_statement(const Stmt& s, size_t depth) {
    switch (s.kind()) {
      case TK_DEF: push(s, depth); return;
      case TK_PASS: return;
      case TK_ASSIGN: {
        const Assign assign{s.tree()};
        const auto lhs = assign.lhs().tree();
        // `__annotations__["0"] = T` names a type.
        const bool names_type = lhs->kind() == TK_SUBSCRIPT && is_var(lhs->tree(0)) && var_name(lhs->tree(0)) == "__annotations__";
        if (assign.rhs().present() && !names_type) literal(assign.rhs().get(), depth);
        return;
      }
      default: refuse("has a class with something else than attributes and methods");
    }
  }

  void select(const TreeRef& t, size_t depth) {
    const auto value = t->tree(0);
    const std::string name = Select(t).selector().name();
    if (root(t) == "__torch__") references->insert(dotted(t));
    if (is_var(value) && var_name(value) == "torch") return known("aten::" + name, "torch." + name);
    if (value->kind() == '.' && is_var(value->tree(0)) && var_name(value->tree(0)) == "ops") {
      const std::string space = Select(value).selector().name();
      return known(space + "::" + name, "ops." + space + "." + name);
    }
    if (is_var(value) && var_name(value) != "ops" && kReserved.count(var_name(value))) return;
    push(value, depth);
  }

  void known(const std::string& op, const std::string& as) const {
    // Devices are constants once it is compiled, and are looked at there.
    if (!allowed.names.count(op) && op != "aten::device") refuse("uses `" + as + "`, which is not among the operators that programs may use");
  }

  void apply(const TreeRef& t, size_t depth) {
    const Apply call(t);
    const auto callee = call.callee().tree();
    if (is_var(callee)) {
      if (!is_callable(var_name(callee))) refuse("calls `" + var_name(callee) + "`");
    } else if (callee->kind() == '.') {
      const std::string name = Select(callee).selector().name();
      // What begins with `torch` or `ops` is looked at as such, and `__torch__` is the archive's own.
      if (!kReserved.count(root(callee)) && run_by_compiler().count(name)) known("aten::" + name, name);
      push(callee, depth);
    } else {
      refuse("calls something that it has computed");
    }
    for (const auto& input : call.inputs()) push(input, depth);
    for (const auto& attribute : call.attributes()) push(attribute.value(), depth);
  }
};

}  // namespace

void check_text(const std::shared_ptr<Source>& source, const std::string& name, const Allowed& allowed, References& references) {
  check_tokens(source);
  Parser parser(source);
  auto& lexer = parser.lexer();
  // What the importer skips in files of old versions.
  if (lexer.cur().kind == TK_IDENT && lexer.cur().text() == "op_version_set") {
    while (lexer.cur().kind != TK_NEWLINE && lexer.cur().kind != TK_EOF) lexer.next();
    lexer.nextIf(TK_NEWLINE);
  }
  while (lexer.nextIf(TK_IMPORT)) {
    while (lexer.cur().kind != TK_NEWLINE && lexer.cur().kind != TK_EOF) lexer.next();
    lexer.nextIf(TK_NEWLINE);
  }
  while (lexer.cur().kind != TK_EOF) {
    const int kind = lexer.cur().kind;
    if (kind != TK_CLASS_DEF && kind != TK_DEF) refuse("has something else than classes and functions at its top");
    const auto item = kind == TK_CLASS_DEF ? parser.parseClass() : parser.parseFunction(/*is_method=*/false);
    Walk walk{allowed, &references[name + "." + Ident(item->tree(0)).name()], {}};
    walk.run(item);
  }
}

void check_references(const References& references) {
  // Depth first, with a list of its own: how many there are in a row on from each.
  std::unordered_map<std::string, size_t> lengths;
  std::unordered_set<std::string> open;
  for (const auto& first : references) {
    std::vector<std::pair<std::string, bool>> todo = {{first.first, false}};
    while (!todo.empty()) {
      const auto [name, is_ready] = todo.back();
      todo.pop_back();
      const auto found = references.find(name);
      if (found == references.end() || lengths.count(name)) continue;
      if (!is_ready) {
        if (!open.insert(name).second) continue;
        todo.emplace_back(name, true);
        for (const auto& next : found->second) {
          if (!open.count(next)) todo.emplace_back(next, false);
        }
        continue;
      }
      size_t longest = 0;
      for (const auto& next : found->second) {
        const auto length = lengths.find(next);
        if (length != lengths.end()) longest = std::max(longest, length->second);
      }
      open.erase(name);
      lengths[name] = longest + 1;
      if (longest >= kMaxReferences) refuse("refers from one function to the next too deeply");
    }
  }
}

}  // namespace lathe
