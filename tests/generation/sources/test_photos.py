"""Photos of every kind that cameras and editors write come out as the picture that they hold, or as a failed row.

All photos hold one picture, a ramp 90 pixels wide and 60 high; the recipe pastes its central square, 60 pixels, over
the whole image. What is transparent lies outside that square, so that cut-outs give the same picture.
"""

import contextlib
import json
import os
import struct
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from d3s_dataset.errors import PhotoError
from d3s_dataset.taxonomy import classes
from generation import run
from generation.sources.base import read_photo
from tests.support.releases import decoded, rows_of

WIDTH, HEIGHT, SIDE = 90, 60, 32
RAMP = np.tile(np.linspace(0, 1, WIDTH), (HEIGHT, 1))
GREY16, GREY8 = (np.rint(RAMP * white).astype(kind) for white, kind in ((65535, np.uint16), (255, np.uint8)))
COLOUR = np.stack([GREY8, GREY8[:, ::-1], np.full_like(GREY8, 90)], -1)
OPAQUE = np.zeros((HEIGHT, WIDTH), bool)
OPAQUE[:, 15:75] = True
RECIPE = """
name = "odd"
kind = "shift"
description = "odd photos"
rows = {rows}
seed = 1
[guide]
size = 32
scale = [1.0, 1.0]
background = "none"
[image]
format = "png"
"""


def png(depth, kind, samples, transparent=b""):
    """A PNG of any depth; samples (height, bytes per row)."""

    def chunk(name, data):
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", WIDTH, HEIGHT, depth, kind, 0, 0, 0))
    rows = b"".join(b"\0" + row.tobytes() for row in samples)
    keyed = chunk(b"tRNS", transparent) if transparent else b""
    return b"\x89PNG\r\n\x1a\n" + head + keyed + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def tiff(order, bits, photometric, data, sample_format=1):
    """A greyscale TIFF of one strip."""
    tags = {256: WIDTH, 257: HEIGHT, 258: bits, 259: 1, 262: photometric, 273: 134, 277: 1, 278: HEIGHT,
            279: len(data), 339: sample_format}  # fmt: skip
    head = (b"II" if order == "<" else b"MM") + struct.pack(order + "HIH", 42, 8, len(tags))
    entries = b"".join(struct.pack(order + "HHII", tag, 4, 1, value) for tag, value in tags.items())
    return head + entries + bytes(4) + data


def twelve_bits():
    """The grey ramp in 12 bits a pixel, two pixels in three bytes."""
    values = np.rint(RAMP * 4095).astype(int).reshape(-1, 2)
    first, second = values.T
    return np.stack([first >> 4, (first & 15) << 4 | second >> 8, second & 255], -1).astype(np.uint8).tobytes()


def unwritable_exif():
    """Orientation 6 next to a signed rational where the tag is unsigned: Pillow reads it and cannot write it back."""
    orientation = struct.pack("<HHIHH", 0x0112, 3, 1, 6, 0)
    rational = struct.pack("<HHII", 0x011A, 10, 1, 38)
    body = struct.pack("<H", 2) + orientation + rational + bytes(4) + struct.pack("<ii", -1, 0)
    return b"Exif\0\0II*\0\x08\0\0\0" + body


def turned(path, orientation, to_file):
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(COLOUR).transpose(to_file).save(path, exif=exif, quality=95)


def photos(folder):
    """Write all photos: file name -> `colour`, `grey`, `turned`, or the reason why the row fails."""
    expected = {}

    def place(name, picture):
        expected[name] = picture
        path = folder / classes()[len(expected) * 7].wnid / name
        path.parent.mkdir(parents=True)
        return path

    colour = Image.fromarray(COLOUR)
    for name in ("plain.png", "upper.JPEG", "w.webp", "t.TIF", "anim.gif", "a.avif", "b.bmp", "ünï 図.png"):
        more = {"append_images": [Image.new("RGB", colour.size, "red")], "save_all": True} if name == "anim.gif" else {}
        colour.save(place(name, "colour"), quality=95, **more)
    colour.convert("CMYK").save(place("cmyk.jpg", "colour"), quality=95)
    colour.convert("LAB").save(place("lab.tif", "colour"))

    colour.save(place("exif6.jpg", "turned"), exif=unwritable_exif()[:6] + _orientation(6), quality=95)
    colour.save(place("exif_unwritable.jpg", "turned"), exif=unwritable_exif(), quality=95)
    turns = Image.Transpose
    to_file = (turns.FLIP_LEFT_RIGHT, turns.ROTATE_180, turns.FLIP_TOP_BOTTOM, turns.TRANSPOSE, turns.ROTATE_90,
               turns.TRANSVERSE, turns.ROTATE_270)  # fmt: skip
    for orientation, turn in enumerate(to_file, 2):
        turned(place(f"orientation{orientation}.jpg", "colour"), orientation, turn)

    alpha = Image.fromarray(np.where(OPAQUE, 255, 0).astype(np.uint8))
    masked = colour.copy()
    masked.putalpha(alpha)
    masked.save(place("rgba.png", "colour"))
    masked.save(place("rgba.webp", "colour"), lossless=True)
    masked.convert("LA").save(place("la.png", "luma"))
    palette = Image.fromarray(np.where(OPAQUE, 1 + GREY8 // 8, 0).astype(np.uint8), "P")
    palette.putpalette([0, 0, 0, *(value for i in range(32) for value in (i * 255 // 31,) * 3)])
    palette.save(place("palette.png", "grey"), transparency=0)
    deep = COLOUR.astype(">u2") * 257
    rgba16 = np.concatenate([deep, np.where(OPAQUE, 65535, 0)[..., None].astype(">u2")], -1)
    la16 = np.stack([GREY16, np.where(OPAQUE, 65535, 0)], -1).astype(">u2")
    place("rgba16.png", "colour").write_bytes(png(16, 6, rgba16))
    place("la16.png", "grey").write_bytes(png(16, 4, la16))
    place("rgb16.png", "colour").write_bytes(png(16, 2, deep))
    keyed = np.where(OPAQUE[..., None], deep, 0).astype(">u2")
    place("rgb16_key.png", "colour").write_bytes(png(16, 2, keyed, bytes(6)))
    key = struct.pack(">H", 12)
    place("grey16_key.png", "grey").write_bytes(png(16, 0, np.where(OPAQUE, GREY16, 12).astype(">u2"), key))
    grey4 = np.where(OPAQUE, np.clip(np.rint(RAMP * 15), 0, 14), 15).astype(np.uint8)
    place("grey4_key.png", "grey").write_bytes(png(4, 0, grey4[:, ::2] << 4 | grey4[:, 1::2], struct.pack(">H", 15)))

    Image.fromarray(GREY8).save(place("grey.jpg", "grey"), quality=95)
    Image.fromarray(GREY16).save(place("grey16.png", "grey"))
    Image.fromarray(GREY16).save(place("grey16.tif", "grey"))
    Image.fromarray(RAMP.astype(np.float32)).save(place("float.tif", "grey"))
    place("big_endian.tif", "grey").write_bytes(tiff(">", 16, 1, GREY16.astype(">u2").tobytes()))
    place("from_white.tif", "grey").write_bytes(tiff("<", 16, 0, (65535 - GREY16).astype("<u2").tobytes()))
    place("twelve_bits.tif", "grey").write_bytes(tiff("<", 12, 1, twelve_bits()))

    Image.fromarray(GREY16.astype(np.int32)).save(place("int32.tif", "32-bit grey without a known white"))
    place("int16.tif", "32-bit grey").write_bytes(tiff("<", 16, 1, (GREY16 // 2).astype("<i2").tobytes(), 2))
    Image.fromarray(RAMP.astype(np.float32) * 300).save(place("float300.tif", "float grey from 0 to 300"))
    place("zero.jpg", "cannot identify image file").touch()
    place("text.jpg", "cannot identify image file").write_text("no photo")
    place("truncated.jpg", "truncated").write_bytes((folder / classes()[63].wnid / "cmyk.jpg").read_bytes()[:1500])
    os.mkfifo(place("fifo.jpg", "no regular file"))
    loop = place("loop.jpg", "Too many levels of symbolic links")
    loop.symlink_to(loop)
    return expected


def _orientation(value):
    return b"II*\0\x08\0\0\0" + struct.pack("<HHHIHHI", 1, 0x0112, 3, 1, value, 0, 0)


def pictures():
    """The expected images, computed from the formula of the ramp."""
    at = ((15 + (np.arange(SIDE) + 0.5) * HEIGHT / SIDE - 0.5) / (WIDTH - 1)) * 255
    ramp = np.tile(at, (SIDE, 1))
    colour = np.stack([ramp, 255 - ramp, np.full_like(ramp, 90)], -1)
    luma = colour @ (0.299, 0.587, 0.114)
    return {
        "colour": colour,
        "grey": np.stack([ramp] * 3, -1),
        "luma": np.stack([luma] * 3, -1),
        "turned": colour.transpose(1, 0, 2),
    }


def test_every_photo_gives_its_picture_or_its_reason(tmp_path):
    expected = photos(tmp_path / "photos")
    (tmp_path / "photos" / classes()[0].wnid).mkdir()
    (tmp_path / "photos" / classes()[7].wnid / ".DS_Store").write_bytes(b"x")
    (tmp_path / "odd.toml").write_text(RECIPE.format(rows=len(expected) * 10))
    run.main(["--recipe", str(tmp_path / "odd.toml"), "--model", "none", "--out", str(tmp_path / "out"),
              "--foregrounds", str(tmp_path / "photos"), "--workers", "1"])  # fmt: skip
    failures = json.loads((tmp_path / "out" / "manifest.json").read_text())["failures"]
    reasons = {each["reason"].split()[1].partition("/")[2]: each["reason"] for each in failures}
    wanted, found = pictures(), {}
    for row in rows_of(tmp_path / "out").values():
        name = row["foreground_source"].partition("/")[2]
        # Without the outermost pixels, into which the resized edge of a cut-out lets some of the canvas through.
        found[name] = np.abs(decoded(row) - wanted[expected[name]])[1:-1, 1:-1].max()
    assert {name for name in expected if expected[name] in wanted} == set(found)
    lossy = {"grey4_key.png": 10, "palette.png": 10, "anim.gif": 14}  # 16 and 32 levels; a palette of 256 colours
    assert {name: far for name, far in found.items() if far > lossy.get(name, 6)} == {}
    refused = {name: reason for name, reason in expected.items() if reason not in wanted}
    assert set(reasons) == set(refused)
    for name, reason in refused.items():
        assert reason in reasons[name]


@pytest.fixture(scope="module")
def encoded(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photos")
    expected = photos(folder)
    files = [path for path in folder.glob("*/*") if path.is_file() and path.name in expected]
    return sorted(path.read_bytes() for path in files if path.stat().st_size)


@pytest.mark.filterwarnings("ignore")  # Pillow's, of the damage that is done here
@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_a_damaged_photo_is_read_or_refused(encoded, tmp_path_factory, data):
    content = bytearray(data.draw(st.sampled_from(encoded)))
    for _ in range(data.draw(st.integers(1, 8))):
        content[data.draw(st.integers(0, min(len(content), 400) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.getbasetemp() / "damaged.jpg"
    path.write_bytes(content)
    with contextlib.suppress(PhotoError):
        assert read_photo(path, "damaged.jpg").mode in ("RGB", "RGBA")
