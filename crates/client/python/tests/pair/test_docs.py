"""The code of docs/clients.md, as it stands there."""

import os
import pathlib
import re

import PIL.Image

DOCS = pathlib.Path(__file__).resolve().parents[5] / "docs" / "clients.md"
BLOCKS = re.findall(r"```python\n(.*?)```", DOCS.read_text(), re.S)


def test_the_code_of_the_documentation_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ["seven.png", "number.png"]:
        PIL.Image.effect_noise((28, 28), 200).save(name)
    # A small job, of another model.
    small = {"synthetic": {"train_images": 1_000, "test_images": 100}, "counts": {"train": 800, "validation": 200}}
    code = "\n".join(block for block in BLOCKS if "example.com" not in block)
    for written, here in [
        ("localhost:50052", os.environ["DIGITS_INFERENCE"]),
        ("localhost:50051", os.environ["DIGITS_TRAINER"]),
        ('preset="fast", epochs=3', f'epochs=1, dataset="synthetic", model="docs", data={small}'),
    ]:
        assert written in code
        code = code.replace(written, here)
    exec(compile(code, str(DOCS), "exec"), {"__name__": "__main__"})
