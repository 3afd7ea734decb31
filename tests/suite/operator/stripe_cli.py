#!/usr/bin/env python3
"""Stands in for Stripe's command line: what `listen` prints and posts.

`--print-secret` prints the signing secret and a line end, nothing else, as
pkg/cmd/listen.go of stripe/stripe-cli does. `--forward-to URL` posts one event, signed
with that secret, which is not that of any endpoint, until it is taken, and prints the
last status.
"""

import hashlib
import hmac
import json
import sys
import time
import urllib.error
import urllib.request

SECRET = "whsec_0a1b2c3d4e5f60718293a4b5c6d7e8f90a1b2c3d4e5f60718293a4b5c6d7e8f9"
WITHIN_SECONDS = 60


def post(url):
    body = json.dumps({"id": "evt_stripe_listen", "object": "event", "type": "invoice.paid"})
    signed_at = str(int(time.time()))
    mac = hmac.new(SECRET.encode(), f"{signed_at}.{body}".encode(), hashlib.sha256).hexdigest()
    headers = {"Content-Type": "application/json", "Stripe-Signature": f"t={signed_at},v1={mac}"}
    request = urllib.request.Request(url, body.encode(), headers)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status
    except urllib.error.HTTPError as refused:
        return refused.code


if sys.argv[1:] == ["listen", "--print-secret"]:
    print(SECRET)
elif sys.argv[1:3] == ["listen", "--forward-to"] and len(sys.argv) == 4:
    end = time.monotonic() + WITHIN_SECONDS
    while (status := post(sys.argv[3])) != 200 and time.monotonic() < end:
        time.sleep(1)
    print(f"[{status}]")
else:
    sys.exit(f"this stand-in does not know {sys.argv[1:]}")
