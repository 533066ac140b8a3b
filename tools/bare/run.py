#!/usr/bin/env python3
"""scripts/demo on a Debian with nothing in it.   tools/bare/run.py [options]

Makes a minimal root by debootstrap, once for each Debian, and in a fresh copy of it

  clones the commit at hand (or unpacks --release), as root or as a user with sudo;
  runs scripts/demo until its page answers; asks /healthz and a photo's look-alikes;
  ends it by Ctrl-C, starts it again, ends that;
  prints what each step took, and what it left on the disk.

Needs root, debootstrap and a network. Packages come from where this machine's own
come from (apt's lists), or --mirror. Python's standard library is all it needs.
"""
import argparse
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request

HERE = pathlib.Path(__file__).resolve().parent
TOP = HERE.parent.parent
READY = re.compile(r"== ready after .*: (http://\S+)")
# Handed on to the root, where they are set: how this machine reaches a network.
NETWORK = ("http_proxy", "https_proxy", "no_proxy")


class Failed(Exception):
    pass


def say(*words):
    print(*words, flush=True)


def call(*command, **more):
    done = subprocess.run(list(map(str, command)), stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, **more)
    if done.returncode:
        raise Failed(f"{' '.join(map(str, command))} failed:\n{done.stdout[-3000:]}")
    return done.stdout


def mib(path):
    return int(call("du", "-sk", path).split()[0]) / 1024 if path.exists() else 0.0


# ---- the root ----------------------------------------------------------------

def mirrors(asked):
    """Where Debian's packages and its security updates come from."""
    if asked:
        return asked.rstrip("/"), None
    known = call("apt-get", "indextargets", "--format", "$(REPO_URI)|$(LABEL)",
                 "Created-By: Packages").splitlines()
    found = dict(reversed(line.split("|")) for line in known if "|" in line)
    if "Debian" not in found:
        raise Failed("apt here knows no mirror of Debian: name one with --mirror URL, "
                     "or run apt-get update")
    return found["Debian"].rstrip("/"), found.get("Debian-Security", "").rstrip("/") or None


def base(suite, cache, mirror, security):
    """A tar of the minimal root, made once."""
    tar = cache / f"{suite}.tar"
    if tar.exists():
        return tar
    say(f"making the minimal root of {suite} in {tar}")
    folder = cache / f"{suite}.new"
    shutil.rmtree(folder, ignore_errors=True)
    call("debootstrap", "--variant=minbase", "--include=sudo", suite, folder, mirror)
    lines = [f"deb {mirror} {suite} main", f"deb {mirror} {suite}-updates main"]
    if security:
        lines.append(f"deb {security} {suite}-security main")
    (folder / "etc/apt/sources.list").write_text("\n".join(lines) + "\n")
    (folder / "etc/apt/apt.conf.d/90keep").write_text(
        'APT::Keep-Downloaded-Packages "true";\n')
    for deb in (folder / "var/cache/apt/archives").glob("*.deb"):
        deb.unlink()
    call("tar", "-c", "-f", f"{tar}.new", "-C", folder, ".")
    os.rename(f"{tar}.new", tar)
    shutil.rmtree(folder)
    return tar


class Root:
    """A fresh copy of a minimal root, and processes in it."""

    def __init__(self, suite, who, options):
        self.folder = options.cache / f"run-{suite}-{who}"
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        call("tar", "-x", "-f", base(suite, options.cache, *options.mirrors), "-C", self.folder)
        self.user = "root" if who == "root" else "shop"
        self.home = "/root" if who == "root" else "/home/shop"
        for name in ("resolv.conf", "hosts"):
            shutil.copy(f"/etc/{name}", self.folder / "etc")
        self.environment = {
            "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "HOME": self.home, "USER": self.user, "LANG": "C.UTF-8", "TERM": "dumb"}
        self.environment |= {k: os.environ[k] for k in NETWORK if k in os.environ}
        authorities = os.environ.get("NODE_EXTRA_CA_CERTS")
        if authorities:
            shutil.copy(authorities, self.folder / "etc/host-ca.pem")
            self.environment["NODE_EXTRA_CA_CERTS"] = "/etc/host-ca.pem"
        if who == "user":
            call("chroot", self.folder, "useradd", "--create-home", self.user)
            (self.folder / "etc/sudoers.d/shop").write_text("shop ALL=(ALL) NOPASSWD: ALL\n")
        self.source = self.folder / self.home.lstrip("/") / "sosie"
        self.processes = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        """Whatever happened, nothing goes on running in it."""
        for process in self.processes:
            process.kill()
            process.wait()

    def bring(self, options):
        if options.release:
            self.source.mkdir()
            call("tar", "-x", "-f", options.release, "--strip-components=1", "-C", self.source)
        else:
            call("git", "clone", "--quiet", "--no-hardlinks", options.source, self.source)
        if options.model:
            shutil.copy(options.model, self.source.parent / "model.onnx")
        if self.user != "root":
            call("chroot", self.folder, "chown", "-R", f"{self.user}:", self.home)

    def start(self, *command):
        """In namespaces of its own: what it leaves behind ends with it."""
        inside = (f'cd {self.home}/sosie && exec "$@"')
        mounts = ("mount -t proc proc $R/proc; mount -t tmpfs tmpfs $R/dev; "
                  "mkdir $R/dev/shm $R/dev/pts; mount -t devpts -o newinstance,ptmxmode=0666 devpts "
                  "$R/dev/pts; ln -s pts/ptmx $R/dev/ptmx; "
                  "ln -s /proc/self/fd $R/dev/fd; "
                  "for d in null zero full random urandom tty; do "
                  "touch $R/dev/$d; mount --bind /dev/$d $R/dev/$d; done; chmod 1777 $R/dev/shm; ")
        # Ctrl-C is the demo's: this shell waits for how that ends.
        enter = 'trap : INT; chroot --userspec="$U" "$R" env -i "$@"; exit $?'
        process = subprocess.Popen(
            ["unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-c",
             f"R={self.folder}; U={self.user}; {mounts} {enter}", "sh",
             *(f"{k}={v}" for k, v in self.environment.items()),
             "sh", "-c", inside, "sh", *command],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            text=True, start_new_session=True)
        self.processes.append(process)
        return process

    def packages(self):
        """{name: KiB}"""
        said = call("chroot", self.folder, "dpkg-query", "-W", "-f",
                    "${Package} ${Installed-Size}\n")
        return {line.split()[0]: int((line.split() + ["0"])[1]) for line in said.splitlines()}


# ---- the demo ----------------------------------------------------------------

class Demo:
    """A run of scripts/demo: its steps with their seconds, its address.

    interrupt: a function of a step's title; the seconds after which that step
    gets a Ctrl-C, or None.
    """

    def __init__(self, root, arguments, log, interrupt=lambda title: None):
        self.steps = []  # [title, seconds, start]
        self.started = time.monotonic()
        self.address = None
        self.ready_s = None
        self.code = None
        self.interrupt = interrupt
        self.timer = None
        self.process = root.start("scripts/demo", *arguments)
        for line in self.process.stdout:
            log.write(line)
            log.flush()
            self.read(line)
            if self.address:
                break
        else:
            self.end_step()
            self.code = self.process.wait()
            return
        # The server's own words go on into the log.
        threading.Thread(target=lambda: [log.write(line) for line in self.process.stdout],
                         daemon=True).start()

    def end_step(self):
        if self.timer:
            self.timer.cancel()
        if self.steps and self.steps[-1][1] is None:
            self.steps[-1][1] = time.monotonic() - self.steps[-1][2]

    def read(self, line):
        ready = READY.search(line)
        if ready:
            self.end_step()
            self.ready_s = time.monotonic() - self.started
            self.address = ready[1]
        elif line.startswith("== "):
            self.end_step()
            self.steps.append([line[3:].strip(), None, time.monotonic()])
            seconds = self.interrupt(self.steps[-1][0])
            if seconds is not None:
                self.timer = threading.Timer(seconds, self.ctrl_c)
                self.timer.start()

    def ctrl_c(self):
        os.killpg(self.process.pid, signal.SIGINT)

    def stop(self):
        """Ctrl-C; returns the seconds until all is gone."""
        start = time.monotonic()
        self.ctrl_c()
        code = self.process.wait(timeout=60)
        if code != 0:
            raise Failed(f"after Ctrl-C the server ended with {code}")
        return time.monotonic() - start


def fetch(url, data=None):
    start = time.monotonic()
    with urllib.request.urlopen(urllib.request.Request(url, data), timeout=60) as answer:
        return answer.read(), time.monotonic() - start


def a_photo(root, demo_arguments):
    given = [a for a in demo_arguments if not a.startswith("-") and (root.source / a).exists()]
    where = root.source / given[0] if given else root.source / "catalogs"
    photos = sorted(p for p in where.rglob("*")
                    if p.suffix.lower() in (".jpg", ".jpeg", ".png", ".webp"))
    if not photos:
        raise Failed(f"there is no photo in {where}")
    return photos[0]


def look(demo, photo, shots, name):
    """Asks the server as a visitor's programs do; returns milliseconds of the first answer."""
    fetch(demo.address + "/healthz")
    page, _ = fetch(demo.address + "/")
    if b"<script" not in page:
        raise Failed("the server has no page")
    answer, seconds = fetch(demo.address + "/v1/search", photo.read_bytes())
    hits = json.loads(answer)["hits"]
    if not hits or hits[0]["score"] < 0.99:
        raise Failed(f"a photo of the catalog does not find itself: {answer[:300]}")
    if shots:
        shots.mkdir(parents=True, exist_ok=True)
        call("node", HERE / "shot.mjs", demo.address, photo, shots / f"{name}.png",
             timeout=120)
    return 1000 * seconds


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def row(what, seconds, more=""):
    say(f"  {what[:58]:58} {seconds:7.1f} s  {more}")


def one(suite, who, options):
    name = f"{suite}-{who}"
    say(f"\n{suite}, as {who}" + (f", from {options.release.name}" if options.release else ""))
    with Root(suite, who, options) as root, open(options.cache / f"{name}.log", "w") as log:
        root.bring(options)
        before = root.packages()
        arguments = ["--no-open", "--port", str(free_port()), *options.demo]
        if options.model:
            arguments[:0] = ["--model", "../model.onnx"]
        if options.interrupt:
            interrupt_each_step(root, arguments, log, options.interrupt)
        demo = Demo(root, arguments, log)
        if not demo.address:
            raise Failed(f"scripts/demo ended with {demo.code}; see {log.name}")
        for title, seconds, _ in demo.steps:
            row(title, seconds)
        took = look(demo, a_photo(root, options.demo), options.shots, name)
        row("from nothing to the page", demo.ready_s, f"first answer {took:.0f} ms")
        row("ending it by Ctrl-C", demo.stop())
        again = Demo(root, arguments, log)
        if not again.address:
            raise Failed(f"the second scripts/demo ended with {again.code}; see {log.name}")
        look(again, a_photo(root, options.demo), None, name)
        row("a second start, to the page", again.ready_s)
        again.stop()
        sizes(root, before)
        if options.test:
            test(root, log)
    if not options.keep:
        shutil.rmtree(root.folder)


def interrupt_each_step(root, arguments, log, seconds):
    """Ctrl-C in each step once; what comes next must make up for it."""
    done = set()

    def interrupt(title):
        kind = " ".join(title.split()[:2])
        if kind in done:
            return None
        done.add(kind)
        return seconds

    while True:
        demo = Demo(root, arguments, log, interrupt)
        if demo.address:
            demo.stop()
            return
        row(f"Ctrl-C in: {demo.steps[-1][0]}", demo.steps[-1][1], f"ended with {demo.code}")
        if demo.code != 130:
            raise Failed(f"Ctrl-C ended the demo with {demo.code}, expected 130")


def sizes(root, before):
    after = root.packages()
    new = after.keys() - before.keys()
    fetched = list((root.folder / "var/cache/apt/archives").glob("*.deb"))
    say(f"  packages: {len(new)} new, {sum(f.stat().st_size for f in fetched) / 2**20:.0f} MiB "
        f"fetched, {sum(after[p] for p in new) / 1024:.0f} MiB installed")
    parts = {"build": "build", "page's modules": "web/node_modules", "npm": ".cache/npm",
             "photos and catalogs": "catalogs"}
    say("  MiB on disk: " + ", ".join(
        f"{what} {mib(root.source / path):.0f}" for what, path in parts.items()))


def test(root, log):
    start = time.monotonic()
    process = root.start("scripts/test")
    last = ""
    for line in process.stdout:
        log.write(line)
        last = line.strip() or last
    row("scripts/test", time.monotonic() - start, last)
    if process.wait():
        raise Failed(f"scripts/test failed; see {log.name}")


def main():
    parser = argparse.ArgumentParser(
        description=__doc__.split("\n\n")[0],
        epilog="Anything after -- is for scripts/demo, as in: tools/bare/run.py -- --items 200")
    parser.add_argument("--suite", action="append", choices=["bookworm", "trixie"],
                        help="which Debian (default: both)")
    parser.add_argument("--who", action="append", choices=["root", "user"],
                        help="root, or a user with sudo (default: both)")
    parser.add_argument("--mirror", help="of Debian (default: where apt here gets its own)")
    parser.add_argument("--cache", type=pathlib.Path, default="/var/tmp/sosie-bare",
                        help="folder of roots and logs (default: %(default)s)")
    parser.add_argument("--source", type=pathlib.Path, default=TOP,
                        help="repository whose HEAD is cloned (default: this one)")
    parser.add_argument("--release", type=pathlib.Path, help="a tarball in its place")
    parser.add_argument("--model", type=pathlib.Path, help="network in place of the default")
    parser.add_argument("--interrupt", type=float, metavar="SECONDS",
                        help="first Ctrl-C in every step, so long after its start")
    parser.add_argument("--test", action="store_true", help="scripts/test as well")
    parser.add_argument("--shots", type=pathlib.Path,
                        help="folder for a picture of each page (needs Chromium here)")
    parser.add_argument("--keep", action="store_true", help="leave the roots")
    parser.add_argument("demo", nargs="*", metavar="-- OPTIONS", help="of scripts/demo")
    options = parser.parse_args()
    # A shell's background jobs ignore Ctrl-C, and so would all that they start.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    failed = 0
    try:
        if os.geteuid() != 0:
            raise Failed("a root is made by root: run it with sudo")
        if not shutil.which("debootstrap"):
            raise Failed("debootstrap is missing: apt-get install debootstrap")
        options.cache.mkdir(parents=True, exist_ok=True)
        options.mirrors = mirrors(options.mirror)
    except Failed as reason:
        print(f"tools/bare/run.py: {reason}", file=sys.stderr)
        return 1
    for suite in options.suite or ["bookworm", "trixie"]:
        for who in options.who or ["root", "user"]:
            try:
                one(suite, who, options)
            except Failed as reason:
                failed += 1
                say(f"  FAILED: {reason}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
