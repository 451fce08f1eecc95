"""Cells inside a running job."""
import os
import re
import signal
import sys
import time

from client import is_in, kernel, plain

run, pid = sys.argv[1], int(sys.argv[2])


def place(outputs):
    """The step that an output says."""
    text = "".join(c["text"] for kind, c in outputs if kind == "stream")
    found = re.search(r"try1, step ([\d ]+)", text)
    assert found, text
    return int(found[1].replace(" ", ""))


with kernel() as k:
    k.run("let mine = 5;")
    is_in("nowhere_at_all", k.value(":attach nowhere_at_all"))
    is_in("needs the folder of a run", k.value(":attach"))
    is_in("already", k.value(":detach"))
    is_in("attached to", k.printed(f":attach {run}"))
    outputs, _ = k.run("run.step")
    first = place(outputs)
    assert int(outputs[-1][1]["data"]["text/plain"]) == first, outputs
    outputs, _ = k.run('print("there"); let theirs = 6;')
    is_in("there\n", outputs[0][1]["text"])
    assert place(outputs) >= first
    assert k.value("theirs + double(3)") == "12", "variables stay there, beside the script's functions"
    is_in("unknown variable `mine`", k.value("mine"))
    # Pictures and values as they are here.
    outputs, _ = k.run("show(torch::rand([3, 16, 16])); torch::rand([2, 3, 16, 16])")
    kinds = [(kind, sorted(c["data"])) for kind, c in outputs if kind != "stream"]
    assert kinds == [("display_data", ["image/png", "text/plain"]), ("execute_result", ["image/png", "text/plain"])], kinds
    outputs, _ = k.run("run.opt.lr = 0.0005")
    is_in("recorded as edit 1: opt.lr 0.01 -> 0.0005", "".join(c["text"] for _, c in outputs))
    k.client.complete("opt.l")
    found = k.client.get_shell_msg(timeout=30)["content"]
    assert "lr" in found["matches"] and found["cursor_start"] == 4, found
    is_in("net", k.printed(":vars"))
    # A cell that does not end is stopped; the run goes on.
    id = k.begin("loop { }")
    time.sleep(1.0)
    k.manager.interrupt_kernel()
    _, reply = k.end(id)
    assert reply["evalue"] == "stopped", reply
    outputs, _ = k.run("1")
    assert place(outputs) > first, "the run goes on"
    is_in("stopped after 1 s", k.value(f":attach {run} --limit 1\nloop {{ }}"))
    is_in("detached from", k.printed(":detach"))
    assert k.value("mine") == "5"
    is_in("unknown variable `theirs`", k.value("theirs"))
    # The run ends while cells are in it: what was meant for it runs nowhere else.
    k.run(f":attach {run}")
    os.kill(pid, signal.SIGKILL)
    for _ in range(2):
        error = k.value("let mine = 7;")
        is_in("has ended: this cell ran nowhere", error)
        is_in(":detach", error)
    k.printed(":detach")
    assert k.value("mine") == "5"
print("all well")
