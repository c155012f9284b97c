"""The table of scripts/seams.sh."""

import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

Image.MAX_IMAGE_PIXELS = None
NEAR = 16


def translate(model, picture, target, *options):
    """Seconds, peak memory in MiB and what was said."""
    began = time.perf_counter()
    command = ["target/release/p2p", "translate", picture, "-o", target, "--model", model, "--report-seams", *options]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    said = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        sys.exit(said)
    return time.perf_counter() - began, usage.ru_maxrss / 1024, said


def ratio(values, columns, rows):
    """Differences across borders over those beside them."""
    across, inside = [], []
    for borders, picture in ((columns, values), (rows, values.transpose(1, 0, 2))):
        differences = np.abs(np.diff(picture, axis=1)).mean(axis=(0, 2))
        for border in borders:
            across.append(differences[border - 1])
            beside = range(max(border - 1 - NEAR, 0), min(border + NEAR, len(differences)))
            inside += [differences[at] for at in beside if at + 1 not in borders]
    return np.mean(across) / np.mean(inside)


def main(model, picture, window):
    width, height = Image.open(picture).size
    megapixels = width * height / 1e6
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "map.png"
        read = lambda: np.asarray(Image.open(target).convert("RGB")).astype(np.int16)
        took, memory, _ = translate(model, picture, target, "--max-window", str(max(width, height)))
        whole = read()
        print(f"{width}x{height}, windows of {window}")
        print(f"{'at once':8} {took / megapixels:6.2f} s/Mpx {memory:6.0f} MiB")
        for seams in ("fast", "good", "exact"):
            took, memory, said = translate(model, picture, target, "--max-window", window, "--seams", seams)
            found = read()
            difference = np.abs(found - whole)
            first, step = map(int, re.search(r"borders from (\d+) every (\d+)", said).groups())
            borders = [list(range(first, side, step)) for side in (width, height)]
            print(
                f"{seams:8} {took / megapixels:6.2f} s/Mpx {memory:6.0f} MiB, "
                f"difference mean {difference.mean():.3f}, within 2 of 255: {(difference <= 2).mean():.4%}, "
                f"seam ratio {ratio(found, *borders):.4f}, at once {ratio(whole, *borders):.4f}",
                flush=True,
            )


main(*sys.argv[1:])
