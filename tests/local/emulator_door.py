"""Lets this run's own programs speak to the emulator, and nobody else.

The emulator runs code for whoever reaches it, as Lambda does. It listens on
loopback, where every web page and every user of the machine can knock:

    request ── Origin or Sec-Fetch-Site ─────────────▶ 403: a page sent it
        │ ──── Host is not 127.0.0.1 and a port ─────▶ 403: a name that was made to lead here
        │ ──── no key, or one that is root by itself ▶ 403: somebody who guesses
        ▼
    the emulator, which verifies the signature of every other key

`127.0.0.1` with any port, since the stack's own proxies pass `Host` as it was signed.
The front door of the stack passes providers' requests, which carry no key: it shows
the run's root key instead, and gets no further than the HTTP API. Functions ask for their
work at ports of their own, whose paths hold a secret.

MiniStack takes four kinds of keys for root without looking at the signature: none,
`test`, any twelve digits, and the one in its environment. Only the last passes here;
it is random and told to nobody but the run's own programs.
"""

import hmac
import json
import re

# What the front door shows; see `tests/local/proxy.rs`.
HEADER_FRONT_DOOR = b"x-inbox-front-door"
HTTP_API = "/_aws/execute-api/"
HEALTH = "/_ministack/health"
# MiniStack's own paths are served without a look at any key.
INTERNAL = ("/_", "/health")

OWN_HOST = re.compile(rb"127\.0\.0\.1:[0-9]{1,5}")
SIGNED = re.compile(rb"AWS4-HMAC-SHA256 Credential=([A-Za-z0-9]+)/")
ROOT_BY_ITSELF = re.compile(rb"test|[0-9]{12}")


class Door:
    """The emulator's ASGI application behind the door."""

    def __init__(self, app, root_key):
        if len(root_key) < 32:
            raise SystemExit("AWS_ACCESS_KEY_ID must hold the run's root key, 32 characters or more")
        self._app = app
        self._root_key = root_key.encode("ascii")

    async def __call__(self, scope, receive, send):
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        reason = "only HTTP is spoken here" if scope["type"] != "http" else self._refusal(scope)
        if reason is None:
            await self._app(self._passed(scope), receive, send)
        elif scope["type"] == "http":
            await refuse(send, reason)
        else:
            await receive()
            await send({"type": "websocket.close", "code": 1008})

    def _refusal(self, scope):
        """Why a request may not pass, or None."""
        headers = {}
        for name, value in scope["headers"]:
            headers.setdefault(name.lower(), []).append(value)
        if self._is_front_door(scope, headers):
            return None
        for name in (b"origin", b"sec-fetch-site"):
            if name in headers:
                return f"a request with {name.decode()} comes from a web page"
        hosts = headers.get(b"host", [])
        if len(hosts) != 1 or not OWN_HOST.fullmatch(hosts[0]):
            return "the Host is not this emulator's"
        if scope["method"] == "GET" and scope["path"] == HEALTH:
            return None
        if scope["path"].startswith(INTERNAL):
            return "this path is not for clients"
        query = scope.get("query_string", b"").lower()
        if b"x-amz-credential" in query or b"awsaccesskeyid" in query:
            return "credentials belong into the Authorization header"
        signatures = headers.get(b"authorization", [])
        signed = SIGNED.match(signatures[0]) if len(signatures) == 1 else None
        if signed is None:
            return "the request is not signed"
        # Unknown keys are the emulator's to refuse, as AWS does.
        if ROOT_BY_ITSELF.fullmatch(signed[1]):
            return "this key is nobody's"
        return None

    def _is_front_door(self, scope, headers):
        shown = headers.get(HEADER_FRONT_DOOR, [])
        is_known = len(shown) == 1 and hmac.compare_digest(shown[0], self._root_key)
        return is_known and scope["path"].startswith(HTTP_API)

    def _passed(self, scope):
        """The request as the emulator sees it.

        It takes plain HTTP for what it is, and the policies deny that. Loopback stands
        for TLS here, unless a test says otherwise of its own request.
        """
        headers = [(name, value) for name, value in scope["headers"] if name.lower() != HEADER_FRONT_DOOR]
        if len(headers) == len(scope["headers"]) and not any(name.lower() == b"x-forwarded-proto" for name, _ in headers):
            headers.append((b"x-forwarded-proto", b"https"))
        return {**scope, "headers": headers}


def guard_runtime_api(secret):
    """The Runtime APIs, one port for each function, are for who was started with the secret.

    Whoever else could take a provider's request out of there, or answer it.
    """
    from ministack.core.lambda_runtime import ProvidedWorker

    built = ProvidedWorker._build_handler_class
    prefix = f"/{secret}/"

    def guarded(worker, *arguments):
        class Guarded(built(worker, *arguments)):
            def parse_request(self):
                if not super().parse_request():
                    return False
                if hmac.compare_digest(self.path[: len(prefix)].encode(), prefix.encode()):
                    self.path = self.path[len(prefix) - 1 :]
                    return True
                self.close_connection = True
                self.send_error(403)
                return False

        return Guarded

    ProvidedWorker._build_handler_class = guarded


async def refuse(send, reason):
    body = json.dumps({"__type": "AccessDeniedException", "message": f"the local stack's emulator: {reason}"}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 403, "headers": headers})
    await send({"type": "http.response.body", "body": body})
