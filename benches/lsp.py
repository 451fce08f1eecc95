"""The language server: `make build`, then `python3 benches/lsp.py [PATH_OF_LATHE]`. Standard library only.

A script of 1,000 lines (`scripts/study_avatars.rhai` and copies of its functions under other names, with its imports) is open. A client types lines into
it, one character a change, so that most states on the way are half a line. An update is the time from the change to the diagnostics of that version, on the
clock and (Linux) on the server's processors, which neighbours do not change.
"""

import glob
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
LATHE = os.path.abspath(sys.argv[1]) if len(sys.argv) > 1 else os.path.join(ROOT, "target/release/lathe")
TYPED = [
    "let extra = torch::zeros([2, 3], #{ dtype: \"f32\" }).sum();",
    "let more = [[1, 2], [3]].map(|row| row.len() * 2);",
    "if 2.0 > 1.0 { print(`${2.0 / 3.0:.3}`); }",
]


class Server:
    def __init__(self, folder):
        self.begin = time.perf_counter()
        env = {**os.environ, "LATHE_STDLIB": os.path.join(ROOT, "stdlib")}
        self.process = subprocess.Popen([LATHE, "lsp"], cwd=folder, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.number = 0

    def send(self, message):
        body = json.dumps({"jsonrpc": "2.0", **message}).encode()
        self.process.stdin.write(b"Content-Length: %d\r\n\r\n%s" % (len(body), body))
        self.process.stdin.flush()

    def read(self):
        length = 0
        while (line := self.process.stdout.readline()) != b"\r\n":
            length = int(line.split(b":")[1])
        return json.loads(self.process.stdout.read(length))

    def ask(self, method, params):
        self.number += 1
        self.send({"id": self.number, "method": method, "params": params})
        while (message := self.read()).get("id") != self.number:
            pass
        return message["result"]

    def diagnostics(self, uri, version):
        while True:
            params = self.read().get("params", {})
            if (params.get("uri"), params.get("version")) == (uri, version):
                return params["diagnostics"]


def on_processors(process):
    total = 0
    for file in glob.glob(f"/proc/{process.pid}/task/*/schedstat"):
        with open(file) as f:
            total += int(f.read().split()[0])
    return total / 1e6


def thousand():
    with open(os.path.join(ROOT, "scripts/study_avatars.rhai")) as f:
        text = f.read()
    functions = re.split(r"\n(?=(?:///[^\n]*\n)*(?:private )?fn )", text)
    head, functions = functions[0], [f for f in functions[1:] if not re.match(r"(///.*\n)*fn (main|params)\(", f)]
    names = re.findall(r"^(?:private )?fn (\w+)", "\n".join(functions), re.M)
    out, copy = text, 1
    while out.count("\n") < 1000:
        copy += 1
        for f in functions:
            out += "\n" + re.sub(r"\b(%s)(?=\()" % "|".join(names), lambda m: f"{m[1]}_{copy}", f) + "\n"
    return out


def quantiles(times):
    times = sorted(times)
    return f"median {times[len(times) // 2]:.1f} ms, 95 % within {times[len(times) * 95 // 100]:.1f} ms, most {times[-1]:.1f} ms (of {len(times)})"


with tempfile.TemporaryDirectory() as folder:
    folder = shutil.copytree(os.path.join(ROOT, "scripts"), os.path.join(os.path.realpath(folder), "scripts"))
    path = os.path.join(folder, "long.rhai")
    uri, text = "file://" + path, thousand()
    with open(path, "w") as f:
        f.write(text)
    server = Server(folder)
    server.ask("initialize", {"capabilities": {"general": {"positionEncodings": ["utf-8"]}}, "rootUri": "file://" + folder})
    print(f"start to the answer of `initialize`: {(time.perf_counter() - server.begin) * 1e3:.0f} ms")
    server.send({"method": "initialized", "params": {}})
    begin = time.perf_counter()
    server.send({"method": "textDocument/didOpen", "params": {"textDocument": {"uri": uri, "languageId": "rhai", "version": 1, "text": text}}})
    faults = server.diagnostics(uri, 1)
    assert not faults, faults[:3]
    print(f"{text.count(chr(10))} lines, opened and checked: {(time.perf_counter() - begin) * 1e3:.0f} ms")
    lines, times, busy, version = text.split("\n"), [], [], 1
    ends = [i for i, line in enumerate(lines) if line.startswith("    ") and line.endswith(";") and not line.startswith("     ")]
    for k in range(12):
        at = ends[(k * 37) % len(ends)]
        for i, c in enumerate("\n    " + TYPED[k % len(TYPED)]):
            place = {"line": at, "character": len(lines[at])} if c == "\n" else {"line": at + 1, "character": i - 1}
            version += 1
            begin, used = time.perf_counter(), on_processors(server.process)
            change = [{"range": {"start": place, "end": place}, "text": c}]
            server.send({"method": "textDocument/didChange", "params": {"textDocument": {"uri": uri, "version": version}, "contentChanges": change}})
            server.diagnostics(uri, version)
            times.append((time.perf_counter() - begin) * 1e3)
            busy.append(on_processors(server.process) - used)
        lines.insert(at + 1, "    " + TYPED[k % len(TYPED)])
        ends = [e + (e > at) for e in ends]
    print("a change to its diagnostics:", quantiles(times))
    print("the same on the processors:", quantiles(busy))
    begin = time.perf_counter()
    server.ask("textDocument/completion", {"textDocument": {"uri": uri}, "position": {"line": 0, "character": 0}})
    print(f"the first completion, for which the reference is read: {(time.perf_counter() - begin) * 1e3:.0f} ms")
    for method in ["completion", "hover", "signatureHelp", "definition", "semanticTokens/full", "documentSymbol", "foldingRange"]:
        times = []
        for line in range(0, len(lines), 20):
            begin = time.perf_counter()
            server.ask("textDocument/" + method, {"textDocument": {"uri": uri}, "position": {"line": line, "character": 12}})
            times.append((time.perf_counter() - begin) * 1e3)
        print(f"{method}:", quantiles(times))
    server.ask("shutdown", None)
    server.send({"method": "exit"})
    sys.exit(server.process.wait())
