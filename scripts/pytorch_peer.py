#!/usr/bin/env python3
"""pix2pix in PyTorch, the way it is commonly run: what our own figures are measured beside.

pytorch_peer.py train --pairs DIR [--size 128 --width 32 --steps 1400 --seed 0] --out DIR
pytorch_peer.py eval  --weights DIR --pairs DIR
pytorch_peer.py translate PICTURE --weights DIR --out FILE
pytorch_peer.py load  --pairs DIR [--size 256 --workers 2 --repeat 1]
pytorch_peer.py time  [--size 256 --width 64 --batch 1 --fused --channels-last --compile --bf16 --threads N
                       --device cpu]

Pairs are files side by side, A on the left. Each command prints one JSON object. Needs torch, pillow, numpy.
"""

import argparse
import json
import math
import random
import statistics
import time
from pathlib import Path

import numpy
import torch
from PIL import Image
from torch import nn


class Generator(nn.Module):
    """U-Net with explicit skips: encoder and decoder as lists."""

    def __init__(self, depth, width, channels=3):
        super().__init__()
        widths = [width * min(2**level, 8) for level in range(depth)]
        self.down, self.up = nn.ModuleList(), nn.ModuleList()
        for level in range(depth):
            layers = [nn.LeakyReLU(0.2)] if level else []
            layers.append(nn.Conv2d(widths[level - 1] if level else channels, widths[level], 4, 2, 1, bias=False))
            if 0 < level < depth - 1:
                layers.append(nn.BatchNorm2d(widths[level]))
            self.down.append(nn.Sequential(*layers))
        for level in reversed(range(depth)):
            inner = level == depth - 1
            wide = widths[level] * (1 if inner else 2)
            if level == 0:
                layers = [nn.ReLU(), nn.ConvTranspose2d(wide, channels, 4, 2, 1), nn.Tanh()]
            else:
                layers = [nn.ReLU(), nn.ConvTranspose2d(wide, widths[level - 1], 4, 2, 1, bias=False)]
                layers.append(nn.BatchNorm2d(widths[level - 1]))
                if not inner and level >= 4:
                    layers.append(nn.Dropout(0.5))
            self.up.append(nn.Sequential(*layers))

    def forward(self, x):
        skips = []
        for block in self.down:
            x = block(x)
            skips.append(x)
        skips.pop()
        for block in self.up:
            x = block(x)
            if skips:
                x = torch.cat([skips.pop(), x], 1)
        return x


def discriminator(width, channels=6):
    layers = [nn.Conv2d(channels, width, 4, 2, 1), nn.LeakyReLU(0.2)]
    for level, stride in ((1, 2), (2, 2), (3, 1)):
        layers.append(nn.Conv2d(width * 2 ** (level - 1), width * 2**level, 4, stride, 1, bias=False))
        layers += [nn.BatchNorm2d(width * 2**level), nn.LeakyReLU(0.2)]
    return nn.Sequential(*layers, nn.Conv2d(width * 8, 1, 4, 1, 1))


def initialise(module):
    if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d)):
        nn.init.normal_(module.weight, 0.0, 0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
    if isinstance(module, nn.BatchNorm2d):
        nn.init.normal_(module.weight, 1.0, 0.02)


class Trainer:
    def __init__(self, options):
        self.device = torch.device(options.device)
        self.generator = Generator(int(math.log2(options.size)), options.width).apply(initialise).to(self.device)
        self.discriminator = discriminator(options.width).apply(initialise).to(self.device)
        self.layout = torch.channels_last if options.channels_last else torch.contiguous_format
        self.generator.to(memory_format=self.layout)
        self.discriminator.to(memory_format=self.layout)
        adam = lambda network: torch.optim.Adam(network.parameters(), 2e-4, (0.5, 0.999), fused=options.fused)
        self.adam_g, self.adam_d = adam(self.generator), adam(self.discriminator)
        prepare = torch.compile if options.compile else lambda network: network
        self.run_generator, self.run_discriminator = prepare(self.generator), prepare(self.discriminator)
        self.bf16 = options.bf16

    def precision(self):
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.bf16)

    def step(self, source, target):
        entropy = nn.functional.binary_cross_entropy_with_logits
        judge = lambda picture: self.run_discriminator(torch.cat([source, picture], 1))
        with self.precision():
            fake = self.run_generator(source)
        self.discriminator.requires_grad_(True)
        self.adam_d.zero_grad()
        with self.precision():
            on_fake, on_real = judge(fake.detach()), judge(target)
            loss = entropy(on_fake, torch.zeros_like(on_fake)) + entropy(on_real, torch.ones_like(on_real))
        (loss / 2).backward()
        self.adam_d.step()
        self.discriminator.requires_grad_(False)
        self.adam_g.zero_grad()
        with self.precision():
            on_fake = judge(fake)
            l1 = (fake - target).abs().mean()
            loss = entropy(on_fake, torch.ones_like(on_fake)) + 100 * l1
        loss.backward()
        self.adam_g.step()
        return l1


def pictures(folder):
    return sorted(p for p in Path(folder).rglob("*") if p.suffix.lower() in (".png", ".jpg", ".jpeg"))


def read(path, direction, size, draw=None):
    both = Image.open(path).convert("RGB")
    half, height = both.width // 2, both.height
    pair = [both.crop((0, 0, half, height)), both.crop((half, 0, 2 * half, height))]
    if direction == "BtoA":
        pair.reverse()
    load = size if draw is None else round(size * 286 / 256)
    if draw is not None:
        x, y, mirrored = draw.randint(0, load - size), draw.randint(0, load - size), draw.random() < 0.5
    tensors = []
    for picture in pair:
        picture = picture.resize((load, load), Image.BICUBIC)
        if draw is not None:
            picture = picture.crop((x, y, x + size, y + size))
            if mirrored:
                picture = picture.transpose(Image.FLIP_LEFT_RIGHT)
        values = numpy.asarray(picture, numpy.float32).transpose(2, 0, 1)
        tensors.append(torch.from_numpy(values / 127.5 - 1))
    return tensors


def train(options):
    torch.manual_seed(options.seed)
    draw = random.Random(options.seed)
    trainer, paths, order = Trainer(options), pictures(options.pairs), []
    began = time.perf_counter()
    for step in range(options.steps):
        rate = 2e-4 * min(1.0, 2 * (1 - step / options.steps))
        for group in trainer.adam_g.param_groups + trainer.adam_d.param_groups:
            group["lr"] = rate
        order = order or draw.sample(paths, len(paths))
        source, target = read(order.pop(), options.direction, options.size, draw)
        trainer.step(source[None].to(trainer.device), target[None].to(trainer.device))
    folder = Path(options.out)
    folder.mkdir(parents=True, exist_ok=True)
    torch.save(trainer.generator.state_dict(), folder / "generator.pth")
    saved = dict(size=options.size, width=options.width, direction=options.direction)
    (folder / "options.json").write_text(json.dumps(saved))
    return dict(steps=options.steps, seconds=time.perf_counter() - began)


def trained(weights):
    saved = json.loads((Path(weights) / "options.json").read_text())
    generator = Generator(int(math.log2(saved["size"])), saved["width"])
    generator.load_state_dict(torch.load(Path(weights) / "generator.pth"))
    # Statistics of the picture, no dropout.
    generator.train()
    for module in generator.modules():
        if isinstance(module, nn.Dropout):
            module.eval()
    return generator, saved


def translate(options):
    generator, _ = trained(options.weights)
    picture = numpy.asarray(Image.open(options.picture).convert("RGB"), numpy.float32).transpose(2, 0, 1)
    with torch.no_grad():
        fake = generator(torch.from_numpy(picture / 127.5 - 1)[None])[0]
    values = ((fake + 1) * 127.5).round().clamp(0, 255).to(torch.uint8).permute(1, 2, 0).numpy()
    Image.fromarray(values).save(options.out)
    return dict(out=options.out)


def evaluate(options):
    generator, saved = trained(options.weights)
    l1, psnr = [], []
    for path in pictures(options.pairs):
        source, target = read(path, saved["direction"], saved["size"])
        with torch.no_grad():
            difference = (generator(source[None])[0].clamp(-1, 1) - target) / 2
        l1.append(difference.abs().mean().item())
        psnr.append(-10 * math.log10(difference.square().mean().item() + 1e-12))
    return dict(count=len(l1), l1=statistics.mean(l1), psnr=statistics.mean(psnr))


class Pairs(torch.utils.data.Dataset):
    def __init__(self, options):
        self.options, self.paths = options, pictures(options.pairs) * options.repeat

    def __len__(self):
        return len(self.paths)

    def __getitem__(self, index):
        return read(self.paths[index], self.options.direction, self.options.size, random.Random(index))


def load(options):
    loader = torch.utils.data.DataLoader(Pairs(options), options.batch, shuffle=True, num_workers=options.workers)
    began, count = time.perf_counter(), 0
    for source, _ in loader:
        count += len(source)
    return dict(pairs=count, pairs_per_s=count / (time.perf_counter() - began), workers=options.workers)


def median_seconds(action, device, count=10, warm=3):
    wait = torch.cuda.synchronize if device.type == "cuda" else lambda: None
    times = []
    for index in range(warm + count):
        wait()
        began = time.perf_counter()
        action()
        wait()
        if index >= warm:
            times.append(time.perf_counter() - began)
    return statistics.median(times)


def measure(options):
    trainer = Trainer(options)
    shape = (options.batch, 3, options.size, options.size)
    source, target = ((torch.rand(shape) * 2 - 1).to(trainer.device, memory_format=trainer.layout) for _ in range(2))
    drops = [module for module in trainer.generator.modules() if isinstance(module, nn.Dropout)]
    for module in drops:
        module.eval()
    with torch.no_grad(), trainer.precision():
        forward = median_seconds(lambda: trainer.run_generator(source), trainer.device, options.count)
    for module in drops:
        module.train()
    step = median_seconds(lambda: trainer.step(source, target), trainer.device, options.count)
    found = dict(forward_s=forward, step_s=step, threads=torch.get_num_threads())
    if trainer.device.type == "cuda":
        found["peak_memory_mib"] = torch.cuda.max_memory_allocated() / 2**20
    return found


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = {"train": train, "eval": evaluate, "load": load, "time": measure, "translate": translate}
    parser.add_argument("command", choices=commands)
    parser.add_argument("picture", nargs="?")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--pairs")
    parser.add_argument("--direction", default="AtoB")
    parser.add_argument("--out")
    parser.add_argument("--weights")
    for name, default in dict(size=256, width=64, batch=1, steps=1400, seed=0, workers=2, repeat=1).items():
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--count", type=int, default=10)
    parser.add_argument("--threads", type=int)
    for name in ("fused", "channels-last", "compile", "bf16"):
        parser.add_argument(f"--{name}", action="store_true")
    given = parser.parse_args()
    if given.threads:
        torch.set_num_threads(given.threads)
    print(json.dumps(commands[given.command](given)))
