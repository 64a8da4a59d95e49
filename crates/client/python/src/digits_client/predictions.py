"""What the inference service answers: the predictions of images, also as HTML for notebooks."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence
from html import escape
from typing import Literal, cast, overload

from digits_client import png
from digits_client.v1 import checkpoint_pb2, inference_pb2

Verdict = Literal["label", "blank", "several_digits", "unsure"]


class Prediction:
    """The classification of one image. `message` has all of it as the service sent it."""

    def __init__(self, message: inference_pb2.Prediction, served_by: inference_pb2.ServedBy) -> None:
        self.message = message
        self.served_by = served_by
        """The checkpoint that answered; `served_by.sequence` is the version of the model."""

    @property
    def label(self) -> str | None:
        """The most probable label; None where `verdict` is another than "label"."""
        return self.message.label if self.message.HasField("label_index") else None

    @property
    def label_index(self) -> int | None:
        """Index of that label."""
        return self.message.label_index if self.message.HasField("label_index") else None

    @property
    def probability(self) -> float | None:
        """Probability of the most probable label, from 0 to 1; None for a blank picture or several digits."""
        if self.message.top:
            return self.message.top[0].probability
        return max(self.message.probabilities, default=None)

    @property
    def probabilities(self) -> list[float]:
        """Probability of each label, by index; empty if `top_k` was given."""
        return list(self.message.probabilities)

    @property
    def top(self) -> list[tuple[str, float]]:
        """The `top_k` most probable labels with their probabilities."""
        return [(entry.label, entry.probability) for entry in self.message.top]

    @property
    def logits(self) -> list[float]:
        """Outputs of the network; only with `want_logits`."""
        return list(self.message.logits)

    @property
    def input(self) -> bytes:
        """The grey bytes that the network received; only with `want_input`."""
        return self.message.input

    @property
    def verdict(self) -> Verdict:
        """Whether there is a label, and if not, why."""
        name = inference_pb2.Verdict.Name(self.message.verdict)
        return cast(Verdict, name.removeprefix("VERDICT_").lower())

    @property
    def text(self) -> str:
        """The number in the picture, "?" for a digit without a label; only with `expect="number"`."""
        return self.message.text

    @property
    def parts(self) -> list[inference_pb2.Part]:
        """The digits of the number, in reading order; only with `expect="number"`."""
        return list(self.message.parts)

    @property
    def boxes(self) -> list[inference_pb2.Box]:
        """Where the digits of a picture with several are."""
        return list(self.message.boxes)

    def __repr__(self) -> str:
        shown = repr(self.text or self.label or self.verdict)
        probability = "" if self.probability is None else f", probability {self.probability:.3f}"
        return f"<Prediction {shown}{probability}, by version {self.served_by.sequence}>"

    def _repr_html_(self) -> str:
        shown = self.text or self.label or self.verdict.replace("_", " ")
        return (
            '<div style="display:flex;gap:1.5em;align-items:center">'
            f'<div style="font-size:3em;white-space:pre">{escape(shown)}</div>{self._input_html()}'
            f"<table>{self._bars_html()}</table></div>"
            f'<div style="opacity:0.7">{escape(_served(self.served_by))}</div>'
        )

    def _input_html(self) -> str:
        side = round(len(self.input) ** 0.5)
        if not self.input or side * side != len(self.input):
            return ""
        encoded = base64.b64encode(png.encode(self.input, side, side)).decode()
        style = "width:84px;image-rendering:pixelated"
        return f'<img alt="input of the network" style="{style}" src="data:image/png;base64,{encoded}">'

    def _bars_html(self) -> str:
        ranked = sorted(enumerate(self.message.probabilities), key=lambda entry: -entry[1])[:10]
        named = [(self.label if index == self.label_index else str(index), value) for index, value in ranked]
        rows = self.top[:10] or named
        return "".join(
            f"<tr><td>{escape(str(label))}</td><td>"
            f'<div style="width:{120 * value:.0f}px;height:0.8em;background:#4c8bf5"></div></td>'
            f"<td>{value:.1%}</td></tr>"
            for label, value in rows
        )


class Predictions(Sequence[Prediction]):
    """The predictions of several images, in their order."""

    def __init__(self, predictions: Iterable[Prediction]) -> None:
        self._all = tuple(predictions)

    @property
    def labels(self) -> list[str | None]:
        """The label of each image."""
        return [prediction.label for prediction in self._all]

    @overload
    def __getitem__(self, index: int) -> Prediction: ...
    @overload
    def __getitem__(self, index: slice) -> Predictions: ...
    def __getitem__(self, index: int | slice) -> Prediction | Predictions:
        return Predictions(self._all[index]) if isinstance(index, slice) else self._all[index]

    def __len__(self) -> int:
        return len(self._all)

    def __repr__(self) -> str:
        shown = ", ".join(repr(prediction) for prediction in self._all[:5])
        rest = f", … {len(self)} in all" if len(self) > 5 else ""
        return f"[{shown}{rest}]"

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><td>{index}</td><td>{escape(each.text or each.label or each.verdict)}</td>"
            f"<td>{'' if each.probability is None else f'{each.probability:.1%}'}</td>"
            f"<td>{each.served_by.sequence}</td></tr>"
            for index, each in enumerate(self._all[:20])
        )
        rest = f"<div>… {len(self)} images in all</div>" if len(self) > 20 else ""
        head = "<tr><th></th><th>label</th><th>probability</th><th>version</th></tr>"
        return f"<table>{head}{rows}</table>{rest}"


def of_response(response: inference_pb2.PredictResponse) -> list[Prediction]:
    """The predictions of a response."""
    return [Prediction(message, response.served_by) for message in response.predictions]


def _served(served_by: inference_pb2.ServedBy) -> str:
    canary = " as canary" if served_by.role == checkpoint_pb2.SERVING_ROLE_CANARY else ""
    return f"{served_by.model}, version {served_by.sequence}{canary}, checkpoint {served_by.checkpoint_id}"
