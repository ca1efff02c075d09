"""Encoded images built byte by byte, for what no library writes; and one small file of every kind that is read."""

import io
import struct
import zlib

import numpy as np
from PIL import Image

HEIGHT, WIDTH = 17, 23


def encoded(image, form, **options):
    """By Pillow; the copy leaves behind what it remembers of earlier ones."""
    file = io.BytesIO()
    image.copy().save(file, form, **options)
    return file.getvalue()


def chunk(name, content):
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def png(width, height, depth, color, rows, before=b"", after=b""):
    """`rows` are the bytes of each row; `before` and `after` are chunks around the pixels."""
    stream = zlib.compress(b"".join(b"\0" + row for row in rows))
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + before + chunk(b"IDAT", stream) + after + chunk(b"IEND", b"")


def tiff(pixels, tags, order="<"):
    """One uncompressed strip of `pixels` (bytes), and a directory of `tags`: {tag: (type, values)}, types 3 (16 bits) and 4.

    Tags that are given tiles have no strip.
    """
    start = {"<": b"II", ">": b"MM"}[order] + struct.pack(f"{order}HI", 42, 8 + len(pixels) + len(pixels) % 2)
    strip = {} if 324 in tags else {273: (4, [8]), 279: (4, [len(pixels)])}
    all_tags = {259: (3, [1]), 277: (3, [1])} | strip | tags
    directory = struct.pack(f"{order}H", len(all_tags))
    outside = b""
    end = len(start) + len(pixels) + len(pixels) % 2 + 2 + 12 * len(all_tags) + 4
    for tag, (kind, values) in sorted(all_tags.items()):
        content = struct.pack(f"{order}{len(values)}{'_BsHI'[kind]}", *values)
        if len(content) > 4:
            inline = struct.pack(f"{order}I", end + len(outside))
            outside += content + bytes(len(content) % 2)
        else:
            inline = content.ljust(4, b"\0")
        directory += struct.pack(f"{order}HHI", tag, kind, len(values)) + inline
    return start + pixels + bytes(len(pixels) % 2) + directory + bytes(4) + outside


def gray_tiff(frame, sample_format, order="<", **more):
    """A frame of any dtype as it is; 1 unsigned, 2 signed, 3 floats."""
    stored = frame.astype(frame.dtype.newbyteorder(order))
    height, width = frame.shape
    tags = {256: (3, [width]), 257: (3, [height]), 258: (3, [8 * frame.itemsize]), 262: (3, [more.get("meaning", 1)])}
    return tiff(stored.tobytes(), tags | {339: (3, [sample_format])}, order)


def color_tiff(pixels, order="<"):
    """[H, W, channels] of unsigned integers, as RGB and more."""
    height, width, channels = pixels.shape
    tags = {256: (3, [width]), 257: (3, [height]), 258: (3, [8 * pixels.itemsize] * channels), 262: (3, [2])}
    more = {277: (3, [channels])} | ({338: (3, [2])} if channels == 4 else {})
    return tiff(pixels.astype(pixels.dtype.newbyteorder(order)).tobytes(), tags | more, order)


def noise(seed=0):
    """uint8 [17, 23, 3]."""
    return np.random.default_rng(seed).integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)


def every_kind():
    """Small files by name: each format and mode that is read."""
    image = Image.fromarray(noise())
    turned = [Image.fromarray(noise(seed)) for seed in (1, 2)]
    generator = np.random.default_rng(3)
    deep = generator.integers(0, 65536, (HEIGHT, WIDTH), dtype=np.uint16)
    floats = generator.normal(20, 5, (HEIGHT, WIDTH)).astype(np.float32)
    files = {
        "jpeg": encoded(image, "JPEG"),
        "jpeg-grey": encoded(image.convert("L"), "JPEG"),
        "jpeg-progressive": encoded(image, "JPEG", progressive=True),
        "jpeg-cmyk": encoded(image.convert("CMYK"), "JPEG"),
        "jpeg-restarts": encoded(image, "JPEG", restart_marker_blocks=1),
        "png-16": encoded(Image.fromarray(deep), "PNG"),
        "tiff-16": encoded(Image.fromarray(deep), "TIFF"),
        "tiff-16-big-endian": gray_tiff(deep, 1, ">"),
        "tiff-16-lzw": encoded(Image.fromarray(deep), "TIFF", compression="tiff_lzw"),
        "tiff-float": encoded(Image.fromarray(floats), "TIFF"),
        "tiff-pages": encoded(image, "TIFF", save_all=True, append_images=turned).rstrip(b"\0"),  # Pillow pads pages
        "tiff-big": encoded(image, "TIFF", big_tiff=True),
        "tiff-fax": encoded(image.convert("1"), "TIFF", compression="group4"),
        "webp": encoded(image, "WEBP"),
        "webp-lossless": encoded(image.convert("RGBA"), "WEBP", lossless=True, exif=b"Exif\0\0II*\0"),
        "webp-pages": encoded(image, "WEBP", save_all=True, append_images=turned),
        "gif": encoded(image, "GIF"),
        "gif-pages": encoded(image, "GIF", save_all=True, append_images=turned),
        "pgm-16": encoded(Image.fromarray(deep), "PPM"),
    }
    for mode in ("1", "L", "LA", "RGB", "RGBA", "P"):
        files[f"png-{mode}"] = encoded(image.convert(mode), "PNG")
    for mode in ("1", "L", "LA", "RGB", "RGBA", "P", "CMYK", "YCbCr", "LAB"):
        files[f"tiff-{mode}"] = encoded(image.convert(mode), "TIFF")
    for compression in ("tiff_lzw", "tiff_deflate", "packbits", "jpeg", "zstd", "lzma"):
        files[f"tiff-{compression}"] = encoded(image, "TIFF", compression=compression)
    for mode in ("1", "L", "P", "RGB"):
        files[f"bmp-{mode}"] = encoded(image.convert(mode), "BMP")
    for mode in ("1", "L", "RGB"):
        files[f"ppm-{mode}"] = encoded(image.convert(mode), "PPM")
    return files
