"""Reads the runs and the models of an experiment with MLflow's own client.

Usage: mlflow_exam.py TRACKING_URI EXPERIMENT

Prints JSON: the runs, oldest first, with their params, tags, status, every metric as [step, value] and the SHA-256 of
each artifact; and the versions of each model with their tags, the SHA-256 of their files, and the version with the
alias "champion".
"""

import hashlib
import json
import sys
import tempfile
from pathlib import Path

import mlflow
from mlflow import MlflowClient


def digests(uri):
    with tempfile.TemporaryDirectory() as folder:
        root = Path(mlflow.artifacts.download_artifacts(artifact_uri=uri, dst_path=folder))
        files = [path for path in root.rglob("*") if path.is_file()]
        return {str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def run(client, found):
    info, data = found.info, found.data
    return {
        "id": info.run_id,
        "experiment": info.experiment_id,
        "name": info.run_name,
        "status": info.status,
        "params": data.params,
        "tags": data.tags,
        "metrics": {
            key: [[it.step, it.value] for it in client.get_metric_history(info.run_id, key)] for key in data.metrics
        },
        "artifacts": digests(info.artifact_uri),
    }


def model(client, found):
    versions = client.search_model_versions(f"name = '{found.name}'")
    return {
        "champion": found.aliases.get("champion"),
        "versions": {it.version: {"tags": it.tags, "files": digests(it.source)} for it in versions},
    }


def main(uri, name):
    mlflow.set_tracking_uri(uri)
    client = MlflowClient()
    experiment = client.get_experiment_by_name(name)
    runs = client.search_runs([experiment.experiment_id], order_by=["attributes.start_time ASC"]) if experiment else []
    models = client.search_registered_models()
    print(
        json.dumps(
            {
                "runs": [run(client, it) for it in runs],
                "models": {it.name: model(client, it) for it in models},
            }
        )
    )


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(*sys.argv[1:])
