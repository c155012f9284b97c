"""What scripts/bench_vs_pytorch.sh runs; its head says how."""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

OURS, PEER = ["target/release/p2p"], [sys.executable, "scripts/pytorch_peer.py"]
FLAGS = {
    "eager": [],
    "fused": ["--fused"],
    "channels-last": ["--fused", "--channels-last"],
    "compile": ["--fused", "--compile"],
}
RUNS, COUNT = int(os.environ.get("RUNS", 5)), os.environ.get("COUNT", "8")
CASES = os.environ.get("CASES", "256:1 128:1 512:1 256:4 256:16").split()
SETTINGS = os.environ.get("SETTINGS", "eager fused channels-last").split()


def run(command, **settings):
    """Standard output, seconds and peak memory in MiB of a whole process."""
    began = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, **settings)
    out = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        sys.exit(f"{' '.join(map(str, command))} failed")
    return out, time.perf_counter() - began, usage.ru_maxrss / 1024


def values(command):
    return json.loads(run(command)[0])


def say(name, pairs, unit, factor=1.0, note="", digits=1):
    ours, peer = (statistics.median(pair[side] for pair in pairs) * factor for side in (0, 1))
    ratio = statistics.median(a / b for a, b in pairs)
    print(f"{name:34} ours {ours:8.{digits}f} {unit}, PyTorch {peer:8.{digits}f} {unit}{note}, ratio {ratio:.2f}", flush=True)


def networks(cases, ours_more=(), peer_more=(), before=(), label=""):
    for case in cases:
        size, batch = case.split(":")
        common = ["--size", size, "--batch", batch, "--count", COUNT]
        ours = lambda: values([*OURS, *before, "bench", "--json", *common, *ours_more])
        peer = lambda setting: values([*PEER, "time", *common, *FLAGS[setting], *peer_more])
        tried = {setting: peer(setting) for setting in SETTINGS}
        best = {figure: min(tried, key=lambda setting: tried[setting][figure]) for figure in ("forward_s", "step_s")}
        found = []
        for _ in range(RUNS):
            own = ours()
            found.append((own, {setting: peer(setting) for setting in set(best.values())}))
        for figure, setting in best.items():
            pairs = [(own[figure], others[setting][figure]) for own, others in found]
            name = f"{size} px, batch {batch}, {figure.removesuffix('_s')}{label}:"
            say(name, pairs, "ms", 1e3, f" ({setting})")


def bf16(_):
    networks(["256:1"], ["--precision", "bf16", "--weight-cache", "512"], ["--bf16"], label=", bf16")


def avx2(_):
    networks(["256:1"], before=["--simd", "avx2"], label=", avx2")


def loader(place):
    load = ["--pairs", place.pairs, "--size", "256"]
    pairs = []
    for _ in range(RUNS):
        ours = values([*OURS, "bench", "loader", *load, "--threads", "2", "--repeat", "3", "--json"])
        peer = values([*PEER, "load", *load, "--workers", "2", "--repeat", "3"])
        pairs.append((ours["pairs_per_s"], peer["pairs_per_s"]))
    say("loader, 2 workers:", pairs, "pairs/s")


def trained(place, steps):
    """Both trainings for a few steps; their peaks."""
    common = ["--pairs", place.pairs, "--size", "256", "--width", "64", "--steps", str(steps)]
    ours = run([*OURS, "-q", "train", *common, "--runs", place.folder / "runs", "--name", f"run{time.time_ns()}"])
    peer = run([*PEER, "train", *common, "--fused", "--out", place.folder / "peer"])
    return ours[2], peer[2]


def memory(place):
    say("peak memory of training:", [trained(place, 6) for _ in range(min(RUNS, 3))], "MiB", digits=0)


def picture(place):
    trained(place, 1)
    target, pairs = place.folder / "out.png", []
    for _ in range(RUNS + 1):
        model = place.folder / "runs" / "latest"
        ours = run([*OURS, "-q", "translate", place.picture, "-o", target, "--model", model])
        peer = run([*PEER, "translate", place.picture, "--out", target, "--weights", place.folder / "peer"])
        pairs.append((ours[1], peer[1]))
    # The first run brings files into memory.
    say("one 256 px picture, whole process:", pairs[1:], "s", digits=3)


class Place:
    """A folder for what the parts need."""

    def __init__(self, folder):
        self.folder = Path(folder)
        self.pairs = os.environ.get("PAIRS") or self.folder / "pairs"
        if "PAIRS" not in os.environ:
            run([*OURS, "-q", "synth", "--count", "64", "--size", "600", "--out", self.pairs])
        run([*OURS, "-q", "synth", "--count", "1", "--size", "256", "--out", self.folder / "one"])
        from PIL import Image

        self.picture = self.folder / "source.png"
        with Image.open(next((self.folder / "one").rglob("*.png"))) as both:
            both.crop((0, 0, 256, 256)).save(self.picture)


PARTS = {
    "networks": lambda _: networks(CASES),
    "bf16": bf16,
    "avx2": avx2,
    "loader": loader,
    "picture": picture,
    "memory": memory,
}

if __name__ == "__main__":
    wanted = sys.argv[1:] or list(PARTS)
    unknown = [name for name in wanted if name not in PARTS]
    if unknown:
        sys.exit(f"unknown parts {', '.join(unknown)}; known: {', '.join(PARTS)}")
    with tempfile.TemporaryDirectory() as folder:
        place = Place(folder)
        for name in wanted:
            PARTS[name](place)
