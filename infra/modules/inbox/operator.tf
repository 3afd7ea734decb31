# What people who use the `inbox` command need, as managed policies to attach to
# their role: one for events and queues, one for what belongs to sources, which may
# forge events, and one for what routes lead to. Only the third grows, with the routes.
#
# A managed policy ends at 6,144 characters, without spaces.
# https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html

resource "aws_iam_policy" "operator" {
  name        = "${var.name}-operator"
  description = "The inbox command: events, show, dlq, replay, redrive, forget, doctor, logs"
  policy      = data.aws_iam_policy_document.operator.json

  lifecycle {
    precondition {
      condition     = length(data.aws_iam_policy_document.operator.minified_json) <= 6144
      error_message = "The policy for operators has more than the 6,144 characters that IAM takes: shorten name."
    }
  }
}

# Who may do this can read every payload, make handlers run again and throw
# letters away: it is for operators, not for dashboards.
data "aws_iam_policy_document" "operator" {

  statement {
    sid = "Events"
    actions = [
      "dynamodb:GetItem",
      "dynamodb:BatchGetItem",
      "dynamodb:UpdateItem",
      "dynamodb:DescribeTable",
      "dynamodb:DescribeTimeToLive",
      "dynamodb:DescribeContinuousBackups",
    ]
    resources = [aws_dynamodb_table.ledger.arn]
  }

  statement {
    sid       = "FindEvents"
    actions   = ["dynamodb:Query"]
    resources = [local.timeline_index_arn, local.open_index_arn]
  }

  # Showing, reopening and forgetting events whose payload lies outside of the table.
  statement {
    sid       = "LargePayloads"
    actions   = ["s3:GetObject", "s3:PutObject", "s3:DeleteObject"]
    resources = ["${aws_s3_bucket.payloads.arn}/*"]
  }

  statement {
    sid       = "KnowLostPayloads"
    actions   = ["s3:ListBucket"]
    resources = [aws_s3_bucket.payloads.arn]
  }

  statement {
    sid       = "Wake"
    actions   = ["sqs:SendMessage", "sqs:GetQueueAttributes"]
    resources = [aws_sqs_queue.events.arn]
  }

  statement {
    sid       = "LookAtLane"
    actions   = ["sqs:GetQueueAttributes"]
    resources = [aws_sqs_queue.lane.arn]
  }

  # Native redrive needs the right to receive and delete besides its own.
  # https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-configure-dead-letter-queue-redrive.html
  statement {
    sid = "DeadLetters"
    actions = [
      "sqs:GetQueueAttributes",
      "sqs:ReceiveMessage",
      "sqs:DeleteMessage",
      "sqs:ChangeMessageVisibility",
      "sqs:PurgeQueue",
      "sqs:StartMessageMoveTask",
      "sqs:ListMessageMoveTasks",
      "sqs:CancelMessageMoveTask",
    ]
    resources = [aws_sqs_queue.dead_letters.arn]
  }

  statement {
    sid       = "LookAtProcessor"
    actions   = ["lambda:GetFunctionConfiguration", "lambda:GetFunctionConcurrency"]
    resources = [aws_lambda_function.processor.arn, aws_lambda_alias.processor.arn]
  }

  # This action has no resource to name.
  # https://docs.aws.amazon.com/service-authorization/latest/reference/list_awslambda.html
  statement {
    sid       = "FindMapping"
    actions   = ["lambda:ListEventSourceMappings"]
    resources = ["*"]
  }

  # Streams lie below the group: their ARNs begin with the group's and a colon.
  statement {
    sid     = "Logs"
    actions = ["logs:FilterLogEvents"]
    # The API's tells of requests that reached no function: 404 and 429.
    resources = [
      "${aws_cloudwatch_log_group.api.arn}:*",
      "${aws_cloudwatch_log_group.processor.arn}:*",
      "${aws_cloudwatch_log_group.sweeper.arn}:*",
    ]
  }

  dynamic "statement" {
    for_each = local.customer_keys

    content {
      sid       = "Encrypted"
      actions   = ["kms:Decrypt", "kms:GenerateDataKey"]
      resources = [statement.value]

      condition {
        test     = "StringEquals"
        variable = "kms:ViaService"
        # Lambda tells a function's environment, and so the routes, only to who may decrypt it.
        values = [local.via.dynamodb, local.via.lambda, local.via.s3, local.via.sqs]
      }
    }
  }
}

# `inbox doctor` looks whether what routes lead to is there.
resource "aws_iam_policy" "route_operator" {
  name        = "${var.name}-route-operator"
  description = "The inbox command: doctor, of what routes lead to"
  policy      = data.aws_iam_policy_document.route_operator.json

  lifecycle {
    precondition {
      condition     = length(data.aws_iam_policy_document.route_operator.minified_json) <= 6144
      error_message = "The policy for operators of routes has more than the 6,144 characters that IAM takes: let routes share their targets."
    }
  }
}

data "aws_iam_policy_document" "route_operator" {
  statement {
    sid       = "LookAtMirror"
    actions   = ["dynamodb:DescribeTable"]
    resources = [aws_dynamodb_table.mirror.arn]
  }

  dynamic "statement" {
    for_each = local.look_at_statements

    content {
      sid       = statement.key
      actions   = [statement.value.action]
      resources = distinct(statement.value.resources)
    }
  }
}

locals {
  # As `target_statements`, it rests on handlers' names and which options routes have.
  look_at_statements = {
    for sid, statement in {
      LookAtBuses     = { action = "events:DescribeEventBus", resources = concat(local.own_bus_arns, local.other_bus_arns) }
      LookAtFunctions = { action = "lambda:GetFunctionConfiguration", resources = local.invoked_arns }
      LookAtQueues    = { action = "sqs:GetQueueAttributes", resources = local.target_queue_arns }
      LookAtTopics    = { action = "sns:GetTopicAttributes", resources = local.target_topic_arns }
    } : sid => statement if length(statement.resources) > 0
  }
}

resource "aws_iam_policy" "source_operator" {
  name        = "${var.name}-source-operator"
  description = "The inbox command: secret, verify, send, and the receivers' logs"
  policy      = data.aws_iam_policy_document.source_operator.json

  lifecycle {
    precondition {
      condition     = length(data.aws_iam_policy_document.source_operator.minified_json) <= 6144
      error_message = "The policy for operators of sources has more than the 6,144 characters that IAM takes: shorten name."
    }
  }
}

# Who may do this can read signing secrets, and so forge events. Secrets and logs are
# named by what this inbox's own names begin with: one by one they would outgrow the
# policy (20 sources and 20 routes that forward take 6,392 characters).
data "aws_iam_policy_document" "source_operator" {
  statement {
    sid = "Secrets"
    actions = [
      "secretsmanager:DescribeSecret",
      "secretsmanager:GetSecretValue",
      "secretsmanager:PutSecretValue",
      "secretsmanager:UpdateSecretVersionStage",
    ]
    resources = ["arn:${local.partition}:secretsmanager:${local.region}:${local.account_id}:secret:${var.name}/*"]
  }

  # Streams lie below the group: their ARNs begin with the group's and a colon.
  statement {
    sid       = "Logs"
    actions   = ["logs:FilterLogEvents"]
    resources = ["arn:${local.partition}:logs:${local.region}:${local.account_id}:log-group:/aws/lambda/${var.name}-receiver-*:*"]
  }

  dynamic "statement" {
    for_each = local.customer_keys

    content {
      sid       = "EncryptedSecrets"
      actions   = ["kms:Decrypt", "kms:GenerateDataKey"]
      resources = [statement.value]

      condition {
        test     = "StringEquals"
        variable = "kms:ViaService"
        values   = [local.via.secretsmanager]
      }
    }
  }
}
