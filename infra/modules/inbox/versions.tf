# The tests hold this module to the schemas of 6.40 and of the newest release
# (tests/fixtures/aws_provider_*.json).
terraform {
  required_version = ">= 1.11"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 6.40, < 7.0"
    }
  }
}
