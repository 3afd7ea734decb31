#!/usr/bin/env python3
"""Stands in for a real function in the tests of the local stack itself.

Speaks the Lambda Runtime API with nothing but the standard library, and tells
what it was given. What it does is chosen by the event, or by FAKE_INIT.
"""

import hashlib
import hmac
import json
import os
import sys
import time
import urllib.error
import urllib.request

ADDRESS = os.environ["AWS_LAMBDA_RUNTIME_API"]
API = f"{ADDRESS if '://' in ADDRESS else 'http://' + ADDRESS}/2018-06-01/runtime"
SHOWN = ("SOURCE", "PROVIDER", "SECRET_ID", "PUBLIC_BASE_URL", "TABLE_NAME", "QUEUE_URL", "DLQ_URL",
         "MIRROR_TABLE_NAME", "ROUTES", "RETRY_DELAYS_SECONDS", "PARK_ABOVE_SECONDS", "SWEEP_GRACE_SECONDS",
         "HANDLER_TIMEOUT_SECONDS", "AWS_ENDPOINT_URL", "AWS_REGION", "AWS_ACCESS_KEY_ID",
         "AWS_EC2_METADATA_DISABLED", "AWS_LAMBDA_RUNTIME_API", "EXTRA", "HOME", "AWS_PROFILE")


def post(url, value, headers=()):
    request = urllib.request.Request(url, json.dumps(value).encode(), dict(headers), method="POST")
    with urllib.request.urlopen(request) as response:
        return json.loads(response.read() or b"null")


def aws(service, target, value):
    url = os.environ["AWS_ENDPOINT_URL"]
    headers = {"host": url.split("//")[1], "x-amz-date": time.strftime("%Y%m%dT%H%M%SZ", time.gmtime()),
               "x-amz-security-token": os.environ["AWS_SESSION_TOKEN"], "x-amz-target": target}
    headers["Authorization"] = authorization(service, headers, json.dumps(value).encode())
    headers["Content-Type"] = "application/x-amz-json-1.0"
    return post(url + "/", value, headers.items())


def authorization(service, headers, body):
    """https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html"""
    moment, names = headers["x-amz-date"], ";".join(sorted(headers))
    canonical = "\n".join(["POST", "/", "", *(f"{name}:{headers[name]}" for name in sorted(headers)), "", names,
                           hashlib.sha256(body).hexdigest()])
    scope = f"{moment[:8]}/us-east-1/{service}/aws4_request"
    text = "\n".join(["AWS4-HMAC-SHA256", moment, scope, hashlib.sha256(canonical.encode()).hexdigest()])
    key = ("AWS4" + os.environ["AWS_SECRET_ACCESS_KEY"]).encode()
    for part in [*scope.split("/"), text]:
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    return (f"AWS4-HMAC-SHA256 Credential={os.environ['AWS_ACCESS_KEY_ID']}/{scope}, "
            f"SignedHeaders={names}, Signature={key.hex()}")


def answer_provider(event):
    """Echoes the request; what is posted as `queue:…` also goes to the queue."""
    body = event.get("body") or ""
    if body.startswith("queue:"):
        message = {"QueueUrl": os.environ["QUEUE_URL"], "MessageBody": body[6:],
                   "MessageGroupId": os.environ["SOURCE"]}
        aws("sqs", "AmazonSQS.SendMessage", message)
    seen = {"event": event, "environment": {name: os.environ[name] for name in SHOWN if name in os.environ}}
    return {"statusCode": 207, "headers": {"x-fake": "1"}, "body": json.dumps(seen)}


def handle_batch(records):
    """Fails what begins with `later`, and hides it for the seconds that follow."""
    failures = []
    for record in records:
        print(f"{time.time():.3f} got {record['body']} receives={record['attributes']['ApproximateReceiveCount']} "
              f"group={record['attributes'].get('MessageGroupId')}", flush=True)
        word, _, seconds = record["body"].partition(" ")
        if word == "later" and record["attributes"]["ApproximateReceiveCount"] == "1":
            aws("sqs", "AmazonSQS.ChangeMessageVisibility", {
                "QueueUrl": os.environ["QUEUE_URL"], "ReceiptHandle": record["receiptHandle"],
                "VisibilityTimeout": int(seconds)})
            failures.append({"itemIdentifier": record["messageId"]})
        elif word == "never":
            failures.append({"itemIdentifier": record["messageId"]})
        elif word == "crash":
            os._exit(7)
    return {"batchItemFailures": failures}


def act(event):
    if "Records" in event:
        return handle_batch(event["Records"])
    if "requestContext" in event:
        return answer_provider(event)
    wish = event.get("do")
    if wish == "fail":
        raise ValueError("as asked")
    if wish == "exit":
        print("about to exit", flush=True)
        os._exit(3)
    if wish == "hang":
        time.sleep(60)
    if wish == "print":
        print("x" * event["count"], flush=True)
    print("invoked", flush=True)
    return {"pid": os.getpid(), "event": event}


def main():
    start = os.environ.get("FAKE_INIT")
    if start == "error":
        post(f"{API}/init/error", {"errorType": "Fake.Init", "errorMessage": "no settings"})
        sys.exit(1)
    if start == "exit":
        print("no way", file=sys.stderr, flush=True)
        sys.exit(9)
    while True:
        with urllib.request.urlopen(f"{API}/invocation/next") as response:
            request_id = response.headers["Lambda-Runtime-Aws-Request-Id"]
            assert int(response.headers["Lambda-Runtime-Deadline-Ms"]) > time.time() * 1000
            assert response.headers["Lambda-Runtime-Invoked-Function-Arn"].startswith("arn:aws:lambda:")
            event = json.loads(response.read())
        try:
            result = act(event)
        except ValueError as error:
            post(f"{API}/invocation/{request_id}/error", {"errorType": "Fake.Error", "errorMessage": str(error)})
        else:
            post(f"{API}/invocation/{request_id}/response", result)


if __name__ == "__main__":
    try:
        main()
    except (OSError, urllib.error.URLError) as error:
        sys.exit(f"the runtime API is gone: {error}")
