#!/usr/bin/env python3
"""precision@12 of a catalog against the labels of its feed.

Each photo of the val split is searched as a shopper would, in the whole catalog
(train + val), with `sosie search --json`. Hits of the query's own group (the
same picture or nearly so) are left out; of the 12 best that remain, the share
with the query's type, colour and gender is counted, and with all three. Python's
standard library is all that it needs.

  bench/precision.py build/sosie CATALOG data/products/styles.csv
      [--weights shape=1,colour=0.5]... [--every N]
"""
import argparse
import csv
import json
import os
import subprocess
import sys

K = 12
SPARE = 40  # hits beyond K, so that the query's group can be left out
CHUNK = 500  # photos a process


def search(args, photos, weights):
    """Yields the hits of each photo, in order."""
    for start in range(0, len(photos), CHUNK):
        command = [args.sosie, "search", args.catalog, "--json",
                   "--limit", str(K + SPARE)]
        if weights:
            command += ["--weights", weights]
        done = subprocess.run(command + photos[start:start + CHUNK],
                              stdout=subprocess.PIPE, check=True)
        for line in done.stdout.splitlines():
            yield json.loads(line)["hits"]


def measure(args, rows, queries, weights):
    by_id = {row["id"]: row for row in rows}
    folder = os.path.dirname(args.feed)
    photos = [os.path.join(folder, row["file"]) for row in queries]
    labels = ("articleType", "baseColour", "gender")
    counts = dict.fromkeys(labels + ("three",), 0)
    classes = 0
    for query, hits in zip(queries, search(args, photos, weights), strict=True):
        others = [by_id[hit["id"]] for hit in hits]
        others = [row for row in others if row["group"] != query["group"]][:K]
        same = [[row[label] == query[label] for label in labels] for row in others]
        for i, label in enumerate(labels):
            counts[label] += sum(row[i] for row in same) / K
        counts["three"] += sum(all(row) for row in same) / K
        classes += bool(same and same[0][0])
    n = len(queries)
    print(f"{weights or 'default weights':24} type {counts['articleType'] / n:.3f}"
          f"  colour {counts['baseColour'] / n:.3f}"
          f"  gender {counts['gender'] / n:.3f}"
          f"  all three {counts['three'] / n:.3f}"
          f"  1-NN type {classes / n:.3f}  ({n} queries)", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("sosie")
    parser.add_argument("catalog")
    parser.add_argument("feed")
    parser.add_argument("--weights", action="append")
    parser.add_argument("--every", type=int, default=1,
                        help="take one query in so many")
    args = parser.parse_args()
    with open(args.feed, newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    queries = [row for row in rows if row["split"] == "val"][::args.every]
    for weights in args.weights or [None]:
        measure(args, rows, queries, weights)


if __name__ == "__main__":
    sys.exit(main())
