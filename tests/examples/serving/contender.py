"""A Python server with the same API: grpcio, and onnxruntime on one thread. Usage: contender.py MODEL.onnx

Listens on a free port, which it prints as JSON once the model is loaded, and answers Predict until it is killed.
"""

import json
import sys
import time
from concurrent import futures
from pathlib import Path

import grpc
import numpy
import onnxruntime

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "proto"))
messages, services = grpc.protos_and_services("digits/v1/inference.proto")

SIDE = 28


class Predictor(services.InferenceServiceServicer):
    def __init__(self, model):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        properties = self.session.get_modelmeta().custom_metadata_map
        self.labels = json.loads(properties["labels"])

    def Predict(self, request, context):
        pixels = numpy.frombuffer(request.pixels, numpy.uint8).reshape(-1, SIDE, SIDE)
        (probabilities,) = self.session.run(["probabilities"], {"pixels": pixels})
        best = probabilities.argmax(1).tolist()
        predictions = [
            messages.Prediction(label_index=index, label=self.labels[index], probabilities=row, verdict=messages.VERDICT_LABEL)
            for index, row in zip(best, probabilities.tolist())
        ]
        return messages.PredictResponse(predictions=predictions)


def main():
    # One thread answers: with one core more of them only take turns.
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=1))
    services.add_InferenceServiceServicer_to_server(Predictor(sys.argv[1]), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    print(json.dumps({"grpc": f"127.0.0.1:{port}"}), flush=True)
    while True:
        time.sleep(60)


main()
