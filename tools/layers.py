#!/usr/bin/env python3
"""Checks that includes point one way and that outside libraries stay wrapped.

Each room (folder of src/) may include itself and the rooms listed for it; each
outside library may be included by one room. docs/architecture.md draws the same
arrows. Prints every line that breaks a rule; exit status 1 if there is one.
"""
import pathlib
import re
import sys

ARROWS = {
    "base": [],
    "kernels": ["base"],
    "image": ["kernels", "base"],
    "nn": ["kernels", "base"],
    "model": ["nn", "image", "kernels", "base"],
    "index": ["kernels", "base"],
    "catalog": ["base"],
    "store": ["catalog", "index", "base"],
    "engine": ["store", "catalog", "index", "model", "image", "kernels", "base"],
    "train": ["engine", "catalog", "index", "model", "nn", "image", "kernels", "base"],
    # http sniffs the photos that it serves; it knows nothing else of image.
    "http": ["engine", "image", "base"],
    # `sosie model` runs networks that no catalog was made with.
    "cli": ["http", "train", "engine", "model", "nn", "kernels", "base"],
}
LIBRARIES = {  # header -> rooms
    "microhttpd.h": ["http"],
    "sqlite3.h": ["catalog"],
    "jpeglib.h": ["image"],
    "jerror.h": ["image"],
    "spng.h": ["image"],
    "webp/": ["image"],
    "oneapi/dnnl/": ["nn"],
    "omp.h": ["nn"],
    "protobuf-c/": ["model"],
    "xxhash.h": ["base"],
    # A data structure as much as a library: feeds, answers, log lines.
    "jansson.h": ["base", "catalog", "train", "http", "cli"],
}
INCLUDE = re.compile(r'^\s*#\s*include\s+([<"])([^>"]+)[>"]')


def faults_of(root, path, room):
    for number, line in enumerate((root / path).read_text(encoding="utf-8").splitlines(), 1):
        match = INCLUDE.match(line)
        if not match:
            continue
        header = match.group(2)
        target = header.split("/")[0]
        if match.group(1) == '"' and target in ARROWS:
            if target != room and target not in ARROWS[room]:
                yield f"{path}:{number}: {room} may not include {header}"
        for library, rooms in LIBRARIES.items():
            if header.startswith(library) and room not in rooms:
                yield f"{path}:{number}: {header} belongs to {', '.join(rooms)}"


def main():
    root = pathlib.Path(__file__).resolve().parent.parent
    faults = []
    for path in sorted((root / "src").glob("*/*.[ch]")):
        room = path.parent.name
        if room not in ARROWS:
            faults.append(f"{path}: the room {room} has no arrows here")
        else:
            faults += faults_of(root, path.relative_to(root), room)
    print("\n".join(faults) if faults else "includes point one way")
    return bool(faults)


if __name__ == "__main__":
    sys.exit(main())
