#!/usr/bin/env python3
"""Our engine, ONNX Runtime and OpenVINO on the same ONNX files, in turns.

  bench/engines.sh BUILD/bench/bench_net FOLDER [--int8-dir FOLDER]
      [--nets resnet50,...] [--threads 1,2] [--batches 1,4]
      [--precisions f32,bf16,int8] [--rounds 7] [--turn-ms 150]
      [--load | --auto]

FOLDER holds the networks as tools/golden/networks/full.py exports them; the
QDQ files of the same names for int8 are those of --int8-dir (`bench/engines.sh
qdq.py` makes some). Ours cuts a batch into one part a thread, so one photo is the
work of one thread.

Every engine is a process of its own that loads the network and waits. A round
gives each a turn of about --turn-ms, so that whatever else the machine does
falls on all; who goes first changes from round to round. Processes are pinned
to as many CPUs as they may have threads, the same for all. Each gets its input
as floats in the layout that it takes; none prepares photos.

Printed per engine, for one photo: the median over the rounds of a round's
median pass, and the least pass of all, in milliseconds; the time from opening
the file to the end of the first pass, without the start of the process and of
Python; resident memory, and how much of it came with the network. At the end a
table: the medians, and the ratios of ours to the better of the two others, by
medians, by least, by load time and by the memory that came with the network.

With --load, only loading is compared: in each round every engine starts, loads,
says what memory it holds and ends, one after the other. Printed are the medians
of load time, of the CPU's time for it (which a busy machine hardly changes), of
resident memory and of its peak, both without what was there before the network,
and the ratios of ours to the better of the two others.

With --auto, ours alone, in each precision that the CPU and the file allow and in
the one that it takes by itself, in turns as above, for the files of both
folders. What it takes is measured anew --rounds times; the one it took most
often is compared with the fastest.

ONNX Runtime has no bf16 for these CPUs. A precision that an engine refuses is
left out with its reason.
"""
import argparse
import itertools
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time

NETS = ["mobilenet_v2", "mobilenet_v3_large", "efficientnet_b0", "resnet50", "repvgg_a0",
        "xception", "vit_b32"]
PEERS = ["onnxruntime", "openvino"]


# ---- the peers: one process each, the protocol of bench_net.c ------------------

def resident_mib(key):
    with open("/proc/self/status", encoding="ascii") as file:
        for line in file:
            if line.startswith(key):
                return int(line.split()[1]) / 1024
    return 0.0


def load_onnxruntime(path, precision, threads, batch):
    import onnxruntime
    if precision == "bf16":
        sys.exit("no bf16")

    def load():
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
        options.add_free_dimension_override_by_name("batch", batch)
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        first = session.get_inputs()[0]
        outputs = [session.get_outputs()[0].name]
        return first.shape, lambda x: session.run(outputs, {first.name: x})
    return load


def load_openvino(path, precision, threads, batch):
    import openvino

    def load():
        core = openvino.Core()
        if precision == "bf16" and "BF16" not in core.get_property("CPU",
                                                                  "OPTIMIZATION_CAPABILITIES"):
            sys.exit("the CPU has no bf16")
        model = core.read_model(path)
        shape = [batch] + [d.get_length() for d in model.input(0).partial_shape[1:]]
        model.reshape(shape)
        request = core.compile_model(model, "CPU", {
            "PERFORMANCE_HINT": "LATENCY", "INFERENCE_NUM_THREADS": threads, "NUM_STREAMS": 1,
            "INFERENCE_PRECISION_HINT": "bf16" if precision == "bf16" else "f32",
        }).create_infer_request()
        return shape, lambda x: request.infer([x], share_inputs=True, share_outputs=True)
    return load


def worker(engine, path, precision, threads, batch):
    import numpy as np
    prepare = {"onnxruntime": load_onnxruntime, "openvino": load_openvino}[engine]
    load = prepare(path, precision, threads, batch)
    base = resident_mib("VmRSS")
    start, cpu = time.perf_counter(), time.process_time()
    shape, run = load()
    x = np.random.default_rng(1).standard_normal([batch] + list(shape[1:]), np.float32)
    run(x)
    took = (time.perf_counter() - start) * 1e3
    cpu = (time.process_time() - cpu) * 1e3
    print(json.dumps({"load_ms": took, "cpu_ms": cpu, "base_mib": base}), flush=True)
    for line in sys.stdin:
        if line.startswith("run "):
            ms = []
            for _ in range(int(line.split()[1])):
                start = time.perf_counter()
                run(x)
                ms.append((time.perf_counter() - start) * 1e3)
            print(json.dumps({"ms": ms}), flush=True)
        else:
            print(json.dumps({"resident_mib": resident_mib("VmRSS"),
                              "peak_mib": resident_mib("VmHWM")}), flush=True)


# ---- the comparison -----------------------------------------------------------

class Engine:
    """A worker process that has loaded one network."""

    def __init__(self, name, command, cpus, environment=None):
        self.name, self.medians, self.least = name, [], float("inf")
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            text=True, env=environment, preexec_fn=lambda: os.sched_setaffinity(0, cpus))
        self.loaded = self.answer()

    def answer(self):
        line = self.process.stdout.readline()
        if not line:
            reason = self.process.stderr.read().strip().splitlines()
            raise RuntimeError(reason[-1] if reason else "it ended")
        return json.loads(line)

    def ask(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        return self.answer()

    def turn(self, turn_ms, batch):
        if not self.medians:  # how long a pass takes, warm
            self.pass_ms = statistics.median(self.ask("run 3")["ms"])
        n = max(3, int(turn_ms / self.pass_ms))
        ms = [t / batch for t in self.ask(f"run {n}")["ms"]]
        self.medians.append(statistics.median(ms))
        self.least = min(self.least, min(ms))

    def finish(self):
        memory = self.ask("memory")
        self.resident, self.base = memory["resident_mib"], self.loaded["base_mib"]
        self.load_ms, self.median = self.loaded["load_ms"], statistics.median(self.medians)

    def stop(self):
        for pipe in (self.process.stdin, self.process.stdout, self.process.stderr):
            pipe.close()
        self.process.kill()
        self.process.wait()


def commands(args, path, precision, threads, batch):
    """What starts each engine's process."""
    options = [precision, str(threads), str(batch)]
    found = {"sosie": [args.bench_net, path, "--precision", precision, "--threads",
                       options[1], "--batch", options[2]]}
    for name in PEERS:
        found[name] = [sys.executable, os.path.abspath(__file__), "--worker", name, path,
                       *options]
    return found


def cpus(threads):
    """Those that a process of so many threads may have."""
    return set(sorted(os.sched_getaffinity(0))[-threads:])


def start(name, command, threads):
    """An engine that has loaded its network, or None: its reason is told."""
    try:
        return Engine(name, command, cpus(threads))
    except RuntimeError as error:
        if str(error) != "no bf16":
            print(f"    {name}: {error}", flush=True, file=sys.stderr)
        return None


def start_all(args, path, precision, threads, batch):
    """The engines that could load the network."""
    engines = [start(name, command, threads) for name, command in
               commands(args, path, precision, threads, batch).items()]
    return [engine for engine in engines if engine]


def take_turns(args, engines, batch):
    """The engines, measured and ended."""
    try:
        for k in range(args.rounds):
            for i in range(len(engines)):
                time.sleep(0.02)  # threads of the one before may still spin
                engines[(i + k) % len(engines)].turn(args.turn_ms, batch)
        for engine in engines:
            engine.finish()
    finally:
        for engine in engines:
            engine.stop()
    return engines


def compare(args, path, precision, threads, batch):
    engines = start_all(args, path, precision, threads, batch)
    return {engine.name: engine for engine in take_turns(args, engines, batch)}


def network_path(args, precision, net):
    """The network's file for a precision; None if there is no folder for it."""
    folder = args.int8_dir if precision == "int8" else args.folder
    return folder and os.path.join(folder, net + ".onnx")


def ratios(found):
    """Ours to the better of the others: median, least, load time, memory."""
    ours = found.get("sosie")
    peers = [found[name] for name in PEERS if name in found]
    if not ours or not peers:
        return []
    return [of(ours) / min(of(peer) for peer in peers) for of in (
        lambda e: e.median, lambda e: e.least, lambda e: e.load_ms, lambda e: e.resident - e.base)]


def report(found):
    for e in found.values():
        print(f"    {e.name:12} {e.median:8.2f} ms {e.least:8.2f} least   load {e.load_ms:6.0f} ms"
              f"   resident {e.resident:6.0f} MiB, {e.resident - e.base:6.0f} of the network")
    sys.stdout.flush()


def summary(rows):
    """A line of Markdown a comparison; what an engine refused is a dash."""
    print("\n| network | precision | threads | batch | sosie | ONNX Runtime | OpenVINO | ratio "
          "| of the least | load | memory |\n|---|---|---|---|---|---|---|---|---|---|---|")
    for what, found in rows:
        cells = [f"{found[name].median:.2f}" if name in found else "-"
                 for name in ["sosie"] + PEERS]
        cells += [f"{r:.2f}" for r in ratios(found)] or ["-"] * 4
        print("| " + " | ".join([str(w) for w in what] + cells) + " |")


# ---- loading alone --------------------------------------------------------------

def load_once(args, path, precision):
    """Load time, the CPU's part, resident memory and its peak of each engine."""
    found = {}
    for name, command in commands(args, path, precision, 1, 1).items():
        engine = start(name, command, 1)
        if engine:
            memory = engine.ask("memory")
            base = engine.loaded["base_mib"]
            found[name] = (engine.loaded["load_ms"], engine.loaded["cpu_ms"], memory["resident_mib"] - base,
                           memory["peak_mib"] - base)
            engine.stop()
    return found


def compare_loads(args):
    """A line of Markdown a network and precision: ours / ONNX Runtime / OpenVINO."""
    print("\n| network | precision | load ms | ratio | of it CPU | ratio | resident MiB | ratio | peak MiB | ratio |"
          "\n|---|---|---|---|---|---|---|---|---|---|")
    for precision, net in itertools.product(args.precisions, args.nets):
        path = network_path(args, precision, net)
        if not path:
            continue
        rounds = [load_once(args, path, precision) for _ in range(args.rounds)]
        cells = [net, precision]
        for k in range(4):
            medians = {name: statistics.median(r[name][k] for r in rounds)
                       for name in ["sosie"] + PEERS if all(name in r for r in rounds)}
            cells.append(" / ".join(f"{medians[name]:.0f}" if name in medians else "-"
                                    for name in ["sosie"] + PEERS))
            ours = medians.pop("sosie", None)
            cells.append(f"{ours / min(medians.values()):.2f}" if ours and medians else "-")
        print("| " + " | ".join(cells) + " |", flush=True)


# ---- the precision that is taken by itself ----------------------------------------

def choices(args, path):
    """What auto takes, --rounds times, each time without a memory of it."""
    taken = []
    for _ in range(args.rounds):
        with tempfile.TemporaryDirectory() as folder:
            engine = Engine("auto", [args.bench_net, path, "--precision", "auto"], cpus(1),
                            {**os.environ, "XDG_CACHE_HOME": folder})
            taken.append(engine.loaded["precision"])
            engine.stop()
    return taken


def check_choice(args, path):
    """Medians in ms of each precision, and what auto takes."""
    taken = choices(args, path)
    engines = [start(p, [args.bench_net, path, "--precision", p], 1)
               for p in ("f32", "bf16", "int8")]
    medians = {e.name: e.median for e in take_turns(args, [e for e in engines if e], 1)}
    return medians, taken


def check_choices(args):
    """A line of Markdown a file."""
    print("\n| network | file | f32 ms | bf16 | int8 | auto takes | ratio to the fastest |"
          "\n|---|---|---|---|---|---|---|")
    for kind, net in itertools.product(("f32", "int8"), args.nets):
        path = network_path(args, kind, net)
        if not path:
            continue
        medians, taken = check_choice(args, path)
        most = statistics.mode(taken)
        cells = [f"{medians[p]:.2f}" if p in medians else "-" for p in ("f32", "bf16", "int8")]
        cells += [f"{most} ({taken.count(most)} of {len(taken)})",
                  f"{medians[most] / min(medians.values()):.2f}"]
        print("| " + " | ".join([net, kind] + cells) + " |", flush=True)


def describe_machine():
    import onnxruntime
    import openvino
    model = "unknown CPU"
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        for line in file:
            if line.startswith("model name"):
                model = line.split(":", 1)[1].strip()
            if line.startswith("model\t"):
                number = line.split(":", 1)[1].strip()
            if line.startswith("flags"):
                flags = [f for f in ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_int8")
                         if f in line.split()]
                model += f" (model {number}): {' '.join(flags)}"
                break
    print(f"{model}; {os.cpu_count()} CPUs; load {os.getloadavg()[0]:.1f}\n"
          f"{platform.system()} {platform.release()}, Python {platform.python_version()}, "
          f"ONNX Runtime {onnxruntime.__version__}, OpenVINO {openvino.__version__}")


def main():
    def names(text):
        return text.split(",")

    def numbers(text):
        return [int(n) for n in text.split(",")]

    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bench_net")
    parser.add_argument("folder")
    parser.add_argument("--int8-dir")
    parser.add_argument("--nets", type=names, default=NETS)
    parser.add_argument("--threads", type=numbers, default=[1, 2])
    parser.add_argument("--batches", type=numbers, default=[1, 4])
    parser.add_argument("--precisions", type=names, default=["f32", "bf16", "int8"])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--turn-ms", type=float, default=150)
    parser.add_argument("--load", action="store_true")
    parser.add_argument("--auto", action="store_true")
    args = parser.parse_args()
    describe_machine()
    if args.load:
        compare_loads(args)
        return
    if args.auto:
        check_choices(args)
        return
    rows = []
    for precision, net, threads, batch in itertools.product(
            args.precisions, args.nets, args.threads, args.batches):
        path = network_path(args, precision, net)
        if not path:
            continue
        print(f"{net} {precision}, threads {threads}, batch {batch}", flush=True)
        found = compare(args, path, precision, threads, batch)
        report(found)
        rows.append(((net, precision, threads, batch), found))
    summary(rows)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--worker"]:
        worker(sys.argv[2], sys.argv[3], sys.argv[4], int(sys.argv[5]), int(sys.argv[6]))
    else:
        main()
