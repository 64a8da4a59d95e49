"""What notebooks show, and what works where no optional package is installed."""

import subprocess
import sys

from conftest import answer

from digits_client import Job, Prediction, Predictions
from digits_client.v1 import inference_pb2, training_pb2


def test_predictions_are_shown_with_their_probabilities():
    response = answer(7)
    message = response.predictions[0]
    message.label = "<seven>"
    message.probabilities[7] = 0.9
    message.input = bytes(16)
    prediction = Prediction(message, response.served_by)
    shown = prediction._repr_html_()
    assert "&lt;seven&gt;" in shown and "90.0%" in shown and "data:image/png;base64," in shown
    assert "version 3" in shown and "<seven>" not in shown
    assert repr(prediction) == "<Prediction '<seven>', probability 0.900, by version 3>"
    blank = Prediction(inference_pb2.Prediction(verdict=inference_pb2.VERDICT_BLANK), response.served_by)
    assert blank.label is None and blank.probability is None and "blank" in blank._repr_html_()
    all_of_them = Predictions([prediction, blank] * 20)
    assert all_of_them.labels[:2] == ["<seven>", None] and all_of_them[1:3][0] is blank
    assert "40 images in all" in all_of_them._repr_html_() and "<seven>" not in all_of_them._repr_html_()


def test_jobs_are_shown_with_their_progress():
    message = training_pb2.Job(job_id="id", state=training_pb2.JOB_STATE_RUNNING)
    message.requested.name = "<b>"
    message.progress.step, message.progress.steps = 50, 100
    job = Job(None, message)
    shown = job._repr_html_()
    assert "&lt;b&gt;" in shown and "<b>" not in shown and 'value="50"' in shown
    message.state = training_pb2.JOB_STATE_SUCCEEDED
    message.test.accuracy = 0.987
    assert repr(job) == "<Job id '<b>', succeeded, test accuracy 98.70%>"


ALONE = """
import sys
for name in ("numpy", "pandas", "PIL", "tqdm"):
    sys.modules[name] = None
from digits_client import images, progress
from digits_client.job import Job
from digits_client.v1 import training_pb2
size = images.Size(1, 2)
assert images.read([0, 255], size).items[0].data == bytes([0, 255])
assert images.read([b"picture"], None).items[0].data == b"picture"
class Trainer:
    def history(self, job_id, max_rows):
        return [training_pb2.CurveRow(step=1, epoch=1), training_pb2.CurveRow(step=2, epoch=2)]
job = Job(Trainer(), training_pb2.Job())
rows = job.history()
assert [row["step"] for row in rows] == [1, 2], rows
with progress.of(job, show=True) as display:
    for row in Trainer().history("", 0):
        display(training_pb2.WatchJobResponse(row=row))
"""


def test_the_optional_packages_are_optional():
    done = subprocess.run([sys.executable, "-c", ALONE], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert [line.split(",")[0] for line in done.stderr.splitlines()] == ["epoch 1/0", "epoch 2/0"]
