#!/usr/bin/env python3
"""Writes the files of a built page (web/dist) as one C file.

  embed_page.py DIST OUT.c OUT.d

The result depends on nothing but the files: they are taken in the order of
their paths, and an ETag is a hash of the bytes. The bytes themselves are brought
in by the assembler (.incbin), which takes no time to compile. OUT.d tells Ninja
what the result was made of, folders too: a page that is built anew has files of
other names.
"""
import hashlib
import pathlib
import sys

TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".json": "application/json",
    ".webmanifest": "application/manifest+json",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".webp": "image/webp",
    ".ico": "image/x-icon",
    ".txt": "text/plain; charset=utf-8",
    ".woff2": "font/woff2",
}

HEAD = """/* Made by tools/embed_page.py; do not edit. */
#include "http/page.h"

#define EMBED(name, file) \\
    __asm__(".section .rodata\\n.balign 16\\n" #name ":\\n.incbin \\"" file "\\"\\n" \\
            #name "_end:\\n.byte 0\\n.previous\\n"); \\
    extern const unsigned char name[] __attribute__((visibility("hidden")));

"""


def quoted(text):
    if any(c in text for c in '"\\\n'):
        sys.exit(f"{text!r}: a quote or backslash in a file's name")
    return f'"{text}"'


def main():
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    dist = pathlib.Path(sys.argv[1])
    found = sorted(dist.rglob("*"))
    files = [f for f in found if f.is_file()]
    if not any(f.relative_to(dist).as_posix() == "index.html" for f in files):
        sys.exit(f"{dist}: no index.html there; build the page first "
                 "(npm ci && npm run build in web/)")
    embeds, rows = [], []
    for i, file in enumerate(files):
        path = "/" + file.relative_to(dist).as_posix()
        data = file.read_bytes()
        kind = TYPES.get(file.suffix, "application/octet-stream")
        etag = hashlib.sha256(data).hexdigest()[:16]
        immutable = "true" if path.startswith("/assets/") else "false"
        embeds.append(f"EMBED(sosie_page_file_{i}, {quoted(str(file.resolve()))})\n")
        rows.append(f'    {{{quoted(path)}, {quoted(kind)}, "\\"{etag}\\"", {immutable},\n'
                    f"     sosie_page_file_{i}, {len(data)}}},\n")
    text = (HEAD + "".join(embeds)
            + "\nextern const struct sosie_page_file sosie_page_files[];\n"
              "extern const size_t sosie_page_n_files;\n"
            + "const struct sosie_page_file sosie_page_files[] = {\n" + "".join(rows)
            + f"}};\nconst size_t sosie_page_n_files = {len(files)};\n")
    pathlib.Path(sys.argv[2]).write_text(text, encoding="utf-8")
    made_of = " ".join(str(f.resolve()).replace(" ", "\\ ") for f in [dist, *found])
    pathlib.Path(sys.argv[3]).write_text(f"{sys.argv[2]}: {made_of}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
