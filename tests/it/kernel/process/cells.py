"""Cells: the prompt's language, errors at their lines, requests to stop, and the end of a kernel."""
import os
import signal
import subprocess
import sys
import time

from client import Kernel, is_in, kernel, plain, until

TRAIN = """
let run = train::run(#{ output_dir: "exps", exp_name: "try1", seed: 0 });
run.track("n", nn::linear(2, 1));
fn step(run, batch) {
    sleep(0.3);
    print(`step ${run.step}`);
    #{ loss: 1.0 }
}
train::fit(run, (), "step", #{ steps: 1000, log_every: 1, save_every: 0 });
"""


def language(k):
    assert k.value("let x = 20;\nlet y = 1;\nx + y") == "21"
    assert k.value("fn add(a) { a + x }\nadd(22)") == "42", "functions see the variables, and stay"
    assert k.value('import "./helper" as helper;\nhelper::twice(add(1))') == "42"
    assert k.value("let z = 3\nz") == "3", "as lines that are typed one after the other"
    assert k.value("x;") == ""
    # All of a cell is checked before any of it runs.
    error = k.value("x = 99;\n\nx.nothing_of_the_kind()")
    is_in("E0503", error)
    is_in(":3:3", error)
    is_in("cell ", error)
    assert k.value("x") == "20"
    outputs, reply = k.run('print("before");\nlet w = [1];\nw[7]')
    assert [kind for kind, _ in outputs] == ["stream", "error"], outputs
    assert reply["ename"].startswith("E0") and reply["status"] == "error", reply
    is_in(f"cell {reply['execution_count']}:3", plain("\n".join(reply["traceback"])))
    # A function that was typed in an earlier cell is told there.
    k.run("fn broken(a) {\n    a[5]\n}")
    earlier = k.run("1")[1]["execution_count"] - 1
    is_in(f"cell {earlier}:2", k.value("broken([1])"))


def beside(k):
    is_in("tensor[2, 2] f32", k.printed("let t = torch::ones([2, 2]);\n:vars"))
    is_in("zeros", k.printed(":doc torch::zeros"))
    assert k.value(":p t") == "[[1.0000, 1.0000],\n [1.0000, 1.0000]]"
    is_in("took ", k.printed(":time t.sum()"))
    is_in("did you mean `:vars`", k.value(":var"))
    is_in("a notebook has its own", k.value(":edit"))
    outputs, reply = k.run("let quiet = 5; print(1); quiet", silent=True)
    assert outputs == [] and reply["status"] == "ok"
    _, reply = k.run("1", user_expressions={"a": "x + 1", "b": "no_such_thing"})
    answers = reply["user_expressions"]
    assert answers["a"]["data"] == {"text/plain": "21"} and answers["b"]["status"] == "error", answers
    # Places are counted in characters.
    code = 'let s = "🙂é"; torch::zeros_li'
    k.client.complete(code)
    found = k.client.get_shell_msg(timeout=10)["content"]
    assert (found["matches"], found["cursor_start"], found["cursor_end"]) == (["zeros_like("], code.index("zeros_li"), len(code)), found
    text = k.printed("for i in 0..20000 { print(i) }")
    assert text == "".join(f"{i}\n" for i in range(20000))
    is_in("unknown function `input`", k.value('input("name? ")'))


def scripts(k):
    time.sleep(0.02)
    with open("helper.rhai", "w") as f:
        f.write("fn twice(x) { 3 * x }\n")
    outputs, _ = k.run("helper::twice(2)")
    is_in("reloaded", outputs[0][1]["text"])
    assert outputs[1][1]["data"]["text/plain"] == "6", "the next cell runs what was saved"


def stopped(k):
    begun = time.time()
    id = k.begin('let kept = 7; print("begun"); loop { }')
    k.until_printed("begun")
    k.manager.interrupt_kernel()
    outputs, reply = k.end(id)
    assert reply["status"] == "error" and reply["evalue"] == "stopped" and time.time() - begun < 5, reply
    assert k.value("kept") == "7", "the variables stay"
    # A signal does the same, however often it comes, and while nothing runs.
    for _ in range(3):
        os.kill(k.process.pid, signal.SIGINT)
    time.sleep(0.1)
    assert k.value("kept + 1") == "8"
    id = k.begin('print("again"); loop { }')
    k.until_printed("again")
    os.kill(k.process.pid, signal.SIGINT)
    os.kill(k.process.pid, signal.SIGINT)
    assert k.end(id)[1]["evalue"] == "stopped"
    # Training ends after its step, and goes on later.
    id = k.begin(TRAIN)
    k.until_printed("step 1")
    k.manager.interrupt_kernel()
    outputs, reply = k.end(id)
    steps = int(k.value("run.step"))
    printed = "".join(c["text"] for kind, c in outputs if kind == "stream" and c["name"] == "stdout")
    assert 2 <= steps < 20 and f"step {steps}\n" not in printed, (steps, printed)
    # What waits behind a cell that failed is not run.
    ids = [k.begin(code) for code in ["throw 1", "let never = 1;", "let never = 2;"]]
    statuses = [k.end(id)[1]["status"] for id in ids]
    assert statuses == ["error", "aborted", "aborted"], statuses
    is_in("unknown variable `never`", k.value("never"))
    assert k.run("throw 1", stop_on_error=False)[1]["status"] == "error"


def ends(k):
    # While a cell runs, which is stopped.
    id = k.begin('print("last"); loop { }')
    k.until_printed("last")
    process = k.process
    k.manager.request_shutdown()
    until(lambda: process.poll() is not None, "the end of the kernel")
    assert process.poll() == 0, process.poll()


def orphan():
    """A kernel whose starter is killed ends by itself."""
    code = "import sys, time; sys.path.insert(0, sys.argv[1]); from client import Kernel; k = Kernel(); print(k.process.pid, flush=True); time.sleep(600)"
    starter = subprocess.Popen([sys.executable, "-c", code, os.path.dirname(__file__)], stdout=subprocess.PIPE, text=True)
    pid = int(starter.stdout.readline())
    starter.kill()
    starter.wait()

    def is_gone():
        try:
            with open(f"/proc/{pid}/stat") as f:
                return f.read().rsplit(") ", 1)[1][0] == "Z"
        except FileNotFoundError:
            return True

    until(is_gone, "the end of a kernel whose starter is gone", 10)


def unix():
    """The same over Unix sockets, which nobody else can open and which do not stay."""
    with kernel(transport="ipc") as k:
        assert k.value("1 + 1") == "2"
        info = k.manager.get_connection_info()
        sockets = [f"{info['ip']}-{info[name + '_port']}" for name in ("shell", "iopub", "stdin", "control", "hb")]
        assert [os.stat(s).st_mode & 0o777 for s in sockets] == [0o600] * 5
    assert not any(os.path.exists(s) for s in sockets)


with kernel() as k:
    language(k)
    beside(k)
    scripts(k)
    stopped(k)
    ends(k)
orphan()
unix()
print("all well")
