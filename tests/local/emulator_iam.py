"""Has the emulator decide as IAM does, and keeps what it decided.

MiniStack verifies signatures and evaluates policies when it is asked to
(`AUTH=true`). Three things are done here:

- What it does not know is supplied: the condition key `dynamodb:LeadingKeys`, the queue
  of a redrive, the name of `lambda:GetFunctionConcurrency`, the permission for batches.
- The sessions of functions get keys that nobody can compute: MiniStack makes them of
  the function's and the role's name.
- Each decision is appended to a file, once for each principal, action, statement and
  resource, so that a test can tell which permission nobody needed, and which call
  was denied.
"""

import contextvars
import json
import re
import secrets
import threading

PARTITION_KEY = "HASH"
TRANSACTION_MEMBERS = ("Put", "Update", "Delete", "ConditionCheck", "Get")


def decide_like_iam(record_file):
    """Before `ministack.app` is imported."""
    supply_leading_keys()
    name_what_is_asked()
    keep_sessions_secret()
    record_decisions(record_file)


def supply_leading_keys():
    """https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/specifying-conditions.html"""
    from ministack.core import iam_actions

    known = iam_actions.dynamodb_service_context

    def with_leading_keys(body):
        context = known(body)
        try:
            keys = leading_keys(json.loads(body or b"{}"))
        except (ValueError, AttributeError, TypeError):
            keys = []
        return {**context, "dynamodb:LeadingKeys": keys} if keys else context

    iam_actions.dynamodb_service_context = with_leading_keys


def leading_keys(request):
    """The partition keys that a request names, as texts."""
    found = []

    def of(table, key):
        value = (key or {}).get(partition_key(table))
        if isinstance(value, dict):
            found.extend(str(it) for it in value.values())

    table = request.get("TableName")
    of(table, request.get("Item"))
    of(table, request.get("Key"))
    for name, asked in (request.get("RequestItems") or {}).items():
        if isinstance(asked, dict):
            for key in asked.get("Keys", []):
                of(name, key)
        else:
            for write in asked:
                of(name, (write.get("PutRequest") or {}).get("Item"))
                of(name, (write.get("DeleteRequest") or {}).get("Key"))
    for item in request.get("TransactItems") or []:
        for member in TRANSACTION_MEMBERS:
            part = item.get(member) or {}
            of(part.get("TableName"), part.get("Item"))
            of(part.get("TableName"), part.get("Key"))
    if "KeyConditionExpression" in request:
        found.extend(queried(request))
    return found


def queried(request):
    """The partition key of a query: of the index, where it names one."""
    name = partition_key(request.get("TableName"), request.get("IndexName"))
    for written, value in re.findall(r"([#\w.-]+)\s*=\s*(:\w+)", request["KeyConditionExpression"]):
        if (request.get("ExpressionAttributeNames") or {}).get(written, written) == name:
            return [str(it) for it in request["ExpressionAttributeValues"][value].values()]
    return []


# The partition keys of tables and indexes that were ever asked about: who asks for a
# table that was deleted is to be told that it is gone.
KNOWN_KEYS = {}


def partition_key(table, index=None):
    """The name of the attribute, or None where there never was such a table."""
    from ministack.services import dynamodb

    held = dynamodb._tables.get((table or "").rsplit("/", 1)[-1]) or {}
    if index:
        indexes = (held.get("GlobalSecondaryIndexes") or []) + (held.get("LocalSecondaryIndexes") or [])
        held = next((it for it in indexes if it.get("IndexName") == index), {})
    keys = held.get("KeySchema") or []
    name = next((it["AttributeName"] for it in keys if it["KeyType"] == PARTITION_KEY), None)
    if name:
        KNOWN_KEYS[table, index] = name
    return KNOWN_KEYS.get((table, index))


def name_what_is_asked():
    """Requests whose action or resource MiniStack reads wrongly."""
    from ministack.core import iam_actions

    action, resource = iam_actions.extract_iam_action, iam_actions.extract_resource_arn

    def action_of(service, method, path, headers, body, parameters):
        # https://docs.aws.amazon.com/lambda/latest/api/API_GetFunctionConcurrency.html
        if service == "lambda" and method == "GET" and path.rstrip("/").endswith("/concurrency"):
            return "lambda:GetFunctionConcurrency"
        found = action(service, method, path, headers, body, parameters)
        # A batch needs the permission for one.
        # https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-api-permissions-reference.html
        return found.removesuffix("Batch") if service == "sqs" and found else found

    def resource_of(service, method, path, headers, body, parameters, region, account_id):
        found = resource(service, method, path, headers, body, parameters, region, account_id)
        # https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_DescribeEventBus.html
        if service == "events" and headers.get("x-amz-target", "").endswith(".DescribeEventBus"):
            return found.replace(":rule/default/", ":event-bus/")
        # Who names a secret by its whole ARN is told that it is not there. Tests name theirs
        # shorter, and mean the same.
        if service == "secretsmanager" and found.startswith("arn:") and not secret_is_there(found):
            return found if re.search("-[A-Za-z0-9]{6}$", found) else found + "-000000"
        # https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_StartMessageMoveTask.html
        if service == "sqs" and found == "*":
            try:
                return json.loads(body).get("SourceArn") or found
            except (ValueError, AttributeError):
                return found
        return found

    iam_actions.extract_iam_action, iam_actions.extract_resource_arn = action_of, resource_of


def secret_is_there(arn):
    from ministack.services import secretsmanager

    return secretsmanager._resolve(arn)[1] is not None


def keep_sessions_secret():
    from ministack.core import lambda_runtime
    from ministack.services import sts

    sessions, lock = {}, threading.Lock()

    def execution_credentials(config):
        role = config["Role"].rsplit("/", 1)[-1]
        name = config["FunctionName"][:64]
        with lock:
            session = sessions.get((config["FunctionArn"], role))
            if session is None:
                account = config["FunctionArn"].split(":")[4]
                session = {
                    "AWS_ACCESS_KEY_ID": "ASIA" + secrets.token_hex(8).upper(),
                    "AWS_SECRET_ACCESS_KEY": secrets.token_hex(20),
                    "AWS_SESSION_TOKEN": secrets.token_hex(32),
                }
                sts.register_session(session["AWS_ACCESS_KEY_ID"], {
                    "Arn": f"arn:aws:sts::{account}:assumed-role/{role}/{name}",
                    "UserId": f"{role}:{name}",
                    "SecretAccessKey": session["AWS_SECRET_ACCESS_KEY"],
                    "SessionToken": session["AWS_SESSION_TOKEN"],
                })
                sessions[(config["FunctionArn"], role)] = session
        return dict(session)

    lambda_runtime.execution_credentials = execution_credentials


def record_decisions(file):
    """Appends what is decided of users and roles; root may do all and is not recorded."""
    from ministack.core import iam_evaluator

    decided = contextvars.ContextVar("decided", default=None)
    evaluate, enforce = iam_evaluator.evaluate, iam_evaluator.enforce
    seen, out = set(), open(file, "a", encoding="utf-8", buffering=1)

    def evaluated(context, policies, *limits):
        result = evaluate(context, policies, *limits)
        # The first of a request is that of the principal's own policies; those of the
        # resource follow.
        found = decided.get()
        if found is not None:
            found.append((context, result))
        return result

    def enforced(*arguments, **named):
        found = []
        token = decided.set(found)
        try:
            denied = enforce(*arguments, **named)
        finally:
            decided.reset(token)
        if found:
            context, result = found[0]
            entry = (context.principal_arn, context.action, generalised(context.resource_arn), result.matched_sid,
                     "deny" if denied else "allow")
            if entry not in seen:
                seen.add(entry)
                names = ("principal", "action", "resource", "statement", "decision")
                out.write(json.dumps(dict(zip(names, entry))) + "\n")
        return denied

    iam_evaluator.evaluate, iam_evaluator.enforce = evaluated, enforced


def generalised(resource):
    """Objects are too many: their bucket and what their key begins with are enough."""
    bucket, _, key = resource.partition("/")
    if not resource.startswith("arn:aws:s3:::") or not key:
        return resource
    return f"{bucket}/{key.partition('/')[0]}/*"
