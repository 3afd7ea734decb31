# What code and infrastructure must agree on stands in infra/stack.json, once.

data "aws_caller_identity" "this" {}

data "aws_partition" "this" {}

data "aws_region" "this" {}

locals {
  stack = jsondecode(file("${path.module}/../../stack.json"))

  account_id = data.aws_caller_identity.this.account_id
  partition  = data.aws_partition.this.partition
  region     = data.aws_region.this.region

  # What callers call each function by.
  alias = local.stack.function_alias

  # A namespace for each inbox: its alarms must not count another's events.
  metrics_namespace = "WebhookInbox/${var.name}"

  # What every function reads. Logs and metrics are JSON lines on standard output.
  common_environment = {
    TABLE_NAME        = aws_dynamodb_table.ledger.name
    QUEUE_URL         = aws_sqs_queue.events.url
    METRICS_NAMESPACE = local.metrics_namespace
    RUST_LOG          = var.log_level
  }
}

locals {
  # Receiver and processor read it: one to keep events long enough for it.
  retry_environment = var.processor.retry_delays_seconds == null ? {} : {
    RETRY_DELAYS_SECONDS = join(",", var.processor.retry_delays_seconds)
  }
}

data "aws_iam_policy_document" "lambda_assume" {
  statement {
    sid     = "Lambda"
    actions = ["sts:AssumeRole"]

    principals {
      type        = "Service"
      identifiers = ["lambda.amazonaws.com"]
    }
  }
}
