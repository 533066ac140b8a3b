#!/usr/bin/env python3
"""The command line as a person or a script uses it.   run.py SOSIE"""
import json
import math
import os
import pathlib
import pty
import re
import resource
import signal
import struct
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from harness import (MODEL, OWN_ASPECTS, ROOT, Shop, Skip, field, garment,  # noqa: E402
                     need_shared, run_all, small_disk, varint, with_metadata)

SOSIE = sys.argv[1]


def shop(n=6):
    return Shop(SOSIE, n)


def says(done, *words):
    for word in words:
        assert word in done.stderr + done.stdout, f"{word!r} is not in {done.stderr!r} {done.stdout!r}"


def half(data):
    return data[:len(data) // 2]


# ---- help and usage ----------------------------------------------------------

def every_command_has_help_on_stdout():
    with shop(0) as s:
        for command in ("index CATALOG", "search CATALOG", "serve CATALOG", "check CATALOG",
                        "train DATASET...", "eval MODEL...", "model info FILE",
                        "model run FILE", "model quantize MODEL"):
            done = s.run(*command.split()[:-1], "--help")
            assert done.stdout.startswith(f"sosie {command}"), done.stdout
            assert done.stderr == ""
            assert all(len(line) <= 80 for line in done.stdout.splitlines())
        assert "sosie search" in s.run("--help").stdout
        assert "model quantize" in s.run("model", "--help").stdout
        assert re.fullmatch(r"sosie \d+\.\d+\.\d+\n", s.run("--version").stdout)


def a_wrong_command_line_is_exit_status_2():
    with shop(0) as s:
        for arguments, words in (
                ([], "sosie index"), (["sell"], 'unknown command "sell"'),
                (["index"], "needs a CATALOG and at least one SOURCE"),
                (["index", "a", "b", "--colour"], "unknown option --colour"),
                (["index", "a", "b", "--model"], "--model needs a value"),
                (["index", "a", "b", "--workers", "0"], 'is "0", expected 1 to 256'),
                (["search", "a"], "needs a CATALOG and an IMAGE"),
                (["search", "a", "b", "--limit", "501"], 'is "501", expected 0 to 500'),
                (["search", "a", "b", "--limit", "-1"], 'is "-1", expected 0 to 500'),
                (["search", "a", "b", "--limit", "x"], 'is "x", expected 0 to 500'),
                (["search", "a", "b", "--weights", "taste"], "expected NAME=NUMBER"),
                (["search", "a", "b", "--crop", "0,0,1"], "expected x,y,w,h"),
                (["search", "a", "b", "--item", "c"], "not both"),
                (["train"], "needs a DATASET"), (["train", "a"], "needs -o MODEL.onnx"),
                (["train", "a", "-o"], "-o needs a value"),
                (["train", "a", "-o", "b", "--batch", "6"], 'is "6", expected a multiple of 4'),
                (["train", "a", "-o", "b", "--size", "31"], 'is "31", expected 32 to 1024'),
                (["train", "a", "-o", "b", "--epochs", "0"], 'is "0", expected a number above 0'),
                (["train", "a", "-o", "b", "--epochs", "nan"], 'is "nan", expected a number above'),
                (["train", "a", "-o", "b", "--rate", "1e9"], 'is "1e9", expected a number above 0'),
                (["train", "a", "-o", "b", "--optimiser", "adam"], "expected adamw or sgd"),
                (["train", "a", "-o", "b", "--freeze"], "--freeze needs --init MODEL.onnx"),
                (["train", "a", "-o", "b", "--anew", "hue"], "expected of shape, colour and kind"),
                (["train", "a", "-o", "b", "--losses", "heads"], "expected heads=1,identity=1"),
                (["train", "a", "-o", "b", "--losses", "heads=-1"], "expected heads=1,identity=1"),
                (["train", "a", "-o", "b", "--labels", ","], "--labels names nothing"),
                (["train", "a", "-o", "b", "--labels", "a,b,c,d,e,f,g,h,i"], "more than 8 names"),
                (["train", "a", "-o", "b", "--precision", "f8"], "expected f32, bf16"),
                (["train", "a", "-o", "b", "--metadata", "=x"], "expected KEY=TEXT"),
                (["train", "a", "-o", "b", "--init", "c", "--arch", "d"], "not both"),
                (["eval", "a"], "needs a MODEL and a DATASET"),
                (["eval", "a", "b", "--gallery", "train"], "expected all or val"),
                (["eval", "a", "b", "--labels", ","], "--labels names nothing"),
                (["eval", "a", "b", "--queries", "0"], 'is "0", expected 1 to'),
                (["eval", "a", "b", "--precision", "f8"], "expected f32, bf16"),
                (["eval", "a", "b", "c", "--against", "d"], "one MODEL, not 2"),
                (["serve"], "needs one CATALOG"), (["check"], "needs one CATALOG")):
            says(s.run(*arguments, code=2), words)


# ---- networks ----------------------------------------------------------------

def write_npy(path, shape, numbers):
    header = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {tuple(shape)}, }}"
    header += " " * (-(len(header) + 11) % 64) + "\n"
    path.write_bytes(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode()
                     + struct.pack(f"<{len(numbers)}f", *numbers))


def read_npy(path):
    data = path.read_bytes()
    end = 10 + struct.unpack("<H", data[8:10])[0]
    return struct.unpack(f"<{(len(data) - end) // 4}f", data[end:])


def cosine(a, b):
    dot = sum(x * y for x, y in zip(a, b, strict=True))
    return dot / math.sqrt(sum(x * x for x in a) * sum(y * y for y in b))


def a_network_says_what_it_is():
    with shop(0) as s:
        says(s.run("model", "info", MODEL), "Nx3x24x24", "11,580", "which auto takes here",
             "fused into convolutions: 3 Relu")
        says(s.run("model", "info", MODEL, "--precision", "f32", "--profile"), "GMAC/s", "Gemm")
        report = json.loads(s.run("model", "info", MODEL, "--json").stdout)
        assert report["parameters"] == 11580 and report["auto"] and report["arena_bytes"] > 0
        says(s.run("model", "info", MODEL, "--precision", "int8", code=1), "quantised model")
        says(s.run("model", "info", MODEL, "--precision", "f8", code=2), "expected f32, bf16")
        says(s.run("model", "info", ROOT / "README.md", code=1), "README.md")


def a_network_runs_on_raw_tensors():
    with shop(0) as s:
        photos, one, out = s.folder / "x.npy", s.folder / "one.npy", s.folder / "y.npy"
        numbers = [math.sin(0.37 * i) for i in range(5 * 3 * 24 * 24)]
        write_npy(photos, (5, 3, 24, 24), numbers)
        results = {}
        for cpu in ("c", "avx2", "avx512"):
            s.run("model", "run", MODEL, "--input", photos, "--output", out, "--cpu", cpu)
            results[cpu] = read_npy(out)
            assert len(results[cpu]) == 5 * 320
            assert cosine(results["c"], results[cpu]) > 0.999999
        for i in range(5):  # a photo's result does not depend on its company
            write_npy(one, (1, 3, 24, 24), numbers[1728 * i:1728 * (i + 1)])
            s.run("model", "run", MODEL, "--input", one, "--output", out)
            assert read_npy(out) == results["avx512"][320 * i:320 * (i + 1)]
        s.run("model", "run", MODEL, "--input", f"image={one}", "--output", f"logits={out}")
        assert len(read_npy(out)) == 3
        write_npy(one, (1, 3, 24, 23), numbers[:1656])
        says(s.run("model", "run", MODEL, "--input", one, "--output", out, code=1), "24")


def read_varint(data, at):
    n = shift = 0
    while True:
        n |= (data[at] & 127) << shift
        shift, at = shift + 7, at + 1
        if data[at - 1] < 128:
            return n, at


def fields(message):
    """(number, wire type, content) of a protobuf message's fields."""
    at = 0
    while at < len(message):
        key, at = read_varint(message, at)
        assert key & 7 in (0, 2, 5), key
        if key & 7 == 0:
            value, at = read_varint(message, at)
            yield key >> 3, 0, varint(value)
        else:
            size, at = (4, at) if key & 7 == 5 else read_varint(message, at)
            yield key >> 3, key & 7, message[at:at + size]
            at += size


def with_external_weights(model, location):
    """The model with its weights elsewhere, and those."""
    weights = b""

    def tensor(message):
        nonlocal weights
        out = b""
        for number, wire, content in fields(message):
            if number not in (4, 9) or wire != 2:  # float_data, raw_data
                out += field(number, wire, content)
                continue
            for key, value in (("location", location), ("offset", str(len(weights))),
                               ("length", str(len(content)))):
                entry = field(1, 2, key.encode()) + field(2, 2, value.encode())
                out += field(13, 2, entry)
            out += field(14, 0, varint(1))
            weights += content
        return out

    def graph(message):
        return b"".join(field(n, w, tensor(c) if n == 5 else c) for n, w, c in fields(message))

    made = b"".join(field(n, w, graph(c) if n == 7 else c) for n, w, c in fields(model))
    return made, weights


def weights_in_another_file_stay_in_the_models_folder():
    with shop() as s:
        folder = s.folder / "network"
        folder.mkdir()
        model, x = folder / "m.onnx", s.folder / "x.npy"
        write_npy(x, (1, 3, 24, 24), [math.sin(0.37 * i) for i in range(1728)])

        def run(model, code=0):
            return s.run("model", "run", model, "--input", x, "--output", s.folder / "y.npy",
                         code=code)

        run(MODEL)
        expected = read_npy(s.folder / "y.npy")
        made, weights = with_external_weights(MODEL.read_bytes(), "w.bin")
        assert len(made) + len(weights) > 40000
        model.write_bytes(made)
        says(run(model, code=1), "m.onnx", "w.bin")  # not there
        (folder / "w.bin").write_bytes(half(weights))
        says(run(model, code=1), "m.onnx", "w.bin")  # too short
        (folder / "w.bin").write_bytes(weights)
        run(model)
        assert read_npy(s.folder / "y.npy") == expected
        # a catalog keeps a copy of one file, so it takes no model of two
        says(s.run("index", s.catalog, s.photos, "--model", model, code=1), "m.onnx",
             "data is in another file")
        s.run("index", s.catalog, s.photos, "--model", MODEL)
        # what is outside of the folder is not read, whatever leads there
        (s.folder / "w.bin").write_bytes(weights)
        (folder / "link").symlink_to(s.folder / "w.bin")
        for location in ("../w.bin", str(s.folder / "w.bin"), "link", "a/../../w.bin", ""):
            model.write_bytes(with_external_weights(MODEL.read_bytes(), location)[0])
            says(run(model, code=1), "m.onnx")


def a_network_is_quantised_and_the_loss_is_said():
    with shop(12) as s:
        out = s.folder / "int8.onnx"
        report = json.loads(s.run("model", "quantize", MODEL, s.photos, "-o", out, "--photos",
                                  "12", "--json").stdout)
        assert report["calibrated"] == 12 and report["measured"] == 24, report
        assert report["cosine"]["mean"] > 0.98, report
        assert set(report["precision_at_12"]["class"]) == {"before", "after"}
        assert report["bytes"]["after"] < report["bytes"]["before"]
        says(s.run("model", "info", out, "--precision", "int8"), "int8", "QuantizeLinear")
        says(s.run("model", "quantize", out, s.photos, "-o", s.folder / "b.onnx", code=1),
             "quantised")
        copy = s.folder / "b.onnx.tmp"
        copy.write_bytes(MODEL.read_bytes())
        for path in (copy, s.folder / "b.onnx"):  # the second goes by way of the first
            says(s.run("model", "quantize", copy, s.photos, "-o", path, code=1), "would be lost")
        says(s.run("model", "quantize", MODEL, s.photos, "-o", s.folder, code=1), "not a file")
        assert copy.read_bytes() == MODEL.read_bytes()
        photo, y = s.folder / "x.npy", s.folder / "y.npy"
        write_npy(photo, (2, 3, 24, 24), [math.sin(0.1 * i) for i in range(2 * 1728)])
        results = []
        for precision, cpu in (("f32", "avx512"), ("int8", "c"), ("int8", "avx2"),
                               ("int8", "avx512")):
            s.run("model", "run", out, "--input", photo, "--output", y, "--precision", precision,
                  "--cpu", cpu)
            results.append(read_npy(y))
        assert all(cosine(results[0], r) > 0.98 for r in results[1:])
        assert results[2] == results[3]  # the same bytes on any CPU


# ---- how well they find ------------------------------------------------------

def evaluation_feed(s):
    """A feed of the shop's photos with splits, groups, products and colours."""
    rows = ["id,image,class,split,group,product,color,title"]
    for i, photo in enumerate(sorted(s.photos.rglob("*.png"))):
        rows.append(f"{i},{photo.relative_to(s.photos)},{photo.parent.name},"
                    f"{'test' if i % 16 == 15 else 'val' if i % 4 == 3 else 'train'},"
                    f"g{i // 2},p{i // 4},{'dark' if i % 4 < 2 else 'light'},Coat {i // 4}")
    feed = s.folder / "feed.csv"
    feed.write_text("\n".join(rows) + "\n")
    return feed


def how_well_a_model_finds_is_measured():
    with shop(20) as s:
        feed = evaluation_feed(s)
        usual = ("eval", MODEL, feed, "--images", s.photos, "--identity", "product")
        done = s.run(*usual)
        says(done, "queries among", "precision@12", "same product", "top-5", "default", "shape",
             "colour", "crop to 80%", "JPEG quality 30", "brightness -40%")
        assert done.stderr == "" and "gender" not in done.stdout
        report = json.loads(s.run(*usual, "--json", "--changed", "5").stdout)
        assert report["queries"] == 12 and report["photos"] == 57 and report["changed"] == 5
        model, = report["models"]
        assert model["aspects"] == {"shape": {"dimensions": 320, "weight": 1.0, "degree": 1},
                                    "colour": {"dimensions": 64, "weight": 0.55,
                                               "degree": 1}}, model
        assert set(model["ways"]) == {"default", "shape", "colour"}
        assert model["ways"]["colour"]["precision_at_12"]["class"] > 0.9
        assert 0 <= model["ways"]["default"]["map_at_12"] <= 1
        assert model["robustness"]["crop"]["queries"] == 5
        assert model["confusion"]["by"] == "labels"
        assert sum(map(sum, model["confusion"]["counts"])) == 12
        # the same again, whatever the workers
        again = json.loads(s.run(*usual, "--json", "--changed", "5", "--workers", "5").stdout)
        for one in (report, again):
            for key in ("seconds", "photos_per_second"):
                one["models"][0].pop(key)
        assert report == again
        some = json.loads(s.run(*usual, "--json", "--queries", "7", "--gallery", "val",
                                "--changed", "0").stdout)
        assert some["queries"] == 7 and some["photos"] == 12
        assert "robustness" not in some["models"][0]


def a_data_set_may_be_a_folder_or_a_catalog():
    with shop(20) as s:
        s.index()
        of = [json.loads(s.run("eval", MODEL, source, "--json").stdout)
              for source in (s.photos, s.catalog)]
        assert of[0]["queries"] == of[1]["queries"] > 0
        assert [o["models"][0]["ways"]["default"] for o in of] == [of[0]["models"][0]["ways"]["default"]] * 2


def one_model_is_judged_against_another():
    with shop(20) as s:
        feed = evaluation_feed(s)
        usual = ("--images", s.photos, "--labels", "class,color", "--changed", "0")
        says(s.run("eval", MODEL, feed, "--against", MODEL, *usual), "against", "95% interval",
             "no difference shown")
        report = json.loads(s.run("eval", MODEL, feed, "--against", MODEL, *usual, "--json").stdout)
        assert report["against"]["verdict"] == "no difference shown"
        one = report["against"]["measures"]["precision_at_12"]["class"]
        assert one["old"] == one["new"] and one["interval"] == [0, 0] and one["queries"] == 12
        other = s.folder / "other.onnx"
        other.write_bytes(MODEL.read_bytes())
        page = s.folder / "report.html"
        says(s.run("eval", MODEL, other, MODEL, feed, *usual, "--report", page), "other.onnx")
        text = page.read_text()
        assert text.count("<svg") == 1 and text.count("base64,") > 50
        assert "other.onnx: default" in text and "http" not in text  # needs nothing else


def what_cannot_be_evaluated_is_said():
    with shop(4) as s:
        says(s.run("eval", s.folder / "no.onnx", s.photos, code=1), "no.onnx")
        says(s.run("eval", MODEL, s.folder / "nothing", code=1), "nothing")
        feed = s.folder / "feed.csv"
        feed.write_text("id,image,class,split\n" + "".join(
            f"{i},red/{i}.png,red,{'train' if i else 'val'}\n" for i in range(4)))
        usual = ("--images", s.photos)
        says(s.run("eval", MODEL, feed, *usual, "--labels", "taste", code=1), '"taste"', "class")
        says(s.run("eval", MODEL, feed, *usual, "--split", "class", code=1), "split val")
        (s.photos / "red/2.png").write_bytes(b"no photo")
        done = s.run("eval", MODEL, feed, *usual)
        says(done, "skipped", "feed.csv row 4", "1 photo can't be read")
        done = s.run("eval", MODEL, feed, *usual, "--report", s.folder / "no/report.html", code=1)
        assert "no/report.html" in done.stderr and "precision@12" in done.stdout


def the_precision_that_auto_took_is_remembered():
    with shop(12) as s:
        out, cache = s.folder / "int8.onnx", s.folder / "cache"
        cache.mkdir()
        s.run("model", "quantize", MODEL, s.photos, "-o", out, "--photos", "12")
        env = {**os.environ, "XDG_CACHE_HOME": str(cache)}

        def taken():
            report = json.loads(s.run("model", "info", out, "--json", env=env).stdout)
            assert report["auto"]
            return report["precision"]

        first = taken()
        answer, = (cache / "sosie/precision").iterdir()
        assert answer.read_text() == first + "\n"
        for other in ("f32", "int8"):
            answer.write_text(other + "\n")
            assert taken() == other  # it was not timed again
        for damage in ("", "f64\n", "auto\n", "int8", "x" * 1000):
            answer.write_text(damage)
            assert taken() in ("f32", "bf16", "int8")
            assert answer.read_text() in ("f32\n", "bf16\n", "int8\n")
        env = {**env, "XDG_CACHE_HOME": "/dev/null", "HOME": "/dev/null"}
        assert taken() in ("f32", "bf16", "int8")  # nowhere to keep it


def a_catalog_keeps_the_precision_it_was_made_in():
    with shop(12) as s:
        out = s.folder / "int8.onnx"
        s.run("model", "quantize", MODEL, s.photos, "-o", out, "--photos", "12")
        s.run("index", s.catalog, s.photos, "--model", out, "--precision", "int8")
        s.run("index", s.catalog, s.photos, "--precision", "int8")
        says(s.run("index", s.catalog, s.photos, "--precision", "f32", code=1), "int8")
        photo = next(s.photos.glob("*/*.png"))
        hits = json.loads(s.run("search", s.catalog, photo, "--json").stdout)["hits"]
        assert hits[0]["path"] == photo.name and hits[0]["score"] > 0.9999


# ---- training ----------------------------------------------------------------

SMALL = ("--arch", "sosie-s", "--size", 32, "--batch", 16)


def a_network_is_trained_on_class_folders():
    with shop(12) as s:
        model, page = s.folder / "mine.onnx", s.folder / "report.html"
        done = s.run("train", s.photos, "-o", model, *SMALL, "--epochs", 3, "--report", page,
                     "--metadata", "sosie.note=by a test", "--json")
        assert done.stderr == ""
        *epochs, result = map(json.loads, done.stdout.splitlines())
        assert [e["epoch"] for e in epochs] == [1, 2, 3]
        assert all(e["loss"] > 0 and e["per_second"] > 0 and e["val"] for e in epochs), epochs
        assert result["train"] + result["val"] == result["photos"] == 36 and result["bad"] == 0
        assert result["bytes"] == model.stat().st_size and result["parameters"] > 100000
        assert result["model"] == str(model) and result["precision"] in ("f32", "bf16")
        assert b"by a test" in model.read_bytes()
        assert page.read_text().startswith("<!doctype html>")
        says(s.run("model", "info", model), "Nx3x32x32")
        s.run("index", s.catalog, s.photos, "--model", model)
        hits = json.loads(s.run("search", s.catalog, s.photos / "red/1.png", "--json").stdout)["hits"]
        assert hits[0]["id"] == "red/1.png"
        again = s.folder / "finer.onnx"
        done = s.run("train", s.photos, "-o", again, "--init", model, "--epochs", 1, "--batch", 16)
        says(done, "epoch 1  loss", "finer.onnx: ", "trained on")
        finer = again.read_bytes()
        arguments = ("train", s.photos, "-o", again, "--init", model, "--freeze", "--anew", "kind",
                     "--epochs", 1, "--batch", 16)
        says(s.run(*arguments), "epoch 1  loss", "finer.onnx: ")
        frozen = again.read_bytes()
        assert frozen != finer
        s.run(*arguments, "--resume")  # there is nothing left to do
        assert again.read_bytes() == frozen
        assert sorted(p.name for p in s.folder.iterdir() if p.is_file()) == [
            "finer.onnx", "finer.onnx.checkpoint", "mine.onnx", "mine.onnx.checkpoint", "report.html"]


def ctrl_c_leaves_a_checkpoint_to_go_on_from():
    with shop(12) as s:
        model = s.folder / "mine.onnx"
        arguments = ("train", s.photos, "-o", model, *SMALL, "--epochs", 8, "--json",
                     "--precision", "f32")  # auto may choose anew at each start
        says(s.run(*arguments, "--resume", code=1), "no checkpoint to resume from")
        process = subprocess.Popen([s.sosie, *map(str, arguments)], bufsize=0,
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        first = json.loads(process.stdout.readline())
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
        if process.returncode == 0:
            raise Skip("the machine was faster than Ctrl-C")
        assert process.returncode == 1 and b"interrupted; --resume goes on from" in err, err
        n_done = 1 + len(out.splitlines())
        says(s.run(*arguments, "--seed", 2, "--resume", code=1), "other options")
        done = s.run(*arguments, "--resume")
        *epochs, result = map(json.loads, done.stdout.splitlines())
        assert first["epoch"] == 1 and epochs[-1]["epoch"] == 8
        assert n_done + len(epochs) == 8 and "model" in result
        resumed = model.read_bytes()
        page = s.folder / "report.html"  # asked for too late: the end is judged again
        done = s.run(*arguments, "--resume", "--report", page)
        assert json.loads(done.stdout.splitlines()[0]) == epochs[-1] and page.exists()
        s.run(*arguments)
        assert model.read_bytes() == resumed
        checkpoint = s.folder / "mine.onnx.checkpoint"
        checkpoint.write_bytes(half(checkpoint.read_bytes()))
        says(s.run(*arguments, "--resume", code=3), "is cut off")


def photos_that_cannot_be_trained_on_are_skipped():
    with shop(12) as s:
        (s.photos / "red/text.jpg").write_text("not a photo\n")
        (s.photos / "red/cut.png").write_bytes(half(garment("red", 1)))
        arguments = ("train", s.photos, "-o", s.folder / "mine.onnx", *SMALL, "--epochs", 1)
        done = s.run(*arguments, "--json")
        says(done, "red/text.jpg: looks like text", "red/cut.png: PNG is truncated")
        assert json.loads(done.stdout.splitlines()[-1])["bad"] == 2
        says(s.run(*arguments, "--batch", 128, code=1), "photos to train on", "needs 64")
        says(s.run(*arguments, "--labels", "taste", code=1), "taste")
        says(s.run("train", s.photos, "-o", s.folder / "no/mine.onnx", *SMALL, "--epochs", 1,
                   code=1), "no")
        says(s.run("train", s.photos / "red", "-o", s.folder / "mine.onnx", *SMALL, code=1), "class")
        says(s.run("train", s.photos, "-o", s.folder / "mine.onnx", "--batch", 16,
                   "--init", s.photos / "red/1.png", code=1), "1.png")


# ---- index and search --------------------------------------------------------

def a_folder_of_class_folders_becomes_a_catalog():
    with shop() as s:
        says(s.index(), "18 items; 18 photos embedded")
        report = json.loads(s.index("--json").stdout)
        assert report["items"] == 18 and report["embedded"] == 0 and report["unchanged"] == 18
        done = s.run("search", s.catalog, s.photos / "blue/2.png", "--limit", 3)
        lines = done.stdout.splitlines()
        assert lines[2].startswith("1.000  1.000   1.000  blue") and "blue/2.png" in lines[2]
        assert len(lines) == 6
        says(s.run("check", s.catalog), "segments: 1", "ok\n")


def a_plain_folder_has_no_classes():
    with shop() as s:
        s.index(source=s.photos / "red")
        body = json.loads(s.run("search", s.catalog, s.photos / "red/1.png", "--json").stdout)
        assert body["hits"][0]["id"] == "1.png" and body["hits"][0]["class"] == "unknown"
        assert len(body["hits"]) == 6


def json_of_a_search_is_the_body_of_the_api():
    with shop() as s:
        s.index()
        done = s.run("search", s.catalog, s.photos / "red/1.png", s.photos / "green/1.png",
                     "--json", "--limit", 2)
        bodies = [json.loads(line) for line in done.stdout.splitlines()]
        assert [b["hits"][0]["id"] for b in bodies] == ["red/1.png", "green/1.png"]
        hit = bodies[0]["hits"][0]
        assert set(hit) == {"id", "path", "class", "score", "aspects", "fields"}
        assert hit["path"] == "1.png" and set(hit["aspects"]) == {"shape", "colour"}
        assert set(bodies[0]["took_ms"]) == {"decode", "embed", "search", "total"}
        assert bodies[0]["exact"] is True and bodies[0]["next"] is None


def a_photo_may_come_on_stdin():
    with shop() as s:
        s.index()
        done = s.run("search", s.catalog, "-", "--json", stdin=garment("red", 3), text=False)
        assert json.loads(done.stdout)["hits"][0]["id"] == "red/3.png"


def an_item_class_weights_and_crop_narrow_a_search():
    with shop() as s:
        s.index()
        def hits(*more):
            return json.loads(s.run("search", s.catalog, "--json", *more).stdout)["hits"]
        assert "red/1.png" not in [h["id"] for h in hits("--item", "red/1.png")]
        assert {h["class"] for h in hits("--item", "red/1.png", "--class", "blue")} == {"blue"}
        best = hits("--item", "red/1.png", "--weights", "colour=1", "--limit", "5")
        assert {h["class"] for h in best} == {"red"}
        says(s.run("search", s.catalog, "--item", "red/1.png", "--weights", "taste=1", code=1),
             'weights name "taste"; the catalog\'s aspects are shape and colour')
        photo = s.photos / "red/1.png"
        assert hits(photo, "--crop", "0,0,1,1")[0]["score"] == 1
        says(s.run("search", s.catalog, photo, "--crop", "0,0,2,1", code=1), "crop is x 0")
        assert {h["class"] for h in hits(photo, "--predicted", "--limit", "500")} == {"red"}


def a_models_own_aspects_go_all_the_way():
    with shop(12) as s:
        model, small = s.folder / "own.onnx", s.folder / "small.onnx"
        model.write_bytes(with_metadata(MODEL.read_bytes(), OWN_ASPECTS))
        s.run("model", "quantize", model, s.photos, "-o", small, "--photos", "12")
        for key, value in OWN_ASPECTS.items():
            assert field(1, 2, key.encode()) + field(2, 2, value.encode()) in small.read_bytes()
        for name in (model, small):
            catalog = s.folder / name.stem
            s.run("index", catalog, s.photos, "--model", name)
            lines = s.run("search", catalog, s.photos / "red/1.png").stdout.splitlines()
            assert lines[1].split() == ["score", "shape", "colour", "kind", "class", "id"], lines
            assert lines[2].split()[:4] == ["1.000"] * 4, lines
            done = s.run("search", catalog, "--item", "red/1.png", "--weights", "kind=1", "--json")
            for hit in json.loads(done.stdout)["hits"]:
                assert list(hit["aspects"]) == ["shape", "colour", "kind"]
                assert hit["score"] == hit["aspects"]["kind"]
            says(s.run("search", catalog, "--item", "red/1.png", "--weights", "taste=1", code=1),
                 "the catalog's aspects are shape, colour and kind")
            says(s.run("check", catalog), "shape 192, colour 64, kind 64, the model's own")


def a_class_head_is_fitted_to_a_catalog_in_seconds():
    with shop(30) as s:
        for name, other in (("red", "coats"), ("green", "hats"), ("blue", "shoes")):
            (s.photos / name).rename(s.photos / other)
        says(s.run("train", "--head-only", s.catalog, code=1), "there is no catalog")
        s.index()
        report = json.loads(s.run("train", "--head-only", s.catalog, "--json").stdout)
        assert (report["photos"], report["held_out"], report["classes"]) == (90, 9, 3), report
        assert report["kept"] and report["accuracy"]["head"] >= report["accuracy"]["votes"]
        assert report["temperature"] > 0 and report["seconds"] < 20, report
        says(s.run("check", s.catalog), "class head: 3 classes, in use")
        done = s.run("search", s.catalog, s.photos / "hats/1.png", "--predicted", "--json")
        body = json.loads(done.stdout)
        assert body["classes"][0]["class"] == "hats" and body["classes"][0]["probability"] > 0.8
        assert {h["class"] for h in body["hits"]} == {"hats"}
        says(s.run("train", "--head-only", s.catalog), "90 photos of 3 classes in",
             "by votes", "at temperature")
        (s.photos / "coats").rename(s.photos / "jackets")
        s.index()
        says(s.run("check", s.catalog), "not in use: it is of other classes")
        says(s.run("train", "--head-only", s.catalog, "-o", "x.onnx", code=2), "takes one CATALOG")
        says(s.run("train", "--head-only", code=2), "takes one CATALOG")


FEED = '''id,title,image_link,product_type,price,colour code
1,"A coat, ""long""",https://shop.example/img/red/0.png?v=2,Apparel > Coats,10.00 EUR,R1
2,Dress,red/1.png,Apparel > Dresses,20.00 EUR,
3,No photo,,Apparel > Dresses,20.00 EUR,
4,Lost,red/99.png,Apparel > Dresses,20.00 EUR,
2,Twice,red/2.png,Apparel > Dresses,20.00 EUR,
5,Up,../../etc/passwd,Apparel > Dresses,1,
6,Short
'''


def a_merchant_feed_is_read_and_its_bad_rows_are_named():
    with shop() as s:
        feed = s.folder / "feed.csv"
        feed.write_text(FEED)
        done = s.index("--images", s.photos / "red", source=feed)
        says(done, "1 items", "6 skipped")  # "red/1.png" is not below photos/red
        done = s.index("--images", s.photos, source=feed)
        says(done, "feed.csv row 4", "feed.csv row 5", "red/99.png", "feed.csv row 6",
             "feed.csv row 7", "feed.csv row 8")
        hits = json.loads(s.run("search", s.catalog, s.photos / "red/1.png", "--json").stdout)["hits"]
        assert hits[0]["id"] == "2" and hits[0]["class"] == "Dresses", hits
        assert hits[0]["fields"]["price"] == "20.00 EUR"


def photos_that_cannot_be_read_are_reported_counted_and_skipped():
    with shop() as s:
        (s.photos / "red/text.jpg").write_text("not a photo\n")
        (s.photos / "red/cut.png").write_bytes(half(garment("red", 1)))
        (s.photos / "red/empty.png").write_bytes(b"")
        done = s.index()
        says(done, "3 skipped", "red/text.jpg: looks like text", "red/cut.png: PNG is truncated",
             "red/empty.png: photo is empty", "18 items")
        done = s.index("--json")
        bad = [json.loads(line) for line in done.stderr.splitlines()]
        assert {b["bad"].split("/")[-1] for b in bad} == {"text.jpg", "cut.png", "empty.png"}


def photos_to_search_with_get_a_clear_refusal():
    with shop() as s:
        s.index()
        huge = s.folder / "huge.png"
        huge.write_bytes(garment("red", 1)[:16] + (20000).to_bytes(4, "big") * 2 + b"\x08\x02" + bytes(1000))
        cut = s.folder / "cut.png"
        cut.write_bytes(half(garment("red", 1)))
        large = s.folder / "large.jpg"
        large.write_bytes(b"\xff\xd8\xff" + bytes(11 << 20))
        for photo, words in (
                (ROOT / "meson.build", "looks like text, not an image; expected JPEG, PNG or WebP"),
                (cut, "PNG is truncated"), (large, "has 11534339 bytes, at most 10485760 are taken"),
                (huge, "20000x20000 pixels, 400.0 megapixels; at most 40.0"), (s.folder / "none.jpg", "No such file"),
                (s.folder, "not a regular file")):
            done = s.run("search", s.catalog, photo, code=1)
            says(done, words)
            assert done.stdout == ""


def a_progress_bar_is_shown_on_a_terminal():
    with shop(200) as s:
        leader, follower = pty.openpty()
        process = subprocess.Popen([s.sosie, "index", s.catalog, s.photos, "--model", MODEL],
                                   stdout=subprocess.PIPE, stderr=follower)
        os.close(follower)
        shown = b""
        try:
            while chunk := os.read(leader, 4096):
                shown += chunk
        except OSError:
            pass  # the other end is closed
        assert process.wait() == 0
        text = shown.decode()
        assert re.search(r"(embedding|writing) +\[#*-*\] [\d,]+ / 600", text), text[-300:]


# ---- what goes wrong ---------------------------------------------------------

def paths_that_are_no_catalog_are_named():
    with shop() as s:
        photo = s.photos / "red/1.png"
        says(s.run("search", s.folder / "none", photo, code=1), "there is no catalog")
        says(s.run("serve", photo, code=1), "is a file; a catalog is a folder")
        says(s.run("check", s.photos, code=1), "has no catalog.db")
        says(s.run("index", s.photos, s.photos, "--model", MODEL, code=1), "and it has")
        says(s.run("index", s.catalog, s.folder / "none", "--model", MODEL, code=1), "none")
        says(s.run("index", s.folder / "new", s.photos, code=1), "--model FILE")
        says(s.run("index", s.folder / "new2", s.photos, "--model", photo, code=1), "1.png")


def another_model_is_refused():
    with shop() as s:
        s.index()
        other = ROOT / "tests/golden/photo.onnx"
        done = s.run("index", s.catalog, s.photos, "--model", other, code=1)
        says(done, "dimension 4", "dimension 320")
        (s.catalog / "model.onnx").write_bytes(other.read_bytes())
        says(s.run("search", s.catalog, s.photos / "red/1.png", code=1), "dimension 4")


def damage_is_exit_status_3_and_segments_are_repaired():
    with shop() as s:
        s.index()
        segment = next(s.catalog.glob("*.seg"))
        data = bytearray(segment.read_bytes())
        data[-50] ^= 1
        segment.write_bytes(data)
        says(s.run("check", s.catalog, code=3), "fails its checksum")
        body = json.loads(s.run("check", s.catalog, "--json", code=3).stdout)
        assert body["ok"] is False and "checksum" in body["fault"]
        s.run("search", s.catalog, s.photos / "red/1.png")
        s.run("check", s.catalog, "--repair")
        database = s.catalog / "catalog.db"
        database.write_bytes(b"damaged" * 1000)
        s.run("search", s.catalog, s.photos / "red/1.png", code=3)
        s.run("check", s.catalog, code=3)


def a_kill_at_any_moment_loses_nothing():
    with shop(250) as s:
        for wait in (0.005, 0.02, 0.04, 0.06, 0.08, 0.1):
            process = subprocess.Popen(
                [s.sosie, "index", s.catalog, s.photos, "--model", MODEL],
                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            time.sleep(wait)
            process.send_signal(signal.SIGKILL)
            process.wait()
            if (s.catalog / "catalog.db").exists():
                done = subprocess.run([s.sosie, "check", s.catalog], capture_output=True, text=True)
                assert done.returncode == 0 or "not finished" in done.stderr \
                    or "schema version 0" in done.stderr, done.stderr
        report = json.loads(s.index("--json").stdout)
        assert report["items"] == 750 and report["bad"] == 0
        s.run("check", s.catalog)


def ctrl_c_keeps_what_was_done():
    with shop(400) as s:
        process = subprocess.Popen([s.sosie, "index", s.catalog, s.photos, "--model", MODEL],
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        while not s.catalog.exists() and process.poll() is None:
            time.sleep(0.005)
        time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate()
        if process.returncode == 0:
            raise Skip("the machine was faster than Ctrl-C")
        assert process.returncode == 1 and "goes on from here" in err, err
        assert "items" in out
        s.run("check", s.catalog)
        assert json.loads(s.index("--json").stdout)["items"] == 1200


def a_full_disk_is_said_and_survived():
    with shop(250) as s, small_disk(s.folder) as disk:
        s.catalog = disk / "catalog"
        done = s.index(code=1)
        says(done, "full")
        s.run("check", s.catalog)
        subprocess.run(["mount", "-o", "remount,size=64m", disk], check=True)
        assert json.loads(s.index("--json").stdout)["items"] == 750
        s.run("check", s.catalog)


def a_full_disk_stops_no_training():
    with shop(12) as s, small_disk(s.folder) as disk:
        arguments = ("train", s.photos, *SMALL, "--epochs", 2)
        model = s.folder / "mine.onnx"
        done = s.run(*arguments, "-o", model, "--checkpoint", disk / "there")
        assert done.stderr.count("training goes on") == 2, done.stderr
        assert "No space left on device" in done.stderr, done.stderr
        assert model.exists() and not list(disk.iterdir())
        says(s.run(*arguments, "-o", disk / "mine.onnx", "--cache", s.folder / "pixels",
                   "--checkpoint", s.folder / "there", code=1), "No space left on device")
        subprocess.run(["mount", "-o", "remount,size=64m", disk], check=True)
        s.run(*arguments, "-o", disk / "mine.onnx", "--cache", s.folder / "pixels",
              "--checkpoint", s.folder / "there", "--resume")
        assert (disk / "mine.onnx").read_bytes() == model.read_bytes()


def real_photos_are_found():
    photos = need_shared("data/photos/images")
    model = need_shared("models/mobilenet_v2_imagenet.onnx")
    with shop(0) as s:
        feed = s.folder / "some.csv"
        rows = (photos.parent / "images.csv").read_text().splitlines()
        feed.write_text("\n".join(rows[:121]) + "\n")
        s.run("index", s.catalog, feed, "--images", photos.parent, "--model", model,
              "--map", "id=id,image=file,class=label")
        some = [row.split(",")[1] for row in rows[1:121:10]]
        done = s.run("search", s.catalog, *[photos.parent / f for f in some], "--json")
        for file, line in zip(some, done.stdout.splitlines(), strict=True):
            hit = json.loads(line)["hits"][0]
            assert hit["path"] == file and hit["score"] > 0.9999, hit
        large = sorted(need_shared("data/large").glob("*.jpg"))[:3]
        s.run("search", s.catalog, *large)


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    sys.exit(run_all([
        every_command_has_help_on_stdout, a_wrong_command_line_is_exit_status_2,
        a_network_says_what_it_is, a_network_runs_on_raw_tensors,
        weights_in_another_file_stay_in_the_models_folder,
        a_network_is_quantised_and_the_loss_is_said,
        how_well_a_model_finds_is_measured, a_data_set_may_be_a_folder_or_a_catalog,
        one_model_is_judged_against_another, what_cannot_be_evaluated_is_said,
        a_network_is_trained_on_class_folders, ctrl_c_leaves_a_checkpoint_to_go_on_from,
        photos_that_cannot_be_trained_on_are_skipped,
        the_precision_that_auto_took_is_remembered,
        a_catalog_keeps_the_precision_it_was_made_in,
        a_folder_of_class_folders_becomes_a_catalog, a_plain_folder_has_no_classes,
        json_of_a_search_is_the_body_of_the_api, a_photo_may_come_on_stdin,
        an_item_class_weights_and_crop_narrow_a_search, a_models_own_aspects_go_all_the_way,
        a_class_head_is_fitted_to_a_catalog_in_seconds,
        a_merchant_feed_is_read_and_its_bad_rows_are_named,
        photos_that_cannot_be_read_are_reported_counted_and_skipped,
        photos_to_search_with_get_a_clear_refusal, a_progress_bar_is_shown_on_a_terminal,
        paths_that_are_no_catalog_are_named, another_model_is_refused,
        damage_is_exit_status_3_and_segments_are_repaired, a_kill_at_any_moment_loses_nothing,
        ctrl_c_keeps_what_was_done, a_full_disk_is_said_and_survived,
        a_full_disk_stops_no_training, real_photos_are_found]))
