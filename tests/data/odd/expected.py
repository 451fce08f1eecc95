"""Writes expected.json: what Pillow reads from each picture here. Run with Pillow 13.0.0."""

import hashlib
import json
import pathlib
import warnings

from PIL import Image

warnings.simplefilter("ignore")
here = pathlib.Path(__file__).parent
table = {}
for path in sorted(here.iterdir()):
    if path.suffix in (".py", ".json", ".md"):
        continue
    try:
        rgb = Image.open(path).convert("RGB")
        table[path.name] = {"size": list(rgb.size), "sha256": hashlib.sha256(rgb.tobytes()).hexdigest()}
    except Exception as error:
        table[path.name] = {"error": type(error).__name__}
(here / "expected.json").write_text(json.dumps(table, indent=1) + "\n")
