import io
import json
import re
import struct
import zlib
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFile, ImageOps

from encoded_images import HEIGHT, WIDTH, chunk, color_tiff, encoded, every_kind, gray_tiff, noise, png, tiff
from likewise.data.image_header import header
from likewise.data.image_looks import picture_hashes
from likewise.data.perceptual import distance
from likewise.data.pixels import decode, describe, from_array, looks_from_bytes, small_look
from likewise.errors import DataError

FILES = every_kind()
NOISE = noise()
ALL_16 = np.random.default_rng(8).permutation(65536).astype(np.uint16).reshape(256, 256)
MOST_COLORS = ("color", 3), ("single", 2)


def by_pillow(data, page=0):
    """Pillow's own reading, converted to RGB or left as it is where it is of one channel."""
    with Image.open(io.BytesIO(data)) as image:
        image.seek(page)
        return np.asarray(image if image.mode[0] in "LFI" else image.convert("RGB"))


def on_white(rgba):
    """By the definition, in floats."""
    color, alpha = rgba[..., :-1].astype(np.float64), rgba[..., -1:] / 255
    return color * alpha + 255 * (1 - alpha)


# Exactness


@pytest.mark.parametrize("name", [name for name in FILES if not name.endswith(("LA", "RGBA", "-1", "fax", "YCbCr", "LAB"))])
def test_every_kind_is_as_pillow_reads_it(name):
    data = FILES[name]
    for page in range(header(data, name).frames):
        expected = by_pillow(data, page)
        found = decode(data, name, frame=page)
        assert np.array_equal(found, expected)
        assert found.dtype == (np.uint16 if name == "pgm-16" else expected.dtype.newbyteorder("="))


@pytest.mark.parametrize("name", FILES)
def test_kind_and_dtype(name):
    found = decode(FILES[name], name)
    told = header(FILES[name], name)
    assert (told.kind, found.ndim) in MOST_COLORS
    assert found.shape[:2] == (HEIGHT, WIDTH)
    assert found.dtype == ({16: np.uint16, 32: np.float32}.get(told.bits, np.uint8))
    assert found.dtype.isnative


@pytest.mark.parametrize("form", ["PNG", "TIFF", "BMP", "PPM"])
def test_lossless_formats_return_what_was_saved(form):
    assert np.array_equal(decode(encoded(Image.fromarray(NOISE), form), "a"), NOISE)
    gray = NOISE[..., 0]
    assert np.array_equal(decode(encoded(Image.fromarray(gray), form), "a"), gray)


@pytest.mark.parametrize("name", ["png-1", "tiff-1", "tiff-fax", "bmp-1", "ppm-1"])
def test_bits_become_0_and_255(name):
    bits = Image.fromarray(NOISE).convert("1")
    assert np.array_equal(decode(FILES[name], name), np.asarray(bits) * np.uint8(255))


@pytest.mark.parametrize(
    "data",
    [
        encoded(Image.fromarray(ALL_16), "PNG"),
        encoded(Image.fromarray(ALL_16), "TIFF"),
        encoded(Image.fromarray(ALL_16), "TIFF", compression="tiff_lzw"),
        encoded(Image.fromarray(ALL_16), "TIFF", compression="tiff_deflate"),
        gray_tiff(ALL_16, 1),
        gray_tiff(ALL_16, 1, ">"),
        encoded(Image.fromarray(ALL_16), "PPM"),
        png(256, 256, 16, 0, [row.astype(">u2").tobytes() for row in ALL_16]),
    ],
)
def test_all_65536_values_arrive(data):
    found = decode(data, "a")
    assert found.dtype == np.uint16
    assert np.array_equal(found, ALL_16)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize(
    ("frame", "sample_format"),
    [
        (np.array([[-32768, 0, 32767]], np.int16), 2),
        (np.array([[-(2**24), 2**24, 2**30, 7]], np.int32), 2),
        (np.array([[-1.5, 3e38, 1e-40]], np.float32), 3),
    ],
)
def test_measured_values_of_other_types_are_exact_float32(frame, sample_format, order):
    found = decode(gray_tiff(frame, sample_format, order), "a")
    assert found.dtype == np.float32
    assert np.array_equal(found.astype(np.float64), frame.astype(np.float64))


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (gray_tiff(np.array([[2**24 + 1, 5]], np.int32), 2), "has 1 integers that float32 cannot hold exactly; save it with 16"),
        (gray_tiff(np.array([[2**32 - 256, 5]], np.uint32), 1), "has integers of 2147483648 and more; save them as float32"),
        (gray_tiff(np.array([[1.0]], np.float64), 3), "has floats of 64 bits; save it as float32"),
        (gray_tiff(np.array([[1.0]], np.float16), 3), "has floats of 16 bits; save it as float32"),
        (gray_tiff(np.array([[-1]], np.int8), 2), "has signed values of 8 bits; save it with 16 bits"),
        (gray_tiff(np.array([[1]], np.uint16), 1, meaning=0), "has 16 bits of which 0 is white; save it with 0 as black"),
        (gray_tiff(np.array([[np.nan, 1, np.inf]], np.float32), 3), "has 2 values that are not finite numbers; fill them in"),
        (color_tiff(np.zeros((2, 2, 3), np.uint16)), "has colours of 16 bits, of which only 8 would be kept; save it with 8"),
        (color_tiff(np.zeros((2, 2, 4), np.uint16), ">"), "has colours of 16 bits, of which only 8 would be kept"),
        (png(1, 1, 16, 2, [bytes(6)]), "has colours of 16 bits, of which only 8 would be kept; save it with 8 bits per channel"),
        (png(1, 1, 16, 6, [bytes(8)]), "has colours of 16 bits"),
        (png(1, 1, 16, 4, [bytes(4)]), "has a transparent colour or alpha beside 16 bits"),
        (png(1, 1, 16, 0, [bytes(2)], chunk(b"tRNS", bytes(2))), "has a transparent colour or alpha beside 16 bits"),
        (png(1, 1, 2, 0, [bytes(1)], chunk(b"tRNS", bytes(2))), "has a transparent grey of 2 bits, which is not read"),
        (b"P6 1 1 65535\n" + bytes(6), "has colours of 16 bits"),
        (b"P5 1 1 100\n\xff", "is damaged: a value is above the 100 that its header calls the highest"),
    ],
)
def test_what_cannot_be_had_exactly_is_refused(data, reason):
    with pytest.raises(DataError, match=f"^frame.x {re.escape(reason)}"):
        decode(data, "frame.x")


def test_uint32_of_small_values_is_read():
    frame = np.array([[0, 2**31 - 128]], np.uint32)
    assert np.array_equal(decode(gray_tiff(frame, 1), "a"), frame.astype(np.float32))


@pytest.mark.parametrize("bits", [12, 32])
def test_values_that_are_not_read_are_to_be_saved_otherwise(bits):
    tags = {256: (3, [WIDTH]), 257: (3, [HEIGHT]), 258: (3, [bits]), 262: (3, [1]), 339: (3, [1])}
    data = tiff(bytes((WIDTH * bits + 7) // 8 * HEIGHT), tags, ">")
    with pytest.raises(DataError, match=r"^frame\.x cannot be decoded \(.*\); save it with 8 or 16 bits, or as float32\.$"):
        decode(data, "frame.x")


def test_pgm_of_other_ranges():
    assert decode(b"P5\n# a comment\n3 1 # another\n15\n\x00\x07\x0f", "a").tolist() == [[0, 119, 255]]
    found = decode(b"P5 2 1 4095\n\x0f\xff\x01\x00", "a")
    assert found.dtype == np.uint16
    assert found.tolist() == [[4095, 256]]


@pytest.mark.parametrize("depth", [1, 2, 4])
def test_small_depths_of_png_fill_the_range(depth):
    levels = np.arange(2**depth)
    packed = np.packbits(np.unpackbits(levels.astype(np.uint8)[:, None], axis=1)[:, -depth:])
    found = decode(png(len(levels), 1, depth, 0, [packed.tobytes()]), "a")
    assert found.tolist() == [(levels * 255 // (2**depth - 1)).tolist()]


# Colours


def test_alpha_is_composited_on_white():
    generator = np.random.default_rng(9)
    rgba = generator.integers(0, 256, (HEIGHT, WIDTH, 4), dtype=np.uint8)
    for data in (
        encoded(Image.fromarray(rgba), "PNG"),
        encoded(Image.fromarray(rgba), "TIFF"),
        encoded(Image.fromarray(rgba), "WEBP", lossless=True, exact=True),
    ):
        np.testing.assert_allclose(decode(data, "a"), on_white(rgba), atol=0.51)
    gray_alpha = np.ascontiguousarray(rgba[..., 2:])
    found = decode(encoded(Image.fromarray(gray_alpha), "PNG"), "a")
    assert found.ndim == 2
    np.testing.assert_allclose(found, on_white(gray_alpha)[..., 0], atol=0.51)


def test_premultiplied_alpha():
    pixels = np.array([[[50, 25, 0, 128], [10, 20, 30, 255]]], np.uint8)
    data = bytearray(color_tiff(pixels))
    assert data.count(struct.pack("<HHIHH", 338, 3, 1, 2, 0)) == 1
    data = bytes(data.replace(struct.pack("<HHIHH", 338, 3, 1, 2, 0), struct.pack("<HHIHH", 338, 3, 1, 1, 0)))
    np.testing.assert_allclose(decode(data, "a")[0], [[177, 152, 127], [10, 20, 30]], atol=1)


def test_transparent_colors_and_palettes_are_white():
    palette = chunk(b"PLTE", bytes([10, 20, 30, 200, 100, 0, 1, 2, 3]))
    indexed = png(3, 1, 8, 3, [b"\0\1\2"], palette + chunk(b"tRNS", b"\xff\x00\x80"))
    np.testing.assert_allclose(decode(indexed, "a")[0], [[10, 20, 30], [255, 255, 255], [127.5, 128, 128.5]], atol=1)
    keyed = png(2, 1, 8, 2, [b"\1\2\3\4\5\6"], chunk(b"tRNS", struct.pack(">HHH", 4, 5, 6)))
    assert decode(keyed, "a").tolist() == [[[1, 2, 3], [255, 255, 255]]]
    gray = png(2, 1, 8, 0, [b"\7\x08"], chunk(b"tRNS", struct.pack(">H", 7)))
    assert decode(gray, "a").tolist() == [[255, 8]]
    clear = Image.new("P", (2, 2), 1)
    clear.putpalette([0, 0, 0, 50, 60, 70])
    assert decode(encoded(clear, "GIF", transparency=1), "a").min() == 255


@pytest.mark.parametrize("mode", ["YCbCr", "LAB", "CMYK", "HSV"])
def test_other_color_models_become_rgb(mode):
    y, x = np.mgrid[:20, :30]
    smooth = np.stack([60 + 5 * x, 40 + 8 * y, 200 - 3 * x], axis=2).astype(np.uint8)
    image = Image.fromarray(smooth)
    if mode == "LAB":
        from PIL import ImageCms

        built = ImageCms.buildTransform(ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), "RGB", "LAB")
        converted = ImageCms.applyTransform(image, built)
    else:
        converted = image.convert(mode)
    found = from_array(converted, "a") if mode == "HSV" else decode(encoded(converted, "TIFF"), "a")
    assert found.dtype == np.uint8
    np.testing.assert_allclose(found.astype(int), smooth.astype(int), atol=16 if mode == "LAB" else 5)


@pytest.mark.parametrize("at_least", [None, 4])
def test_cmyk_as_adobe_stores_it(at_least):
    red = Image.new("CMYK", (32, 32), (0, 255, 255, 0))
    found = decode(encoded(red, "JPEG", quality=95), "a", at_least=at_least)
    np.testing.assert_allclose(found.mean(axis=(0, 1)), [255, 0, 0], atol=4)
    ink = decode(encoded(Image.new("CMYK", (32, 32), (0, 0, 0, 255)), "JPEG"), "a", at_least=at_least)
    assert ink.max() < 8


def test_a_grey_palette_of_bmp_is_one_channel_in_any_order():
    rows = b"\0\1\2\3"
    palette = bytes([9, 9, 9, 0, 255, 255, 255, 0, 0, 0, 0, 0, 90, 90, 90, 0])
    start = 14 + 40 + len(palette)
    data = b"BM" + struct.pack("<IIIIiiHHIIiiII", start + 4, 0, start, 40, 4, 1, 1, 8, 0, 4, 0, 0, 4, 0) + palette + rows
    assert decode(data, "a").tolist() == [[9, 255, 0, 90]]


# Orientation and pages


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP", "TIFF"])
def test_exif_orientation(form, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"lossless": True} if form == "WEBP" else {}
    data = encoded(Image.fromarray(NOISE), form, exif=exif, **options)
    with Image.open(io.BytesIO(data)) as image:
        expected = np.asarray(ImageOps.exif_transpose(image.convert("RGB") if form != "TIFF" else image))
    found = decode(data, "a")
    assert np.array_equal(found, expected)
    assert found.flags.c_contiguous
    told = header(data, "a")
    assert (told.width, told.height) == (WIDTH, HEIGHT)


def test_orientation_is_by_the_standard():
    """6 is shown turned a quarter to the right: the stored first row is the shown last column."""
    exif = Image.Exif()
    exif[0x0112] = 6
    gray = np.arange(6, dtype=np.uint8).reshape(2, 3)
    assert decode(encoded(Image.fromarray(gray), "PNG", exif=exif), "a").tolist() == [[3, 0], [4, 1], [5, 2]]


@pytest.mark.parametrize(
    "exif",
    [
        b"",
        b"II",
        b"Exif\0\0MM\0*\xff\xff\xff\xff",
        b"II*\0\x08\0\0\0\xff\xff",
        b"II*\0\x08\0\0\0\1\0\x12\1\3\0\1\0\0\0\x09\0\0\0",
    ],
)
def test_an_orientation_that_is_not_one_is_none(exif):
    plain = encoded(Image.fromarray(NOISE), "PNG")
    assert np.array_equal(decode(plain[:33] + chunk(b"eXIf", exif) + plain[33:], "a"), NOISE)


@pytest.mark.parametrize("name", ["tiff-pages", "gif-pages", "webp-pages"])
def test_pages(name):
    pages = [decode(FILES[name], name, frame=frame) for frame in range(3)]
    assert not np.array_equal(pages[0], pages[1])
    assert not np.array_equal(pages[1], pages[2])
    for frame in (3, -1):
        with pytest.raises(DataError, match=f"has 3 pages, and page {frame} is asked for, counted from 0; choose another frame"):
            decode(FILES[name], name, frame=frame)


@pytest.mark.parametrize("name", ["jpeg", "png-16", "bmp-RGB", "ppm-RGB", "gif", "tiff-RGB"])
def test_a_format_of_one_page_has_page_0(name):
    with pytest.raises(DataError, match="has 1 page, and page 1 is asked for"):
        decode(FILES[name], name, frame=1)


def test_pages_of_different_kinds():
    first = Image.fromarray(NOISE)
    data = encoded(first, "TIFF", save_all=True, append_images=[Image.fromarray(ALL_16)])
    assert np.array_equal(decode(data, "a", frame=0), NOISE)
    assert np.array_equal(decode(data, "a", frame=1), ALL_16)


def test_pictures_appended_by_cameras_are_left_alone():
    first, second = Image.fromarray(NOISE), Image.fromarray(noise(5))
    data = encoded(first, "MPO", save_all=True, append_images=[second])
    assert header(data, "a").frames == 1
    assert np.array_equal(decode(data, "a"), decode(encoded(first, "JPEG"), "a"))


def test_a_thermal_cameras_jpeg_is_read_as_what_it_shows():
    plain = FILES["jpeg"]
    measured = plain[:2] + b"\xff\xe1" + struct.pack(">H", 2 + 5 + 900) + b"FLIR\0" + bytes(900) + plain[2:]
    assert header(measured, "a").radiometric
    assert np.array_equal(decode(measured, "a"), decode(plain, "a"))


# JPEGs decoded small


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
@pytest.mark.parametrize("size", [(640, 480), (447, 613), (200, 1000)])
def test_the_smallest_scale_that_is_large_enough(mode, size):
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (60, 80, 3), dtype=np.uint8)).resize(size).convert(mode)
    data = encoded(image, "JPEG")
    full = decode(data, "a")
    assert full.shape[:2] == size[::-1]
    for at_least in (1, 17, 56, 60, 61, 100, 112, 200, 224, 240, 480, 9999):
        found = decode(data, "a", at_least=at_least)
        sides = [tuple(-(-side // scale) for side in size[::-1]) for scale in (8, 4, 2, 1)]
        expected = next((each for each in sides if min(each) >= at_least), sides[-1])
        assert found.shape[:2] == expected
        assert found.ndim == full.ndim


def test_a_small_decode_shows_the_same():
    image = Image.fromarray(noise()).resize((640, 480), Image.Resampling.BICUBIC)
    data = encoded(image, "JPEG", quality=95)
    small, full = decode(data, "a", at_least=100), decode(data, "a")
    assert small.shape == (120, 160, 3)
    means = full.reshape(120, 4, 160, 4, 3).mean(axis=(1, 3))
    assert np.abs(small - means).mean() < 1


@pytest.mark.parametrize("name", [name for name in FILES if not name.startswith("jpeg")])
def test_other_formats_are_decoded_whole(name):
    assert np.array_equal(decode(FILES[name], name, at_least=2), decode(FILES[name], name))


def test_orientation_of_a_small_decode():
    exif = Image.Exif()
    exif[0x0112] = 6
    data = encoded(Image.new("RGB", (640, 480)), "JPEG", exif=exif)
    assert decode(data, "a", at_least=100).shape == (160, 120, 3)


# Damage


@pytest.mark.parametrize("name", FILES)
def test_a_file_cut_anywhere_is_refused(name):
    data = FILES[name]
    for length in range(len(data)):
        with pytest.raises(DataError, match=r"^cut [^;]+; [^;]+\.$"):
            decode(data[:length], "cut", at_least=8)


@pytest.mark.parametrize("name", FILES)
def test_what_follows_the_end_does_not_matter(name):
    assert np.array_equal(decode(FILES[name] + b"more" * 9, name), decode(FILES[name], name))


def test_a_download_filled_up_with_zeros_is_refused():
    data = FILES["jpeg"]
    with pytest.raises(DataError, match="is cut off: it ends before its picture does; copy or download it again"):
        decode(data[:700] + bytes(len(data) - 700), "a")


def test_a_jpeg_whose_marks_stand_in_its_tables():
    """A mark of the end within a comment between scans is none."""
    data = FILES["jpeg-progressive"]
    scan = data.index(b"\xff\xda", data.index(b"\xff\xda") + 2)
    comment = b"\xff\xfe" + struct.pack(">H", 6) + b"\xff\xd9\xff\xd9"
    odd = data[:scan] + comment + data[scan:]
    assert np.array_equal(decode(odd, "a"), decode(data, "a"))
    with pytest.raises(DataError, match="is cut off"):
        decode(odd[:-2], "a")


@pytest.mark.parametrize("place", [45, -20, 30])
def test_a_flipped_byte_of_a_png_is_refused(place):
    data = bytearray(FILES["png-RGB"])
    data[place] ^= 1
    with pytest.raises(DataError, match=r"a checksum is wrong|is cut off|is damaged"):
        decode(bytes(data), "a")


def test_a_png_that_inflates_to_far_more_than_its_pixels():
    rows = [b"\1\2", b"\3\4", bytes(200 << 20)]
    assert decode(png(2, 2, 8, 0, rows), "a").tolist() == [[1, 2], [3, 4]]


def test_metadata_reaches_no_decoder():
    bomb = chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(100 << 20), 9)) + chunk(
        b"iCCP", b"a\0\0" + zlib.compress(bytes(99 << 20), 9)
    )
    assert decode(png(2, 2, 8, 0, [b"ab", b"cd"], bomb, bomb), "a").tolist() == [[97, 98], [99, 100]]


def test_an_unknown_critical_chunk_is_refused():
    with pytest.raises(DataError, match='has a chunk "CgBI" that is not of the standard; save it anew as PNG'):
        decode(png(1, 1, 8, 0, [b"a"], chunk(b"CgBI", bytes(4))), "a")


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({259: (3, [6])}, "is compressed in TIFF's way 6, which is not read"),
        ({259: (3, [50001])}, "is compressed in TIFF's way 50001"),
        ({277: (3, [60000])}, "has 60000 channels"),
        ({278: (4, [1])}, "is damaged: it has 1 strips or tiles instead of 3"),
        ({278: (4, [0])}, "is damaged: its strips or tiles are of 4×0 pixels"),
        ({279: (4, [2**32 - 1]), 259: (3, [5])}, "is cut off"),
        ({273: (4, [2**31])}, "is cut off"),
        ({322: (4, [2**31]), 323: (4, [2**31]), 324: (4, [8]), 325: (4, [8])}, "is damaged: its strips or tiles are of"),
        ({254: (4, [1]), 330: (4, [8])}, "is a camera's raw file, of which only a preview could be read; develop it"),
        ({262: (3, [32844])}, "cannot be decoded"),
        ({273: (4, [8]), 324: (4, [8])}, "is damaged: it has both strips and tiles"),
        ({339: (3, [4])}, "cannot be decoded"),
    ],
)
def test_tiffs_that_contradict_themselves(more, reason):
    tags = {256: (3, [4]), 257: (3, [3]), 258: (3, [8]), 262: (3, [1])}
    assert decode(tiff(bytes(12), tags), "a").shape == (3, 4)
    with pytest.raises(DataError, match=f"^a {re.escape(reason)}"):
        decode(tiff(bytes(12), tags | more), "a")


def test_a_tiled_tiff():
    frame = np.arange(32 * 48, dtype=np.uint16).reshape(32, 48)
    tiles = b"".join(frame[y : y + 16, x : x + 16].tobytes() for y in (0, 16) for x in (0, 16, 32))
    tags = {256: (3, [40]), 257: (3, [30]), 258: (3, [16]), 262: (3, [1]), 322: (3, [16]), 323: (3, [16])}
    offsets = [8 + 512 * number for number in range(6)]
    data = tiff(tiles, tags | {324: (4, offsets), 325: (4, [512] * 6)})
    assert np.array_equal(decode(data, "a"), frame[:30, :40])


@pytest.mark.parametrize("data", [b"", b"%!PS-Adobe-3.0 EPSF-3.0\n", b"just some text, called .jpg", bytes(50)])
def test_what_is_no_image(data):
    with pytest.raises(DataError, match=r"^photo\.jpg is "):
        decode(data, "photo.jpg")


def decoded_or_refused(data):
    try:
        return decode(data, "a", at_least=8)
    except DataError as error:
        return str(error)


@given(st.sampled_from(sorted(FILES)), st.data())
@settings(max_examples=1500, deadline=None)
def test_damaged_files_are_pixels_or_a_sentence(name, draw):
    data = bytearray(FILES[name])
    for _ in range(draw.draw(st.sampled_from([1, 2, 8]))):
        place = draw.draw(st.integers(0, min(len(data), draw.draw(st.sampled_from([40, 120, 9999]))) - 1))
        data[place] = draw.draw(st.sampled_from([0, 255, data[place] ^ 1, data[place] ^ 128, 7]))
    found = decoded_or_refused(bytes(data))
    if isinstance(found, str):
        assert re.fullmatch(r"a [^;]+; [^;]+\.", found, re.DOTALL)
    else:
        assert found.dtype in (np.uint8, np.uint16, np.float32)
        assert np.isfinite(found).all()


@given(st.binary(max_size=300))
@settings(max_examples=300, deadline=None)
def test_random_bytes_are_refused(data):
    with pytest.raises(DataError):
        decode(data, "a")


# Other people's settings


def test_truncated_images_are_not_let_through_by_a_setting(monkeypatch):
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    with pytest.raises(DataError, match=r"while PIL\.ImageFile\.LOAD_TRUNCATED_IMAGES is set; set it back to False"):
        decode(FILES["jpeg"], "a")


@pytest.mark.parametrize("name", FILES)
def test_pillows_pixel_limit_is_neither_used_nor_changed(name, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", WIDTH * HEIGHT)
    assert decode(FILES[name], name).shape[:2] == (HEIGHT, WIDTH)
    assert Image.MAX_IMAGE_PIXELS == WIDTH * HEIGHT


def test_a_stricter_limit_of_this_process_is_named(monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 7)
    with pytest.raises(DataError, match=r"has more pixels than PIL\.Image\.MAX_IMAGE_PIXELS = 7, which something here has set"):
        decode(FILES["webp"], "a")


def test_threads():
    expected = {name: decode(data, name) for name, data in FILES.items()}
    with ThreadPoolExecutor(8) as threads:
        for name, found in zip(
            list(FILES) * 5, threads.map(lambda name: decode(FILES[name], name), list(FILES) * 5), strict=True
        ):
            assert np.array_equal(found, expected[name])


# Arrays and PIL images


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_frames_are_taken_as_they_are(dtype):
    frame = NOISE[..., 0].astype(dtype)
    for array in (frame, frame[..., None], np.asfortranarray(frame), frame.astype(frame.dtype.newbyteorder(">"))):
        found = from_array(array, "a")
        assert np.array_equal(found, frame)
        assert found.dtype == dtype
        assert found.flags.c_contiguous


def test_other_arrays():
    assert from_array(np.array([[True, False]]), "a").tolist() == [[255, 0]]
    doubles = from_array(np.array([[0.1, 300.25]]), "a")
    assert doubles.dtype == np.float32
    assert doubles.tolist() == [[np.float32(0.1), 300.25]]
    assert from_array(NOISE, "a") is NOISE
    assert from_array(np.array([[[0.0, 0.5, 1.0]]], np.float32), "a").tolist() == [[[0, 128, 255]]]
    rgba = np.random.default_rng(1).integers(0, 256, (5, 6, 4), dtype=np.uint8)
    np.testing.assert_allclose(from_array(rgba, "a"), on_white(rgba), atol=0.51)
    np.testing.assert_allclose(from_array(rgba / 255, "a"), on_white(rgba), atol=0.51)


@pytest.mark.parametrize(
    ("array", "reason"),
    [
        (np.zeros((2, 2, 2), np.uint8), "has the shape [2, 2, 2]; give [H, W], [H, W, 1], [H, W, 3] or [H, W, 4]."),
        (np.zeros(4, np.uint8), "has the shape [4]; give"),
        (np.zeros((0, 4), np.uint8), "has the shape [0, 4]; give"),
        (np.zeros((3, 8, 8), np.uint8), "has the shape [3, 8, 8]; give"),
        (np.zeros((2, 2), np.int32), "has values of type int32; give uint8, uint16, float32, float64 or bool."),
        (np.zeros((2, 2), np.float16), "has values of type float16; give"),
        (np.zeros((2, 2, 3), np.uint16), "has colours of 16 bits; give uint8 [H, W, 3]."),
        (np.full((2, 2, 3), 255.0), "has colours from 255 to 255, but floats are taken from 0 to 1; divide them, or give uint8"),
        (np.full((2, 2, 3), -0.1, np.float32), "has colours from -0.1 to -0.1, but"),
        (np.array([[np.nan, np.inf, 1]], np.float32), "has 2 values that are not finite numbers; fill them in"),
        (np.full((2, 2, 3), np.nan), "has 12 values that are not finite numbers"),
        (np.array([[1e300, 0]]), "has values beyond the range of float32; scale them down."),
        (1e12 + np.arange(50.0).reshape(5, 10), "has values that float32 cannot tell apart; take an offset from them."),
        ([[1, 2]], "is a list; give a numpy array or a PIL image."),
        ("a.png", "is a str; give a numpy array or a PIL image."),
    ],
)
def test_arrays_that_are_no_pictures(array, reason):
    with pytest.raises(DataError, match=f"^item 3 {re.escape(reason)}"):
        from_array(array, "item 3")


def test_pil_images_are_read_as_their_files_are():
    for name, data in FILES.items():
        with Image.open(io.BytesIO(data)) as image:
            found, expected = from_array(image, name), decode(data, name)
        if found.ndim != expected.ndim:  # a palette of greys, which Pillow has forgotten
            found = np.repeat(found[..., None], 3, axis=2)
        assert np.array_equal(found, expected), name


def test_a_pil_image_is_turned_upright_once():
    exif = Image.Exif()
    exif[0x0112] = 6
    for form in ("PNG", "JPEG", "TIFF"):
        data = encoded(Image.fromarray(NOISE), form, exif=exif)
        with Image.open(io.BytesIO(data)) as image:
            assert np.array_equal(from_array(image, "a"), decode(data, "a"))
        with Image.open(io.BytesIO(data)) as image:
            assert np.array_equal(from_array(ImageOps.exif_transpose(image), "a"), decode(data, "a"))


def test_a_pil_image_that_is_cut():
    with Image.open(io.BytesIO(FILES["png-RGB"][:600])) as image, pytest.raises(DataError, match=r"^a cannot be decoded"):
        from_array(image, "a")


# Small looks


def area_means(values, height, width):
    """[height, width, …] of [H, W, …], by shares of pixels, in floats."""

    def shares(length, parts):
        matrix = np.zeros((parts, length))
        for part in range(parts):
            for place in range(length):
                overlap = min((part + 1) * length / parts, place + 1) - max(part * length / parts, place)
                matrix[part, place] = max(overlap, 0) * parts / length
        return matrix

    rows, columns = shares(values.shape[0], height), shares(values.shape[1], width)
    return np.einsum("ab,bc...,dc->ad...", rows, values.astype(np.float64), columns)


@pytest.mark.parametrize("shape", [(96, 128), (480, 640), (64, 288)])
def test_a_look_is_means_over_areas(shape):
    pixels = np.asarray(Image.fromarray(noise()).resize(shape[::-1], Image.Resampling.BICUBIC))
    look = small_look(pixels)
    luminance = pixels @ np.array([0.299, 0.587, 0.114])
    np.testing.assert_allclose(look.gray, area_means(luminance, 32, 32), atol=1.5)
    np.testing.assert_allclose(look.difference, area_means(luminance, 8, 9), atol=1.5 if shape[1] % 9 == 0 else 12)
    np.testing.assert_allclose(look.color, area_means(pixels, 16, 16), atol=1)


@pytest.mark.parametrize("pixels", [NOISE, NOISE[..., 0], ALL_16, np.float32(NOISE[..., 1]) / 7, np.zeros((1, 1), np.uint8)])
def test_looks_keep_their_shapes(pixels):
    look = small_look(pixels)
    parts = (look.gray, look.difference, look.color)
    assert [(part.shape, part.dtype) for part in parts] == [((32, 32), np.uint8), ((8, 9), np.uint8), ((16, 16, 3), np.uint8)]
    assert len(look.to_bytes()) == 1024 + 72 + 768
    assert small_look(pixels.copy()).to_bytes() == look.to_bytes()


def test_looks_from_bytes():
    looks = [small_look(noise(seed)) for seed in range(4)]
    gray, difference, color = looks_from_bytes([look.to_bytes() for look in looks])
    assert np.array_equal(gray, [look.gray for look in looks])
    assert np.array_equal(difference, [look.difference for look in looks])
    assert np.array_equal(color, [look.color for look in looks])
    assert [part.shape for part in looks_from_bytes([])] == [(0, 32, 32), (0, 8, 9), (0, 16, 16, 3)]
    with pytest.raises(DataError, match="A small look has 3 bytes instead of 1864; run ingest again"):
        looks_from_bytes([b"abc"])


@pytest.mark.parametrize("dtype", [np.uint16, np.float32])
def test_deep_frames_fill_the_range_of_a_look(dtype):
    y, x = np.mgrid[:64, :64]
    frame = (16000 + 3 * x + 2 * y).astype(dtype)
    look = small_look(frame)
    ordered = np.sort(3 * x + 2 * y, axis=None)  # but for the outermost 20 of 4096, 0.5%
    shown = (3 * x + 2 * y).clip(ordered[21], ordered[-22]) - ordered[21]
    np.testing.assert_allclose(look.gray, area_means(shown, 32, 32) / shown.max() * 255, atol=1)
    assert np.array_equal(look.color[..., 0], look.color[..., 2])
    assert small_look((frame - 15000).astype(dtype)).to_bytes() == look.to_bytes()


def test_a_constant_frame_has_a_grey_look():
    assert set(small_look(np.full((40, 50), 12345, np.uint16)).to_bytes()) == {128}


@pytest.mark.parametrize("dtype", [np.uint16, np.float32])
def test_a_broken_pixel_does_not_make_frames_look_alike(dtype):
    frames = [np.asarray(Image.fromarray(noise(seed)).convert("L").resize((80, 60))).astype(dtype) for seed in range(25)]
    sound = picture_hashes([small_look(frame).to_bytes() for frame in frames], "phash")
    for number, frame in enumerate(frames):
        frame[number, number] = 65535 if dtype == np.uint16 else -1e12 if number % 2 else 1e12
    broken = picture_hashes([small_look(frame).to_bytes() for frame in frames], "phash")
    assert len(set(broken.tolist())) == 25
    assert distance(sound, broken).max() <= 4, "each still looks as it did"


def test_a_few_bright_pixels_are_not_all_cut():
    frame = np.zeros((100, 100), np.float32)
    frame[4:8, 4:8] = 7
    assert small_look(frame).gray.max() > 100
    assert len(np.unique(small_look(np.float32([[3, 5]])).gray)) > 1


def test_the_full_range_of_float32():
    frame = np.repeat(np.float32([-3e38, 3e38, 0, 1]), 256).reshape(32, 32)
    assert set(np.unique(small_look(frame).gray)) == {0, 128, 255}


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_describe(dtype):
    frame = np.array([[3, 3, 7], [200, 4, 3]]).astype(dtype)
    told = describe(frame)
    assert told == {"lowest": 3, "highest": 200, "distinct": 4, "mean": pytest.approx(220 / 6)}
    assert json.loads(json.dumps(told)) == told
    assert isinstance(told["lowest"], float if dtype == np.float32 else int)
