# The address that providers call: an HTTP API with a route for each source and
# method. Whatever else is asked for gets 404 and reaches no function.

resource "aws_apigatewayv2_api" "this" {
  name          = var.name
  description   = "Receives webhooks"
  protocol_type = "HTTP"

  # One way in: the API's own address takes no TLS policy.
  disable_execute_api_endpoint = try(!var.custom_domain.keeps_default_endpoint, false)
}

locals {
  custom_domains  = var.custom_domain == null ? [] : [var.custom_domain]
  public_base_url = var.custom_domain == null ? aws_apigatewayv2_api.this.api_endpoint : "https://${var.custom_domain.name}"

  # Both during a move: a provider that signs its URL (Twilio) calls the old one until
  # it is told the new one.
  called_base_urls = concat(
    [local.public_base_url],
    try(var.custom_domain.keeps_default_endpoint, false) ? [aws_apigatewayv2_api.this.api_endpoint] : [],
  )

  source_urls = {
    for name, source in var.sources :
    name => "${trimsuffix(coalesce(source.public_base_url, local.public_base_url), "/")}/webhooks/${name}"
  }

  # "POST stripe", "GET twilio": the methods that each provider calls with.
  routes = merge([
    for name, source in var.sources : {
      for method in local.stack.providers[source.provider].methods :
      "${method} ${name}" => { source = name, key = "${method} /webhooks/${name}" }
    }
  ]...)
}

resource "aws_apigatewayv2_integration" "receiver" {
  for_each = var.sources

  api_id                 = aws_apigatewayv2_api.this.id
  integration_type       = "AWS_PROXY"
  integration_uri        = aws_lambda_alias.receiver[each.key].invoke_arn
  payload_format_version = "2.0"
}

resource "aws_apigatewayv2_route" "source" {
  for_each = local.routes

  #checkov:skip=CKV_AWS_309:Providers sign their requests and know no other authorization; the receiver verifies
  api_id             = aws_apigatewayv2_api.this.id
  route_key          = each.value.key
  target             = "integrations/${aws_apigatewayv2_integration.receiver[each.value.source].id}"
  authorization_type = "NONE"
}

resource "aws_lambda_permission" "api" {
  for_each = local.routes

  statement_id  = "api-${lower(split(" ", each.value.key)[0])}"
  action        = "lambda:InvokeFunction"
  function_name = aws_lambda_function.receiver[each.value.source].function_name
  qualifier     = aws_lambda_alias.receiver[each.value.source].name
  principal     = "apigateway.amazonaws.com"

  # This one route, in any stage, as API Gateway's console writes it: there is
  # but one stage, and its name holds a `$`.
  source_arn = "${aws_apigatewayv2_api.this.execution_arn}/*/${replace(each.value.key, " ", "")}"
}

resource "aws_apigatewayv2_stage" "this" {
  api_id      = aws_apigatewayv2_api.this.id
  name        = "$default"
  auto_deploy = true

  # Every route has a limit of its own below. This one is for a route that was just
  # made, and one route's: a sum of all could exceed what the account has. Metrics by
  # route stay off: each would be paid for, and the receivers' own say more.
  # https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-throttling.html
  default_route_settings {
    throttling_rate_limit  = max(0, [for source in var.sources : source.throttle.requests_per_second]...)
    throttling_burst_limit = max(0, [for source in var.sources : source.throttle.burst]...)
  }

  dynamic "route_settings" {
    for_each = local.routes

    content {
      # The route itself, not its name: API Gateway refuses settings for a route
      # that is not there yet.
      route_key              = aws_apigatewayv2_route.source[route_settings.key].route_key
      throttling_rate_limit  = var.sources[route_settings.value.source].throttle.requests_per_second
      throttling_burst_limit = var.sources[route_settings.value.source].throttle.burst
    }
  }

  # Neither path nor query: a query may carry a provider's token, and whoever
  # knocks decides what stands in a path.
  access_log_settings {
    destination_arn = aws_cloudwatch_log_group.api.arn
    format = jsonencode({
      request_id             = "$context.requestId"
      requested_at           = "$context.requestTime"
      source_ip              = "$context.identity.sourceIp"
      route                  = "$context.routeKey"
      status                 = "$context.status"
      response_bytes         = "$context.responseLength"
      latency_ms             = "$context.responseLatency"
      integration_latency_ms = "$context.integrationLatency"
      integration_status     = "$context.integration.status"
      error                  = "$context.error.message"
    })
  }
}

# CloudWatch Logs gives API Gateway access by a policy of limited length, from
# which names that begin so are exempt.
# https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/AWS-logs-and-resource-policy.html
resource "aws_cloudwatch_log_group" "api" {
  name              = "/aws/vendedlogs/apigateway/${var.name}"
  retention_in_days = var.log_retention_days
  kms_key_id        = local.customer_key_arn
}

resource "aws_apigatewayv2_domain_name" "this" {
  count = length(local.custom_domains)

  domain_name = local.custom_domains[0].name

  domain_name_configuration {
    certificate_arn = local.custom_domains[0].certificate_arn
    endpoint_type   = "REGIONAL"
    security_policy = "TLS_1_2"
  }
}

resource "aws_apigatewayv2_api_mapping" "this" {
  count = length(local.custom_domains)

  api_id      = aws_apigatewayv2_api.this.id
  domain_name = aws_apigatewayv2_domain_name.this[0].id
  stage       = aws_apigatewayv2_stage.this.id
}

resource "aws_route53_record" "this" {
  count = length([for domain in local.custom_domains : domain if domain.hosted_zone != null])

  zone_id = local.custom_domains[0].hosted_zone.id
  name    = local.custom_domains[0].name
  type    = "A"

  alias {
    name                   = aws_apigatewayv2_domain_name.this[0].domain_name_configuration[0].target_domain_name
    zone_id                = aws_apigatewayv2_domain_name.this[0].domain_name_configuration[0].hosted_zone_id
    evaluate_target_health = false
  }
}
