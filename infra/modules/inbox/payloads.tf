# The bucket for payloads that are too large for an item of the table. Empty it
# costs nothing.

resource "aws_s3_bucket" "payloads" {
  #checkov:skip=CKV_AWS_18:Who reads payloads is in CloudTrail's data events; access logs would hold the same keys again
  #checkov:skip=CKV_AWS_21:A payload is written once, and one that is forgotten must not live on as an old version
  #checkov:skip=CKV_AWS_144:Replication across regions is the team's choice; the ledger is not replicated either
  #checkov:skip=CKV2_AWS_62:Nobody waits for an object: the ledger says what is there
  bucket = "${var.name}-payloads-${local.account_id}-${local.region}"
}

resource "aws_s3_bucket_ownership_controls" "payloads" {
  bucket = aws_s3_bucket.payloads.id

  rule {
    object_ownership = "BucketOwnerEnforced"
  }
}

resource "aws_s3_bucket_public_access_block" "payloads" {
  bucket = aws_s3_bucket.payloads.id

  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true
}

resource "aws_s3_bucket_server_side_encryption_configuration" "payloads" {
  bucket = aws_s3_bucket.payloads.id

  rule {
    bucket_key_enabled = local.has_customer_key

    # What S3 sets for new buckets: nobody writes with a key that only the caller knows.
    # https://docs.aws.amazon.com/AmazonS3/latest/userguide/blocking-unblocking-s3-c-encryption-gpb.html
    blocked_encryption_types = ["SSE-C"]

    apply_server_side_encryption_by_default {
      sse_algorithm     = local.has_customer_key ? "aws:kms" : "AES256"
      kms_master_key_id = local.customer_key_arn
    }
  }
}

resource "aws_s3_bucket_lifecycle_configuration" "payloads" {
  bucket = aws_s3_bucket.payloads.id

  rule {
    id     = "with-the-ledger"
    status = "Enabled"

    filter {}

    # What no event can name any more: what was stored for a claim that never came,
    # and what outlived its event. Whatever keeps an event longer, for the default
    # retention at most, writes its object anew. Time to live may take two days to
    # delete an event.
    expiration {
      days = local.longest_retention_days + local.stack.defaults.payload_outlives_record_days
    }

    abort_incomplete_multipart_upload {
      days_after_initiation = 1
    }
  }

  # Where two rules say something of an object, the earlier day holds: a source's
  # payloads go with its own events. The rule above is for sources that are gone.
  dynamic "rule" {
    for_each = var.sources

    content {
      id     = "with-the-events-of-${rule.key}"
      status = "Enabled"

      filter {
        prefix = "${rule.key}/"
      }

      expiration {
        days = max(
          local.stack.defaults.retention_days,
          coalesce(rule.value.retention_days, local.stack.defaults.retention_days),
        ) + local.stack.defaults.payload_outlives_record_days
      }
    }
  }
}

resource "aws_s3_bucket_policy" "payloads" {
  bucket = aws_s3_bucket.payloads.id
  policy = data.aws_iam_policy_document.payloads.json

  # AWS refuses a policy while it is still deciding whether it is a public one.
  depends_on = [aws_s3_bucket_public_access_block.payloads]
}

data "aws_iam_policy_document" "payloads" {
  # A denial that left an action out would be a hole, so it names them all.
  statement {
    sid       = "TlsOnly"
    effect    = "Deny"
    actions   = ["s3:*"]
    resources = [aws_s3_bucket.payloads.arn, "${aws_s3_bucket.payloads.arn}/*"]

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

locals {
  retention_days = {
    for name, source in var.sources :
    name => coalesce(source.retention_days, local.stack.defaults.retention_days)
  }
  longest_retention_days  = max(local.stack.defaults.retention_days, values(local.retention_days)...)
  shortest_retention_days = min(local.stack.defaults.retention_days, values(local.retention_days)...)

  # An event lasts longer than all of its attempts and its dead letter: `least_retention`
  # of inbox-core, which the functions ask when they start.
  retry_delays_seconds = coalesce(var.processor.retry_delays_seconds, local.stack.defaults.retry_delays_seconds)
  least_retention_days = local.stack.defaults.record_outlives_due_days + ceil(
    sum(local.retry_delays_seconds) * (100 + local.stack.defaults.retry_jitter_percent) / 100 / 86400
  )
}
