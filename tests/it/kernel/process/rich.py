"""What is shown as more than text, and how far long calls are."""
import base64
import struct
import time

from client import is_in, kernel


def size(data):
    """Width and height in a PNG's head."""
    head = base64.b64decode(data["image/png"])[:24]
    assert head[:8] == b"\x89PNG\r\n\x1a\n"
    return struct.unpack(">II", head[16:24])


def result(k, code):
    outputs, reply = k.run(code)
    assert reply["status"] == "ok", reply
    found = [c["data"] for kind, c in outputs if kind == "execute_result"]
    assert len(found) == 1, outputs
    return found[0]


with kernel() as k:
    # Tensors of pictures: one as it is, several as a grid with two pixels around each.
    data = result(k, "torch::rand([3, 20, 30])")
    assert size(data) == (30, 20) and data["text/plain"].startswith("tensor[3, 20, 30] f32"), data
    assert size(result(k, 'torch::rand([3, 1, 16, 16]) * 2.0 - 1.0')) == (3 * 18 + 2, 20)
    assert size(result(k, 'torch::zeros([3, 8, 8]).to_dtype("u8")')) == (8, 8)
    for code in ("torch::rand([4, 20, 30])", "torch::rand([16, 3, 3, 3])", "torch::rand([20, 30])", "torch::rand([3, 16])", "1", '"text"', "[1, 2]", "#{ a: 1 }"):
        assert sorted(result(k, code)) == ["text/plain"], code
    # Charts, pages, tables.
    data = result(k, 'viz::chart(#{ a: [3.0, 2.0], b: [1.0, 2.0] }, #{ title: "loss" })')
    assert data["text/plain"] == "a drawing" and data["image/svg+xml"].startswith("<svg") and "loss" in data["image/svg+xml"], data
    data = result(k, 'let page = report::page("A <b> page"); page.text("hello"); page')
    is_in("<iframe", data["text/html"])
    is_in("sandbox", data["text/html"])
    assert "<b>" not in data["text/html"], data
    data = result(k, '[#{ name: "<i>", loss: 0.123456 }, #{ name: "b", loss: 1.0 / 0.0 }]')
    is_in("<td>&lt;i&gt;</td><td>0.1235</td>", data["text/html"].replace('<td>0.1235</td><td>&lt;i&gt;</td>', '<td>&lt;i&gt;</td><td>0.1235</td>'))
    assert sorted(result(k, "[#{ a: 1 }, #{ b: 1 }]")) == ["text/plain"]
    outputs, _ = k.run("show(torch::rand([3, 16, 16])); show(viz::bars([1.0, 2.0])); show(page); print(1)")
    kinds = [sorted(c["data"]) if kind == "display_data" else kind for kind, c in outputs]
    assert kinds == [["image/png", "text/plain"], ["image/svg+xml", "text/plain"], ["text/html", "text/plain"], "stream"], kinds
    # A bar is shown once and changed, at most four times a second.
    begun = time.time()
    outputs, _ = k.run('let bar = progress("encode <it>", 200, #{ unit: "pictures" });\nfor i in 0..200 { sleep(0.005); bar.set(i + 1, "so far"); }\nbar.finish();')
    taken = time.time() - begun
    kinds = [kind for kind, _ in outputs]
    assert kinds[0] == "display_data" and set(kinds[1:]) == {"update_display_data"}, kinds
    assert 3 <= len(kinds) <= 4 * taken + 3, (len(kinds), taken)
    ids = {c["transient"]["display_id"] for _, c in outputs}
    last = outputs[-1][1]["data"]
    assert len(ids) == 1 and last["text/plain"].startswith("encode <it>  200/200 pictures"), (ids, last)
    is_in("encode &lt;it&gt; <progress", last["text/html"])
print("all well")
