#!/usr/bin/env python3
"""The page in Debian's Chromium, over real photos.   run.py SOSIE [SHOTS]

Indexes photos of ../shared, serves them, and lets web/tests/page.mjs (Playwright
and axe) use the page as a shopper does. SHOTS: a folder for screenshots.
"""
import os
import pathlib
import shutil
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from harness import ROOT, Server, Shop, Skip, need_shared  # noqa: E402

N_PHOTOS = 1200


def main():
    try:
        photos = need_shared("data/photos/images")
        model = need_shared("models/mobilenet_v2_imagenet.onnx")
        if not shutil.which("chromium"):
            raise Skip("chromium is not installed")
    except Skip as reason:
        print(f"ok 1 - the page finds look-alikes # SKIP {reason}\n1..1")
        return 0
    with Shop(sys.argv[1], 0) as shop:
        feed = shop.folder / "some.csv"
        rows = (photos.parent / "images.csv").read_text().splitlines()
        feed.write_text("\n".join(rows[:N_PHOTOS + 1]) + "\n")
        shop.run("index", shop.catalog, feed, "--images", photos.parent, "--model", model,
                 "--map", "id=id,image=file,class=label")
        with Server(shop.sosie, shop.catalog) as server:
            more = {"SOSIE_URL": server.url,
                    "SOSIE_PHOTO": str(photos.parent / rows[-1].split(",")[1])}
            if len(sys.argv) > 2:
                more["SOSIE_SHOTS"] = str(pathlib.Path(sys.argv[2]).resolve())
            done = subprocess.run(["node", "tests/page.mjs"], cwd=ROOT / "web",
                                  env=os.environ | more, timeout=300)
            return done.returncode


if __name__ == "__main__":
    sys.exit(main())
