"""Jobs of a real trainer, which ends each connection after a second."""

import pytest

from digits_client import Aborted, InvalidArgument, JobFailed, NotFound

SMALL = {
    "dataset": "synthetic",
    "data": {"synthetic": {"train_images": 1_000, "test_images": 100}, "counts": {"train": 800, "validation": 200}},
    # Another model, so that other tests keep theirs.
    "model": "python",
}


def test_a_job_is_watched_to_its_end_and_has_curves(trainer, capsys):
    job = trainer.submit(preset="notebook", epochs=2, name="small", labels={"test": "python"}, **SMALL)
    assert job.watch() is job
    assert "small: 100%" in capsys.readouterr().err
    assert job.state == "succeeded" and job.test_accuracy is not None
    assert len(job.checkpoint_ids) == len(trainer.checkpoints(job_id=job.id)) >= 1
    history = job.history()
    assert list(history.columns[:2]) == ["step", "epoch"] and set(history.epoch) == {1, 2}
    assert history["at"].dt.tz is not None and history.train_loss.notna().all()
    assert job.rows(2)[-1]["step"] == history.step.iloc[-1]
    assert "succeeded, test accuracy" in job._repr_html_()
    assert [each.id for each in trainer.jobs(1, name="small", labels={"test": "python"})] == [job.id]


def test_a_watch_outlives_its_connection(trainer, monkeypatch):
    """The job trains until the watch was resumed."""
    streams = []
    opened = trainer._training.WatchJob
    monkeypatch.setattr(
        trainer._training, "WatchJob", lambda *args, **more: streams.append(1) or opened(*args, **more)
    )
    job = trainer.submit(preset="notebook", epochs=10_000, evaluation={"every_steps": 1_000}, **SMALL)
    sequences = []
    with pytest.raises(JobFailed, match=f"{job.id} was cancelled"):
        for event in job.events():
            sequences.append(event.sequence)
            if len(streams) == 3 and not job.ended:
                job.cancel()
        job.watch(show=False)
    assert sequences == list(range(1, len(sequences) + 1)) and len(streams) > 3


def test_a_request_id_makes_one_job(trainer):
    first = trainer.submit(request_id="the same", epochs=1, **SMALL)
    assert trainer.submit(request_id="the same", epochs=1, **SMALL).id == first.id


def test_refusals_name_the_fields(trainer):
    with pytest.raises(InvalidArgument) as raised:
        trainer.submit(preset="fats", epochs=0)
    assert [each.field for each in raised.value.violations] == ["spec.preset", "spec.epochs"]
    assert 'did you mean "fast"' in str(raised.value)
    with pytest.raises(NotFound, match="there is no job"):
        trainer.job("0199b3a0-0000-7000-8000-000000000000")


def test_a_checkpoint_is_promoted_and_rolled_back(trainer):
    small = {**SMALL, "model": "python-promotions", "publish": {"policy": "PUBLISH_POLICY_FINAL"}}
    first, second = (trainer.submit(epochs=1, **small).watch(show=False).checkpoint_ids[-1] for _ in range(2))
    before = trainer.serving("python-promotions")[0].sequence
    record = trainer.promote(second, by="a test")
    assert record.sequence == before + 1 and record.by == "a test" and record.hold
    assert record.routes[0].checkpoint_id == second
    assert trainer.rollback("python-promotions", to_sequence=1).routes[0].checkpoint_id == first
    with pytest.raises(Aborted):
        trainer.promote(second, expected_sequence=before)
    assert [each.sequence for each in trainer.serving("python-promotions", 2)] == [before + 2, before + 1]
    with pytest.raises(NotFound):
        trainer.promote("0199b3a0-0000-7000-8000-000000000000")


def test_lists_are_read_to_their_end(trainer):
    assert {"notebook", "fast"} <= {preset.name for preset in trainer.presets()}
    assert "synthetic" in {dataset.name for dataset in trainer.datasets()}
    assert len(trainer.jobs(1)) == 1
    assert all(job.state == "succeeded" for job in trainer.jobs(states=["succeeded"]))
