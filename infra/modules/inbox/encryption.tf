# Encryption by a key of the team's own, on request. Without one, AWS encrypts
# everything at rest with keys of its own, which need no policy and which nobody
# can delete by mistake.

locals {
  has_customer_key = var.customer_key.create || var.customer_key.arn != null
  customer_key_arn = var.customer_key.create ? aws_kms_key.this[0].arn : var.customer_key.arn

  # For statements that only such a key needs: none or one.
  customer_keys = local.has_customer_key ? [local.customer_key_arn] : []

  # Through which service a function may use the key.
  via = {
    for service in ["dynamodb", "lambda", "s3", "scheduler", "secretsmanager", "sns", "sqs"] :
    service => "${service}.${local.region}.${data.aws_partition.this.dns_suffix}"
  }
}

resource "aws_kms_key" "this" {
  count = var.customer_key.create ? 1 : 0

  description             = "Tables, queues, secrets, logs and payloads of ${var.name}"
  enable_key_rotation     = true
  deletion_window_in_days = 30
  policy                  = data.aws_iam_policy_document.key.json
}

resource "aws_kms_alias" "this" {
  count = var.customer_key.create ? 1 : 0

  name          = "alias/${var.name}"
  target_key_id = aws_kms_key.this[0].key_id
}

# In a key's policy, the resource "*" is this key alone.
# https://docs.aws.amazon.com/kms/latest/developerguide/key-policy-overview.html
data "aws_iam_policy_document" "key" {
  #checkov:skip=CKV_AWS_109:The resource of a key's policy is the key itself
  #checkov:skip=CKV_AWS_111:The resource of a key's policy is the key itself
  #checkov:skip=CKV_AWS_356:The resource of a key's policy is the key itself

  # Hands the key to the account's IAM policies, as AWS's default policy does.
  # Without every action the key could become one that nobody can manage.
  statement {
    sid       = "AccountDecides"
    actions   = ["kms:*"]
    resources = ["*"]

    principals {
      type        = "AWS"
      identifiers = ["arn:${local.partition}:iam::${local.account_id}:root"]
    }
  }

  source_policy_documents = [data.aws_iam_policy_document.key_for_services.json]
}

# What services do without a role of ours. A team's own key needs these too: they
# are the output `kms_key_policy`. ARNs are spelt out, since the resources
# themselves need the key first.
data "aws_iam_policy_document" "key_for_services" {
  #checkov:skip=CKV_AWS_356:The resource of a key's policy is the key itself

  # https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/encrypt-log-data-kms.html
  statement {
    sid = "Logs"
    actions = [
      "kms:Encrypt",
      "kms:Decrypt",
      "kms:ReEncryptFrom",
      "kms:ReEncryptTo",
      "kms:GenerateDataKey",
      "kms:GenerateDataKeyWithoutPlaintext",
    ]
    resources = ["*"]

    principals {
      type        = "Service"
      identifiers = ["logs.${local.region}.amazonaws.com"]
    }

    condition {
      test     = "ArnLike"
      variable = "kms:EncryptionContext:aws:logs:arn"
      values = [
        "arn:${local.partition}:logs:${local.region}:${local.account_id}:log-group:/aws/lambda/${var.name}-*",
        "arn:${local.partition}:logs:${local.region}:${local.account_id}:log-group:/aws/vendedlogs/apigateway/${var.name}",
      ]
    }
  }

  # https://docs.aws.amazon.com/sns/latest/dg/sns-key-management.html
  statement {
    sid       = "AlarmsToTopic"
    actions   = ["kms:GenerateDataKey", "kms:Decrypt"]
    resources = ["*"]

    principals {
      type        = "Service"
      identifiers = ["cloudwatch.amazonaws.com"]
    }

    condition {
      test     = "StringEquals"
      variable = "aws:SourceAccount"
      values   = [local.account_id]
    }
  }

  # https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-encryption-event-bus-cmkey.html
  dynamic "statement" {
    for_each = var.event_bus ? [local.event_bus_arn] : []

    content {
      sid       = "EventBus"
      actions   = ["kms:GenerateDataKey", "kms:Decrypt"]
      resources = ["*"]

      principals {
        type        = "Service"
        identifiers = ["events.amazonaws.com"]
      }

      condition {
        test     = "StringEquals"
        variable = "kms:EncryptionContext:aws:events:event-bus:arn"
        values   = [statement.value]
      }
    }
  }

  # A description encrypts nothing and so carries no encryption context: a condition on one
  # would never hold, and EventBridge describes the key before it makes the bus. AWS's own
  # example for it has no condition here.
  statement {
    sid       = "Describe"
    actions   = ["kms:DescribeKey"]
    resources = ["*"]

    principals {
      type        = "Service"
      identifiers = concat(["logs.${local.region}.amazonaws.com"], var.event_bus ? ["events.amazonaws.com"] : [])
    }
  }
}
