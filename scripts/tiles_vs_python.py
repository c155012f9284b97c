#!/usr/bin/env python3
"""Driver of tiles_vs_python.sh: whole commands in turn, their time and memory, and how visible windows are in what they make."""

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy
from PIL import Image

TILE = 256


def run(command):
    """Seconds, and most memory of the process in MiB."""
    began = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, command
    return time.monotonic() - began, usage.ru_maxrss / 1024


def picture(folder, zoom):
    tiles = {(int(path.parent.name), int(path.stem)): path for path in (folder / str(zoom)).glob("*/*.png")}
    left, top = min(x for x, _ in tiles), min(y for _, y in tiles)
    width, height = max(x for x, _ in tiles) - left + 1, max(y for _, y in tiles) - top + 1
    pixels = numpy.zeros((height * TILE, width * TILE, 3), numpy.int16)
    for (x, y), path in tiles.items():
        row, column = (y - top) * TILE, (x - left) * TILE
        pixels[row : row + TILE, column : column + TILE] = numpy.asarray(Image.open(path).convert("RGB"))
    return pixels, (left * TILE, top * TILE)


def seam(pixels, origin, step):
    """Differences across the borders of windows over those across other borders of tiles, where a network's grid is the same."""
    ratios = []
    for axis in (0, 1):
        across = numpy.abs(numpy.diff(pixels, axis=axis)).mean(axis=(1 - axis, 2))
        place = lambda at: at + 1 + origin[1 - axis]
        lines = [at for at in range(len(across)) if place(at) % TILE == 0]
        border = [across[at] for at in lines if place(at) % step == 0]
        other = [across[at] for at in lines if place(at) % step]
        if border:
            ratios.append(numpy.mean(border) / numpy.mean(other))
    return float(numpy.mean(ratios))


def main():
    source, model, zooms, runs = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], int(sys.argv[4])
    most = int(zooms.split("..")[1])
    here = Path(__file__).parent
    with tempfile.TemporaryDirectory(dir=here.parent / "target") as folder:
        folder = Path(folder)
        # Steps at which the windows of each begin: ours are blocks of 4096 and windows of 1024.
        systems = {
            "p2p": ["target/release/p2p", "tiles", source, "-o", folder / "p2p", "--model", model, "--zoom", zooms],
            "python": [sys.executable, here / "tiles_pipeline.py", source, model, folder / "python", "--zoom", zooms],
        }
        figures = {name: [] for name in systems}
        for _ in range(runs):
            for name, command in systems.items():
                shutil.rmtree(folder / name, ignore_errors=True)
                figures[name].append(run(command))
        result = {}
        for name, measured in figures.items():
            pixels, origin = picture(folder / name, most)
            tiles = sum(1 for _ in (folder / name).glob("*/*/*.png"))
            seconds = statistics.median(seconds for seconds, _ in measured)
            result[name] = {
                "tiles": tiles,
                "seconds": round(seconds, 1),
                "tiles_per_second": round(tiles / seconds, 2),
                "peak_mib": round(max(memory for _, memory in measured)),
                "seam_ratio_1024": round(seam(pixels, origin, 1024), 4),
                "seam_ratio_4096": round(seam(pixels, origin, 4096), 4),
                "bytes": sum(path.stat().st_size for path in (folder / name).glob("*/*/*.png")),
            }
        pairs = [ours / theirs for (ours, _), (theirs, _) in zip(figures["p2p"], figures["python"])]
        result["time_ratio"] = round(statistics.median(pairs), 3)
        print(json.dumps(result, indent=2))


main()
