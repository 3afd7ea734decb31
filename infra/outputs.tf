# `make outputs` writes these to .local/deployed.json for `inbox --stack`, and
# prints `next_steps`.

output "next_steps" {
  description = "What to tell each provider, and how to give the inbox its secret."
  value       = <<-EOT

    ${var.environment} is deployed. Point the operator's command (`make inbox` builds
    target/debug/inbox) at it:

      export INBOX_STACK=$PWD/.local/deployed.json PATH=$PWD/target/debug:$PATH

    For each source, give the provider the address, and the inbox the signing
    secret that the provider shows for it. Until then the source answers 503.

    ${module.inbox.provider_setup}
    %{if module.inbox.forward_setup != ""}
    A route that forwards signs with a secret of its own, and is tried again until
    it has one:

    ${module.inbox.forward_setup}
    %{endif}
    Then `inbox doctor` checks all of it. The dashboard:

      ${module.inbox.dashboard_url}
  EOT
}

output "table" {
  description = "The ledger."
  value       = module.inbox.table
}

output "mirror_table" {
  description = "What the handler `mirror` keeps."
  value       = module.inbox.mirror_table
}

output "queue_url" {
  description = "The queue of events."
  value       = module.inbox.queue_url
}

output "lane_url" {
  description = "The lane, the queue of slow routes."
  value       = module.inbox.lane_url
}

output "dlq_url" {
  description = "The dead-letter queue."
  value       = module.inbox.dlq_url
}

output "region" {
  description = "Where everything is."
  value       = module.inbox.region
}

output "sources" {
  description = "The endpoints by name: provider, secret and the address to give to the provider."
  value       = module.inbox.sources
}

output "functions" {
  description = "Names of the functions, by what they are."
  value       = module.inbox.functions
}

output "public_base_url" {
  description = "The address of the API, without path."
  value       = module.inbox.public_base_url
}

output "custom_domain_target" {
  description = "What the custom domain's record must point to; null without one."
  value       = module.inbox.custom_domain_target
}

output "alarm_topic_arn" {
  description = "The topic that alarms go to."
  value       = module.inbox.alarm_topic_arn
}

output "dashboard_url" {
  description = "The dashboard in the console."
  value       = module.inbox.dashboard_url
}

output "operator_policy_arns" {
  description = "Policies for people who use the inbox command."
  value       = module.inbox.operator_policy_arns
}

output "event_bus_name" {
  description = "The bus for the handler `publish`; null without one."
  value       = module.inbox.event_bus_name
}

output "event_bus_arn" {
  description = "The same bus, for policies."
  value       = module.inbox.event_bus_arn
}

output "payload_bucket" {
  description = "The bucket for payloads that are too large for the table."
  value       = module.inbox.payload_bucket
}

output "payload_bucket_arn" {
  description = "The same bucket, for subscribers' policies."
  value       = module.inbox.payload_bucket_arn
}

output "forward_secrets" {
  description = "Secrets made for routes with handler `forward`, by the route's id."
  value       = module.inbox.forward_secrets
}

output "processor_role_arn" {
  description = "The role that publishes, invokes and sends."
  value       = module.inbox.processor_role_arn
}

output "kms_key_arn" {
  description = "The customer key; null where AWS's own keys are used."
  value       = module.inbox.kms_key_arn
}

output "kms_key_policy" {
  description = "What the policy of a key of your own must hold."
  value       = module.inbox.kms_key_policy
}
