# A subscriber of the inbox's bus: what a team needs besides its code, and nothing of the
# inbox itself. Any number of them can stand side by side.

resource "aws_cloudwatch_event_rule" "payments" {
  name           = var.name
  description    = "Payments that succeeded"
  event_bus_name = var.event_bus_name
  # Patterns may look at everything in the CloudEvent, too (`detail`). What lies in
  # `data` is no good place: large events come without it.
  event_pattern = file("${path.module}/pattern.json")
}

resource "aws_cloudwatch_event_target" "subscriber" {
  rule           = aws_cloudwatch_event_rule.payments.name
  event_bus_name = var.event_bus_name
  arn            = aws_lambda_function.subscriber.arn

  retry_policy {
    maximum_event_age_in_seconds = 86400
    maximum_retry_attempts       = 185
  }

  # What could not be handed to the function at all.
  dead_letter_config {
    arn = aws_sqs_queue.undelivered.arn
  }
}

resource "aws_lambda_permission" "bus" {
  statement_id  = "AllowRule"
  action        = "lambda:InvokeFunction"
  function_name = aws_lambda_function.subscriber.function_name
  principal     = "events.amazonaws.com"
  source_arn    = aws_cloudwatch_event_rule.payments.arn
}

resource "aws_lambda_function" "subscriber" {
  #checkov:skip=CKV_AWS_50:Tracing is the team's choice
  #checkov:skip=CKV_AWS_115:Nothing here can be overrun that would not be tried again
  #checkov:skip=CKV_AWS_117:It speaks to AWS's public endpoints only
  #checkov:skip=CKV_AWS_173:Its environment holds a table's name
  #checkov:skip=CKV_AWS_272:Packages are built and hashed by the one who deploys them
  function_name = var.name
  description   = "Keeps what was paid"
  role          = aws_iam_role.subscriber.arn

  filename         = var.package
  source_code_hash = filebase64sha256(var.package)
  runtime          = "python3.13"
  handler          = "subscriber.handler"
  architectures    = ["arm64"]
  timeout          = 20

  environment {
    variables = { TABLE_NAME = aws_dynamodb_table.payments.name }
  }

  # EventBridge hands over and goes: what the function fails at after two more tries of
  # Lambda's is lost without this.
  # https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-error-handling.html
  dead_letter_config {
    target_arn = aws_sqs_queue.undelivered.arn
  }

  logging_config {
    log_format = "JSON"
    log_group  = aws_cloudwatch_log_group.subscriber.name
  }

  # Lambda refuses a dead-letter queue to which the role may not send.
  depends_on = [aws_iam_role_policy.subscriber]
}

resource "aws_cloudwatch_log_group" "subscriber" {
  #checkov:skip=CKV_AWS_158:It holds ids only
  #checkov:skip=CKV_AWS_338:How long logs are kept is the team's choice
  name              = "/aws/lambda/${var.name}"
  retention_in_days = 30
}

resource "aws_dynamodb_table" "payments" {
  #checkov:skip=CKV_AWS_119:Encrypted by AWS's own key; a key of yours goes here
  name                        = var.name
  billing_mode                = "PAY_PER_REQUEST"
  hash_key                    = "event"
  deletion_protection_enabled = true

  attribute {
    name = "event"
    type = "S"
  }

  point_in_time_recovery {
    enabled = true
  }
}

# Watch its depth: what lies here is nobody's any more.
resource "aws_sqs_queue" "undelivered" {
  name                      = "${var.name}-undelivered"
  message_retention_seconds = 1209600
  sqs_managed_sse_enabled   = true
}

resource "aws_sqs_queue_policy" "undelivered" {
  queue_url = aws_sqs_queue.undelivered.id
  policy    = data.aws_iam_policy_document.undelivered.json
}

data "aws_iam_policy_document" "undelivered" {
  statement {
    sid       = "Rule"
    actions   = ["sqs:SendMessage"]
    resources = [aws_sqs_queue.undelivered.arn]

    principals {
      type        = "Service"
      identifiers = ["events.amazonaws.com"]
    }

    condition {
      test     = "ArnEquals"
      variable = "aws:SourceArn"
      values   = [aws_cloudwatch_event_rule.payments.arn]
    }
  }
}

resource "aws_iam_role" "subscriber" {
  name               = var.name
  assume_role_policy = data.aws_iam_policy_document.assume.json
}

data "aws_iam_policy_document" "assume" {
  statement {
    sid     = "Lambda"
    actions = ["sts:AssumeRole"]

    principals {
      type        = "Service"
      identifiers = ["lambda.amazonaws.com"]
    }
  }
}

resource "aws_iam_role_policy" "subscriber" {
  name   = "subscriber"
  role   = aws_iam_role.subscriber.name
  policy = data.aws_iam_policy_document.subscriber.json
}

data "aws_iam_policy_document" "subscriber" {
  statement {
    sid       = "Keep"
    actions   = ["dynamodb:PutItem"]
    resources = [aws_dynamodb_table.payments.arn]
  }

  statement {
    sid       = "LargePayloads"
    actions   = ["s3:GetObject"]
    resources = ["${var.payload_bucket_arn}/*"]
  }

  statement {
    sid       = "GiveUp"
    actions   = ["sqs:SendMessage"]
    resources = [aws_sqs_queue.undelivered.arn]
  }

  # Streams lie below the group: their ARNs begin with the group's and a colon.
  statement {
    sid       = "Log"
    actions   = ["logs:CreateLogStream", "logs:PutLogEvents"]
    resources = ["${aws_cloudwatch_log_group.subscriber.arn}:*"]
  }

  dynamic "statement" {
    for_each = var.kms_key_arn == null ? [] : [var.kms_key_arn]

    content {
      sid       = "ReadEncrypted"
      actions   = ["kms:Decrypt"]
      resources = [statement.value]
    }
  }
}
