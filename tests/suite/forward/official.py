"""Verifies messages with the official library of Standard Webhooks.

Standard input is a JSON list of {"secret", "headers", "body": base64, "good"}; where
"good" is false the library must refuse. Ends with 1 at the first that is judged
otherwise, and names it.
"""

import base64
import json
import sys

from standardwebhooks import Webhook, WebhookVerificationError

messages = json.load(sys.stdin)
for number, message in enumerate(messages):
    body = base64.b64decode(message["body"])
    try:
        Webhook(message["secret"]).verify(body, message["headers"], json_parse=False)
        good = True
    except WebhookVerificationError:
        good = False
    if good is not message["good"]:
        sys.exit(f"message {number}: accepted is {good}")
print(len(messages))
