# Below 6.25 the arguments used here are not all there; `hash_key` and `range_key`
# of an index go away with 7.
terraform {
  required_version = ">= 1.11"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 6.25, < 7.0"
    }
  }
}
