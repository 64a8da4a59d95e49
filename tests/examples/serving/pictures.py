"""Draws a digit as people send pictures of it: canvases of pages, webcam frames and photographs."""

import io

from PIL import Image

# Size and format, by the names of the table's rows.
KINDS = {
    "28x28 PNG": (28, 28, "PNG"),
    "280x280 PNG": (280, 280, "PNG"),
    "640x480 JPEG": (640, 480, "JPEG"),
    "12 MP JPEG": (4000, 3000, "JPEG"),
}


def encode(pixels, kind):
    """The digit of 28 x 28 pixels, light on dark, in one of the KINDS: as it is in a picture of that size, else dark on paper."""
    width, height, form = KINDS[kind]
    picture = Image.frombytes("L", (28, 28), pixels)
    if form == "PNG":
        picture = picture.resize((width, height), Image.Resampling.BICUBIC)
    else:
        side = height * 2 // 3
        ink = picture.resize((side, side), Image.Resampling.BICUBIC)
        paper = Image.effect_noise((width, height), 8).point(lambda grey: grey + 72)
        paper.paste(40, ((width - side) // 2, (height - side) // 2), ink)
        picture = paper.convert("RGB")
    encoded = io.BytesIO()
    picture.save(encoded, form)
    return encoded.getvalue()
