#!/usr/bin/env python3
"""How long a photo takes, from the upload to the answer: p50 and p99.

Starts `sosie serve` on a free port, sends each photo to POST /process_image and
to POST /v1/search over one kept-alive connection, one after another, and runs
`sosie search` over the same photos in one process. Python's standard library is
all that it needs.

  bench/latency.py build/sosie CATALOG FOLDER [--photos 1000]
"""
import argparse
import http.client
import json
import os
import random
import subprocess
import sys
import time

BOUNDARY = "sosie-bench-boundary"


def multipart(parts):
    """A multipart/form-data body of (name, file name or None, bytes)."""
    body = b""
    for name, file_name, data in parts:
        body += f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"'.encode()
        if file_name:
            body += f'; filename="{file_name}"\r\nContent-Type: image/jpeg'.encode()
        body += b"\r\n\r\n" + data + b"\r\n"
    return body + f"--{BOUNDARY}--\r\n".encode()


def quantile(values, q):
    values = sorted(values)
    return values[min(len(values) - 1, int(q * len(values)))]


def report(name, ms):
    print(f"{name:38} p50 {quantile(ms, .5):6.2f} ms   p99 {quantile(ms, .99):6.2f} ms"
          f"   ({len(ms)} photos)", flush=True)


def post(connection, path, body):
    start = time.perf_counter()
    connection.request("POST", path, body,
                       {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"})
    answer = connection.getresponse()
    text = answer.read()
    ms = (time.perf_counter() - start) * 1e3
    if answer.status != 200:
        sys.exit(f"{path}: {answer.status} {text[:300]}")
    return ms, json.loads(text)


def over_http(args, photos):
    server = subprocess.Popen([args.sosie, "serve", args.catalog, "--listen",
                               "127.0.0.1:0"], stderr=subprocess.PIPE, text=True)
    try:
        for line in server.stderr:
            if "http://" in line:
                address = line.split("http://")[1].split()[0].rstrip("/")
                break
        connection = http.client.HTTPConnection(address)
        setting = json.dumps({"output_limit": 12, "on_cnn": True}).encode()
        original, ours = [], []
        for path in photos[:20] + photos:  # the first 20 warm up
            with open(path, "rb") as file:
                data = file.read()
            original.append(post(connection, "/process_image", multipart(
                [("filepath", "a.jpg", data), ("setting", None, setting)]))[0])
            ours.append(post(connection, "/v1/search",
                             multipart([("image", "a.jpg", data)]))[0])
        report("POST /process_image (12, CNN on)", original[20:])
        report("POST /v1/search", ours[20:])
    finally:
        server.terminate()
        server.wait()


def on_command_line(args, photos):
    done = subprocess.run([args.sosie, "search", args.catalog, "--json"] + photos,
                          stdout=subprocess.PIPE, check=True)
    took = [json.loads(line)["took_ms"] for line in done.stdout.splitlines()]
    report("sosie search (one process)", [t["total"] for t in took])
    for part in ("decode", "embed", "search"):
        report(f"  of which {part}", [t[part] for t in took])
    ms = []
    for path in photos[:25]:
        start = time.perf_counter()
        subprocess.run([args.sosie, "search", args.catalog, path],
                       stdout=subprocess.DEVNULL, check=True)
        ms.append((time.perf_counter() - start) * 1e3)
    report("sosie search (a process a photo)", ms)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("sosie")
    parser.add_argument("catalog")
    parser.add_argument("folder")
    parser.add_argument("--photos", type=int, default=1000)
    args = parser.parse_args()
    photos = sorted(os.path.join(folder, name)
                    for folder, _, names in os.walk(args.folder)
                    for name in names if name.lower().endswith((".jpg", ".png", ".webp")))
    random.Random(1).shuffle(photos)
    photos = photos[:args.photos]
    on_command_line(args, photos)
    over_http(args, photos)


if __name__ == "__main__":
    sys.exit(main())
