# The bus for the handler `publish`, for subscribers of any team. The processor may put
# events on it as soon as a route does (targets.tf). Without rules it costs nothing.

resource "aws_cloudwatch_event_bus" "this" {
  count = var.event_bus ? 1 : 0

  name               = var.name
  description        = "Events of ${var.name} for any number of subscribers"
  kms_key_identifier = local.customer_key_arn
}

locals {
  event_bus_arn = "arn:${local.partition}:events:${local.region}:${local.account_id}:event-bus/${var.name}"
}
