# The bus for the handler `publish`, for subscribers of any team. The processor may put
# events on it as soon as a route does (targets.tf). Without rules it costs nothing.

resource "aws_cloudwatch_event_bus" "this" {
  count = var.event_bus ? 1 : 0

  name               = var.name
  description        = "Events of ${var.name} for any number of subscribers"
  kms_key_identifier = local.customer_key_arn

  # What EventBridge took and then cannot encrypt or decrypt, as the key was disabled or
  # its policy changed: the inbox calls such an event done once it was taken.
  # https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-encryption-event-bus-cmkey.html
  dynamic "dead_letter_config" {
    for_each = local.customer_keys

    content {
      arn = aws_sqs_queue.undeliverable[0].arn
    }
  }

  depends_on = [aws_sqs_queue_policy.undeliverable]
}

# Not under the customer's key, which is what has failed by then.
resource "aws_sqs_queue" "undeliverable" {
  count = var.event_bus ? 1 : 0

  name                      = "${var.name}-bus-dlq"
  message_retention_seconds = local.stack.dead_letter_queue.retention_seconds
  sqs_managed_sse_enabled   = true
}

resource "aws_sqs_queue_policy" "undeliverable" {
  count = var.event_bus ? 1 : 0

  queue_url = aws_sqs_queue.undeliverable[0].id
  policy    = data.aws_iam_policy_document.undeliverable[0].json
}

data "aws_iam_policy_document" "undeliverable" {
  count = var.event_bus ? 1 : 0

  # The bus's ARN is spelt out: the bus needs this policy first.
  statement {
    sid       = "Bus"
    actions   = ["sqs:SendMessage"]
    resources = [aws_sqs_queue.undeliverable[0].arn]

    principals {
      type        = "Service"
      identifiers = ["events.amazonaws.com"]
    }

    condition {
      test     = "ArnEquals"
      variable = "aws:SourceArn"
      values   = [local.event_bus_arn]
    }
  }

  statement {
    sid       = "TlsOnly"
    effect    = "Deny"
    actions   = ["sqs:*"]
    resources = [aws_sqs_queue.undeliverable[0].arn]

    principals {
      type        = "*"
      identifiers = ["*"]
    }

    condition {
      test     = "Bool"
      variable = "aws:SecureTransport"
      values   = ["false"]
    }
  }
}

resource "aws_cloudwatch_metric_alarm" "undeliverable" {
  count = var.event_bus ? 1 : 0

  alarm_name        = "${var.name}: the bus lost hold of events"
  alarm_description = "EventBridge could not encrypt or decrypt events that it had taken: the customer key was disabled, or its policy changed. They lie in the queue ${aws_sqs_queue.undeliverable[0].name}. Mend the key, then `inbox replay` those events' route."
  alarm_actions     = [local.alarm_topic_arn]
  ok_actions        = [local.alarm_topic_arn]

  namespace           = "AWS/SQS"
  metric_name         = "ApproximateNumberOfMessagesVisible"
  dimensions          = { QueueName = aws_sqs_queue.undeliverable[0].name }
  statistic           = "Maximum"
  period              = 300
  evaluation_periods  = 1
  comparison_operator = "GreaterThanThreshold"
  threshold           = 0
  treat_missing_data  = "notBreaching"
}

locals {
  event_bus_arn = "arn:${local.partition}:events:${local.region}:${local.account_id}:event-bus/${var.name}"
}
