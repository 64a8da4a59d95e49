"""A receiver of webhooks that knows nothing of digits: it verifies signatures as Standard Webhooks defines them.

Usage: webhook_receiver.py PORT SECRET_FILE SILENT

Prints the port that it listens on, then a line of JSON for each request. The first SILENT requests are never answered;
a request with a wrong signature is answered with 401.
"""

import base64
import hashlib
import hmac
import json
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


class Receiver(BaseHTTPRequestHandler):
    secrets = []
    silent = 0
    lock = threading.Lock()

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        identity, seconds = self.headers["webhook-id"], self.headers["webhook-timestamp"]
        content = f"{identity}.{seconds}.".encode() + body
        expected = [
            "v1," + base64.b64encode(hmac.new(secret, content, hashlib.sha256).digest()).decode() for secret in self.secrets
        ]
        given = self.headers["webhook-signature"].split(" ")
        verified = any(hmac.compare_digest(one, other) for one in expected for other in given)
        verified = verified and abs(time.time() - int(seconds)) < 300
        line = {
            "id": identity,
            "verified": verified,
            "content_type": self.headers["content-type"],
            "event": json.loads(body),
        }
        with self.lock:
            silent, Receiver.silent = self.silent > 0, self.silent - 1
            print(json.dumps(line), flush=True)
        if silent:
            threading.Event().wait()
        self.send_response(204 if verified else 401)
        self.end_headers()

    def log_message(self, *_):
        pass


def main(port, secrets, silent):
    lines = Path(secrets).read_text().split()
    Receiver.secrets = [base64.b64decode(line.removeprefix("whsec_")) for line in lines]
    Receiver.silent = int(silent)
    server = ThreadingHTTPServer(("127.0.0.1", int(port)), Receiver)
    server.daemon_threads = True
    print(server.server_port, flush=True)
    server.serve_forever()


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    main(*sys.argv[1:])
