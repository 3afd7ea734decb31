# The sweeper and its clock: sends a message for whatever is due.

resource "aws_lambda_function" "sweeper" {
  #checkov:skip=CKV_AWS_115:The schedule is the only caller, once a minute; reserving would take from the account's pool
  #checkov:skip=CKV_AWS_116:A sweep that fails is followed by the next; what it did not send is still due
  #checkov:skip=CKV_AWS_117:It speaks to AWS's public endpoints only, and there is nothing in a VPC for it
  #checkov:skip=CKV_AWS_272:Packages are built and hashed by the one who deploys them
  function_name = "${var.name}-sweeper"
  description   = "Sends a message for every webhook that is due"
  role          = aws_iam_role.sweeper.arn

  filename         = var.packages.sweeper
  source_code_hash = filebase64sha256(var.packages.sweeper)
  runtime          = "provided.al2023"
  handler          = "bootstrap"
  architectures    = [var.architecture]

  # Each change is a version of its own, and the alias moves to it at once: code and
  # settings are changed by two calls, and what runs never sees one without the other.
  publish = true

  memory_size = local.stack.sweeper.memory_mb
  timeout     = local.stack.sweeper.timeout_seconds
  kms_key_arn = local.customer_key_arn

  environment {
    variables = merge(local.common_environment, { PAYLOAD_BUCKET = aws_s3_bucket.payloads.bucket })
  }

  # The functions write JSON lines themselves; `Text` lets them pass as they are.
  logging_config {
    log_format = "Text"
    log_group  = aws_cloudwatch_log_group.sweeper.name
  }

  tracing_config {
    mode = var.tracing ? "Active" : "PassThrough"
  }

  # The first sweep finds its permissions.
  depends_on = [aws_iam_role_policy.sweeper]
}

resource "aws_lambda_alias" "sweeper" {
  name             = local.alias
  description      = "What the schedule calls"
  function_name    = aws_lambda_function.sweeper.function_name
  function_version = aws_lambda_function.sweeper.version
}

# The scheduler calls asynchronously, and Lambda would try a failed call twice
# more: the next sweep is at hand, and finds the same events.
resource "aws_lambda_function_event_invoke_config" "sweeper" {
  function_name                = aws_lambda_function.sweeper.function_name
  qualifier                    = aws_lambda_alias.sweeper.name
  maximum_retry_attempts       = 0
  maximum_event_age_in_seconds = local.sweep_event_age_seconds
}

resource "aws_scheduler_schedule_group" "this" {
  name = var.name
}

resource "aws_scheduler_schedule" "sweeper" {
  name                = "sweeper"
  group_name          = aws_scheduler_schedule_group.this.name
  schedule_expression = "rate(${local.sweep_minutes} ${local.sweep_minutes == 1 ? "minute" : "minutes"})"
  kms_key_arn         = local.customer_key_arn

  flexible_time_window {
    mode = "OFF"
  }

  target {
    arn      = aws_lambda_alias.sweeper.arn
    role_arn = aws_iam_role.scheduler.arn
    input    = jsonencode({})

    retry_policy {
      maximum_retry_attempts       = 0
      maximum_event_age_in_seconds = local.sweep_event_age_seconds
    }
  }

  depends_on = [aws_iam_role_policy.scheduler]
}

locals {
  sweep_minutes = local.stack.sweeper.interval_seconds / 60

  # A sweep that could not start before the next one is due is not needed; 60 s
  # is the least that both services take.
  sweep_event_age_seconds = max(60, local.stack.sweeper.interval_seconds)
}

resource "aws_cloudwatch_log_group" "sweeper" {
  name              = "/aws/lambda/${var.name}-sweeper"
  retention_in_days = var.log_retention_days
  kms_key_id        = local.customer_key_arn
}

resource "aws_iam_role" "sweeper" {
  name               = "${var.name}-sweeper"
  assume_role_policy = data.aws_iam_policy_document.lambda_assume.json
}

resource "aws_iam_role_policy" "sweeper" {
  name   = "sweeper"
  role   = aws_iam_role.sweeper.name
  policy = data.aws_iam_policy_document.sweeper.json
}

data "aws_iam_policy_document" "sweeper" {
  statement {
    sid       = "FindDue"
    actions   = ["dynamodb:Query"]
    resources = [local.open_index_arn]
  }

  statement {
    sid       = "Sweep"
    actions   = ["dynamodb:UpdateItem"]
    resources = [aws_dynamodb_table.ledger.arn]
  }

  # An event that is unfinished for long lasts longer, and its payload with it: copied
  # onto itself.
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

  # GetQueueAttributes opens the connection, and tells how deep the queue is.
  statement {
    sid       = "Wake"
    actions   = ["sqs:SendMessage", "sqs:GetQueueAttributes"]
    resources = [aws_sqs_queue.events.arn]
  }

  # Streams lie below the group: their ARNs begin with the group's and a colon.
  statement {
    sid       = "Log"
    actions   = ["logs:CreateLogStream", "logs:PutLogEvents"]
    resources = ["${aws_cloudwatch_log_group.sweeper.arn}:*"]
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
        values   = [local.via.dynamodb, local.via.lambda, local.via.s3]
      }
    }
  }

  # Who sends to an encrypted queue needs both.
  dynamic "statement" {
    for_each = local.customer_keys

    content {
      sid       = "SendEncrypted"
      actions   = ["kms:GenerateDataKey", "kms:Decrypt"]
      resources = [statement.value]

      condition {
        test     = "StringEquals"
        variable = "kms:ViaService"
        values   = [local.via.s3, local.via.sqs]
      }
    }
  }

  source_policy_documents = local.tracing_policies
}

resource "aws_iam_role" "scheduler" {
  name               = "${var.name}-scheduler"
  assume_role_policy = data.aws_iam_policy_document.scheduler_assume.json
}

# Only for the schedules of this group: another's could otherwise borrow the role.
# https://docs.aws.amazon.com/scheduler/latest/UserGuide/cross-service-confused-deputy-prevention.html
data "aws_iam_policy_document" "scheduler_assume" {
  statement {
    sid     = "Scheduler"
    actions = ["sts:AssumeRole"]

    principals {
      type        = "Service"
      identifiers = ["scheduler.amazonaws.com"]
    }

    condition {
      test     = "StringEquals"
      variable = "aws:SourceAccount"
      values   = [local.account_id]
    }

    condition {
      test     = "ArnEquals"
      variable = "aws:SourceArn"
      values   = [aws_scheduler_schedule_group.this.arn]
    }
  }
}

resource "aws_iam_role_policy" "scheduler" {
  name   = "scheduler"
  role   = aws_iam_role.scheduler.name
  policy = data.aws_iam_policy_document.scheduler.json
}

data "aws_iam_policy_document" "scheduler" {
  statement {
    sid       = "CallSweeper"
    actions   = ["lambda:InvokeFunction"]
    resources = [aws_lambda_alias.sweeper.arn]
  }

  # https://docs.aws.amazon.com/scheduler/latest/UserGuide/encryption-rest.html
  dynamic "statement" {
    for_each = local.customer_keys

    content {
      sid       = "ReadSchedule"
      actions   = ["kms:Decrypt"]
      resources = [statement.value]

      condition {
        test     = "StringEquals"
        variable = "kms:ViaService"
        values   = [local.via.scheduler]
      }
    }
  }
}
