# The thin caller that `make deploy` uses. A team with its own Terraform calls
# modules/inbox instead and leaves this folder alone.

provider "aws" {
  region              = var.region
  allowed_account_ids = var.account_id == null ? null : [var.account_id]

  default_tags {
    tags = merge({ Application = "webhook-inbox", Environment = var.environment }, var.tags)
  }
}

module "inbox" {
  source = "./modules/inbox"

  name         = "webhook-inbox-${var.environment}"
  architecture = var.architecture
  packages = {
    for function in ["receiver", "processor", "sweeper"] :
    function => "${var.packages_directory}/${function}.zip"
  }

  sources              = var.sources
  account_concurrency  = var.account_concurrency
  processor            = var.processor
  custom_domain        = var.custom_domain
  customer_key         = var.customer_key
  alarms               = var.alarms
  deletion_protection  = var.deletion_protection
  secret_recovery_days = var.secret_recovery_days
  log_retention_days   = var.log_retention_days
  log_level            = var.log_level
  tracing              = var.tracing
  event_bus            = var.event_bus
}
