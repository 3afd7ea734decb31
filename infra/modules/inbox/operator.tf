# What people who use the `inbox` command need, as managed policies to attach to
# their role: one for events and queues, one for what belongs to sources. Two,
# since a policy ends at 6,144 characters, and every source adds to the second.

resource "aws_iam_policy" "operator" {
  name        = "${var.name}-operator"
  description = "The inbox command: events, show, dlq, replay, redrive, forget, doctor, logs"
  policy      = data.aws_iam_policy_document.operator.json
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
    resources = [aws_lambda_function.processor.arn]
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
    resources = [
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

resource "aws_iam_policy" "source_operator" {
  name        = "${var.name}-source-operator"
  description = "The inbox command: secret, verify, send, and the receivers' logs"
  policy      = data.aws_iam_policy_document.source_operator.json
}

# Who may do this can read signing secrets, and so forge events.
data "aws_iam_policy_document" "source_operator" {
  statement {
    sid = "Secrets"
    actions = [
      "secretsmanager:DescribeSecret",
      "secretsmanager:GetSecretValue",
      "secretsmanager:PutSecretValue",
      "secretsmanager:UpdateSecretVersionStage",
    ]
    resources = concat(
      [for name in keys(var.sources) : aws_secretsmanager_secret.source[name].arn],
      [for secret in aws_secretsmanager_secret.forward : secret.arn],
    )
  }

  # Streams lie below the group: their ARNs begin with the group's and a colon.
  statement {
    sid       = "Logs"
    actions   = ["logs:FilterLogEvents"]
    resources = [for name in keys(var.sources) : "${aws_cloudwatch_log_group.receiver[name].arn}:*"]
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
