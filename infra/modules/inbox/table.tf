# The ledger, which is the truth, and the table of the handler `mirror`.

resource "aws_dynamodb_table" "ledger" {
  #checkov:skip=CKV_AWS_119:A key of the team's own is its choice; without one DynamoDB's own key encrypts
  name         = var.name
  billing_mode = "PAY_PER_REQUEST"
  hash_key     = local.stack.table.partition_key

  deletion_protection_enabled = var.deletion_protection

  attribute {
    name = local.stack.table.partition_key
    type = "S"
  }

  dynamic "attribute" {
    for_each = local.ledger_indexes

    content {
      name = attribute.value.partition_key
      type = "S"
    }
  }

  dynamic "attribute" {
    for_each = local.ledger_indexes

    content {
      name = attribute.value.sort_key
      type = attribute.value.sort_key_type
    }
  }

  dynamic "global_secondary_index" {
    for_each = local.ledger_indexes

    content {
      name               = global_secondary_index.value.name
      projection_type    = "INCLUDE"
      non_key_attributes = global_secondary_index.value.projected

      key_schema {
        attribute_name = global_secondary_index.value.partition_key
        key_type       = "HASH"
      }

      key_schema {
        attribute_name = global_secondary_index.value.sort_key
        key_type       = "RANGE"
      }
    }
  }

  ttl {
    attribute_name = local.stack.table.ttl_attribute
    enabled        = true
  }

  point_in_time_recovery {
    enabled = true
  }

  # Without a customer key this is off, and DynamoDB encrypts by a key that it owns,
  # which costs nothing; `true` alone would be AWS's managed key, whose use is charged.
  # https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/encryption.howitworks.html
  server_side_encryption {
    enabled     = local.has_customer_key
    kms_key_arn = local.customer_key_arn
  }
}

resource "aws_dynamodb_table" "mirror" {
  #checkov:skip=CKV_AWS_119:A key of the team's own is its choice; without one DynamoDB's own key encrypts
  name         = "${var.name}-mirror"
  billing_mode = "PAY_PER_REQUEST"
  hash_key     = local.stack.mirror_table.partition_key

  deletion_protection_enabled = var.deletion_protection

  attribute {
    name = local.stack.mirror_table.partition_key
    type = "S"
  }

  point_in_time_recovery {
    enabled = true
  }

  server_side_encryption {
    enabled     = local.has_customer_key
    kms_key_arn = local.customer_key_arn
  }
}

locals {
  ledger_indexes = {
    for index in [local.stack.table.timeline_index, local.stack.table.open_index] :
    index.name => index
  }
  open_index_arn     = "${aws_dynamodb_table.ledger.arn}/index/${local.stack.table.open_index.name}"
  timeline_index_arn = "${aws_dynamodb_table.ledger.arn}/index/${local.stack.table.timeline_index.name}"
}
