# The tests hold this module to the schemas of 6.40 and of the newest release
# (tests/fixtures/aws_provider_*.json). Earlier ones than 6.40 undo S3's own block of
# SSE-C at every apply, as `blocked_encryption_types` is computed from there on only, and
# 6.25 to 6.29 replace or cannot plan the table's indexes.
# https://github.com/hashicorp/terraform-provider-aws/issues/44692
terraform {
  required_version = ">= 1.11"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 6.40, < 7.0"
    }
  }
}
