// Says for each byte of each file on stdin what the grammar takes it for: c comment, s text, k keyword, n number, f format, . anything else.
const fs = require("fs");
const path = require("path");
const tm = require("vscode-textmate");
const onig = require("vscode-oniguruma");

const wasm = fs.readFileSync(require.resolve("vscode-oniguruma/release/onig.wasm")).buffer;
const lib = onig.loadWASM(wasm).then(() => ({
  createOnigScanner: (p) => new onig.OnigScanner(p),
  createOnigString: (s) => new onig.OnigString(s),
}));
const grammar = process.argv[2];
const registry = new tm.Registry({ onigLib: lib, loadGrammar: async () => tm.parseRawGrammar(fs.readFileSync(grammar, "utf8"), grammar) });

function kind(scopes) {
  // The innermost of these decides: what stands in `${..}` is code again.
  for (const scope of scopes.slice().reverse()) {
    if (scope.startsWith("comment.")) return "c";
    if (scope.startsWith("string.") || scope.startsWith("constant.character.escape")) return "s";
    if (scope.startsWith("constant.other.format")) return "f";
    if (scope.startsWith("meta.interpolation")) return ".";
    if (scope.startsWith("keyword.control") || scope.startsWith("keyword.declaration") || scope.startsWith("keyword.operator.in")) return "k";
    if (scope.startsWith("constant.numeric")) return "n";
  }
  return ".";
}

registry.loadGrammar("source.lathe").then((loaded) => {
  for (const file of fs.readFileSync(0, "utf8").split("\n").filter((f) => f)) {
    let stack = tm.INITIAL;
    let out = "";
    for (const line of fs.readFileSync(file, "utf8").split("\n")) {
      const found = loaded.tokenizeLine(line, stack);
      stack = found.ruleStack;
      for (const token of found.tokens) {
        out += kind(token.scopes).repeat(Buffer.byteLength(line.slice(token.startIndex, token.endIndex)));
      }
      out += "\n";
    }
    process.stdout.write(JSON.stringify(out) + "\n");
  }
});
