#!/usr/bin/env python3
"""Map tiles the way they are commonly made in Python: rasterio windows, PyTorch, Pillow. What `p2p tiles` is measured beside.

tiles_pipeline.py PICTURE MODEL OUT --zoom A..B [--window 1024]

PICTURE is a GeoTIFF in EPSG:3857 whose pixels are those of zoom B, with a corner at a tile's; MODEL a checkpoint of p2p. Windows lie
side by side; norms have the statistics of the window, as in the field's test mode. Needs torch, numpy, rasterio and pillow.
"""

import argparse
import json
import struct
from pathlib import Path

import numpy
import rasterio
import torch
from PIL import Image
from rasterio.windows import Window

from pytorch_peer import Generator

TILE, HALF = 256, 20037508.342789244


def load(path):
    """The generator of a checkpoint."""
    with open(path, "rb") as file:
        length = struct.unpack("<Q", file.read(8))[0]
        header = json.loads(file.read(length))
        start = 8 + length

        def tensor(name):
            begin, end = header[name]["data_offsets"]
            file.seek(start + begin)
            values = numpy.frombuffer(file.read(end - begin), numpy.float32).reshape(header[name]["shape"])
            return torch.from_numpy(values.copy())

        names = [name for name in header if name.startswith("generator.")]
        depth = 1 + max(int(name.split(".")[2]) for name in names)
        width = header["generator.encoder.0.convolution.weight"]["shape"][0]
        generator = Generator(depth, width)
        with torch.no_grad():
            for blocks, part in ((generator.down, "encoder"), (generator.up, "decoder")):
                for number, block in enumerate(blocks):
                    prefix = f"generator.{part}.{number}"
                    for layer in block:
                        if hasattr(layer, "kernel_size"):
                            layer.weight.copy_(tensor(f"{prefix}.convolution.weight"))
                            if layer.bias is not None:
                                layer.bias.copy_(tensor(f"{prefix}.convolution.bias"))
                        if isinstance(layer, torch.nn.BatchNorm2d):
                            layer.weight.copy_(tensor(f"{prefix}.norm.gamma"))
                            layer.bias.copy_(tensor(f"{prefix}.norm.beta"))
    # Statistics of the window, no dropout.
    for module in generator.modules():
        module.train(isinstance(module, torch.nn.BatchNorm2d))
    return generator


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("picture", type=Path)
    parser.add_argument("model", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--zoom", required=True)
    parser.add_argument("--window", type=int, default=1024)
    options = parser.parse_args()
    least, most = map(int, options.zoom.split(".."))
    generator = load(options.model)
    count = 0

    def save(picture, zoom, x, y):
        nonlocal count
        folder = options.out / str(zoom) / str(x)
        folder.mkdir(parents=True, exist_ok=True)
        picture.save(folder / f"{y}.png")
        count += 1

    with rasterio.open(options.picture) as source, torch.no_grad():
        resolution = 2 * HALF / (TILE << most)
        left, top = round((source.transform.c + HALF) / resolution), round((HALF - source.transform.f) / resolution)
        assert left % TILE == 0 and top % TILE == 0, "the picture begins with a tile"
        for y in range(0, source.height, options.window):
            for x in range(0, source.width, options.window):
                window = Window(x, y, min(options.window, source.width - x), min(options.window, source.height - y))
                values = torch.from_numpy(source.read([1, 2, 3], window=window).astype(numpy.float32))[None]
                fake = generator(values / 127.5 - 1)[0]
                pixels = ((fake + 1) * 127.5).clamp(0, 255).byte().permute(1, 2, 0).numpy()
                for row in range(0, pixels.shape[0], TILE):
                    for column in range(0, pixels.shape[1], TILE):
                        tile = Image.fromarray(pixels[row : row + TILE, column : column + TILE])
                        save(tile, most, (left + x + column) // TILE, (top + y + row) // TILE)
    for zoom in range(most - 1, least - 1, -1):
        below = {(int(path.parent.name), int(path.stem)): path for path in (options.out / str(zoom + 1)).glob("*/*.png")}
        for x, y in sorted({(x // 2, y // 2) for x, y in below}):
            four = Image.new("RGBA", (2 * TILE, 2 * TILE))
            for at in range(4):
                path = below.get((2 * x + at % 2, 2 * y + at // 2))
                if path:
                    four.paste(Image.open(path), (at % 2 * TILE, at // 2 * TILE))
            save(four.reduce(2), zoom, x, y)
    print(count)


main()
