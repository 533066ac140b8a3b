#!/usr/bin/env python3
"""scripts/demo, setup and release: what they say when something is not as it
should be. Needs no network; installs nothing.   run.py

The programs that they call are replaced by stand-ins that come first in PATH.
"""
import hashlib
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import tarfile
import tempfile
import time
import urllib.request

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from harness import MODEL, ROOT, Shop, Skip, run_all  # noqa: E402

SOSIE = ROOT / "build/sosie"


def run(*command, cwd=ROOT, code=0, **environment):
    """(stdout + stderr) of a script; checks its exit status."""
    done = subprocess.run(list(map(str, command)), cwd=cwd, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          timeout=120, env=os.environ | environment)
    assert done.returncode == code, (
        f"exit status {done.returncode}, expected {code}\n{done.stdout}")
    return done.stdout


def says(said, *words):
    for word in words:
        assert word in said, f"{word!r} is not in {said!r}"


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


# ---- the command line of the demo --------------------------------------------

def a_wrong_command_line_is_exit_status_2():
    for arguments, words in (
            (["--colour"], "unknown option --colour"),
            (["--port"], "--port needs a value"),
            (["--port", "x"], '--port is "x", expected 1 to 65535'),
            (["--port", "70000"], '--port is "70000", expected 1 to 65535'),
            (["--items", "-1"], '--items is "-1", expected 1 to'),
            (["--items", "5", "photos"], "--items is for the drawn catalog"),
            (["a", "b"], "one FOLDER or FEED, not also b")):
        said = run("scripts/demo", *arguments, code=2)
        says(said, words, "usage: scripts/demo")
    for script in ("scripts/setup", "scripts/release"):
        says(run(script, "--colour", code=2), f"usage: {script}")
    says(run("scripts/demo", "--help"), "usage: scripts/demo")


def a_port_that_is_taken_is_said_before_anything_is_done():
    with Shop(SOSIE, 1) as shop, socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        said = run("scripts/demo", shop.photos, "--model", MODEL, "--port", port, code=1)
        says(said, f"port {port} is taken", "take another port: scripts/demo --port ")
        assert "building" not in said


def a_source_or_a_network_that_is_not_there_is_said():
    port = free_port()
    with Shop(SOSIE, 1) as shop:
        says(run("scripts/demo", "/nowhere", "--model", MODEL, "--port", port, code=1),
             "there is no folder or feed /nowhere", "name a folder of photos")
        says(run("scripts/demo", shop.photos, "--model", "/no.onnx", "--port", port, code=1),
             "there is no network /no.onnx", "--model FILE")


# ---- the demo as it should go ------------------------------------------------

class Demo:
    """scripts/demo until its page answers."""

    def __init__(self, *arguments):
        start = time.monotonic()
        self.process = subprocess.Popen(
            ["scripts/demo", "--no-open", "--port", str(free_port()), *map(str, arguments)],
            cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, start_new_session=True)
        self.said = ""
        for line in self.process.stdout:
            self.said += line
            if line.startswith("http://"):
                self.address = line.strip()
                break
        else:
            raise AssertionError(f"the demo did not start: {self.said}")
        self.seconds = time.monotonic() - start
        self.catalog = ROOT / re.search(r"== serving (\S+)", self.said)[1]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        os.killpg(self.process.pid, signal.SIGINT)
        code = self.process.wait(timeout=30)
        assert code == 0, f"Ctrl-C ended the demo with {code}"

    def search(self, photo):
        request = urllib.request.Request(self.address + "/v1/search", photo.read_bytes())
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)["hits"]


def served(shop, source, *more):
    """Runs the demo twice on `source`; what it said the second time."""
    said = ""
    for again in (False, True):
        with Demo(source, "--model", MODEL, *more) as demo:
            try:
                photo = shop.photos / "red/2.png"
                hits = demo.search(photo)
                assert hits[0]["class"] == "red" and hits[0]["score"] > 0.99, hits
                example = re.search(r"curl -F image=@(\S+) .* (http://\S+)/v1/search", demo.said)
                assert pathlib.Path(example[1]).is_file() and example[2] == demo.address
                says(demo.said, "done in", "sosie train", "Ctrl-C ends the server")
                says(demo.said, "18 unchanged" if again else "18 photos embedded")
                assert not again or demo.seconds < 10, f"the second start took {demo.seconds} s"
                said = demo.said
            finally:
                if again:
                    shutil.rmtree(demo.catalog)
    return said


def a_folder_is_indexed_served_and_ended_and_a_second_start_is_quick():
    with Shop(SOSIE) as shop:
        served(shop, shop.photos)


def a_feed_is_indexed_with_the_options_after_two_dashes():
    with Shop(SOSIE) as shop:
        feed = shop.folder / "shop.csv"
        feed.write_text("number,file,kind\n" + "".join(
            f"{i},{path.relative_to(shop.folder)},{path.parent.name}\n"
            for i, path in enumerate(sorted(shop.photos.rglob("*.png")))))
        served(shop, feed, "--", "--map", "id=number,image=file,class=kind")


# ---- set-up ------------------------------------------------------------------

class Copy:
    """What scripts/setup needs, in a folder of its own, and stand-ins."""

    def __init__(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="sosie-setup-"))
        self.bin = self.folder / "bin"
        self.bin.mkdir()
        shutil.copytree(ROOT / "scripts", self.folder / "scripts")
        shutil.copytree(ROOT / "web", self.folder / "web",
                        ignore=shutil.ignore_patterns("node_modules", "dist*"))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        shutil.rmtree(self.folder)

    def stand_in(self, name, body):
        path = self.bin / name
        path.unlink(missing_ok=True)
        path.write_text("#!/bin/sh\n" + body)
        path.chmod(0o755)

    def hide(self, *names):
        """A PATH of all that there is, but for these."""
        for folder in os.environ["PATH"].split(":"):
            for tool in pathlib.Path(folder).glob("*"):
                if tool.name not in names and not (self.bin / tool.name).is_symlink() \
                        and not (self.bin / tool.name).exists():
                    (self.bin / tool.name).symlink_to(tool)

    def setup(self, *arguments, only=False, system="ID=debian\nVERSION_ID=12\n", code=1):
        release = self.folder / "os-release"
        release.write_text(system)
        path = f"{self.bin}" if only else f"{self.bin}:{os.environ['PATH']}"
        return run("scripts/setup", *arguments, cwd=self.folder, code=code, PATH=path,
                   SOSIE_OS_RELEASE=str(release))


NOTHING_INSTALLED = "exit 1\n"


def another_system_than_debian_12_or_13_is_told_what_to_install():
    with Copy() as copy:
        copy.stand_in("dpkg-query", NOTHING_INSTALLED)
        copy.stand_in("apt-get", "echo no; exit 1\n")
        says(copy.setup(system='ID=fedora\nPRETTY_NAME="Fedora 42"\n'), "found Fedora 42",
             "install the like of: gcc", "libdnnl-dev", "--no-packages")
        says(copy.setup(system='ID=debian\nVERSION_ID="11"\nPRETTY_NAME="Debian 11"\n'),
             "found Debian 11", "Debian 12 or 13 is needed")


def packages_that_are_missing_are_named_where_they_cannot_be_installed():
    with Copy() as copy:
        # all there but for these
        copy.stand_in("dpkg-query", 'shift 3; for p; do case $p in libspng-dev|libwebp-dev) ;;'
                      ' *) echo "ii  $p";; esac; done\n')
        copy.stand_in("apt-get", "echo no; exit 1\n")
        copy.stand_in("id", "[ $1 = -u ] && echo 1000 || echo shop\n")
        copy.stand_in("sudo", "exit 1\n")
        says(copy.setup(), "sudo did not let shop install: libspng-dev libwebp-dev",
             "apt-get install --no-install-recommends libspng-dev libwebp-dev")
        (copy.bin / "sudo").unlink()
        copy.hide("sudo")
        says(copy.setup(only=True), "there is no sudo: libspng-dev libwebp-dev", "as root:")


def no_network_is_said_with_the_step_that_needs_it():
    with Copy() as copy:
        copy.stand_in("dpkg-query", NOTHING_INSTALLED)
        copy.stand_in("dpkg", "exit 0\n")
        copy.stand_in("ls", "exit 0\n")
        copy.stand_in("id", "echo 0\n")
        copy.stand_in("apt-get", "echo 'could not resolve the mirror'; exit 100\n")
        says(copy.setup(), "fetching the lists of packages", "could not resolve the mirror",
             "is there a network?")
        copy.stand_in("npm", "echo 'getaddrinfo failed'; exit 1\n")
        copy.stand_in("node", "echo v18.20.4\n")
        says(copy.setup("--no-packages"), "getaddrinfo failed", "npm could not fetch",
             "a release brings the page")


def an_old_node_is_said_and_a_half_built_page_is_not_taken_for_whole():
    with Copy() as copy:
        copy.stand_in("node", "echo v16.3.0\n")
        says(copy.setup("--no-packages"), "found Node v16.3.0", "18.19 or newer is needed")
        copy.stand_in("node", "echo v18.20.4\n")
        # stopped in the middle of vite's work
        copy.stand_in("npm", "[ $1 = ci ] && exit 0; mkdir -p dist.new; echo half"
                      " > dist.new/index.html; exit 1\n")
        says(copy.setup("--no-packages"), "the page could not be built")
        assert not (copy.folder / "web/dist").exists()
        copy.stand_in("npm", "[ $1 = ci ] && exit 0; mkdir -p dist.new; echo whole"
                      " > dist.new/index.html\n")
        copy.setup("--no-packages", code=0)
        assert (copy.folder / "web/dist/index.html").read_text() == "whole\n"
        # a page that is there needs no Node at all
        copy.stand_in("node", "exit 1\n")
        assert copy.setup("--no-packages", code=0) == ""


# ---- releases ----------------------------------------------------------------

def a_release_is_the_same_bytes_twice_and_refuses_a_changed_tree():
    if not shutil.which("git"):
        raise Skip("git is not there")
    if not (ROOT / "web/node_modules/.package-lock.json").exists():
        raise Skip("web/node_modules is not there")
    with Copy() as copy:
        def git(*words):
            return run("git", "-c", "user.name=x", "-c", "user.email=x@example.org",
                       "-c", "commit.gpgsign=false", *words, cwd=copy.folder)

        for name in ("meson.build", ".gitignore"):
            shutil.copy(ROOT / name, copy.folder)
        (copy.folder / "web/node_modules").symlink_to(ROOT / "web/node_modules")
        git("init", "-q")
        (copy.folder / ".git/info/exclude").write_text("/bin\n/web/node_modules\n")
        git("add", ".")
        git("commit", "-q", "-m", "all")
        sums = []
        for mtime in (1_000_000_000, 1_500_000_000):
            for path in copy.folder.glob("web/src/*"):
                os.utime(path, (mtime, mtime))
            run("scripts/release", cwd=copy.folder)
            made = list((copy.folder / "dist").glob("sosie-*.tar.gz"))
            sums.append(hashlib.sha256(made[0].read_bytes()).hexdigest())
        assert sums[0] == sums[1], sums
        when = int(git("log", "-1", "--format=%ct"))
        with tarfile.open(made[0]) as tar:
            members = tar.getmembers()
        names = [member.name for member in members]
        top = made[0].name.removesuffix(".tar.gz")
        assert f"{top}/web/dist/index.html" in names and f"{top}/meson.build" in names
        assert not [name for name in names if "node_modules" in name or "/.git/" in name]
        assert {(m.uid, m.gid, m.mtime) for m in members} == {(0, 0, when)}
        (copy.folder / "meson.build").write_text("changed\n")
        says(run("scripts/release", cwd=copy.folder, code=1), "not that of a commit",
             "meson.build")


if __name__ == "__main__":
    # A shell's background jobs ignore Ctrl-C, and so would all that they start.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.exit(run_all([
        a_wrong_command_line_is_exit_status_2,
        a_port_that_is_taken_is_said_before_anything_is_done,
        a_source_or_a_network_that_is_not_there_is_said,
        a_folder_is_indexed_served_and_ended_and_a_second_start_is_quick,
        a_feed_is_indexed_with_the_options_after_two_dashes,
        another_system_than_debian_12_or_13_is_told_what_to_install,
        packages_that_are_missing_are_named_where_they_cannot_be_installed,
        no_network_is_said_with_the_step_that_needs_it,
        an_old_node_is_said_and_a_half_built_page_is_not_taken_for_whole,
        a_release_is_the_same_bytes_twice_and_refuses_a_changed_tree,
    ]))
