# One receiver for each source: a function, a role, a log group. All from one
# package; the environment says which source and provider it is.

resource "aws_lambda_function" "receiver" {
  for_each = var.sources

  #checkov:skip=CKV_AWS_116:Called synchronously: a dead-letter queue of Lambda would never see an event
  #checkov:skip=CKV_AWS_117:It speaks to AWS's public endpoints only, and there is nothing in a VPC for it
  #checkov:skip=CKV_AWS_272:Packages are built and hashed by the one who deploys them
  function_name = "${var.name}-receiver-${each.key}"
  description   = "Verifies and accepts what ${each.value.provider} posts to /webhooks/${each.key}"
  role          = aws_iam_role.receiver[each.key].arn

  filename         = var.packages.receiver
  source_code_hash = filebase64sha256(var.packages.receiver)
  runtime          = "provided.al2023"
  handler          = "bootstrap"
  architectures    = [var.architecture]

  # Each change is a version of its own, and the alias moves to it at once: code and
  # settings are changed by two calls, and what runs never sees one without the other.
  publish = true

  memory_size                    = coalesce(each.value.memory_mb, local.stack.receiver.memory_mb)
  timeout                        = coalesce(each.value.timeout_seconds, local.stack.receiver.timeout_seconds)
  reserved_concurrent_executions = each.value.reserved_concurrency
  kms_key_arn                    = local.customer_key_arn

  environment {
    variables = merge(
      local.common_environment,
      {
        SOURCE          = each.key
        PROVIDER        = each.value.provider
        SECRET_ID       = aws_secretsmanager_secret.source[each.key].arn
        PUBLIC_BASE_URL = each.value.public_base_url != null ? each.value.public_base_url : join(",", local.called_base_urls)
        DEDUP           = each.value.dedup
        PAYLOAD_BUCKET  = aws_s3_bucket.payloads.bucket
      },
      # What is left out is the receiver's own default.
      each.value.max_body_bytes == null ? {} : { MAX_BODY_BYTES = tostring(each.value.max_body_bytes) },
      each.value.retention_days == null ? {} : { RETENTION_DAYS = tostring(each.value.retention_days) },
      local.retry_environment,
      length(each.value.hook_ids) == 0 ? {} : { HOOK_IDS = join(",", each.value.hook_ids) },
    )
  }

  # The functions write JSON lines themselves; `Text` lets them pass as they are.
  logging_config {
    log_format = "Text"
    log_group  = aws_cloudwatch_log_group.receiver[each.key].name
  }

  tracing_config {
    mode = var.tracing ? "Active" : "PassThrough"
  }

  lifecycle {
    precondition {
      condition     = local.retention_days[each.key] >= local.least_retention_days
      error_message = "Source ${each.key} keeps events for ${local.retention_days[each.key]} days. With the waits of processor.retry_delays_seconds it must be at least ${local.least_retention_days}, or unfinished events expire: raise retention_days, or make the waits shorter."
    }
  }

  # The first request finds its permissions.
  depends_on = [aws_iam_role_policy.receiver]
}

# What is called. Pointing it at an earlier version is the way back.
# https://docs.aws.amazon.com/lambda/latest/dg/configuration-aliases.html
resource "aws_lambda_alias" "receiver" {
  for_each = var.sources

  name             = local.alias
  description      = "What API Gateway calls"
  function_name    = aws_lambda_function.receiver[each.key].function_name
  function_version = aws_lambda_function.receiver[each.key].version
}

# At a price by the hour, for a provider that gives up before a cold start is over.
# https://docs.aws.amazon.com/lambda/latest/dg/provisioned-concurrency.html
resource "aws_lambda_provisioned_concurrency_config" "receiver" {
  for_each = { for name, source in var.sources : name => source if source.provisioned_concurrency > 0 }

  function_name                     = aws_lambda_function.receiver[each.key].function_name
  qualifier                         = aws_lambda_alias.receiver[each.key].name
  provisioned_concurrent_executions = each.value.provisioned_concurrency
}

resource "aws_cloudwatch_log_group" "receiver" {
  for_each = var.sources

  name              = "/aws/lambda/${var.name}-receiver-${each.key}"
  retention_in_days = var.log_retention_days
  kms_key_id        = local.customer_key_arn
}

resource "aws_iam_role" "receiver" {
  for_each = var.sources

  name               = "${var.name}-receiver-${each.key}"
  assume_role_policy = data.aws_iam_policy_document.lambda_assume.json
}

resource "aws_iam_role_policy" "receiver" {
  for_each = var.sources

  name   = "receiver"
  role   = aws_iam_role.receiver[each.key].name
  policy = data.aws_iam_policy_document.receiver[each.key].json
}

data "aws_iam_policy_document" "receiver" {
  for_each = var.sources

  # Its own source's events alone: a put replaces what is there, and one that is refused
  # tells what it found. The other key is what it writes to open the connection.
  # `Null` besides, since ForAllValues holds of a request that names no key at all.
  # https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/specifying-conditions.html
  statement {
    sid       = "Claim"
    actions   = ["dynamodb:PutItem"]
    resources = [aws_dynamodb_table.ledger.arn]

    condition {
      test     = "ForAllValues:StringLike"
      variable = "dynamodb:LeadingKeys"
      values   = ["${each.key}#*", local.stack.table.warm_up_key]
    }

    condition {
      test     = "Null"
      variable = "dynamodb:LeadingKeys"
      values   = ["false"]
    }
  }

  # Deleting opens the connection before the first event comes, and removes what a
  # late repeat of a forgotten event has brought back.
  statement {
    sid       = "KeepLargePayloads"
    actions   = ["s3:PutObject", "s3:DeleteObject"]
    resources = ["${aws_s3_bucket.payloads.arn}/${each.key}/*"]
  }

  # GetQueueAttributes opens the connection before the first event comes.
  statement {
    sid       = "Wake"
    actions   = ["sqs:SendMessage", "sqs:GetQueueAttributes"]
    resources = [aws_sqs_queue.events.arn]
  }

  statement {
    sid       = "ReadOwnSecret"
    actions   = ["secretsmanager:GetSecretValue"]
    resources = [aws_secretsmanager_secret.source[each.key].arn]
  }

  # Streams lie below the group: their ARNs begin with the group's and a colon.
  statement {
    sid       = "Log"
    actions   = ["logs:CreateLogStream", "logs:PutLogEvents"]
    resources = ["${aws_cloudwatch_log_group.receiver[each.key].arn}:*"]
  }

  # Lambda's own grant on the environment would end with the role that it was
  # made for: a role that was made anew could not start the function.
  dynamic "statement" {
    for_each = local.customer_keys

    content {
      sid       = "ReadEncrypted"
      actions   = ["kms:Decrypt"]
      resources = [statement.value]

      condition {
        test     = "StringEquals"
        variable = "kms:ViaService"
        values   = [local.via.dynamodb, local.via.lambda, local.via.secretsmanager]
      }
    }
  }

  # Who sends to an encrypted queue needs both.
  # https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-key-management.html
  dynamic "statement" {
    for_each = local.customer_keys

    content {
      sid       = "SendEncrypted"
      actions   = ["kms:GenerateDataKey", "kms:Decrypt"]
      resources = [statement.value]

      condition {
        test     = "StringEquals"
        variable = "kms:ViaService"
        values   = [local.via.sqs]
      }
    }
  }

  dynamic "statement" {
    for_each = local.customer_keys

    content {
      sid       = "KeepEncrypted"
      actions   = ["kms:GenerateDataKey"]
      resources = [statement.value]

      condition {
        test     = "StringEquals"
        variable = "kms:ViaService"
        values   = [local.via.s3]
      }
    }
  }

  source_policy_documents = local.tracing_policies
}
