"""Jobs of a real trainer, which ends each connection after a second."""

import asyncio
import uuid

import pytest

from digits_client import Aborted, AsyncTrainer, InvalidArgument, JobFailed, NotFound, SweepFailed

SMALL = {
    "dataset": "synthetic",
    "data": {"synthetic": {"train_images": 1_000, "test_images": 100}, "counts": {"train": 800, "validation": 200}},
    # Another model, so that other tests keep theirs.
    "model": "python",
}


def small_of_a_new_model():
    return {**SMALL, "model": f"python-{uuid.uuid4().hex[:12]}", "publish": {"policy": "PUBLISH_POLICY_FINAL"}}


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
    stub = trainer._operations.training
    opened = stub.WatchJob
    monkeypatch.setattr(stub, "WatchJob", lambda *args, **more: streams.append(1) or opened(*args, **more))
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
    small = small_of_a_new_model()
    first, second = (trainer.submit(epochs=1, **small).watch(show=False).checkpoint_ids[-1] for _ in range(2))
    before = trainer.serving(small["model"])[0].sequence
    record = trainer.promote(second, by="a test")
    assert record.sequence == before + 1 and record.by == "a test" and record.hold
    assert record.routes[0].checkpoint_id == second
    assert trainer.rollback(small["model"], to_sequence=1).routes[0].checkpoint_id == first
    with pytest.raises(Aborted):
        trainer.promote(second, expected_sequence=before)
    assert [each.sequence for each in trainer.serving(small["model"], 2)] == [before + 2, before + 1]
    with pytest.raises(NotFound):
        trainer.promote("0199b3a0-0000-7000-8000-000000000000")


def test_an_async_trainer_does_the_same():
    async def run():
        async with AsyncTrainer() as trainer:
            small = small_of_a_new_model()
            submitted = [await trainer.submit(epochs=1, name="async", seed=seed, **small) for seed in (1, 2)]
            first, second = await asyncio.gather(*(job.watch(show=False) for job in submitted))
            assert {job.id for job in await trainer.jobs(2, name="async")} == {first.id, second.id}
            assert [event.sequence async for event in first.events()][-1] > 2
            assert set((await first.history()).epoch) == {1}
            checkpoint = first.checkpoint_ids[-1]
            assert (await trainer.promote(checkpoint)).routes[0].checkpoint_id == checkpoint
            records = await trainer.serving(small["model"])
            rolled_back = await trainer.rollback(small["model"], to_sequence=records[-1].sequence)
            assert rolled_back.sequence == records[0].sequence + 1
            assert len(await trainer.checkpoints(model=small["model"])) == 2
            long = await trainer.submit(epochs=10_000, **small)
            await long.cancel()
            with pytest.raises(JobFailed, match="was cancelled"):
                await long.watch(show=False)
            with pytest.raises(NotFound, match="there is no job"):
                await trainer.job("0199b3a0-0000-7000-8000-000000000000")

    asyncio.run(run())


def test_a_sweep_is_watched_and_its_best_trial_promoted(trainer, capsys):
    small = small_of_a_new_model()
    sweep = trainer.submit_sweep(
        {"learning_rate": [0.001, 0.1], "hidden": [[16], [8, 8]]}, epochs=1, name="swept", **small
    )
    assert sweep.watch() is sweep and "4/4" in capsys.readouterr().err
    table = sweep.table()
    assert sorted(set(table.learning_rate)) == [0.001, 0.1] and set(table.hidden) == {16, "8-8"}
    assert set(table.state) == {"succeeded"} and table.accuracy.max() == sweep.best.validation.accuracy
    assert trainer.job(sweep.best.job_id).checkpoint_ids == [sweep.best.checkpoint_id]
    assert trainer.promote(sweep.best.checkpoint_id).routes[0].checkpoint_id == sweep.best.checkpoint_id
    assert sweep.id in [each.id for each in trainer.sweeps()]
    with pytest.raises(InvalidArgument, match="learning_rat"):
        trainer.submit_sweep({"learning_rat": [1]}, **small)

    async def cancelled():
        async with AsyncTrainer() as trainer:
            sweep = await trainer.submit_sweep({"seed": [1, 2]}, epochs=10_000, **small)
            await sweep.cancel()
            with pytest.raises(SweepFailed, match="was cancelled"):
                await sweep.watch(show=False)
            return await trainer.sweep(sweep.id)

    assert asyncio.run(cancelled()).state == "cancelled"


def test_lists_are_read_to_their_end(trainer):
    assert {"notebook", "fast"} <= {preset.name for preset in trainer.presets()}
    assert "synthetic" in {dataset.name for dataset in trainer.datasets()}
    assert len(trainer.jobs(1)) == 1
    assert all(job.state == "succeeded" for job in trainer.jobs(states=["succeeded"]))
