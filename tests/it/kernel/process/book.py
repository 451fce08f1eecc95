"""The example notebook from top to bottom by nbclient."""
import nbformat
from nbclient import NotebookClient

book = nbformat.read("latents.ipynb", 4)
nbformat.validate(book)
NotebookClient(book, kernel_name="lathe", timeout=300).execute()
outputs = [output for cell in book.cells if cell.cell_type == "code" for output in cell.outputs]
kinds = {kind for o in outputs for kind in o.get("data", {})}
assert {"text/plain", "text/html", "image/png", "image/svg+xml"} <= kinds, kinds
texts = "".join("".join(o.get("text", "")) for o in outputs)
assert "latents, step " in texts and "recorded as edit 1: opt.lr 0.002 -> 0.001" in texts and "detached from exps/latents" in texts, texts
pictures = sum("image/png" in o.get("data", {}) for o in outputs)
assert pictures == 5, pictures
bars = [o for o in outputs if o.get("data", {}).get("text/plain", "").startswith("notebook ")]
assert len(bars) == 1 and "40/40 steps" in bars[0]["data"]["text/plain"], bars
print("all well")
