"""Attacks an inference service, with a polite client beside each attack, and prints a row for each.

    python3 tests/attacks STORAGE SECONDS BINARY...

STORAGE is a folder that serves a model `digits`. Each attack has a server of its own, on loopback.
With several binaries each row is repeated for each, such as an earlier version and this one.
"""

import json
import os
import pathlib
import resource
import shutil
import subprocess
import sys
import tempfile
import threading
import time

import attacks
import messages
import polite


def main():
    storage, seconds, *binaries = sys.argv[1:]
    for name in attacks.ALL:
        for binary in binaries:
            label = name if len(binaries) == 1 else f"{name} ({binary})"
            print(f"| {label} | {row(name, binary, storage, float(seconds))}", flush=True)


def row(name, binary, storage, seconds):
    with tempfile.TemporaryDirectory() as folder:
        shutil.copytree(storage, f"{folder}/storage")
        secrets = Secrets(folder, attacks.ALL[name])
        server, port = start(binary, folder, secrets.flags)
        try:
            done, latencies, calls, peak, cpu = attack(name, server.pid, port, seconds, secrets)
        finally:
            server.terminate()
            server.wait()
    def at(share):
        return f"{latencies[int(share * (len(latencies) - 1))]:.1f}" if latencies else "-"
    lost = f"{calls - len(latencies)} of {calls} polite calls"
    return f"{done} | {lost} | {at(0.5)} | {at(0.99)} | {peak:.0f} | {cpu:.1f} |"


class Secrets:
    """The certificate and the token of a server that has them, and its flags."""

    def __init__(self, folder, kind):
        self.flags, self.certificate, self.token = [], None, None
        if kind.tls:
            self.certificate = make_certificate(folder)
            self.flags += ["--tls-certificate-file", self.certificate, "--tls-key-file", f"{folder}/tls.key"]
        if kind.tokens:
            self.token = messages.TOKEN
            file = pathlib.Path(folder, "tokens")
            file.write_text(f"polite {self.token}\n")
            self.flags += ["--token-file", file]


def attack(name, pid, port, seconds, secrets):
    """Runs the attacker as a process of its own, so that it does not slow the polite client."""
    attacker = subprocess.Popen(
        [sys.executable, __file__, "--attack", name, str(port), str(seconds)], stdout=subprocess.PIPE)
    peak, stop = [0.0], threading.Event()

    def watch():
        while not stop.wait(0.05):
            peak[0] = max(peak[0], resident(pid))

    watcher = threading.Thread(target=watch)
    watcher.start()
    # The attack has begun by then.
    time.sleep(1)
    latencies, calls = polite.measure(port, seconds - 1, secrets.certificate, secrets.token)
    done, _ = attacker.communicate()
    stop.set()
    watcher.join()
    return done.decode().strip(), latencies, calls, peak[0], processor(pid)


def start(binary, folder, flags):
    ready = pathlib.Path(folder, "ready.json")
    command = [binary, "--storage", f"{folder}/storage", "--listen", "127.0.0.1:0",
               "--admin-listen", "127.0.0.1:0", "--ready-file", ready, "--shutdown-grace", "1s", *flags]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("DIGITS_")}
    server = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and server.poll() is None:
        try:
            address = json.loads(ready.read_text())["grpc"]
            break
        except (OSError, ValueError):
            time.sleep(0.05)
    else:
        sys.exit(f"{binary} does not start")
    time.sleep(1)
    return server, int(address.rsplit(":", 1)[1])


def make_certificate(folder):
    certificate = f"{folder}/tls.crt"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
         "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-days", "1",
         "-keyout", f"{folder}/tls.key", "-out", certificate],
        check=True, stderr=subprocess.DEVNULL)
    return certificate


def resident(pid):
    """Resident memory in MB."""
    try:
        pages = int(pathlib.Path(f"/proc/{pid}/statm").read_text().split()[1])
    except (OSError, IndexError):
        return 0.0
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def processor(pid):
    """Processor time in seconds."""
    try:
        fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(") ", 1)[1].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    if sys.argv[1] == "--attack":
        name, port, seconds = sys.argv[2:]
        # For the attacker's own connections.
        _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
        print(attacks.ALL[name].run(int(port), float(seconds)))
    else:
        main()
