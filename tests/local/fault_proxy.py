"""Runs microburst for as long as standard input stays open.

    python fault_proxy.py PORT_FILE UPSTREAM RULES

RULES is JSON. As in emulator.py, the port is free-chosen and bound here, and the
end of standard input, however the parent came to its end, is the end of this
process. microburst's own command line knows neither.
"""

import json
import logging
import os
import socket
import sys
import threading


from aiohttp import web
from microburst.app import make_app
from microburst.core.pipeline import Microburst
from microburst.forward import Upstream


def stop_when_the_parent_is_gone():
    while os.read(0, 4096):
        pass
    os._exit(0)


def keep_the_host_that_was_signed():
    """microburst puts its upstream's Host into requests, and the emulator verifies signatures."""
    outbound = Upstream._outbound_headers

    def with_host(self, request):
        return {**outbound(self, request), "host": request.headers["host"]}

    Upstream._outbound_headers = with_host


def main():
    threading.Thread(target=stop_when_the_parent_is_gone, daemon=True).start()
    port_file, upstream, rules = sys.argv[1:]
    logging.basicConfig(level=logging.WARNING)
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.bind(("127.0.0.1", 0))
    listener.listen(1024)
    with open(port_file + ".new", "w", encoding="ascii") as file:
        file.write(str(listener.getsockname()[1]))
    os.replace(port_file + ".new", port_file)
    keep_the_host_that_was_signed()
    app = make_app(Microburst(upstream, rules=json.loads(rules)))
    web.run_app(app, sock=listener, print=None, access_log=None)


if __name__ == "__main__":
    main()
