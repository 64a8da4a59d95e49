"""What counts as an image, and what is sent for it."""

import io
import pathlib

import numpy
import PIL.Image
import pytest

from digits_client import images, png
from digits_client.images import Item, Size, batches, needs_size, read

SIZE = Size(2, 3)
RAW = bytes([0, 1, 2, 3, 4, 255])
GREY = numpy.frombuffer(RAW, numpy.uint8).reshape(2, 3)


def raw(image):
    found = read(image, SIZE)
    assert all(item.raw for item in found.items)
    return found.several, [item.data for item in found.items]


def picture(image):
    """The pixels of the one picture that is sent, as Pillow reads it."""
    found = read(image, SIZE)
    assert not found.several and not found.items[0].raw
    return numpy.asarray(PIL.Image.open(io.BytesIO(found.items[0].data)))


def test_arrays_and_lists_of_the_models_size_are_raw_pixels():
    floats = GREY / numpy.float32(255)
    for image in [GREY, GREY.ravel(), GREY[:, :, None], GREY.astype(int), floats, floats.astype(float)]:
        assert raw(image) == (False, [RAW]), image.shape
    for image in [GREY.tolist(), GREY.ravel().tolist(), floats.tolist(), tuple(GREY.ravel())]:
        assert raw(image) == (False, [RAW])
    assert raw(GREY > 100) == (False, [bytes([0, 0, 0, 0, 0, 255])])
    # Not contiguous.
    assert raw(numpy.asfortranarray(GREY)) == (False, [RAW])


def test_an_axis_in_front_means_several_images():
    several = numpy.stack([GREY, GREY])
    for shape in [(2, 6), (2, 2, 3), (2, 1, 2, 3), (2, 2, 3, 1)]:
        assert raw(several.reshape(shape)) == (True, [RAW, RAW]), shape
    assert raw(several[:0]) == (True, [])
    assert raw([GREY, GREY.tolist(), several]) == (True, [RAW] * 4)
    assert raw([]) == (True, [])


def test_arrays_of_other_sizes_or_in_colour_are_pictures():
    photo = numpy.arange(5 * 4 * 3, dtype=numpy.uint8).reshape(5, 4, 3)
    assert (picture(photo) == photo).all()
    assert (picture(photo[:, :, 0]) == photo[:, :, 0]).all()
    assert (picture(photo / 255) == photo).all()
    colour = numpy.stack([GREY] * 4, axis=-1)
    assert (picture(colour) == colour).all()
    found = read(numpy.stack([photo, photo]), SIZE)
    assert found.several and [item.raw for item in found.items] == [False, False]


def test_pillow_images_are_pictures(tmp_path):
    image = PIL.Image.fromarray(numpy.arange(30, dtype=numpy.uint8).reshape(5, 6))
    assert (picture(image) == numpy.asarray(image)).all()
    assert picture(image.convert("CMYK")).shape == (5, 6, 3)
    # As a camera stores a picture that was taken upright.
    exif = PIL.Image.Exif()
    exif[0x0112] = 6
    image.save(tmp_path / "turned.png", exif=exif)
    assert picture(PIL.Image.open(tmp_path / "turned.png")).shape == (6, 5)


def test_files_are_sent_as_they_are(tmp_path):
    path = tmp_path / "picture.png"
    path.write_bytes(b"content")
    for image in [path, str(path), b"content", bytearray(b"content"), memoryview(b"content")]:
        assert not needs_size(image)
        assert read(image, None).items == [Item(raw=False, data=b"content")]
    several = read([path, b"other"], None)
    assert several.several and [item.data for item in several.items] == [b"content", b"other"]
    with pytest.raises(FileNotFoundError):
        read(pathlib.Path("missing.png"), None)


def test_what_is_no_image_is_refused_with_what_would_be():
    for image, part in [
        (GREY * 1.0, "floats go from 0 to 1"),
        (GREY.astype(int) - 1, "whole numbers go from 0 to 255"),
        (numpy.full((2, 3), numpy.nan), "floats go from 0 to 1"),
        ([0, 1, 2, 3, 4, 256], "whole numbers go from 0 to 255"),
        ([0.5, 1.5, 0, 0, 0, 0], "floats go from 0 to 1"),
        ([1, 2, 3], "3 numbers are not one image of 2 × 3"),
        ([[1] * 6] * 4, "4 × 6 numbers are not one image of 2 × 3"),
        (numpy.zeros((7, 5, 5)), "shape (7, 5, 5) is no image"),
        (numpy.zeros(7), "shape (7,) is no image"),
    ]:
        with pytest.raises(ValueError) as raised:
            read(image, SIZE)
        assert part in str(raised.value)
    for image in [None, 3, {"a": 1}, numpy.array(["text"] * 6).reshape(2, 3), GREY.astype(complex)]:
        with pytest.raises(TypeError, match="no image|not an image"):
            read(image, SIZE)


def test_requests_keep_the_order_and_the_limits():
    pixels, file = Item(raw=True, data=RAW), Item(raw=False, data=b"picture")
    found = list(batches([pixels] * 5 + [file] * 3 + [pixels], 2, 2))
    assert [len(batch) for batch in found] == [2, 2, 1, 2, 1, 1]
    assert [item for batch in found for item in batch] == [pixels] * 5 + [file] * 3 + [pixels]
    large = Item(raw=False, data=bytes(5 << 20))
    assert [len(batch) for batch in batches([large] * 3, 64, 64)] == [1, 1, 1]
    assert images.MAX_PICTURES <= 256 and images.MAX_PIXEL_IMAGES <= 4096


def test_png_is_read_by_pillow():
    for channels, mode in [(1, "L"), (3, "RGB"), (4, "RGBA")]:
        pixels = bytes(range(2 * 3 * channels))
        image = PIL.Image.open(io.BytesIO(png.encode(pixels, 2, 3, channels)))
        assert (image.mode, image.size, image.tobytes()) == (mode, (3, 2), pixels)
