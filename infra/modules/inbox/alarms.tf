# What wakes somebody, for the inbox as a whole; those of one source are in
# receiver_alarms.tf. Each description says what to look at first.

locals {
  # Whether a topic was given is decided by the object around its ARN, which is there or
  # not: the ARN itself may be known after the apply only, and nothing may be counted by it.
  # https://developer.hashicorp.com/terraform/language/meta-arguments/count#using-expressions-in-count
  makes_alarm_topic = var.alarms.topic == null
  alarm_topic_arn   = local.makes_alarm_topic ? aws_sns_topic.alarms[0].arn : var.alarms.topic.arn

  # A retry that waits in the queue makes its message old without anything being
  # wrong, so a message is late only after all such waits and one more run.
  kept_delays_seconds = [
    for delay in coalesce(var.processor.retry_delays_seconds, local.stack.defaults.retry_delays_seconds) :
    delay if delay <= local.stack.defaults.park_above_seconds
  ]
  kept_seconds           = sum(concat([0], local.kept_delays_seconds)) * (100 + local.stack.defaults.retry_jitter_percent) / 100
  oldest_message_seconds = coalesce(var.alarms.oldest_message_seconds, ceil(local.kept_seconds) + local.stack.queue.visibility_timeout_seconds)
}

resource "aws_sns_topic" "alarms" {
  count = local.makes_alarm_topic ? 1 : 0

  name              = "${var.name}-alarms"
  kms_master_key_id = local.customer_key_arn
}

resource "aws_sns_topic_policy" "alarms" {
  count = local.makes_alarm_topic ? 1 : 0

  arn    = aws_sns_topic.alarms[0].arn
  policy = data.aws_iam_policy_document.alarms[0].json
}

data "aws_iam_policy_document" "alarms" {
  count = local.makes_alarm_topic ? 1 : 0

  statement {
    sid       = "Alarms"
    actions   = ["sns:Publish"]
    resources = [aws_sns_topic.alarms[0].arn]

    principals {
      type        = "Service"
      identifiers = ["cloudwatch.amazonaws.com"]
    }

    condition {
      test     = "StringEquals"
      variable = "aws:SourceAccount"
      values   = [local.account_id]
    }
  }

  # SNS takes no other denial than of its own actions, so they are named.
  # https://docs.aws.amazon.com/sns/latest/dg/sns-security-best-practices.html
  statement {
    sid       = "TlsOnly"
    effect    = "Deny"
    actions   = ["sns:Publish"]
    resources = [aws_sns_topic.alarms[0].arn]

    principals {
      type        = "*"
      identifiers = ["*"]
    }

    condition {
      test     = "Bool"
      variable = "aws:SecureTransport"
      values   = ["false"]
    }
  }
}

resource "aws_sns_topic_subscription" "email" {
  for_each = local.makes_alarm_topic ? var.alarms.emails : []

  topic_arn = aws_sns_topic.alarms[0].arn
  protocol  = "email"
  endpoint  = each.value
}

resource "aws_cloudwatch_metric_alarm" "dead_letters" {
  alarm_name        = "${var.name}: dead letters"
  alarm_description = "Events were given up. Look: `inbox dlq`; mend the cause; then `inbox redrive`."
  alarm_actions     = [local.alarm_topic_arn]
  ok_actions        = [local.alarm_topic_arn]

  namespace           = "AWS/SQS"
  metric_name         = "ApproximateNumberOfMessagesVisible"
  dimensions          = { QueueName = aws_sqs_queue.dead_letters.name }
  statistic           = "Maximum"
  period              = 60
  evaluation_periods  = 1
  comparison_operator = "GreaterThanThreshold"
  threshold           = 0
  treat_missing_data  = "notBreaching"
}

# Four days before SQS deletes it. The sweeper tells the age, by the ledger: SQS's own
# metric leaves out what was received three times, as `inbox dlq` does with each letter,
# and counts a letter that SQS itself moved from the move, while it expires by the first
# send. The event stays in the ledger, and `inbox replay` finds it there.
# https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-available-cloudwatch-metrics.html
resource "aws_cloudwatch_metric_alarm" "dead_letter_age" {
  alarm_name        = "${var.name}: dead letters are about to expire"
  alarm_description = "An event died so long ago that its letter soon expires. Look: `inbox events --state dead`, `inbox dlq`; then `inbox redrive` or `inbox purge-dlq`."
  alarm_actions     = [local.alarm_topic_arn]
  ok_actions        = [local.alarm_topic_arn]

  namespace           = local.metrics_namespace
  metric_name         = "OldestDeadSeconds"
  statistic           = "Maximum"
  period              = 3600
  evaluation_periods  = 1
  comparison_operator = "GreaterThanThreshold"
  threshold           = local.stack.dead_letter_queue.retention_seconds - 4 * 86400
  treat_missing_data  = "notBreaching"
}

# Slow routes share ten places. Events that come faster than these routes take them
# pile up here, and hold up nobody else.
resource "aws_cloudwatch_metric_alarm" "lane_behind" {
  alarm_name        = "${var.name}: the lane of slow routes falls behind"
  alarm_description = "Events of slow routes wait for more than ${local.stack.lane.behind_above_seconds / 60} minutes; those of others do not. Look: `inbox doctor` names the routes; make their targets faster, or have them answer first and work later."
  alarm_actions     = [local.alarm_topic_arn]
  ok_actions        = [local.alarm_topic_arn]

  namespace           = "AWS/SQS"
  metric_name         = "ApproximateAgeOfOldestMessage"
  dimensions          = { QueueName = aws_sqs_queue.lane.name }
  statistic           = "Maximum"
  period              = 60
  evaluation_periods  = 5
  comparison_operator = "GreaterThanThreshold"
  threshold           = local.stack.lane.behind_above_seconds
  treat_missing_data  = "notBreaching"
}

# Before its event dies: the event may still wait for its other routes, for a day or more.
resource "aws_cloudwatch_metric_alarm" "given_up" {
  alarm_name        = "${var.name}: a route was given up"
  alarm_description = "A route used up its attempts, or failed for good. Look: `inbox events --state failing,dead`, `inbox logs processor` for the route's name; mend the cause; then `inbox redrive`."
  alarm_actions     = [local.alarm_topic_arn]
  ok_actions        = [local.alarm_topic_arn]

  namespace           = local.metrics_namespace
  metric_name         = "GivenUp"
  statistic           = "Sum"
  period              = 300
  evaluation_periods  = 1
  comparison_operator = "GreaterThanThreshold"
  threshold           = 0
  treat_missing_data  = "notBreaching"
}

resource "aws_cloudwatch_metric_alarm" "oldest_message" {
  alarm_name        = "${var.name}: messages wait"
  alarm_description = "The oldest message is older than retries explain: the processor does not keep up or does not run. Look: `inbox doctor`, `inbox logs processor`."
  alarm_actions     = [local.alarm_topic_arn]
  ok_actions        = [local.alarm_topic_arn]

  namespace           = "AWS/SQS"
  metric_name         = "ApproximateAgeOfOldestMessage"
  dimensions          = { QueueName = aws_sqs_queue.events.name }
  statistic           = "Maximum"
  period              = 60
  evaluation_periods  = 5
  comparison_operator = "GreaterThanThreshold"
  threshold           = local.oldest_message_seconds
  treat_missing_data  = "notBreaching"
}

# What providers saw: 503 by a receiver, and what never got that far. A single one rings,
# since GitHub sends nothing twice; and with little traffic two in a row would never come.
resource "aws_cloudwatch_metric_alarm" "api_5xx" {
  alarm_name        = "${var.name}: providers are turned away"
  alarm_description = "Requests were answered 5xx; most providers try again, GitHub does not. Look: `inbox doctor`, then the receivers' alarms and logs."
  alarm_actions     = [local.alarm_topic_arn]
  ok_actions        = [local.alarm_topic_arn]

  namespace           = "AWS/ApiGateway"
  metric_name         = "5xx"
  dimensions          = { ApiId = aws_apigatewayv2_api.this.id }
  statistic           = "Sum"
  period              = 60
  evaluation_periods  = 1
  comparison_operator = "GreaterThanThreshold"
  threshold           = 0
  treat_missing_data  = "notBreaching"
}

# What API Gateway itself turned away: no function saw it, and no other metric tells a
# 429 from the rest. The access log is the only place where it stands.
# https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-throttling.html
resource "aws_cloudwatch_log_metric_filter" "throttled" {
  name           = "throttled"
  log_group_name = aws_cloudwatch_log_group.api.name
  pattern        = "{ $.status = \"429\" }"

  metric_transformation {
    namespace = local.metrics_namespace
    name      = "Throttled"
    value     = "1"
    unit      = "Count"
  }
}

resource "aws_cloudwatch_metric_alarm" "throttled" {
  alarm_name        = "${var.name}: requests are throttled"
  alarm_description = "API Gateway answered 429, so requests of a provider, or of somebody who knocks, reached no function. Stripe tries again for days, Standard Webhooks' senders mostly too; GitHub never does, and Twilio's callbacks mostly not: redeliver there. Look: `inbox doctor`, the API's access log by route; then raise the source's throttle."
  alarm_actions     = [local.alarm_topic_arn]
  ok_actions        = [local.alarm_topic_arn]

  namespace           = local.metrics_namespace
  metric_name         = aws_cloudwatch_log_metric_filter.throttled.metric_transformation[0].name
  statistic           = "Sum"
  period              = 300
  evaluation_periods  = 1
  comparison_operator = "GreaterThanThreshold"
  threshold           = 0
  treat_missing_data  = "notBreaching"
}

resource "aws_cloudwatch_metric_alarm" "processor_errors" {
  alarm_name        = "${var.name}: the processor fails"
  alarm_description = "Invocations ended in an error: a wrong configuration, a time-out or a handler that kills its process. Look: `inbox logs processor`."
  alarm_actions     = [local.alarm_topic_arn]
  ok_actions        = [local.alarm_topic_arn]

  namespace           = "AWS/Lambda"
  metric_name         = "Errors"
  dimensions          = { FunctionName = aws_lambda_function.processor.function_name }
  statistic           = "Sum"
  period              = 300
  evaluation_periods  = 1
  comparison_operator = "GreaterThanThreshold"
  threshold           = 0
  treat_missing_data  = "notBreaching"
}

# Throttled invocations use up receives, and thirty of them move a good message
# to the dead-letter queue.
resource "aws_cloudwatch_metric_alarm" "processor_throttles" {
  alarm_name        = "${var.name}: the processor is throttled"
  alarm_description = "Lambda had no room. Raise the account's concurrency, or lower processor.maximum_concurrency; never reserve concurrency for the processor."
  alarm_actions     = [local.alarm_topic_arn]
  ok_actions        = [local.alarm_topic_arn]

  namespace           = "AWS/Lambda"
  metric_name         = "Throttles"
  dimensions          = { FunctionName = aws_lambda_function.processor.function_name }
  statistic           = "Sum"
  period              = 300
  evaluation_periods  = 1
  comparison_operator = "GreaterThanThreshold"
  threshold           = 0
  treat_missing_data  = "notBreaching"
}

# Without the sweeper nothing that was parked or lost comes back, and nothing
# else would say so: here silence is the fault. Three periods of it, since the first one
# ends before a new inbox has swept.
resource "aws_cloudwatch_metric_alarm" "sweeper_silent" {
  alarm_name        = "${var.name}: the sweeper does not run"
  alarm_description = "No call of the sweeper in fifteen minutes: parked retries and lost messages wait. Look at schedule ${aws_scheduler_schedule.sweeper.name} in group ${aws_scheduler_schedule_group.this.name}, then `make deploy`."
  alarm_actions     = [local.alarm_topic_arn]
  ok_actions        = [local.alarm_topic_arn]

  namespace           = "AWS/Lambda"
  metric_name         = "Invocations"
  dimensions          = { FunctionName = aws_lambda_function.sweeper.function_name }
  statistic           = "Sum"
  period              = 300
  evaluation_periods  = 3
  datapoints_to_alarm = 3
  comparison_operator = "LessThanThreshold"
  threshold           = 1
  treat_missing_data  = "breaching"
}

resource "aws_cloudwatch_metric_alarm" "sweeper_errors" {
  alarm_name        = "${var.name}: the sweeper fails"
  alarm_description = "Sweeps ended in an error. Look: `inbox logs sweeper`."
  alarm_actions     = [local.alarm_topic_arn]
  ok_actions        = [local.alarm_topic_arn]

  namespace           = "AWS/Lambda"
  metric_name         = "Errors"
  dimensions          = { FunctionName = aws_lambda_function.sweeper.function_name }
  statistic           = "Sum"
  period              = 300
  evaluation_periods  = 2
  comparison_operator = "GreaterThanThreshold"
  threshold           = 0
  treat_missing_data  = "notBreaching"
}

resource "aws_cloudwatch_metric_alarm" "sweeper_throttles" {
  alarm_name        = "${var.name}: the sweeper is throttled"
  alarm_description = "Lambda had no room for the sweeper, so what is due waits. Raise the account's concurrency."
  alarm_actions     = [local.alarm_topic_arn]
  ok_actions        = [local.alarm_topic_arn]

  namespace           = "AWS/Lambda"
  metric_name         = "Throttles"
  dimensions          = { FunctionName = aws_lambda_function.sweeper.function_name }
  statistic           = "Sum"
  period              = 300
  evaluation_periods  = 1
  comparison_operator = "GreaterThanThreshold"
  threshold           = 0
  treat_missing_data  = "notBreaching"
}

# Retries that were parked and events that were just reopened are counted apart
# (`Resumed`). What is left had a message, and nothing came of it: messages get
# lost, or the processor is far behind.
resource "aws_cloudwatch_metric_alarm" "swept" {
  alarm_name        = "${var.name}: the sweeper finds much"
  alarm_description = "Many events had to be woken by the sweeper: messages are lost, or the processor is far behind. Look: `inbox events --state received,failing`, `inbox doctor`."
  alarm_actions     = [local.alarm_topic_arn]
  ok_actions        = [local.alarm_topic_arn]

  namespace           = local.metrics_namespace
  metric_name         = "Swept"
  statistic           = "Sum"
  period              = 300
  evaluation_periods  = 2
  comparison_operator = "GreaterThanThreshold"
  threshold           = var.alarms.swept
  treat_missing_data  = "notBreaching"
}

resource "aws_cloudwatch_metric_alarm" "sweep_failed" {
  alarm_name        = "${var.name}: sweeps are not complete"
  alarm_description = "Shards could not be read, or events not sent. Look: `inbox logs sweeper`."
  alarm_actions     = [local.alarm_topic_arn]
  ok_actions        = [local.alarm_topic_arn]

  namespace           = local.metrics_namespace
  metric_name         = "SweepFailed"
  statistic           = "Sum"
  period              = 300
  evaluation_periods  = 2
  comparison_operator = "GreaterThanThreshold"
  threshold           = 0
  treat_missing_data  = "notBreaching"
}

resource "aws_cloudwatch_metric_alarm" "unreadable" {
  alarm_name        = "${var.name}: unreadable messages"
  alarm_description = "Somebody else writes to the queue, or a newer version did: what cannot be read lies in the dead-letter queue with the reason. Look: `inbox dlq`."
  alarm_actions     = [local.alarm_topic_arn]
  ok_actions        = [local.alarm_topic_arn]

  namespace           = local.metrics_namespace
  metric_name         = "Unreadable"
  statistic           = "Sum"
  period              = 300
  evaluation_periods  = 1
  comparison_operator = "GreaterThanThreshold"
  threshold           = 0
  treat_missing_data  = "notBreaching"
}

# A throttled index throttles the whole table.
#
# The metric has no zeros: AWS's reference says that alarms on DynamoDB's metrics always
# ignore missing data, its guide that they may be told otherwise. An alarm that ignores
# it would ring for ever after the first incident, so the gaps are filled here.
# https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_PutMetricAlarm.html
resource "aws_cloudwatch_metric_alarm" "table_throttles" {
  for_each = merge(
    { table = { TableName = aws_dynamodb_table.ledger.name } },
    {
      for index in keys(local.ledger_indexes) :
      index => { TableName = aws_dynamodb_table.ledger.name, GlobalSecondaryIndexName = index }
    },
  )

  alarm_name        = "${var.name}: writes to the ledger are throttled (${each.key})"
  alarm_description = "DynamoDB refused writes, so providers get 503 and retries wait. One hot partition takes 1,000 writes a second: see infra/README.md, Limits."
  alarm_actions     = [local.alarm_topic_arn]
  ok_actions        = [local.alarm_topic_arn]

  evaluation_periods  = 1
  comparison_operator = "GreaterThanThreshold"
  threshold           = 0
  treat_missing_data  = "notBreaching"

  metric_query {
    id          = "filled"
    label       = "Throttled writes"
    expression  = "FILL(throttled, 0)"
    return_data = true
  }

  metric_query {
    id = "throttled"

    metric {
      namespace   = "AWS/DynamoDB"
      metric_name = "WriteThrottleEvents"
      dimensions  = each.value
      stat        = "Sum"
      period      = 300
    }
  }
}
