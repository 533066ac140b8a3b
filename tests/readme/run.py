#!/usr/bin/env python3
"""What README shows works: its commands, in their order, on drawn photos.

  tests/readme/run.py SOSIE ATELIER

Every line of README's blocks of shell is run in a folder that has what the text
says is there (photos/, coat.jpg, model.onnx). Cloning, setting up and the demo
have tests of their own (tests/demo, tools/bare).
"""
import csv
import os
import pathlib
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from harness import MODEL, ROOT, Skip, run_all  # noqa: E402

SOSIE, ATELIER = (pathlib.Path(p).resolve() for p in sys.argv[1:3])
ELSEWHERE = re.compile(r"git clone|scripts/|meson setup|xdg-open")
PER_CLASS = 10


def commands(text):
    """The commands of all blocks of shell, without comments."""
    for block in re.findall(r"```sh\n(.*?)```", text, re.S):
        for line in block.replace("\\\n", " ").splitlines():
            line = re.sub(r"(^|\s)#.*", "", line).strip()
            if line and not ELSEWHERE.search(line):
                yield line


def prepare(folder):
    """A shop's folder, as README has it."""
    drawn = folder / "drawn"
    subprocess.run([ATELIER, drawn, "--items", "480", "--size", "160", "--jobs", "2"],
                   check=True, stderr=subprocess.DEVNULL)
    with open(drawn / "feed.csv", encoding="utf-8", newline="") as feed:
        for row in csv.DictReader(feed):
            to = folder / "photos" / row["product_type"].split(" > ")[-1]
            to.mkdir(parents=True, exist_ok=True)
            n = len(list(to.iterdir()))
            if n < PER_CLASS:
                shutil.copy(drawn / row["image_link"], to / f"{n}.jpg")
    shutil.copy(folder / "photos/coat/1.jpg", folder / "coat.jpg")
    (folder / "models").symlink_to(ROOT / "models")
    shutil.copy(MODEL, folder / "model.onnx")  # any network in floats
    (folder / "build").mkdir()
    (folder / "build/sosie").symlink_to(SOSIE)


def serve(line, folder, environment):
    """A server in the background, once it answers."""
    process = subprocess.Popen("exec " + line, shell=True, cwd=folder, env=environment,
                               stderr=subprocess.PIPE, text=True, start_new_session=True)
    for said in process.stderr:
        if "http://" in said:
            return process
    raise AssertionError(f"{line}: exit status {process.wait()}")


def need_port(port):
    with socket.socket() as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            s.bind(("127.0.0.1", port))
        except OSError as reason:
            raise Skip(f"port {port}, which README names, is taken") from reason


def its_commands_work():
    need_port(5000)
    with tempfile.TemporaryDirectory(prefix="sosie-readme-") as name:
        folder = pathlib.Path(name)
        prepare(folder)
        environment = {**os.environ, "PATH": f"{folder / 'build'}:{os.environ['PATH']}"}
        server = None
        try:
            for line in commands((ROOT / "README.md").read_text(encoding="utf-8")):
                start = time.monotonic()
                if re.search(r"\bserve\b", line):
                    server = serve(line, folder, environment)
                    continue
                # an answer that is no success is a failure
                done = subprocess.run(re.sub(r"^curl ", "curl -fsS ", line), shell=True,
                                      cwd=folder, env=environment, errors="replace",
                                      stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
                print(f"# {time.monotonic() - start:.1f} s: {line}", flush=True)
                assert done.returncode == 0, f"{line}\n{done.stdout}"
        finally:
            if server:
                os.killpg(server.pid, 15)
                assert server.wait() == 0


if __name__ == "__main__":
    sys.exit(run_all([its_commands_work]))
