terraform {
  # 1.11 made `use_lockfile` fit for use: the state is locked by S3 itself.
  required_version = ">= 1.11"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 6.40, < 7.0"
    }
  }

  # Bucket and region come from backend.hcl, the key from ENV: see backend.hcl.example.
  backend "s3" {
    encrypt      = true
    use_lockfile = true
  }
}
