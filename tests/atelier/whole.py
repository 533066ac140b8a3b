#!/usr/bin/env python3
"""The whole path on data whose truth is known: 2,000 drawings, 500 designs in
four colours each, judged by `sosie eval` with the network that comes along.

  tests/atelier/whole.py SOSIE ATELIER

The floors are below what was measured when they were written (models/README.md)
by more than another CPU's rounding changes, and above what any broken step
would leave.
"""
import json
import pathlib
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from harness import ROOT, run_all  # noqa: E402

SOSIE, ATELIER = (pathlib.Path(p).resolve() for p in sys.argv[1:3])
MAP = "id=id,image=image_link,class=product_type,color=color"
FLOORS = {"class@12": 0.91, "colour@12 by colour": 0.79, "R@1 by shape": 0.62,
          "class, first guess": 0.95}


def figures(answer):
    """What is judged, out of the JSON of `sosie eval`."""
    ways = answer["models"][0]["ways"]
    return {"class@12": ways["default"]["precision_at_12"]["class"],
            "colour@12": ways["default"]["precision_at_12"]["color"],
            "colour@12 by colour": ways["colour"]["precision_at_12"]["color"],
            "R@1 by shape": ways["shape"]["recall_at_1"],
            "class, first guess": ways["default"]["top_1"]}


def drawings_are_found_by_shape_and_by_colour():
    with tempfile.TemporaryDirectory(prefix="sosie-whole-") as name:
        drawn = pathlib.Path(name) / "drawn"
        subprocess.run([ATELIER, drawn, "--items", "2000", "--colours", "4", "--seed", "7",
                        "--size", "200"], check=True, stderr=subprocess.DEVNULL)
        done = subprocess.run(
            [SOSIE, "eval", ROOT / "models/sosie.onnx", drawn / "feed.csv", "--map", MAP,
             "--identity", "item_group_id", "--changed", "0", "--json"],
            check=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        found = figures(json.loads(done.stdout))
        for what, value in found.items():
            print(f"# {what}: {value:.3f}")
        assert all(found[what] >= floor for what, floor in FLOORS.items()), found


if __name__ == "__main__":
    sys.exit(run_all([drawings_are_found_by_shape_and_by_colour]))
