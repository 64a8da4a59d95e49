"""Turns what Python programs have as images into what a request carries: raw pixels or encoded pictures.

An array is taken by its shape. One of the model's input size, such as 28 × 28, holds raw pixels, which are used as
they are: 0 is the background, as in MNIST. One of any other size, or in colour, is a picture.
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeGuard, Union

from digits_client import png
from digits_client.v1 import inference_pb2

if TYPE_CHECKING:
    import PIL.Image


class SupportsArray(Protocol):
    """An array of numpy, torch, jax or another library."""

    def __array__(self) -> Any: ...


Picture = Union[str, "os.PathLike[str]", bytes, "PIL.Image.Image"]
"""A picture of any size: the path or the content of a PNG, JPEG, WebP, BMP or GIF file, or a Pillow image."""
Numbers = Union[Sequence[float], Sequence[Sequence[float]]]
"""The pixels of one image of the model's size, as numbers in lists."""
Image = Union[Picture, SupportsArray, Numbers]
"""One image."""

# Limits of a request, below those of the services: 4,096 raw images, 256 pictures, 16 MiB.
MAX_PIXEL_IMAGES = 1024
MAX_PICTURES = 64
_MAX_BYTES = 8 << 20
# Grey, RGB and RGBA.
_CHANNELS = (1, 3, 4)


@dataclass(frozen=True)
class Size:
    """Input size of a model."""

    height: int
    width: int

    @property
    def pixels(self) -> int:
        """Pixels of an image."""
        return self.height * self.width

    def __str__(self) -> str:
        return f"{self.height} × {self.width}"


@dataclass(frozen=True)
class Item:
    """One image of a request."""

    raw: bool
    """Whether it is pixels of the model's size, not a picture."""
    data: bytes


def is_several(images: object) -> bool:
    """Whether this is a list of images, not one image and not the pixels of one."""
    if not isinstance(images, (list, tuple)):
        return False
    return not _is_numbers(images)


def needs_size(image: object) -> bool:
    """Whether the model's input size decides how this is read."""
    if is_several(image):
        return any(needs_size(each) for each in _listed(image))
    return not isinstance(image, (str, os.PathLike, bytes, bytearray, memoryview)) and not _is_pillow(image)


@dataclass(frozen=True)
class Images:
    """The images of an argument."""

    items: list[Item]
    several: bool
    """Whether it was a list, or an array with an axis of images, though there may be one or none."""


def read(image: object, size: Size | None) -> Images:
    """The images in this: one, or each of a list or of an array with several."""
    if is_several(image):
        return Images([item for each in _listed(image) for item in read(each, size).items], several=True)
    if isinstance(image, (bytes, bytearray, memoryview)):
        return _one(Item(raw=False, data=bytes(image)))
    if isinstance(image, (str, os.PathLike)):
        return _one(Item(raw=False, data=Path(image).read_bytes()))
    if _is_pillow(image):
        return _one(Item(raw=False, data=_from_pillow(image)))
    assert size is not None, "arrays are read by the model's size"
    if _is_numbers(image):
        return _one(_from_numbers(image, size))
    if hasattr(image, "__array__"):
        return _from_array(image, size)
    kind = type(image).__name__
    raise TypeError(f"{kind} is not an image: give a path, the bytes of a file, a Pillow image, an array or a list")


def batches(images: Iterable[Item], pixel_images: int, pictures: int) -> Iterator[list[Item]]:
    """Groups images for requests: each of one form, and within the limits."""
    batch: list[Item] = []
    size = 0
    for item in images:
        limit = pixel_images if item.raw else pictures
        full = len(batch) >= limit or size + len(item.data) > _MAX_BYTES
        if batch and (full or batch[0].raw != item.raw):
            yield batch
            batch, size = [], 0
        batch.append(item)
        size += len(item.data)
    if batch:
        yield batch


def put(batch: list[Item], request: inference_pb2.PredictRequest) -> None:
    """Puts images of one form into a request."""
    if batch[0].raw:
        request.pixels = b"".join(item.data for item in batch)
    else:
        request.pictures.encoded.extend(item.data for item in batch)


def _one(item: Item) -> Images:
    return Images([item], several=False)


def _listed(images: object) -> Sequence[object]:
    assert isinstance(images, (list, tuple))
    return images


def _is_number(value: object) -> bool:
    return hasattr(value, "__float__") and not hasattr(value, "__len__")


def _is_numbers(image: object) -> TypeGuard[Sequence[Any]]:
    """Whether this is numbers, or rows of numbers, in lists."""
    if not isinstance(image, (list, tuple)) or not image:
        return False
    first = image[0]
    return _is_number(first) or (isinstance(first, (list, tuple)) and bool(first) and _is_number(first[0]))


def _is_pillow(image: object) -> TypeGuard[PIL.Image.Image]:
    # Whoever has such an image has imported Pillow.
    pillow = sys.modules.get("PIL.Image")
    return pillow is not None and isinstance(image, pillow.Image)


def _from_pillow(image: PIL.Image.Image) -> bytes:
    from PIL import ImageOps

    # As the services do with the files of cameras.
    turned = ImageOps.exif_transpose(image)
    if turned.mode not in ("1", "L", "LA", "P", "RGB", "RGBA"):
        turned = turned.convert("RGB")
    file = io.BytesIO()
    turned.save(file, "PNG", compress_level=1)
    return file.getvalue()


def _from_numbers(image: Sequence[Any], size: Size) -> Item:
    rows = image if isinstance(image[0], (list, tuple)) else [image]
    values = [value for row in rows for value in row]
    shape_fits = len(rows) in (1, size.height) and all(len(row) * len(rows) == size.pixels for row in rows)
    if not shape_fits:
        found = f"{len(rows)} × {len(rows[0])} numbers" if len(rows) > 1 else f"{len(values)} numbers"
        raise ValueError(f"{found} are not one image of {size}; give a list with one entry for each image")
    scale = 255 if any(isinstance(value, float) for value in values) else 1
    largest = 1 if scale == 255 else 255
    if not all(0 <= value <= largest for value in values):
        raise ValueError(_range(scale == 255))
    return Item(raw=True, data=bytes(round(value * scale) for value in values))


def _range(is_float: bool) -> str:
    if is_float:
        return "pixels as floats go from 0 to 1: undo the normalization of the network, which the service applies"
    return "pixels as whole numbers go from 0 to 255"


def _from_array(image: Any, size: Size) -> Images:
    import numpy

    array = numpy.asarray(image)
    shape, plane = array.shape, (size.height, size.width)
    if shape in ((size.pixels,), plane, (*plane, 1)):
        return _one(Item(raw=True, data=_to_bytes(array).tobytes()))
    if shape[1:] in ((size.pixels,), plane, (1, *plane), (*plane, 1)):
        return Images([Item(raw=True, data=one.tobytes()) for one in _to_bytes(array)], several=True)
    if array.ndim == 2:
        return _one(_picture(_to_bytes(array)[:, :, None]))
    if array.ndim == 3 and shape[2] in _CHANNELS:
        return _one(_picture(_to_bytes(array)))
    if array.ndim == 4 and shape[3] in _CHANNELS:
        return Images([_picture(one) for one in _to_bytes(array)], several=True)
    raise ValueError(
        f"an array of shape {shape} is no image: the model takes {size} pixels, one image or several as "
        f"(n, {size.pixels}), (n, {size.height}, {size.width}) or (n, 1, {size.height}, {size.width}); "
        "a picture of another size is (height, width) or (height, width, 3)"
    )


def _to_bytes(array: Any) -> Any:
    """Grey values as bytes: floats from 0 to 1, whole numbers from 0 to 255, or booleans."""
    import numpy

    if array.dtype == numpy.uint8:
        return array
    is_float = bool(numpy.issubdtype(array.dtype, numpy.floating))
    if array.dtype == numpy.bool_:
        array = array.astype(numpy.uint8) * 255
    elif not is_float and not numpy.issubdtype(array.dtype, numpy.integer):
        raise TypeError(f"an array of {array.dtype} is no image")
    largest = 1 if is_float else 255
    # Written so that NaN does not pass.
    if array.size and not (array.min() >= 0 and array.max() <= largest):
        raise ValueError(_range(is_float))
    return numpy.rint(array * 255).astype(numpy.uint8) if is_float else array.astype(numpy.uint8)


def _picture(pixels: Any) -> Item:
    height, width, channels = pixels.shape
    return Item(raw=False, data=png.encode(pixels.tobytes(), height, width, channels))
