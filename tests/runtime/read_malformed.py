"""A process that reads damaged images, each made from a seed; see test_malformed.

Arguments: a folder for the files, the first seed and the number of seeds. Says on a line of its
own which seed comes next, so that whoever started it knows at which one it died, and at the end
how many inputs ended in which way, and the most memory it took.
"""

from __future__ import annotations

import io
import json
import random
import resource
import struct
import sys
import zlib
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image

from boost_edge.runtime.errors import ImageError
from boost_edge.runtime.images import REASONS, load_image
from boost_edge.runtime.manifest import ImageSpec

# Address space: far above what any image within the limits takes, far below the machine's.
ADDRESS_SPACE = 6 << 30
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF")
SUFFIXES = (".jpg", ".png", ".webp", ".gif", ".bmp", ".tif", ".jpeg", "")
# Numbers that break arithmetic: none, one, signs, the most that fits, dimensions near the limits.
HUGE = (
    0,
    1,
    0x7F,
    0x80,
    0xFF,
    0x7FFF,
    0x8000,
    0xFFFF,
    9_999,
    10_001,
    1 << 20,
    0x7FFFFFFF,
    0x80000000,
    0xFFFFFFFF,
)
SPEC = ImageSpec(size=32, resize="letterbox")


def originals() -> list[bytes]:
    """Return whole images: each format in several of its variants."""
    dice = np.random.default_rng(0)
    colour = Image.fromarray(dice.integers(0, 256, (37, 53, 3), np.uint8))
    variants: list[tuple[str, Image.Image, dict[str, Any]]] = [
        *((kind, colour, {}) for kind in FORMATS),
        ("JPEG", colour, {"progressive": True}),
        ("JPEG", colour.convert("L"), {"exif": b"Exif\0\0II*\0\x08\0\0\0\1\0\x12\1\3\0\1\0\0\0\6"}),
        ("JPEG", colour.convert("CMYK"), {}),
        ("PNG", colour.convert("RGBA"), {}),
        ("PNG", colour.convert("P"), {"transparency": 3}),
        ("PNG", Image.fromarray(dice.integers(0, 65536, (20, 30), np.uint16)), {}),
        ("WEBP", colour, {"lossless": True}),
        ("WEBP", colour.convert("RGBA"), {}),
        ("WEBP", colour, {"save_all": True, "append_images": [colour.rotate(90)]}),
        ("GIF", colour, {"save_all": True, "append_images": [colour.rotate(90)]}),
        ("BMP", colour.convert("P"), {}),
        ("BMP", colour.convert("1"), {}),
        ("TIFF", colour, {"compression": "tiff_lzw"}),
        ("TIFF", colour, {"compression": "jpeg"}),
        ("TIFF", colour.convert("1"), {"compression": "group4"}),
        ("TIFF", colour.convert("RGBA"), {"compression": "tiff_adobe_deflate"}),
        ("TIFF", colour.convert("P"), {"compression": "packbits"}),
    ]
    files: list[bytes] = []
    for kind, image, options in variants:
        buffer = io.BytesIO()
        image.save(buffer, kind, **options)
        files.append(buffer.getvalue())
    return files


def place(dice: random.Random, data: bytearray) -> int:
    """Choose a byte, often one of the header."""
    return dice.randrange(min(len(data), 64) if dice.random() < 0.5 else len(data))


def flip_bits(dice: random.Random, data: bytearray, _: list[bytes]) -> None:
    """Flip one to sixteen bits."""
    for _number in range(dice.randint(1, 16)):
        data[place(dice, data)] ^= 1 << dice.randrange(8)


def cut(dice: random.Random, data: bytearray, _: list[bytes]) -> None:
    """Lose the end."""
    del data[dice.randrange(len(data)) :]


def splice(dice: random.Random, data: bytearray, others: list[bytes]) -> None:
    """Go on as another image, from anywhere to anywhere."""
    other = dice.choice(others)
    data[place(dice, data) :] = other[dice.randrange(len(other)) :]


def write_number(dice: random.Random, data: bytearray, _: list[bytes]) -> None:
    """Write numbers that break arithmetic, one to four times."""
    for _number in range(dice.randint(1, 4)):
        code, most = dice.choice((("B", 0xFF), ("H", 0xFFFF), ("I", 0xFFFFFFFF)))
        number = dice.choice([each for each in HUGE if each <= most])
        start = place(dice, data)
        data[start : start + struct.calcsize(code)] = struct.pack(dice.choice("<>") + code, number)


def fill(dice: random.Random, data: bytearray, _: list[bytes]) -> None:
    """Overwrite a stretch with one byte."""
    start = place(dice, data)
    length = dice.randint(1, 200)
    data[start : start + length] = bytes([dice.choice((0, 0xFF, dice.randrange(256)))]) * length


def repeat(dice: random.Random, data: bytearray, _: list[bytes]) -> None:
    """Have a stretch many times over."""
    start = place(dice, data)
    data[start:start] = data[start : start + dice.randint(1, 64)] * dice.randint(1, 400)


def noise(dice: random.Random, data: bytearray, _: list[bytes]) -> None:
    """Keep the first bytes and have noise behind them."""
    kept = dice.choice((0, 4, 12, 30, 64))
    data[kept:] = dice.randbytes(dice.randrange(500))


def huge_header(dice: random.Random, data: bytearray, _: list[bytes]) -> None:
    """Let the header claim a size near the limits, where this format has its width and height."""
    sizes = [dice.choice((1, 16, 5_000, 10_000, 20_000, 1 << 16, 1 << 24)) for _number in range(2)]
    if data.startswith(b"\x89PNG"):
        data[16:24] = struct.pack(">II", *sizes)
    elif data.startswith(b"BM"):
        data[18:26] = struct.pack("<II", *sizes)
    elif data.startswith(b"GIF"):
        frame = data.find(b",\0\0\0\0")
        for at in (6, frame + 5):
            data[at : at + 4] = struct.pack("<HH", *(size & 0xFFFF for size in sizes))
    elif data.startswith(b"RIFF"):
        data[24:30] = b"".join((size & 0xFFFFFF).to_bytes(3, "little") for size in sizes)
    elif data.startswith((b"II", b"MM")):
        order = "<" if data.startswith(b"II") else ">"
        for tag, size in zip((256, 257), sizes, strict=True):
            entry = data.find(struct.pack(order + "H", tag))
            if entry >= 0:
                data[entry + 2 : entry + 12] = struct.pack(order + "HII", 4, 1, size)
    elif (frame := max(data.find(b"\xff\xc0"), data.find(b"\xff\xc2"))) >= 0:
        data[frame + 5 : frame + 9] = struct.pack(">HH", *(size & 0xFFFF for size in sizes))


def mend_checksums(data: bytearray) -> None:
    """Make the checksums of a PNG right again, so that its decoder sees the damage."""
    position = 8
    while position + 12 <= len(data):
        end = position + 8 + int.from_bytes(data[position : position + 4], "big")
        if end + 4 > len(data):
            return
        data[end : end + 4] = struct.pack(">I", zlib.crc32(data[position + 4 : end]))
        position = end + 4


MUTATIONS: tuple[Callable[[random.Random, bytearray, list[bytes]], None], ...] = (
    flip_bits,
    flip_bits,
    cut,
    splice,
    write_number,
    write_number,
    huge_header,
    huge_header,
    fill,
    repeat,
    noise,
)


def malformed(seed: int, files: list[bytes]) -> tuple[bytes, str]:
    """Return the bytes of a damaged image and a suffix, which need not be its own."""
    dice = random.Random(seed)  # noqa: S311 - damage, not secrets
    data = bytearray(dice.choice(files))
    for _ in range(dice.choice((1, 1, 1, 2, 3))):
        if data:
            dice.choice(MUTATIONS)(dice, data, files)
    if data.startswith(b"\x89PNG") and dice.random() < 0.7:
        mend_checksums(data)
    return bytes(data), dice.choice(SUFFIXES)


def reason_of(error: ImageError, path: Path) -> str:
    """Return the reason of an error that is as it must be."""
    assert error.reason in REASONS
    assert error.path == str(path)
    assert "\n" not in error.detail
    return error.reason


def peak_memory() -> int:
    """Return the most memory that this process held, in bytes.

    Linux's ``ru_maxrss`` begins with what the process held that started this one.
    """
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def main() -> None:
    """Read them all; anything but an image or a typed error ends the process with a traceback."""
    folder, first, count = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE, ADDRESS_SPACE))
    cv2.setNumThreads(1)
    files = originals()
    outcomes: Counter[str] = Counter()
    for seed in range(first, first + count):
        print(seed, flush=True)  # noqa: T201 - read by the test
        data, suffix = malformed(seed, files)
        path = folder / f"{seed}{suffix}"
        path.write_bytes(data)
        try:
            pixels = load_image(path, SPEC)
        except ImageError as error:
            outcomes[reason_of(error, path)] += 1
        else:
            assert pixels.shape == (32, 32, 3)
            assert pixels.dtype == np.uint8
            outcomes["image"] += 1
        path.unlink()
    print(json.dumps({"outcomes": outcomes, "peak": peak_memory()}))  # noqa: T201 - read by the test


if __name__ == "__main__":
    main()
