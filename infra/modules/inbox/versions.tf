# 6.25 is the release whose schema the tests hold this module to. Later ones call
# `hash_key` and `range_key` of an index deprecated, for a block that 6.25 does not
# know; they go on working until 7.
terraform {
  required_version = ">= 1.11"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 6.25, < 7.0"
    }
  }
}
