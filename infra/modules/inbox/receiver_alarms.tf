# What wakes somebody, for each source.

resource "aws_cloudwatch_metric_alarm" "receiver_errors" {
  for_each = var.sources

  alarm_name        = "${var.name}: receiver ${each.key} fails"
  alarm_description = "Invocations ended in an error, and the provider saw 5xx. Look: `inbox logs receiver-${each.key}`."
  alarm_actions     = [local.alarm_topic_arn]
  ok_actions        = [local.alarm_topic_arn]

  namespace           = "AWS/Lambda"
  metric_name         = "Errors"
  dimensions          = { FunctionName = aws_lambda_function.receiver[each.key].function_name }
  statistic           = "Sum"
  period              = 60
  evaluation_periods  = 1
  comparison_operator = "GreaterThanThreshold"
  threshold           = 0
  treat_missing_data  = "notBreaching"
}

resource "aws_cloudwatch_metric_alarm" "receiver_throttles" {
  for_each = var.sources

  alarm_name        = "${var.name}: receiver ${each.key} is throttled"
  alarm_description = "Lambda had no room, and the provider saw 5xx. Raise the source's reserved_concurrency or the account's limit, or lower its throttle."
  alarm_actions     = [local.alarm_topic_arn]
  ok_actions        = [local.alarm_topic_arn]

  namespace           = "AWS/Lambda"
  metric_name         = "Throttles"
  dimensions          = { FunctionName = aws_lambda_function.receiver[each.key].function_name }
  statistic           = "Sum"
  period              = 60
  evaluation_periods  = 1
  comparison_operator = "GreaterThanThreshold"
  threshold           = 0
  treat_missing_data  = "notBreaching"
}

# By receiver and processor alike: somewhere AWS did not answer in time, or a large
# payload was not to be had.
resource "aws_cloudwatch_metric_alarm" "unavailable" {
  for_each = var.sources

  alarm_name        = "${var.name}: ${each.key} is unavailable"
  alarm_description = "Table, queue, payload bucket or secret did not answer in time, so requests got 503, messages stayed or attempts failed. A new source without a secret shows so too: `inbox secret add ${each.key}`. Look: `inbox doctor`."
  alarm_actions     = [local.alarm_topic_arn]
  ok_actions        = [local.alarm_topic_arn]

  namespace           = local.metrics_namespace
  metric_name         = "Unavailable"
  dimensions          = { Source = each.key }
  statistic           = "Sum"
  period              = 300
  evaluation_periods  = 1
  comparison_operator = "GreaterThanThreshold"
  threshold           = 0
  treat_missing_data  = "notBreaching"
}

# Over all reasons: the receiver counts each refusal twice, with and without its reason,
# so that this needs no query. One over `Source` would fail: it is a reserved word.
# https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/cloudwatch-metrics-insights-reserved-keywords.html
resource "aws_cloudwatch_metric_alarm" "rejected" {
  for_each = var.sources

  alarm_name        = "${var.name}: ${each.key} refuses much"
  alarm_description = "Requests do not verify: the secret was changed at the provider, something alters bodies on the way, or somebody knocks. Look: the dashboard says for which reason; `inbox verify` says why one request fails."
  alarm_actions     = [local.alarm_topic_arn]
  ok_actions        = [local.alarm_topic_arn]

  namespace           = local.metrics_namespace
  metric_name         = "Rejected"
  dimensions          = { Source = each.key }
  statistic           = "Sum"
  period              = 300
  evaluation_periods  = 1
  comparison_operator = "GreaterThanThreshold"
  threshold           = each.value.rejected_alarm_threshold
  treat_missing_data  = "notBreaching"
}

resource "aws_cloudwatch_metric_alarm" "unknown" {
  for_each = var.sources

  alarm_name        = "${var.name}: ${each.key} sends what nobody knows"
  alarm_description = "Well-signed events that could not be read are stored as type `unknown`. Look: `inbox events --source ${each.key} --type unknown`."
  alarm_actions     = [local.alarm_topic_arn]
  ok_actions        = [local.alarm_topic_arn]

  namespace           = local.metrics_namespace
  metric_name         = "Unknown"
  dimensions          = { Source = each.key }
  statistic           = "Sum"
  period              = 300
  evaluation_periods  = 1
  comparison_operator = "GreaterThanThreshold"
  threshold           = 0
  treat_missing_data  = "notBreaching"
}

# By the processor, of events that a route took within the last 30 days and none takes
# now: it was removed, renamed away or misspelt, and they end done with nothing done.
resource "aws_cloudwatch_metric_alarm" "route_lost" {
  for_each = var.sources

  alarm_name        = "${var.name}: events of ${each.key} have lost their route"
  alarm_description = "Events that a route took until a change of processor.routes are taken by none, so nothing is done with them. Look: `inbox routes test ${each.key}:TYPE`; put the route right, then `inbox replay --source ${each.key} --since …`. If it was meant, unsubscribe the type at the provider; it rings no more 30 days after the change."
  alarm_actions     = [local.alarm_topic_arn]
  ok_actions        = [local.alarm_topic_arn]

  namespace           = local.metrics_namespace
  metric_name         = "RouteLost"
  dimensions          = { Source = each.key }
  statistic           = "Sum"
  period              = 300
  evaluation_periods  = 1
  comparison_operator = "GreaterThanThreshold"
  threshold           = 0
  treat_missing_data  = "notBreaching"
}

# The one that should never ring: a message without its event means that an item
# of the ledger is gone.
resource "aws_cloudwatch_metric_alarm" "missing" {
  for_each = var.sources

  alarm_name        = "${var.name}: events of ${each.key} are missing"
  alarm_description = "A message names an event that the table does not hold: it was deleted by hand, or expired in the queue. Look: `inbox logs processor`; the table has point-in-time recovery."
  alarm_actions     = [local.alarm_topic_arn]
  ok_actions        = [local.alarm_topic_arn]

  namespace           = local.metrics_namespace
  metric_name         = "Missing"
  dimensions          = { Source = each.key }
  statistic           = "Sum"
  period              = 300
  evaluation_periods  = 1
  comparison_operator = "GreaterThanThreshold"
  threshold           = 0
  treat_missing_data  = "notBreaching"
}
