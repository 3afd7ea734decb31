"""Runs MiniStack for as long as standard input stays open.

    python emulator.py PORT_FILE

AWS_ACCESS_KEY_ID holds the root key of this run, see emulator_door.py; what IAM
decides is appended to DECISIONS_FILE, see emulator_iam.py.

The parent holds the other end of standard input. However the parent ends, be it
by SIGKILL, the operating system closes that end, a thread here reads the end of
the file, and everything this process started goes away with it. Nothing is left
to a signal handler of the parent or to a file that somebody must clean up.

The port is free-chosen and bound here, before MiniStack is imported, so that no
other process can take it in between; it is written to PORT_FILE. MiniStack gets
the bound socket.

This process leads its own process group: Ctrl-C in a terminal reaches the
parent alone, which then stops things in order, and the group is the net that
catches what the functions may have started themselves.
"""

import contextlib
import logging
import os
import secrets
import shutil
import signal
import socket
import socketserver
import subprocess
import sys
import threading
import time

from emulator_door import Door, guard_runtime_api
from emulator_iam import decide_like_iam

# How long the functions get between SIGTERM and SIGKILL.
GRACE_SECONDS = 1.0

children = []


class TrackedPopen(subprocess.Popen):
    """Remembers every process MiniStack starts, which it does not do itself."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        children[:] = [child for child in children if child.returncode is None]
        children.append(self)


def stop(*_):
    """Ends the functions, then this process, at once: there is no state to save."""
    for child in list(children):
        try:
            child.terminate()
        except OSError:
            pass
    deadline = time.monotonic() + GRACE_SECONDS
    while time.monotonic() < deadline and any(child.poll() is None for child in list(children)):
        time.sleep(0.01)
    shutil.rmtree(os.environ["TMPDIR"], ignore_errors=True)
    # Takes this process along: it is the last act.
    os.killpg(os.getpgrp(), signal.SIGKILL)


def stop_when_the_parent_is_gone():
    while os.read(0, 4096):
        pass
    stop()


def bind(port_file):
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    listener.bind(("127.0.0.1", 0))
    listener.listen(1024)
    port = listener.getsockname()[1]
    with open(port_file + ".new", "w", encoding="ascii") as file:
        file.write(str(port))
    os.replace(port_file + ".new", port_file)
    return listener, port


def raise_open_file_limit():
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    except (ValueError, OSError):
        print(f"open files stay limited to {soft}", file=sys.stderr)


def hasten_invocations():
    """Takes two waits of 50 ms each out of every invocation.

    MiniStack's Runtime API sends head and body of an event in two packets, and
    Nagle's algorithm keeps the second until the function's kernel acknowledges
    the first. And after each invocation it waits for output to collect, which
    never comes: the functions write to files.
    """
    socketserver.StreamRequestHandler.disable_nagle_algorithm = True
    from ministack.core.lambda_runtime import ProvidedWorker

    ProvidedWorker._drain_stderr_bounded = lambda self, **_: self._drain_stderr()


def let_functions_find_aws(port, secret):
    """Functions that name no other address find AWS here, as they do on Lambda.

    The Runtime API is theirs alone: its address holds a secret.
    """
    from ministack.services import lambda_svc

    made = lambda_svc._provided_worker_env

    def with_address(*arguments):
        environment = {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}", **made(*arguments)}
        # With its scheme, as the Rust runtime reads no path without one.
        environment["AWS_LAMBDA_RUNTIME_API"] = f"http://{environment['AWS_LAMBDA_RUNTIME_API']}/{secret}"
        return environment

    lambda_svc._provided_worker_env = with_address


def keep_what_has_expired():
    """Leaves deleting to whoever's clock it is.

    DynamoDB deletes at a time of its own choosing, up to two days late. MiniStack
    does so every minute by this machine's clock, also where a test's clock stands in
    another year.
    """
    from ministack.services import dynamodb

    class NothingToDelete(type(dynamodb._ttl_settings)):
        def all_items(self):
            return []

    dynamodb._ttl_settings = NothingToDelete()


def main():
    if os.getpgrp() != os.getpid():
        os.setpgrp()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, stop)
    threading.Thread(target=stop_when_the_parent_is_gone, daemon=True).start()
    raise_open_file_limit()
    # What is written here holds secrets: the functions' logs, state, packages.
    os.umask(0o077)
    listener, port = bind(sys.argv[1])

    # MiniStack reads these while it is imported.
    os.environ["GATEWAY_PORT"] = str(port)
    # Where set, MiniStack prefers it to the address that a function's settings name.
    os.environ.pop("AWS_ENDPOINT_URL", None)
    subprocess.Popen = TrackedPopen
    decide_like_iam(os.environ.pop("DECISIONS_FILE"))
    import uvicorn
    from ministack.app import app

    hasten_invocations()
    secret = secrets.token_hex(16)
    let_functions_find_aws(port, secret)
    guard_runtime_api(secret)
    keep_what_has_expired()
    logging.captureWarnings(True)
    serve(uvicorn, Door(app, os.environ["AWS_ACCESS_KEY_ID"]), listener)


def serve(uvicorn, app, listener):
    """MiniStack's own server, Hypercorn, takes twice the processor time for a request.

    httptools sets no limit to headers: what is too long is the receiver's to answer.
    """

    class Server(uvicorn.Server):
        def capture_signals(self):
            # They are handled here.
            return contextlib.nullcontext()

    config = uvicorn.Config(
        app,
        loop="uvloop",
        http="httptools",
        ws="none",
        # MiniStack writes its own.
        date_header=False,
        server_header=False,
        access_log=False,
        # Who asks is who is connected.
        proxy_headers=False,
        log_level="warning",
        timeout_keep_alive=75,
        backlog=1024,
    )
    Server(config).run(sockets=[listener])


if __name__ == "__main__":
    main()
