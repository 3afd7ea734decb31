# The queue that wakes the processor, and the dead-letter queue behind it.
# None holds a payload: messages are pointers into the table.

resource "aws_sqs_queue" "events" {
  name                       = "${var.name}-events"
  visibility_timeout_seconds = local.stack.queue.visibility_timeout_seconds
  message_retention_seconds  = local.stack.queue.retention_seconds

  # Only a backstop: the ledger's attempts decide, and the processor buries.
  redrive_policy = jsonencode({
    deadLetterTargetArn = aws_sqs_queue.dead_letters.arn
    maxReceiveCount     = local.stack.queue.max_receive_count
  })

  # One of the two, never both: AWS refuses a queue that is given both.
  sqs_managed_sse_enabled           = local.has_customer_key ? null : true
  kms_master_key_id                 = local.customer_key_arn
  kms_data_key_reuse_period_seconds = local.has_customer_key ? 300 : null
}

# The lane: the queue of slow routes. A slow endpoint fills the places of this
# queue's mapping, and not those of the other.
resource "aws_sqs_queue" "lane" {
  name                       = "${var.name}-events-lane"
  visibility_timeout_seconds = local.stack.queue.visibility_timeout_seconds
  message_retention_seconds  = local.stack.queue.retention_seconds

  redrive_policy = jsonencode({
    deadLetterTargetArn = aws_sqs_queue.dead_letters.arn
    maxReceiveCount     = local.stack.queue.max_receive_count
  })

  sqs_managed_sse_enabled           = local.has_customer_key ? null : true
  kms_master_key_id                 = local.customer_key_arn
  kms_data_key_reuse_period_seconds = local.has_customer_key ? 300 : null
}

resource "aws_sqs_queue" "dead_letters" {
  name                      = "${var.name}-events-dlq"
  message_retention_seconds = local.stack.dead_letter_queue.retention_seconds

  sqs_managed_sse_enabled           = local.has_customer_key ? null : true
  kms_master_key_id                 = local.customer_key_arn
  kms_data_key_reuse_period_seconds = local.has_customer_key ? 300 : null
}

# Of its own, since the queues would otherwise each need the other first.
resource "aws_sqs_queue_redrive_allow_policy" "dead_letters" {
  queue_url = aws_sqs_queue.dead_letters.id

  redrive_allow_policy = jsonencode({
    redrivePermission = "byQueue"
    sourceQueueArns   = [aws_sqs_queue.events.arn, aws_sqs_queue.lane.arn]
  })
}

resource "aws_sqs_queue_policy" "events" {
  queue_url = aws_sqs_queue.events.id
  policy    = data.aws_iam_policy_document.tls_only_queue["events"].json
}

resource "aws_sqs_queue_policy" "lane" {
  queue_url = aws_sqs_queue.lane.id
  policy    = data.aws_iam_policy_document.tls_only_queue["lane"].json
}

resource "aws_sqs_queue_policy" "dead_letters" {
  queue_url = aws_sqs_queue.dead_letters.id
  policy    = data.aws_iam_policy_document.tls_only_queue["dead_letters"].json
}

data "aws_iam_policy_document" "tls_only_queue" {
  for_each = {
    events       = aws_sqs_queue.events.arn
    lane         = aws_sqs_queue.lane.arn
    dead_letters = aws_sqs_queue.dead_letters.arn
  }

  # A denial that left an action out would be a hole, so it names them all.
  statement {
    sid       = "TlsOnly"
    effect    = "Deny"
    actions   = ["sqs:*"]
    resources = [each.value]

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
