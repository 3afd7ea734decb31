# Names and addresses. From `table` to `functions` they have the form that
# `inbox --stack` reads (functions/operator/src/deployment.rs); no secret is
# among them.

locals {
  function_names = merge(
    {
      processor = aws_lambda_function.processor.function_name
      sweeper   = aws_lambda_function.sweeper.function_name
    },
    { for name, receiver in aws_lambda_function.receiver : "receiver-${name}" => receiver.function_name },
  )
}

output "table" {
  description = "The ledger."
  value       = aws_dynamodb_table.ledger.name
}

output "mirror_table" {
  description = "What the handler `mirror` keeps."
  value       = aws_dynamodb_table.mirror.name
}

output "queue_url" {
  description = "The queue of events."
  value       = aws_sqs_queue.events.url
}

output "lane_url" {
  description = "The lane, the queue of slow routes."
  value       = aws_sqs_queue.lane.url
}

output "dlq_url" {
  description = "The dead-letter queue."
  value       = aws_sqs_queue.dead_letters.url
}

output "region" {
  description = "Where everything is."
  value       = local.region
}

output "sources" {
  description = "The endpoints by name: provider, secret, the address to give to the provider, and how long and by what a repeat is known."
  value = {
    for name, source in var.sources : name => {
      provider       = source.provider
      secret_id      = aws_secretsmanager_secret.source[name].arn
      url            = local.source_urls[name]
      dedup          = source.dedup
      retention_days = coalesce(source.retention_days, local.stack.defaults.retention_days)
    }
  }
}

output "provider_setup" {
  description = "For each source, the address to give to the provider and the command that takes its signing secret."
  value       = join("\n", [for name, url in local.source_urls : "  ${name}\n    ${url}\n    inbox secret add ${name}"])
}

output "functions" {
  description = "Names of the functions, by what they are: processor, sweeper, receiver-SOURCE."
  value       = local.function_names
}

output "public_base_url" {
  description = "The address of the API, without path."
  value       = local.public_base_url
}

output "custom_domain_target" {
  description = "What a CNAME or alias record of the custom domain must point to; null without one."
  value       = one(aws_apigatewayv2_domain_name.this[*].domain_name_configuration[0].target_domain_name)
}

output "alarm_topic_arn" {
  description = "The topic that alarms go to."
  value       = local.alarm_topic_arn
}

output "dashboard_url" {
  description = "The dashboard in the console."
  value       = "https://${local.region}.console.aws.amazon.com/cloudwatch/home?region=${local.region}#dashboards/dashboard/${aws_cloudwatch_dashboard.this.dashboard_name}"
}

output "operator_policy_arns" {
  description = "Policies for people who use the inbox command: events and queues; secrets and receivers' logs; what routes lead to."
  value = {
    operator        = aws_iam_policy.operator.arn
    source_operator = aws_iam_policy.source_operator.arn
    route_operator  = aws_iam_policy.route_operator.arn
  }
}

output "event_bus_name" {
  description = "The bus for the handler `publish`, for subscribers' rules; null without one."
  value       = one(aws_cloudwatch_event_bus.this[*].name)
}

output "event_bus_arn" {
  description = "The same bus, for policies; null without one."
  value       = one(aws_cloudwatch_event_bus.this[*].arn)
}

output "payload_bucket" {
  description = "The bucket for payloads that are too large for the table, or for what handlers send to."
  value       = aws_s3_bucket.payloads.bucket
}

output "payload_bucket_arn" {
  description = "The same bucket, for subscribers who may read what `dataref` names (s3:GetObject on its objects)."
  value       = aws_s3_bucket.payloads.arn
}

output "forward_secrets" {
  description = "Name and ARN of the secret that was made for each route with handler `forward`, by the route's id."
  value = {
    for id, secret in aws_secretsmanager_secret.forward : id => { name = secret.name, arn = secret.arn }
  }
}

output "forward_setup" {
  description = "For each of these secrets, the command that gives it its value."
  value = join("\n", [
    for id in sort(keys(local.forward_secret_names)) : "  inbox secret add route/${id} --generate    # or paste one that the endpoint's owner gave you"
  ])
}

output "processor_role_arn" {
  description = "Who publishes, invokes and sends: for policies of targets in other accounts, and of keys that encrypt them."
  value       = aws_iam_role.processor.arn
}

output "kms_key_arn" {
  description = "The customer key; null where AWS's own keys are used."
  value       = local.customer_key_arn
}

output "kms_key_policy" {
  description = "Statements that the policy of a key given as customer_key.arn must hold, besides those that let the account's IAM policies decide."
  value       = data.aws_iam_policy_document.key_for_services.json
}
