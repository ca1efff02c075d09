import io
import re
import struct
import warnings
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from encoded_images import HEIGHT, WIDTH, chunk, color_tiff, encoded, every_kind, gray_tiff, noise, png, tiff
from likewise.data.image_header import header
from likewise.errors import DataError

FILES = every_kind()
BITS = {"1": 1, "fax": 1, "16": 16, "float": 32}


@pytest.mark.parametrize("name", FILES)
def test_the_facts_of_every_kind(name):
    told = header(FILES[name], name)
    form, _, mode = name.partition("-")
    with Image.open(io.BytesIO(FILES[name])) as image:
        assert (told.width, told.height) == image.size == (WIDTH, HEIGHT)
        assert told.frames == getattr(image, "n_frames", 1) == (3 if mode == "pages" else 1)
    assert told.format == {"pgm": "PPM"}.get(form, form.upper())
    assert told.bits == next((bits for key, bits in BITS.items() if mode.split("-")[0] == key), 8)
    single = mode.split("-")[0] in ("1", "L", "LA", "16", "float", "fax", "grey")
    assert told.kind == ("single" if single else "color")
    assert not told.radiometric


@pytest.mark.parametrize(
    ("name", "channels"),
    [("png-LA", 2), ("png-RGBA", 4), ("png-L", 1), ("tiff-CMYK", 4), ("jpeg-cmyk", 4), ("png-P", 3), ("tiff-P", 3), ("webp", 3)],
)
def test_channels(name, channels):
    assert header(FILES[name], name).channels == channels


def test_alpha_and_transparency_are_channels():
    clear = Image.new("RGBA", (8, 8), (1, 2, 3, 4))
    assert header(encoded(clear, "WEBP"), "a").channels == 4
    assert header(encoded(clear, "WEBP", lossless=True), "a").channels == 4
    assert header(png(1, 1, 8, 3, [b"\0"], chunk(b"PLTE", bytes(3)) + chunk(b"tRNS", b"\0")), "a").channels == 4


def test_the_format_is_told_by_content():
    assert header(FILES["png-RGB"], "picture.jpg").format == "PNG"


@pytest.mark.parametrize(
    ("segment", "mark"),
    [(b"FLIR\0\1\0\1", 1), (b"PARROT\0II*\0", 1), (b"\1\0\0\0IJPEG\0", 2), (b"\xaa\x55\x12\x06", 4), (b"DTAT\0\0\1{", 6)],
)
def test_thermal_cameras_are_told(segment, mark):
    jpeg = FILES["jpeg"]
    app = bytes([0xFF, 0xE0 + mark]) + struct.pack(">H", len(segment) + 2) + segment
    assert header(jpeg[:2] + app + jpeg[2:], "a").radiometric
    other = bytes([0xFF, 0xE0 + mark]) + struct.pack(">H", 9) + b"nothing"
    assert not header(jpeg[:2] + other + jpeg[2:], "a").radiometric


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "is empty"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n(/etc/passwd) run", r"is PostScript \(EPS\), which is not read as an image"),
        (b"\xc5\xd0\xd3\xc6" + bytes(30), r"is PostScript \(EPS\)"),
        (b"  <svg xmlns='http://www.w3.org/2000/svg'/>", "is an SVG drawing"),
        (b"<?xml version='1.0'?><svg/>", "is XML"),
        (b"%PDF-1.7\n", "is a PDF"),
        (b"8BPS\0\1" + bytes(30), "is a Photoshop file"),
        (b"\0\0\1\0\1\0" + bytes(30), "is an icon"),
        (b"<!DOCTYPE html><title>404</title>", "is a web page"),
        (b"\0\0\0\x18ftypheic", "is HEIC, AVIF or a film"),
        (b"hello, I am not a picture", "is text, not an image"),
        (bytes(100), "is not an image of a format that is read"),
        (b"P3\n1 1\n255\n1 2 3\n", "is a plain \\(text\\) PNM, which cannot be told from a cut one"),
    ],
)
def test_other_files_are_refused_by_what_they_are(data, reason):
    with pytest.raises(DataError, match=rf"^photo\.jpg {reason}.*; [^;]+\.$"):
        header(data, "photo.jpg")


@pytest.mark.parametrize("form", ["ICO", "PCX", "TGA", "PSD", "EPS", "PDF", "JPEG2000", "DDS", "SGI"])
def test_formats_that_pillow_would_read_are_not(form):
    Image.init()
    if form == "PSD":
        data = b"8BPS" + struct.pack(">H6xHIIHH", 1, 3, 2, 2, 8, 3) + bytes(14) + bytes(12)
    else:
        data = encoded(Image.new("RGB", (16, 16)), form)
    with pytest.raises(DataError, match="leave it out"):
        header(data, "a.png")


@pytest.mark.parametrize(
    "data",
    [
        png(100_000, 100_000, 8, 2, []),
        tiff(b"\0", {256: (4, [100_000]), 257: (4, [100_000]), 258: (3, [8]), 262: (3, [1])}),
        b"P5 100000 100000 255\n",
        b"GIF89a" + struct.pack("<HH", 65535, 65535) + b"\0\0\0\x2c" + bytes(9) + b"\2\0\x3b",
        b"BM" + struct.pack("<IIIIiiHHI", 54, 0, 54, 40, 1 << 20, -(1 << 20), 1, 24, 0) + bytes(20),
        b"RIFF" + struct.pack("<I", 22) + b"WEBPVP8X" + struct.pack("<I", 10) + bytes(4) + b"\xff" * 6,
        FILES["jpeg"].replace(struct.pack(">HH", HEIGHT, WIDTH), struct.pack(">HH", 65000, 65000)),
    ],
    ids=["png", "tiff", "pgm", "gif", "bmp", "webp", "jpeg"],
)
def test_too_many_pixels(data):
    with pytest.raises(
        DataError, match=r"^bomb has \d+×\d+ pixels, over the 67108864 that are decoded at most; scale it down\.$"
    ):
        header(data, "bomb")


def test_the_limit_can_be_set():
    data = FILES["png-RGB"]
    assert header(data, "a", most_pixels=WIDTH * HEIGHT).width == WIDTH
    with pytest.raises(DataError, match=f"over the {WIDTH * HEIGHT - 1} that are"):
        header(data, "a", most_pixels=WIDTH * HEIGHT - 1)


def test_a_later_page_counts():
    small, large = Image.new("L", (4, 4)), Image.new("L", (400, 400))
    data = encoded(small, "TIFF", save_all=True, append_images=[large])
    with pytest.raises(DataError, match="over the 1000 that"):
        header(data, "a", most_pixels=1000)


@pytest.mark.parametrize(
    "data",
    [
        png(0, 5, 8, 0, []),
        tiff(b"\0", {256: (3, [0]), 257: (3, [1]), 258: (3, [8]), 262: (3, [1])}),
        b"P5 0 3 255\n",
        FILES["jpeg"].replace(struct.pack(">HH", HEIGHT, WIDTH), struct.pack(">HH", 0, WIDTH)),
    ],
)
def test_no_pixels(data):
    with pytest.raises(DataError, match=r"^a has \d+×\d+ pixels; leave it out\.$"):
        header(data, "a")


def test_bombs_are_told_by_their_ratio():
    with pytest.raises(DataError, match="claims 64000000 pixels in 65 bytes, as only decompression bombs do"):
        header(png(8000, 8000, 8, 0, []), "a")
    blank = encoded(Image.new("L", (8000, 6000)), "PNG")
    assert header(blank, "a").width == 8000


def test_pages_in_a_circle_and_too_many_pages():
    page = struct.pack("<H", 1) + struct.pack("<HHII", 256, 3, 1, 1)
    circle = b"II*\0" + struct.pack("<I", 8) + page + struct.pack("<I", 8)
    with pytest.raises(DataError, match="its pages go round in a circle"):
        header(circle, "a")
    block = b"\x2c" + struct.pack("<HHHH", 0, 0, 1, 1) + b"\0\2\1\0\0"
    start = b"GIF89a" + struct.pack("<HH", 1, 1) + b"\0\0\0"
    assert header(start + block * 1000 + b"\x3b", "a").frames == 1000
    with pytest.raises(DataError, match="has more than 1000 pages; cut it into files of fewer"):
        header(start + block * 1001 + b"\x3b", "a")
    entries = [(256, 3, 1, 1), (257, 3, 1, 1), (262, 3, 1, 1)]
    chain = b"II*\0" + struct.pack("<I", 8)
    for number in range(1001):
        chain += struct.pack("<H", 3) + b"".join(struct.pack("<HHII", *entry) for entry in entries)
        chain += struct.pack("<I", len(chain) + 4 if number < 1000 else 0)
    with pytest.raises(DataError, match="has more than 1000 pages"):
        header(chain, "a")


@pytest.mark.parametrize("tag", [256, 258, 273, 279, 320])
@pytest.mark.parametrize(
    ("kind", "number", "where"), [(4, 2**32 - 1, 8), (3, 3, 2**32 - 1), (99, 1, 0), (4, 0, 0), (12, 2**30, 8)]
)
def test_absurd_tags_of_pixels_are_refused(tag, kind, number, where):
    data = b"II*\0" + struct.pack("<I", 8) + struct.pack("<HHHII", 1, tag, kind, number, where) + bytes(4)
    with pytest.raises(DataError, match=r"^a is (cut off|damaged): "):
        header(data, "a")


def test_absurd_tags_of_other_things_do_not_matter():
    frame = np.arange(12, dtype=np.uint8).reshape(3, 4)
    plain = gray_tiff(frame, 1)
    (directory,) = struct.unpack_from("<I", plain, 4)
    (count,) = struct.unpack_from("<H", plain, directory)
    odd = struct.pack("<HHII", 34665, 4, 2**32 - 1, 2**32 - 1) + struct.pack("<HHII", 33432, 2, 2**31, 4)
    body = plain[directory + 2 : directory + 2 + 12 * count] + odd
    data = plain[:directory] + struct.pack("<H", count + 2) + body + bytes(4)
    assert header(data, "a").width == 4


def test_a_tiff_that_tells_too_little():
    with pytest.raises(DataError, match="it does not tell the meaning of its values"):
        header(tiff(b"\0", {256: (3, [1]), 257: (3, [1])}), "a")


@pytest.mark.parametrize(("color", "depth"), [(1, 8), (0, 3), (2, 4), (3, 16), (7, 8)])
def test_png_without_meaning(color, depth):
    with pytest.raises(DataError, match=f"there is no PNG of colour type {color} with {depth} bits"):
        header(png(1, 1, depth, color, [b"\0"]), "a")


def test_jpegs_of_other_depths():
    deep = FILES["jpeg"].replace(b"\x08" + struct.pack(">HH", HEIGHT, WIDTH), b"\x0c" + struct.pack(">HH", HEIGHT, WIDTH))
    with pytest.raises(DataError, match="has 3 channels of 12 bits, which is not read from JPEG; save it as PNG or TIFF"):
        header(deep, "a")


def test_16_bits_are_told_of_colors():
    deep = np.zeros((3, 4, 3), np.uint16)
    assert header(color_tiff(deep), "a").bits == 16
    assert header(png(1, 1, 16, 2, [bytes(6)]), "a").bits == 16
    assert header(b"P6 1 1 65535\n" + bytes(6), "a").bits == 16


def test_only_the_header_is_read():
    """What follows the header of a photograph need not be there."""
    large = encoded(Image.fromarray(np.tile(noise(), (20, 20, 1))), "JPEG")
    assert header(large[:1000], "a").width == 20 * WIDTH
    assert header(FILES["png-RGB"][:60], "a").width == WIDTH


def test_nobodys_limits_are_changed(monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert header(FILES["png-RGB"], "a").width == WIDTH
    assert Image.MAX_IMAGE_PIXELS == 1


MAGICS = [data[:16] for data in FILES.values()]


def told_or_refused(data):
    try:
        return header(data, "a")
    except DataError as error:
        return str(error)


@given(st.sampled_from(MAGICS), st.binary(max_size=200))
@settings(max_examples=400, deadline=None)
def test_random_bytes_are_facts_or_a_sentence(magic, content):
    for cut in (2, 8, 16):
        found = told_or_refused(magic[:cut] + content)
        if isinstance(found, str):
            assert re.fullmatch(r"a [^;]+; [^;]+\.", found)
        else:
            assert 0 < found.width * found.height <= 64 << 20


def test_a_bomb_in_a_text_chunk_is_not_opened():
    text = chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(100 << 20), 9))
    assert header(png(2, 2, 8, 0, [b"ab", b"cd"], text), "a").width == 2
