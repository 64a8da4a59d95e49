"""Reads a folder of `digits export --tensorboard` with TensorBoard itself.

Usage: tensorboard_exam.py FOLDER

Prints JSON: for each run its scalars as [step, value], its histograms as [step, numbers, numbers in the buckets], the
steps, sizes and digests of its pictures, and its hyperparameters and status as the hparams dashboard has them.
"""

import hashlib
import json
import struct
import sys
from pathlib import Path

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams import plugin_data_pb2


def hparams(events):
    found = {}
    for tag, content in events.PluginTagToContent("hparams").items():
        data = plugin_data_pb2.HParamsPluginData.FromString(content)
        kind = data.WhichOneof("data")
        if kind == "session_start_info":
            values = data.session_start_info.hparams.items()
            found["hparams"] = {name: getattr(value, value.WhichOneof("kind")) for name, value in values}
        elif kind == "session_end_info":
            found["status"] = data.session_end_info.status
        assert tag == f"_hparams_/{kind}", tag
    return found


def picture(event):
    encoded = event.encoded_image_string
    assert encoded[:8] == b"\x89PNG\r\n\x1a\n"
    assert struct.unpack(">II", encoded[16:24]) == (event.width, event.height)
    return [event.step, event.height, event.width, hashlib.sha256(encoded).hexdigest()]


def run(folder):
    events = EventAccumulator(str(folder), size_guidance={"scalars": 0, "images": 0, "histograms": 0})
    events.Reload()
    tags = events.Tags()
    return {
        "scalars": {tag: [[it.step, it.value] for it in events.Scalars(tag)] for tag in tags["scalars"]},
        "histograms": {
            tag: [
                [it.step, it.histogram_value.num, sum(it.histogram_value.bucket)] for it in events.Histograms(tag)
            ]
            for tag in tags["histograms"]
        },
        "images": {tag: [picture(it) for it in events.Images(tag)] for tag in tags["images"]},
        **hparams(events),
    }


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    folders = sorted({path.parent for path in Path(sys.argv[1]).rglob("*tfevents*")})
    print(json.dumps({folder.name: run(folder) for folder in folders}))
