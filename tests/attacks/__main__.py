"""Attacks an inference service, with a polite client beside each attack, and prints one table.

    python3 tests/attacks STORAGE SECONDS BINARY...

STORAGE is a folder that serves a model `digits`. Each attack has a server of its own, on loopback.
With several binaries each line is repeated for each, such as an earlier version and this one.
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
import polite


def main():
    storage, seconds, *binaries = sys.argv[1:]
    print("| attack | binary | what was done | polite calls answered | p50 ms | p99 ms | most RSS MB | CPU s |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    for name in attacks.ALL:
        for binary in binaries:
            print(row(name, pathlib.Path(binary), storage, float(seconds)), flush=True)


def row(name, binary, storage, seconds):
    with tempfile.TemporaryDirectory() as folder:
        shutil.copytree(storage, f"{folder}/storage")
        certificate = make_certificate(folder) if "TLS" in name else None
        server, port = start(binary, folder, certificate)
        try:
            done, latencies, calls, peak, cpu = attack(name, server.pid, port, seconds, certificate)
        finally:
            server.terminate()
            server.wait()
    def at(share):
        return f"{latencies[int(share * (len(latencies) - 1))]:.1f}" if latencies else "-"
    answered = f"{len(latencies)} of {calls}"
    return f"| {name} | {binary.name} | {done} | {answered} | {at(0.5)} | {at(0.99)} | {peak:.0f} | {cpu:.1f} |"


def attack(name, pid, port, seconds, certificate):
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
    latencies, calls = polite.measure(port, seconds - 1, certificate)
    done, _ = attacker.communicate()
    stop.set()
    watcher.join()
    return done.decode().strip(), latencies, calls, peak[0], processor(pid)


def start(binary, folder, certificate):
    ready = pathlib.Path(folder, "ready.json")
    command = [binary, "--storage", f"{folder}/storage", "--listen", "127.0.0.1:0",
               "--admin-listen", "127.0.0.1:0", "--ready-file", ready, "--shutdown-grace", "1s"]
    if certificate:
        command += ["--tls-certificate-file", certificate, "--tls-key-file", f"{folder}/tls.key"]
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
        print(attacks.ALL[name](int(port), float(seconds)))
    else:
        main()
