"""What the tests of the whole program share: photos, processes, TAP lines.

Python's standard library is all that they need. A test is a function whose name
is a sentence; it raises to fail and raises Skip to be left out.
"""
import contextlib
import http.client
import os
import pathlib
import shutil
import struct
import subprocess
import tempfile
import traceback
import zlib

ROOT = pathlib.Path(__file__).resolve().parent.parent
MODEL = ROOT / "tests/golden/engine.onnx"
SHARED = pathlib.Path(os.environ.get("SOSIE_SHARED", ROOT.parent / "shared"))
COLOURS = {"red": (220, 30, 40), "green": (30, 160, 60), "blue": (40, 70, 210)}


class Skip(Exception):
    pass


def run_all(tests):
    """Prints TAP; returns the exit status."""
    failed = 0
    for number, test in enumerate(tests, 1):
        name = test.__name__.replace("_", " ")
        try:
            test()
            print(f"ok {number} - {name}", flush=True)
        except Skip as reason:
            print(f"ok {number} - {name} # SKIP {reason}", flush=True)
        except Exception:  # noqa: BLE001 - any failure is the test's
            failed += 1
            print(f"not ok {number} - {name}", flush=True)
            traceback.print_exc()
    print(f"1..{len(tests)}")
    return 1 if failed else 0


def need_shared(path):
    if not (SHARED / path).exists():
        raise Skip(f"{path} of the shared photos is not there")
    return SHARED / path


def png(width, height, pixel):
    """A PNG of pixel(x, y) -> (r, g, b)."""
    rows = b"".join(b"\0" + bytes(c for x in range(width) for c in pixel(x, y))
                    for y in range(height))

    def chunk(kind, data):
        return (struct.pack(">I", len(data)) + kind + data
                + struct.pack(">I", zlib.crc32(kind + data)))

    return (b"\x89PNG\r\n\x1a\n"
            + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
            + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))


def varint(n):
    return bytes([n]) if n < 128 else bytes([n & 127 | 128]) + varint(n >> 7)


def field(number, wire, content):
    """A field of a protobuf message."""
    size = varint(len(content)) if wire == 2 else b""
    return varint(number << 3 | wire) + size + content


def with_metadata(model, entries):
    """An ONNX file with more metadata_props: messages may be concatenated."""
    return model + b"".join(
        field(14, 2, field(1, 2, key.encode()) + field(2, 2, value.encode()))
        for key, value in entries.items())


# The model's 320 numbers as three aspects.
OWN_ASPECTS = {"embedding.aspects": "shape=192,colour=64,kind=64",
               "embedding.weights": "shape=1,colour=0.6,kind=0.4"}


def garment(class_name, seed):
    """A coloured rectangle on white; every seed another one."""
    colour = COLOURS[class_name]
    x0, y0, w, h = 4 + seed % 7, 3 + seed % 5, 16 + seed % 11, 20 + seed % 13
    shade = seed * 7 % 30
    return png(48, 48, lambda x, y: tuple(max(0, c - shade) for c in colour)
               if x0 <= x < x0 + w and y0 <= y < y0 + h and (x + y * seed) % 9
               else (255, 255, 255))


class Shop:
    """A folder with photos/<class>/<i>.png and room for a catalog."""

    def __init__(self, sosie, n=6):
        self.sosie = str(pathlib.Path(sosie).resolve())
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="sosie-test-"))
        self.photos = self.folder / "photos"
        self.catalog = self.folder / "catalog"
        for class_name in COLOURS:
            (self.photos / class_name).mkdir(parents=True)
            for i in range(n):
                (self.photos / class_name / f"{i}.png").write_bytes(garment(class_name, i))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        shutil.rmtree(self.folder)

    def run(self, *arguments, code=0, stdin=None, text=True, **more):
        """Runs the program; checks its exit status."""
        done = subprocess.run([self.sosie, *map(str, arguments)], input=stdin,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              timeout=120, text=text, **more)
        assert done.returncode == code, (
            f"exit status {done.returncode}, expected {code}\n{done.stdout}\n{done.stderr}")
        return done

    def index(self, *more, code=0, source=None):
        return self.run("index", self.catalog, source or self.photos, "--model", MODEL,
                        *more, code=code)


@contextlib.contextmanager
def small_disk(folder):
    """A real file system of 1 MiB, where that can be mounted."""
    disk = folder / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", disk],
                      stderr=subprocess.DEVNULL).returncode:
        raise Skip("a small file system can't be mounted here")
    try:
        yield disk
    finally:
        subprocess.run(["umount", disk], check=True)


class Server:
    """`sosie serve` on a free port."""

    def __init__(self, sosie, catalog, *more):
        self.process = subprocess.Popen(
            [sosie, "serve", str(catalog), "--listen", "127.0.0.1:0", *more],
            stderr=subprocess.PIPE, text=True)
        said = ""
        for line in self.process.stderr:
            said += line
            if "http://" in line:
                self.url = "http://" + line.split("http://")[1].split()[0].rstrip('"}')
                break
        else:
            raise AssertionError(f"the server did not start: {said}")
        self.address = self.url[len("http://"):]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        code = self.process.wait(timeout=30)
        assert code == 0, f"the server ended with {code}: {self.process.stderr.read()}"

    def request(self, method, path, body=None, headers=None):
        """(status, headers, bytes)"""
        connection = http.client.HTTPConnection(self.address, timeout=60)
        try:
            connection.request(method, path, body, headers or {})
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read()
        finally:
            connection.close()

    def post(self, path, parts):
        """multipart/form-data of {name: text or (file name, bytes)}"""
        edge = "sosie-test-boundary"
        body = b""
        for name, value in parts.items():
            body += f'--{edge}\r\nContent-Disposition: form-data; name="{name}"'.encode()
            if isinstance(value, tuple):
                body += (f'; filename="{value[0]}"\r\n'
                         "Content-Type: application/octet-stream").encode()
                value = value[1]
            body += b"\r\n\r\n" + (value.encode() if isinstance(value, str) else value) + b"\r\n"
        body += f"--{edge}--\r\n".encode()
        return self.request("POST", path, body,
                            {"Content-Type": f"multipart/form-data; boundary={edge}"})
