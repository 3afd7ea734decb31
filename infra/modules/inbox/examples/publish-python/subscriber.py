"""Keeps what was paid: a subscriber of the inbox's event bus.

    rule on the bus ─▶ handler ─▶ payload ─▶ one item a payment
                                     └─ from S3 where the event was too large

`event["detail"]` is a CloudEvent: https://github.com/cloudevents/spec. EventBridge
delivers at least once and in any order, and an operator can replay: `source` and `id`
of the CloudEvent name the event the same way every time, so they are the item's key,
and the write that keeps the payment is the one that says that it is kept.
"""

import base64
import gzip
import json
import os

import boto3
from botocore.exceptions import ClientError

table = boto3.resource("dynamodb").Table(os.environ["TABLE_NAME"])
s3 = boto3.client("s3")


def handler(event, _context):
    """What Lambda calls. An exception has the event delivered again, later."""
    cloud_event = event["detail"]
    payment = payload(cloud_event)["data"]["object"]
    kept = keep(cloud_event, payment)
    # Ids only: payloads do not belong into logs.
    print(json.dumps({"id": cloud_event["id"], "payment": payment["id"], "kept": kept}))


def payload(cloud_event):
    """What the provider sent, in whichever of three ways it came."""
    if "data" in cloud_event:
        return cloud_event["data"]
    if "data_base64" in cloud_event:
        return json.loads(base64.b64decode(cloud_event["data_base64"]))
    bucket, key = cloud_event["dataref"].removeprefix("s3://").split("/", 1)
    body = s3.get_object(Bucket=bucket, Key=key)["Body"].read()
    return json.loads(gzip.decompress(body) if key.endswith(".gz") else body)


def keep(cloud_event, payment):
    """Writes the payment down, and says whether it was new."""
    item = {
        "event": f"{cloud_event['source']}#{cloud_event['id']}",
        "payment": payment["id"],
        "amount": payment["amount"],
        "currency": payment["currency"],
        "paid_at": cloud_event["time"],
    }
    try:
        table.put_item(
            Item=item,
            ConditionExpression="attribute_not_exists(#event)",
            ExpressionAttributeNames={"#event": "event"},
        )
        return True
    except ClientError as fault:
        if fault.response["Error"]["Code"] == "ConditionalCheckFailedException":
            return False
        raise
