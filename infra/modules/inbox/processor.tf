# The processor: runs handlers for what the queue names.

locals {
  processor_environment = merge(
    local.common_environment,
    {
      DLQ_URL           = aws_sqs_queue.dead_letters.url
      LANE_QUEUE_URL    = aws_sqs_queue.lane.url
      MIRROR_TABLE_NAME = aws_dynamodb_table.mirror.name
      PAYLOAD_BUCKET    = aws_s3_bucket.payloads.bucket
      # What is a source's name means that source in a route's match.
      SOURCES = join(",", keys(var.sources))
    },
    # What is left out is the processor's own default.
    var.processor.routes == null ? {} : { ROUTES = jsonencode(local.processor_routes) },
    var.event_bus ? { EVENT_BUS_NAME = aws_cloudwatch_event_bus.this[0].name } : {},
    local.retry_environment,
    local.shortest_retention_days == local.stack.defaults.retention_days ? {} : {
      RETENTION_DAYS = tostring(local.shortest_retention_days)
    },
    var.processor.handler_timeout_seconds == null ? {} : {
      HANDLER_TIMEOUT_SECONDS = tostring(var.processor.handler_timeout_seconds)
    },
  )

  # Lambda measures the whole environment as JSON, in bytes: quotes within ROUTES count
  # twice. Queues' URLs are known after the apply only, so they are spelt out here, and
  # too much is said at plan. Base64 makes 4 letters of 3 bytes, which `length` can count.
  # https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
  processor_environment_base64 = base64encode(jsonencode(merge(local.processor_environment, {
    for name, queue in { QUEUE_URL = "events", LANE_QUEUE_URL = "events-lane", DLQ_URL = "events-dlq" } :
    name => "https://sqs.${local.region}.${data.aws_partition.this.dns_suffix}/${local.account_id}/${var.name}-${queue}"
  })))
  processor_environment_bytes = length(local.processor_environment_base64) / 4 * 3 - length(regexall("=", local.processor_environment_base64))
}

resource "aws_lambda_function" "processor" {
  #checkov:skip=CKV_AWS_115:Reserved concurrency throttles the queue's poller, and throttled invocations use up receives of good messages; the mapping's maximum_concurrency is the limit
  #checkov:skip=CKV_AWS_116:The queue's redrive policy is its dead-letter queue
  #checkov:skip=CKV_AWS_117:It speaks to AWS's public endpoints only, and there is nothing in a VPC for it
  #checkov:skip=CKV_AWS_272:Packages are built and hashed by the one who deploys them
  function_name = "${var.name}-processor"
  description   = "Runs handlers for accepted webhooks"
  role          = aws_iam_role.processor.arn

  filename         = var.packages.processor
  source_code_hash = filebase64sha256(var.packages.processor)
  runtime          = "provided.al2023"
  handler          = "bootstrap"
  architectures    = [var.architecture]

  # Each change is a version of its own, and the alias moves to it at once: code and
  # settings are changed by two calls, and what runs never sees one without the other.
  publish = true

  memory_size = coalesce(var.processor.memory_mb, local.stack.processor.memory_mb)
  timeout     = local.stack.processor.timeout_seconds
  kms_key_arn = local.customer_key_arn

  environment {
    variables = local.processor_environment
  }

  # The functions write JSON lines themselves; `Text` lets them pass as they are.
  logging_config {
    log_format = "Text"
    log_group  = aws_cloudwatch_log_group.processor.name
  }

  tracing_config {
    mode = var.tracing ? "Active" : "PassThrough"
  }

  lifecycle {
    precondition {
      # Whoever opens an event anew keeps it for the default.
      condition     = local.stack.defaults.retention_days >= local.least_retention_days
      error_message = "The waits of processor.retry_delays_seconds ask for events that are kept for ${local.least_retention_days} days, and a redriven one is kept for ${local.stack.defaults.retention_days}: make them shorter."
    }
    precondition {
      condition     = local.processor_environment_bytes <= 4096
      error_message = "The processor's environment takes ${local.processor_environment_bytes} bytes as JSON, of 4,096 that Lambda allows: match more with * in processor.routes, or shorten their ids and options."
    }
  }

  # Lambda refuses the mapping while the role may not receive.
  depends_on = [aws_iam_role_policy.processor]
}

resource "aws_lambda_alias" "processor" {
  name             = local.alias
  description      = "What the queue is read by"
  function_name    = aws_lambda_function.processor.function_name
  function_version = aws_lambda_function.processor.version
}

resource "aws_lambda_event_source_mapping" "processor" {
  event_source_arn = aws_sqs_queue.events.arn
  function_name    = aws_lambda_alias.processor.arn

  batch_size                         = local.stack.event_source_mapping.batch_size
  maximum_batching_window_in_seconds = local.stack.event_source_mapping.batching_window_seconds

  # Without it Lambda ignores the list of failures and deletes the whole batch.
  # https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html
  function_response_types = ["ReportBatchItemFailures"]

  scaling_config {
    maximum_concurrency = coalesce(var.processor.maximum_concurrency, local.stack.event_source_mapping.maximum_concurrency)
  }
}

# What is slow has few places, and the rest has all others.
resource "aws_lambda_event_source_mapping" "processor_lane" {
  event_source_arn = aws_sqs_queue.lane.arn
  function_name    = aws_lambda_alias.processor.arn

  batch_size                         = local.stack.event_source_mapping.batch_size
  maximum_batching_window_in_seconds = local.stack.event_source_mapping.batching_window_seconds

  function_response_types = ["ReportBatchItemFailures"]

  scaling_config {
    maximum_concurrency = local.stack.lane.maximum_concurrency
  }
}

resource "aws_cloudwatch_log_group" "processor" {
  name              = "/aws/lambda/${var.name}-processor"
  retention_in_days = var.log_retention_days
  kms_key_id        = local.customer_key_arn
}

resource "aws_iam_role" "processor" {
  name               = "${var.name}-processor"
  assume_role_policy = data.aws_iam_policy_document.lambda_assume.json
}

resource "aws_iam_role_policy" "processor" {
  name   = "processor"
  role   = aws_iam_role.processor.name
  policy = data.aws_iam_policy_document.processor.json

  lifecycle {
    precondition {
      # All inline policies of a role together.
      # https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
      condition     = length(data.aws_iam_policy_document.processor.minified_json) <= 10240
      error_message = "What the routes reach makes the processor's policy longer than the 10,240 characters that IAM takes: shorten the names of targets, or let routes share them."
    }
  }
}

data "aws_iam_policy_document" "processor" {
  # Begin, complete, fail, defer, bury and reopen are one conditional update each. Which
  # routes are slow stands in one item, that every process reads.
  statement {
    sid       = "Ledger"
    actions   = ["dynamodb:GetItem", "dynamodb:UpdateItem"]
    resources = [aws_dynamodb_table.ledger.arn]
  }

  statement {
    sid       = "Mirror"
    actions   = ["dynamodb:PutItem"]
    resources = [aws_dynamodb_table.mirror.arn]
  }

  # Reopening copies an object onto itself.
  statement {
    sid       = "LargePayloads"
    actions   = ["s3:GetObject", "s3:PutObject"]
    resources = ["${aws_s3_bucket.payloads.arn}/*"]
  }

  # S3 says 404 of what is not there to who may list, and 403 to others.
  # https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html
  statement {
    sid       = "KnowLostPayloads"
    actions   = ["s3:ListBucket"]
    resources = [aws_s3_bucket.payloads.arn]
  }

  # Receiving and deleting is done by Lambda's poller, with this role; keeping a
  # message hidden until its next attempt is done by the function.
  # https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html
  statement {
    sid = "Receive"
    actions = [
      "sqs:ReceiveMessage",
      "sqs:DeleteMessage",
      "sqs:GetQueueAttributes",
      "sqs:ChangeMessageVisibility",
    ]
    resources = [aws_sqs_queue.events.arn, aws_sqs_queue.lane.arn]
  }

  # Dead letters, and events of slow routes into the lane.
  statement {
    sid       = "SendOn"
    actions   = ["sqs:SendMessage"]
    resources = [aws_sqs_queue.dead_letters.arn, aws_sqs_queue.lane.arn]
  }

  # Streams lie below the group: their ARNs begin with the group's and a colon.
  statement {
    sid       = "Log"
    actions   = ["logs:CreateLogStream", "logs:PutLogEvents"]
    resources = ["${aws_cloudwatch_log_group.processor.arn}:*"]
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
        values   = concat([local.via.dynamodb, local.via.lambda, local.via.s3, local.via.sqs], local.target_key_reads)
      }
    }
  }

  dynamic "statement" {
    for_each = local.customer_keys

    content {
      sid       = "WriteEncrypted"
      actions   = ["kms:GenerateDataKey"]
      resources = [statement.value]

      condition {
        test     = "StringEquals"
        variable = "kms:ViaService"
        values   = concat([local.via.s3, local.via.sqs], local.target_key_writes)
      }
    }
  }

  source_policy_documents = concat(local.tracing_policies, local.target_policies)
}
