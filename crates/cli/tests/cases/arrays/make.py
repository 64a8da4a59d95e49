#!/usr/bin/env python3
"""Makes the files beside it, each with the library that people make such files with.

All but digits8x8.csv and optdigits.* have the same 30 digits, those of ../folder-per-class: of each label the
last one, by number, is for the test. The tests compare the data sets that are read from them.

pip install numpy pandas pyarrow scikit-learn pillow datasets; python make.py
"""

import pathlib

import datasets
import numpy as np
import pandas as pd
import sklearn.datasets
from PIL import Image

HERE = pathlib.Path(__file__).parent
DIGITS = HERE.parent / "folder-per-class"

paths = {label: sorted((DIGITS / str(label)).glob("*.png"), key=lambda it: int(it.stem)) for label in range(10)}
train = [(path, label) for label in range(10) for path in paths[label][:-1]]
test = [(paths[label][-1], label) for label in range(10)]
pixels = lambda part: np.stack([np.asarray(Image.open(path).convert("L")) for path, _ in part])
labels = lambda part: np.array([label for _, label in part])
x_train, y_train, x_test, y_test = pixels(train), labels(train), pixels(test), labels(test)


def frame(x, y, name, last=False):
    columns = {f"pixel{i}": x.reshape(len(x), -1)[:, i] for i in range(784)}
    column = {name: y}
    return pd.DataFrame({**columns, **column} if last else {**column, **columns})


def folder(name):
    path = HERE / name
    path.mkdir(exist_ok=True)
    return path


# Kaggle's "Digit Recognizer", whose test part has labels here, and one that has none.
kaggle = folder("kaggle")
frame(x_train, y_train, "label").to_csv(kaggle / "train.csv.gz", index=False)
frame(x_test, y_test, "label").to_csv(kaggle / "test.csv.gz", index=False)
unlabelled = folder("unlabelled")
frame(x_train, y_train, "label").to_csv(unlabelled / "train.csv.gz", index=False)
frame(x_test, y_test, "label").drop(columns="label").to_csv(unlabelled / "test.csv.gz", index=False)
# As fetch_openml("mnist_784") has them, with pandas' index.
openml = folder("openml")
frame(x_train.astype(float), y_train.astype(str), "class", last=True).to_csv(openml / "mnist_train.csv.gz")
frame(x_test.astype(float), y_test.astype(str), "class", last=True).to_csv(openml / "mnist_test.csv.gz")
# Without a header, by numpy.
plain = folder("plain")
for name, x, y in [("mnist_train", x_train, y_train), ("mnist_test", x_test, y_test)]:
    rows = np.column_stack([y, x.reshape(len(x), -1)])
    np.savetxt(plain / f"{name}.csv.gz", rows, fmt="%d", delimiter=",")

# Keras' mnist.npz, and the same without compression.
np.savez_compressed(HERE / "mnist.npz", x_train=x_train, y_train=y_train, x_test=x_test, y_test=y_test)
# KMNIST, one array in each archive.
kmnist = folder("kmnist")
for name, array in [("train-imgs", x_train), ("train-labels", y_train), ("test-imgs", x_test), ("test-labels", y_test)]:
    np.savez_compressed(kmnist / f"kmnist-{name}.npz", array.astype(np.uint8))
# Pairs of arrays: floats from 0 to 1 with a dimension for colours, 16 bits, big-endian.
pairs = folder("pairs")
np.save(pairs / "x_train.npy", (x_train[..., None] / 255).astype(np.float32))
np.save(pairs / "y_train.npy", y_train.astype(np.int32)[:, None])
np.save(pairs / "x_test.npy", (x_test[:, None] / 255).astype(np.float64))
np.save(pairs / "y_test.npy", y_test.astype(">i8"))
# Images and labels of 16 bits in one archive without names or parts.
np.savez_compressed(HERE / "deep.npz", x_train.astype(np.uint16) * 257, y_train)
# Colour, and labels that are words.
words = np.array(["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"])
np.savez_compressed(HERE / "colour.npz", images=np.stack([x_train] * 3, axis=-1), labels=words[y_train])

# The 8x8 digits of sklearn: 0 to 16, the label last; as CSV, and as the archive of its own arrays.
digits = sklearn.datasets.load_digits()
rows = np.column_stack([digits.data, digits.target])[:300]
np.savetxt(HERE / "digits8x8.csv", rows, fmt="%d", delimiter=",")
np.savez_compressed(HERE / "digits8x8.npz", data=digits.data[:300], images=digits.images[:300], target=digits.target[:300])

# The Hugging Face hub's mnist, by its own library; and a table of pandas with names as labels.
hub = folder("hub")
features = datasets.Features(
    {"image": datasets.Image(), "label": datasets.ClassLabel(names=[str(label) for label in range(10)])}
)
for name, part in [("train", train), ("test", test)]:
    rows = {"image": [{"bytes": path.read_bytes(), "path": path.name} for path, _ in part], "label": [y for _, y in part]}
    datasets.Dataset.from_dict(rows, features=features).to_parquet(hub / f"{name}-00000-of-00001.parquet")
table = pd.DataFrame({"image": [path.read_bytes() for path, _ in train], "label": [words[y] for _, y in train]})
table.to_parquet(HERE / "words.parquet")
