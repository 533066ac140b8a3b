#!/usr/bin/env python3
"""The atelier's promises: what it draws is what its feed says, and nothing
half-made is taken for whole.   run.py ATELIER [SOSIE]"""
import collections
import csv
import json
import os
import pathlib
import re
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time
import zlib

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from harness import Shop, Skip, need_shared, run_all, small_disk  # noqa: E402

ATELIER = str(pathlib.Path(sys.argv[1]).resolve())
SOSIE = sys.argv[2] if len(sys.argv) > 2 else None
COLUMNS = ["id", "title", "image_link", "item_group_id", "product_type", "color", "pattern",
           "material", "price", "brand", "sleeve", "neck", "print", "length", "fit", "view", "split",
           "x", "y", "w", "h"]
ORIGINAL = {"coat", "dress", "hood", "jumper", "shirt", "sweater"}
GAP = 3  # between the photos of a contact sheet


class Folder:
    """A folder to draw in that is gone afterwards."""

    def __enter__(self):
        self.path = pathlib.Path(tempfile.mkdtemp(prefix="atelier-test-"))
        return self.path

    def __exit__(self, *_):
        shutil.rmtree(self.path)


def atelier(*arguments, code=0, **more):
    done = subprocess.run([ATELIER, *map(str, arguments)], stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True, timeout=300, **more)
    assert done.returncode == code, (
        f"exit status {done.returncode}, expected {code}\n{done.stdout}\n{done.stderr}")
    return done


def draw(out, *more):
    """A set of small photos; its rows."""
    atelier(out, "--size", 80, *more)
    return rows_of(out)


def rows_of(out):
    with open(out / "feed.csv", newline="", encoding="utf-8") as feed:
        return list(csv.DictReader(feed))


def tree(folder):
    """{path: bytes} of everything in it."""
    return {str(p.relative_to(folder)): p.read_bytes()
            for p in sorted(folder.rglob("*")) if p.is_file()}


# ---- pictures ----------------------------------------------------------------

def read_png(path):
    """(width, height, bytes a pixel, rows) of what the atelier writes: 8 bits a
    channel, not interlaced."""
    data = path.read_bytes()
    at, packed = 8, b""
    while at < len(data):
        size, kind = struct.unpack(">I4s", data[at:at + 8])
        body = data[at + 8:at + 8 + size]
        if kind == b"IHDR":
            width, height, depth, colour, _, _, interlaced = struct.unpack(">IIBBBBB", body)
            assert depth == 8 and not interlaced
        if kind == b"IDAT":
            packed += body
        at += size + 12
    n = {0: 1, 2: 3, 6: 4}[colour]
    raw, stride = zlib.decompress(packed), width * n
    rows, above = [], bytearray(stride)
    for y in range(height):
        how = raw[y * (stride + 1)]
        row = bytearray(raw[y * (stride + 1) + 1:(y + 1) * (stride + 1)])
        for x in range(stride):
            a = row[x - n] if x >= n else 0
            b, c = above[x], above[x - n] if x >= n else 0
            p = a + b - c
            paeth = min((abs(p - a), 0, a), (abs(p - b), 1, b), (abs(p - c), 2, c))[2]
            row[x] = (row[x] + (0, a, b, (a + b) // 2, paeth)[how]) & 255
        rows.append(row)
        above = row
    return width, height, n, rows


def masks_of(out, rows):
    for row in rows:
        path = row["image_link"].replace("images/", "masks/").replace(".jpg", ".png")
        width, height, n, mask = read_png(out / path)
        assert n == 1
        yield row, width, height, mask


def photos_of(folder, items, *more):
    """The pixels of the first photos before they became JPEG: a sheet's."""
    sheet = folder / "sheet.png"
    atelier("--sheet", sheet, "--columns", 1, "--items", items, "--size", 80, *more)
    _, _, n, rows = read_png(sheet)
    height = 80 * 6 // 5
    for i in range(items):
        top = GAP + i * (height + GAP)
        yield [[tuple(row[n * x:n * x + 3]) for x in range(GAP, GAP + 80)]
               for row in rows[top:top + height]]


def mean(pixels):
    return [sum(channel) / len(pixels) for channel in zip(*pixels)]


def apart(a, b):
    return max(abs(x - y) for x, y in zip(a, b))


# ---- the command line --------------------------------------------------------

def help_is_on_stdout_with_an_example():
    done = atelier("--help")
    assert done.stdout.startswith("atelier OUT") and "Example:" in done.stdout
    assert done.stderr == "" and all(len(line) <= 80 for line in done.stdout.splitlines())


def a_wrong_command_line_is_exit_status_2():
    for arguments, words in (
            ([], "one OUT is needed, not 0"), (["a", "b"], "one OUT is needed, not 2"),
            (["a", "--items", "0"], '--items is "0", expected 1 to'),
            (["a", "--items", "many"], '--items is "many"'),
            (["a", "--items", "-1"], '--items is "-1"'),
            (["a", "--items"], "--items needs a value"),
            (["a", "--colours", "13"], '--colours is "13", expected 1 to 12'),
            (["a", "--seed", "99999999999999999999999"], "--seed is"),
            (["a", "--size", "63"], '--size is "63", expected 64 to 2048'),
            (["a", "--jobs", "0"], '--jobs is "0"'), (["a", "--hue"], "unknown option --hue"),
            (["a", "--class", "coat"], "--class is for --sheet"),
            (["--sheet", "a.png", "b"], "a sheet needs no OUT"),
            (["--sheet", "a.png", "--class", "sofa"], 'no class "sofa"; there are coat,')):
        done = atelier(*arguments, code=2)
        assert words in done.stderr and done.stdout == "", (arguments, done.stderr)
    assert not pathlib.Path("a").exists()


# ---- the feed ----------------------------------------------------------------

def the_feed_has_a_row_for_each_photo_and_says_what_it_shows():
    with Folder() as f:
        rows = draw(f / "set", "--items", 144, "--colours", 3)
        assert len(rows) == 144 and list(rows[0]) == COLUMNS
        assert len({row["id"] for row in rows}) == 144
        classes = {row["product_type"].split(" > ")[-1] for row in rows}
        assert len(classes) >= 16 and ORIGINAL <= classes, classes
        for row in rows:
            assert (f / "set" / row["image_link"]).read_bytes()[:2] == b"\xff\xd8"
            assert re.fullmatch(r"\d+\.95 EUR", row["price"]), row
            assert row["title"].endswith(f", {row['color']}"), row
            assert row["pattern"] in ("plain", "stripes", "checks", "dots", "floral", "knit")
            assert row["length"] in ("short", "regular", "long")
            assert row["fit"] in ("slim", "regular", "loose")
            assert row["view"] in ("flat", "hanger") and row["split"] in ("train", "val")
            x, y, w, h = (float(row[k]) for k in "xywh")
            assert 0 <= x < x + w <= 1 and 0 <= y < y + h <= 1 and w * h > 0.05, row
        assert {row["split"] for row in rows} == {"train", "val"}


def a_group_is_one_design_in_clearly_different_colours():
    with Folder() as f:
        for colours in (1, 2, 5, 12):
            rows = draw(f / str(colours), "--items", 60, "--colours", colours)
            groups = collections.defaultdict(list)
            for row in rows:
                groups[row["item_group_id"]].append(row)
            assert len(groups) == 60 // colours
            for group in groups.values():
                assert len(group) == colours == len({row["color"] for row in group})
                for same in ("product_type", "pattern", "material", "price", "brand", "sleeve",
                             "neck", "print", "length", "fit", "view", "split"):
                    assert len({row[same] for row in group}) == 1, (same, group)
        assert len(draw(f / "rest", "--items", 7, "--colours", 3)) == 7


# ---- the same again ----------------------------------------------------------

def a_seed_draws_the_same_bytes_whatever_the_threads():
    with Folder() as f:
        more = ("--items", 250, "--seed", 7, "--masks")
        draw(f / "one", *more, "--jobs", 1)
        draw(f / "two", *more, "--jobs", 2)
        draw(f / "many", *more, "--jobs", 9)
        one = tree(f / "one")
        assert len(one) == 502 and one == tree(f / "two") == tree(f / "many")


def an_item_depends_on_the_seed_and_its_number_alone():
    with Folder() as f:
        few, many = (draw(f / str(n), "--items", n, "--seed", 7) for n in (30, 130))
        assert few == many[:30]
        for row in few:
            assert ((f / "30" / row["image_link"]).read_bytes()
                    == (f / "130" / row["image_link"]).read_bytes())
        other = draw(f / "other", "--items", 30, "--seed", 8)
        assert all(a["title"] != b["title"] or a["x"] != b["x"]
                   for a, b in zip(few, other, strict=True))


# ---- known truth -------------------------------------------------------------

def boxes_are_the_extent_of_the_masks():
    with Folder() as f:
        rows = draw(f / "set", "--items", 72, "--masks")
        for row, width, height, mask in masks_of(f / "set", rows):
            lines = [y for y, line in enumerate(mask) if max(line) >= 128]
            columns = [x for x in range(width) if any(line[x] >= 128 for line in mask)]
            x, y, w, h = (float(row[k]) for k in "xywh")
            assert abs(x * width - columns[0]) < 0.01 and abs(y * height - lines[0]) < 0.01, row
            assert abs((x + w) * width - columns[-1] - 1) < 0.01, row
            assert abs((y + h) * height - lines[-1] - 1) < 0.01, row


def masks_are_the_garments():
    """Inside, pixels are of another colour than around them, and of other
    colours in other variants."""
    with Folder() as f:
        rows = draw(f / "set", "--items", 72, "--masks")
        photos = photos_of(f, 72)
        unlike, means = 0, collections.defaultdict(list)
        for (row, width, height, mask), photo in zip(masks_of(f / "set", rows), photos,
                                                     strict=True):
            at = [(x, y) for y in range(height) for x in range(width)]
            inside = [photo[y][x] for x, y in at if mask[y][x] > 250]
            outside = mean([photo[y][x] for x, y in at if mask[y][x] == 0])
            assert len(inside) > 0.04 * len(at), row
            # White on white differs by its folds and edges alone.
            differ = sum(apart(pixel, outside) > 8 for pixel in inside) / len(inside)
            assert differ > 0.3, (row, differ)
            unlike += apart(mean(inside), outside) > 20
            means[row["item_group_id"]].append(mean(inside))
        assert unlike > 0.85 * len(rows), unlike
        for group in means.values():
            for i, a in enumerate(group):
                assert all(apart(a, b) > 12 for b in group[:i]), group


def variants_have_one_silhouette():
    with Folder() as f:
        rows = draw(f / "set", "--items", 72, "--masks")
        shapes = collections.defaultdict(list)
        for row, *_ in masks_of(f / "set", rows):
            shapes[row["item_group_id"]].append(float(row["w"]) / float(row["h"]))
        for ratios in shapes.values():  # but for the camera's turn
            assert max(ratios) / min(ratios) < 1.15, ratios


# ---- nothing half-made -------------------------------------------------------

def start(out, *more):
    process = subprocess.Popen([ATELIER, str(out), *map(str, more)], stderr=subprocess.PIPE,
                               stdout=subprocess.DEVNULL, text=True)
    while not list(out.glob("images/*/*5.jpg")) and process.poll() is None:
        time.sleep(0.002)
    return process


MANY = ("--items", 700, "--size", 64, "--jobs", 1, "--masks")


def ctrl_c_stops_at_once_and_the_next_start_goes_on():
    with Folder() as f:
        atelier(f / "whole", *MANY)
        for signal_number in (signal.SIGINT, signal.SIGTERM):
            out = f / signal_number.name
            process = start(out, *MANY)
            process.send_signal(signal_number)
            began = time.monotonic()
            _, said = process.communicate(timeout=30)
            assert process.returncode == 130 and "stopped" in said, (process.returncode, said)
            assert time.monotonic() - began < 2
            assert not (out / "feed.csv").exists() and not list(out.rglob("*.tmp"))
            atelier(out, *MANY)
            assert tree(out) == tree(f / "whole")


def a_kill_at_any_moment_loses_nothing():
    with Folder() as f:
        atelier(f / "whole", *MANY)
        out = f / "set"
        for wait in (0, 0.01, 0.1, 0.3):
            process = start(out, *MANY)
            time.sleep(wait)
            process.kill()
            process.communicate()
        # What a power cut leaves of files that were not synced.
        photos = sorted(out.glob("images/*/*.jpg"))
        if not (out / "feed.csv").exists():
            photos[0].write_bytes(b"")
            photos[1].unlink()
        atelier(out, *MANY)
        left = {path: data for path, data in tree(out).items() if not path.endswith(".tmp")}
        assert left == tree(f / "whole")


def a_finished_set_is_left_as_it_is():
    with Folder() as f:
        draw(f / "set", "--items", 12)
        before = {p: p.stat().st_mtime_ns for p in (f / "set").rglob("*")}
        assert "already there" in atelier(f / "set", "--size", 80, "--items", 12).stderr
        assert before == {p: p.stat().st_mtime_ns for p in (f / "set").rglob("*")}
        done = atelier(f / "set", "--size", 80, "--items", 13, code=1)
        assert "was drawn with --items 12 --colours 3 --seed 1 --size 80" in done.stderr


def other_files_are_not_drawn_over():
    with Folder() as f:
        (f / "mine.txt").write_text("mine")
        assert "there are other files" in atelier(f, "--items", 3, code=1).stderr
        assert tree(f) == {"mine.txt": b"mine"}
        done = atelier(f / "mine.txt", "--items", 3, code=1)
        assert "mine.txt" in done.stderr and done.stderr.count("\n") == 1


def two_may_not_draw_one_set():
    with Folder() as f:
        process = start(f / "set", *MANY)
        done = atelier(f / "set", *MANY, code=1)
        process.kill()
        process.communicate()
        assert "is being drawn by another process" in done.stderr, done.stderr


def where_nothing_may_be_written_it_says_so():
    with Folder() as f:
        more = {"user": 65534, "group": 65534, "extra_groups": []} if os.getuid() == 0 else {}
        f.chmod(0o755)
        program = f / "atelier"  # where somebody else may run it
        shutil.copy(ATELIER, program)
        locked = f / "locked"
        locked.mkdir(mode=0o555)
        done = subprocess.run([program, locked / "set"], stderr=subprocess.PIPE, text=True, **more)
        assert done.returncode == 1, done
        assert done.stderr == f"atelier: {locked}/set: Permission denied\n", done.stderr
        done = atelier("--sheet", f / "no/sheet.png", "--items", 1, code=1)
        assert "sheet.png: No such file" in done.stderr, done.stderr


def a_full_disk_is_said_and_survived():
    with Folder() as f, small_disk(f) as disk:
        done = atelier(disk / "set", "--items", 300, code=1)
        assert re.fullmatch(rf"atelier: {disk}/set/\S+: No space left on device\n",
                            done.stderr), done.stderr
        assert not (disk / "set/feed.csv").exists() and not list(disk.rglob("*.tmp"))
        subprocess.run(["mount", "-o", "remount,size=64m", disk], check=True)
        atelier(disk / "set", "--items", 300)
        assert len(rows_of(disk / "set")) == 300


# ---- with Sosie --------------------------------------------------------------

def same_shape_and_same_colour_are_found():
    """A design in another colour by the shape aspect; the colour in another
    design by the colour aspect."""
    if not SOSIE:
        raise Skip("no sosie was named")
    model = need_shared("models/mobilenet_v2_imagenet.onnx")
    with Shop(SOSIE, 0) as s:
        out = s.folder / "set"
        atelier(out, "--items", 240)
        s.run("index", s.catalog, out / "feed.csv", "--model", model)
        rows = {row["id"]: row for row in rows_of(out)}
        right = collections.Counter()
        for row in list(rows.values())[::6]:
            for aspect, weights, same in (("shape", "shape=1,colour=0", "item_group_id"),
                                          ("colour", "shape=0,colour=1", "color")):
                done = s.run("search", s.catalog, "--item", row["id"], "--weights", weights,
                             "--limit", 3, "--json")
                hits = [hit for hit in json.loads(done.stdout)["hits"] if hit["id"] != row["id"]]
                assert hits[0]["class"] == rows[hits[0]["id"]]["product_type"].split(" > ")[-1]
                right[aspect] += rows[hits[0]["id"]][same] == row[same]
        print(f"# of 40: {dict(right)}")
        assert right["shape"] >= 22 and right["colour"] >= 26, right


sys.exit(run_all([
    help_is_on_stdout_with_an_example, a_wrong_command_line_is_exit_status_2,
    the_feed_has_a_row_for_each_photo_and_says_what_it_shows,
    a_group_is_one_design_in_clearly_different_colours,
    a_seed_draws_the_same_bytes_whatever_the_threads,
    an_item_depends_on_the_seed_and_its_number_alone, boxes_are_the_extent_of_the_masks,
    masks_are_the_garments, variants_have_one_silhouette,
    ctrl_c_stops_at_once_and_the_next_start_goes_on, a_kill_at_any_moment_loses_nothing,
    a_finished_set_is_left_as_it_is, other_files_are_not_drawn_over, two_may_not_draw_one_set,
    where_nothing_may_be_written_it_says_so, a_full_disk_is_said_and_survived,
    same_shape_and_same_colour_are_found,
]))
