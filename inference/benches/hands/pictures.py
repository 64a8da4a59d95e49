"""Makes the collections of the benchmark `hands`: `pictures.py FONTS OUT`.

OUT/<collection>/<digit>/*.png: scikit-learn's digits (E. Alpaydin, C. Kaynak, UCI 1998: 1,797 digits
of 43 people, 8 x 8), enlarged, and the digits of every font below FONTS. Never train on either.
"""

import pathlib
import sys

import numpy
from PIL import Image, ImageDraw, ImageFont
from sklearn.datasets import load_digits

SIDE = 160
MARGIN = 30
# Of packages with many weights and subsets of one hand, or with fonts that are no handwriting: the
# fonts that are drawn.
KEPT = {
    "fonts-nanum-extra": {"NanumPen.ttf", "NanumBrush.ttf", "NanumBarunpenR.ttf"},
    "fonts-yozvox-yozfont-edu": {"YOzREF.ttf", "YOzRE_.ttf", "YOzREFM.ttf", "YOzRE_i.ttf"},
    "fonts-yozvox-yozfont-standard-kana": {"YOzRS_.ttf", "YOzRSX.ttf", "YOzBSF.ttf"},
    "fonts-kiloji": {"kiloji.ttf", "kiloji_p.ttf"},
}


def save(picture, out, collection, digit, name):
    folder = out / collection / str(digit)
    folder.mkdir(parents=True, exist_ok=True)
    picture.save(folder / f"{name}.png")


def small_digits(out):
    data = load_digits()
    for number, (image, digit) in enumerate(zip(data.images, data.target)):
        grey = numpy.clip(255 - image * 16, 0, 255).astype(numpy.uint8)
        enlarged = Image.fromarray(grey).resize((SIDE, SIDE), Image.Resampling.BICUBIC)
        paper = Image.new("L", (SIDE + 2 * MARGIN, SIDE + 2 * MARGIN), 255)
        paper.paste(enlarged, (MARGIN, MARGIN))
        save(paper, out, "scikit-learn", digit, f"{number:04}")


def drawn(font, digit):
    """The digit in black on white; None if the font lacks it."""
    paper = Image.new("L", (3 * SIDE, 3 * SIDE), 255)
    ImageDraw.Draw(paper).text((SIDE, SIDE / 2), str(digit), font=font, fill=0)
    box = Image.eval(paper, lambda grey: 255 - grey).getbbox()
    if box is None:
        return None
    left, top, right, bottom = box
    return paper.crop((left - MARGIN, top - MARGIN, right + MARGIN, bottom + MARGIN))


def font_digits(fonts, out):
    """Fonts of one hand share digits, of which the first is saved."""
    seen = set()
    for path in sorted(fonts.rglob("*")):
        if path.suffix.lower() not in (".ttf", ".otf"):
            continue
        package = path.relative_to(fonts).parts[0]
        if path.name not in KEPT.get(package, {path.name}):
            continue
        font = ImageFont.truetype(path, SIDE)
        for digit in range(10):
            picture = drawn(font, digit)
            if picture is None:
                continue
            key = (digit, picture.size, picture.tobytes())
            if key not in seen:
                seen.add(key)
                save(picture, out, "handwriting fonts", digit, path.stem)


if __name__ == "__main__":
    fonts, out = map(pathlib.Path, sys.argv[1:])
    small_digits(out)
    font_digits(fonts, out)
