# What routes reach besides the inbox itself: buses, functions, queues, topics and the
# secrets of endpoints. `processor.routes` alone decides; nothing is allowed twice.
#
#   publish ─▶ events:PutEvents               invoke ─▶ lambda:InvokeFunction
#   enqueue ─▶ sqs:SendMessage, sns:Publish   forward ─▶ secretsmanager:GetSecretValue
#
# A target may be made in the same apply, and then nobody knows its name before. So
# what is made here, and how much of it, rests on handlers' names and on which options a
# route has, never on an option's value: `try`, `can` and comparisons would wait for it.

locals {
  given_routes = [for route in flatten([var.processor.routes]) : merge({ with = {} }, route) if route != null]

  # Names of the secrets that are made here, by route.
  forward_secret_names = {
    for route in local.given_routes : route.id => "${var.name}/forward/${route.id}"
    if route.handler == "forward" && !contains(keys(route.with), "secret_id")
  }

  # As the processor is to read them.
  processor_routes = [
    for route in local.given_routes : merge(route, {
      for id, name in local.forward_secret_names : "with" => merge(route.with, { secret_id = name }) if id == route.id
    })
  ]

  own_bus_arns = [
    for route in local.given_routes : local.event_bus_arn
    if route.handler == "publish" && !contains(keys(route.with), "bus")
  ]
  other_bus_arns = [
    for route in local.given_routes :
    startswith(route.with.bus, "arn:") ? route.with.bus : "arn:${local.partition}:events:${local.region}:${local.account_id}:event-bus/${route.with.bus}"
    if route.handler == "publish" && contains(keys(route.with), "bus")
  ]
  # With a qualifier it is that version or alias alone.
  # https://docs.aws.amazon.com/lambda/latest/dg/lambda-api-permissions-ref.html
  invoked_arns = [
    for route in local.given_routes :
    startswith(route.with.function, "arn:") ? route.with.function : "arn:${local.partition}:lambda:${local.region}:${local.account_id}:function:${route.with.function}"
    if route.handler == "invoke" && contains(keys(route.with), "function")
  ]
  target_queue_arns = [
    for route in local.given_routes :
    "arn:${local.partition}:sqs:${join(":", regex("^https://sqs\\.([a-z0-9-]+)\\.[a-z.]+/([0-9]{12})/([^/]+)$", route.with.queue_url))}"
    if route.handler == "enqueue" && contains(keys(route.with), "queue_url")
  ]
  target_topic_arns = [
    for route in local.given_routes : route.with.topic_arn
    if route.handler == "enqueue" && contains(keys(route.with), "topic_arn")
  ]
  # An ARN ends with six characters that Secrets Manager adds to the name.
  # https://docs.aws.amazon.com/secretsmanager/latest/userguide/auth-and-access_examples.html
  given_forward_secret_arns = [
    for route in local.given_routes :
    startswith(route.with.secret_id, "arn:") ? route.with.secret_id : "arn:${local.partition}:secretsmanager:${local.region}:${local.account_id}:secret:${route.with.secret_id}-??????"
    if route.handler == "forward" && contains(keys(route.with), "secret_id")
  ]
  forward_secret_arns = concat([for secret in aws_secretsmanager_secret.forward : secret.arn], local.given_forward_secret_arns)

  target_statements = {
    for sid, statement in {
      Publish        = { action = "events:PutEvents", resources = concat(local.own_bus_arns, local.other_bus_arns) }
      Invoke         = { action = "lambda:InvokeFunction", resources = local.invoked_arns }
      Enqueue        = { action = "sqs:SendMessage", resources = local.target_queue_arns }
      EnqueueByTopic = { action = "sns:Publish", resources = local.target_topic_arns }
      SignForwarded  = { action = "secretsmanager:GetSecretValue", resources = local.forward_secret_arns }
    } : sid => statement if length(statement.resources) > 0
  }
  target_policies = [for document in data.aws_iam_policy_document.targets : document.json]

  # Through which services a customer's key is needed besides. EventBridge uses the bus's
  # key itself, so that who publishes needs nothing of it.
  # https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-encryption-key-policy.html
  target_key_reads  = concat(length(local.forward_secret_arns) > 0 ? [local.via.secretsmanager] : [], local.target_key_writes)
  target_key_writes = length(local.target_topic_arns) > 0 ? [local.via.sns] : []
}

data "aws_iam_policy_document" "targets" {
  count = length(local.target_statements) > 0 ? 1 : 0

  dynamic "statement" {
    for_each = local.target_statements

    content {
      sid       = statement.key
      actions   = [statement.value.action]
      resources = distinct(statement.value.resources)
    }
  }
}

# A container for the signing secret of each endpoint that a route forwards to, unless
# the route names one. As with sources, the value never enters Terraform's state.
resource "aws_secretsmanager_secret" "forward" {
  for_each = local.forward_secret_names

  #checkov:skip=CKV2_AWS_57:The endpoint must learn a new secret first, so no function of ours can rotate it; two secrets in one value overlap
  name                    = each.value
  description             = "Signing secrets of what route ${each.key} forwards, written outside of Terraform"
  kms_key_id              = local.customer_key_arn
  recovery_window_in_days = var.secret_recovery_days
}
