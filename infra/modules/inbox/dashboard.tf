# One page for the question "is it well?": from the door on the left to the dead
# letters on the right, from what providers see down to what AWS says.

resource "aws_cloudwatch_dashboard" "this" {
  dashboard_name = var.name
  dashboard_body = jsonencode({
    # Rows of three, each 8 of 24 columns wide.
    widgets = [
      for index, widget in local.dashboard_widgets : {
        type   = "metric"
        x      = 8 * (index % 3)
        y      = 6 * floor(index / 3)
        width  = 8
        height = 6
        properties = {
          title   = widget.title
          view    = "timeSeries"
          stacked = false
          region  = local.region
          period  = 60
          metrics = widget.metrics
          yAxis   = { left = { min = 0 } }
        }
      }
    ]
  })
}

locals {
  # A name with characters besides letters and digits must be quoted within the schema.
  # https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/search-expression-syntax.html
  by_source            = "{\"${local.metrics_namespace}\",\"Source\"}"
  by_source_and_reason = "{\"${local.metrics_namespace}\",\"Reason\",\"Source\"}"

  dashboard_widgets = [
    {
      title = "Accepted, by source"
      metrics = [
        [{ expression = "SEARCH('${local.by_source} MetricName=\"Accepted\"', 'Sum', 60)", id = "accepted" }],
      ]
    },
    {
      title = "Rejected, by source and reason"
      metrics = [
        [{ expression = "SEARCH('${local.by_source_and_reason} MetricName=\"Rejected\"', 'Sum', 60)", id = "rejected" }],
      ]
    },
    {
      title = "Duplicates, conflicts, unknown, unavailable, missing"
      metrics = [
        for name in ["Duplicate", "Conflict", "Unknown", "Unavailable", "Missing"] :
        [{ expression = "SEARCH('${local.by_source} MetricName=\"${name}\"', 'Sum', 60)", id = lower(name), label = "${name} $${PROP('Dim.Source')}" }]
      ]
    },
    {
      title = "API: requests, 4xx, 5xx, throttled (429)"
      metrics = concat(
        [
          for name in ["Count", "4xx", "5xx"] :
          ["AWS/ApiGateway", name, "ApiId", aws_apigatewayv2_api.this.id, { stat = "Sum" }]
        ],
        [[local.metrics_namespace, "Throttled", { stat = "Sum" }]],
      )
    },
    {
      title = "API: latency in ms, p50 and p99"
      metrics = [
        for statistic in ["p50", "p99"] :
        ["AWS/ApiGateway", "Latency", "ApiId", aws_apigatewayv2_api.this.id, { stat = statistic, label = statistic }]
      ]
    },
    {
      title = "From accepted to done in ms, p50 and p99, by source"
      metrics = [
        for statistic in ["p50", "p99"] :
        [{ expression = "SEARCH('${local.by_source} MetricName=\"EndToEndMilliseconds\"', '${statistic}', 60)", id = statistic, label = "${statistic} $${PROP('Dim.Source')}" }]
      ]
    },
    {
      title = "Done, retried, deferred, buried, by source"
      metrics = [
        for name in ["Done", "Retried", "Deferred", "Buried", "Unrouted"] :
        [{ expression = "SEARCH('${local.by_source} MetricName=\"${name}\"', 'Sum', 60)", id = lower(name), label = "${name} $${PROP('Dim.Source')}" }]
      ]
    },
    {
      title = "Queue: waiting, in flight, dead letters"
      metrics = [
        ["AWS/SQS", "ApproximateNumberOfMessagesVisible", "QueueName", aws_sqs_queue.events.name, { stat = "Maximum", label = "waiting" }],
        ["AWS/SQS", "ApproximateNumberOfMessagesNotVisible", "QueueName", aws_sqs_queue.events.name, { stat = "Maximum", label = "in flight" }],
        ["AWS/SQS", "ApproximateNumberOfMessagesVisible", "QueueName", aws_sqs_queue.lane.name, { stat = "Maximum", label = "waiting in the lane" }],
        ["AWS/SQS", "ApproximateNumberOfMessagesVisible", "QueueName", aws_sqs_queue.dead_letters.name, { stat = "Maximum", label = "dead letters" }],
      ]
    },
    {
      title = "Age in s: the oldest message, the oldest dead event"
      metrics = [
        ["AWS/SQS", "ApproximateAgeOfOldestMessage", "QueueName", aws_sqs_queue.events.name, { stat = "Maximum" }],
        ["AWS/SQS", "ApproximateAgeOfOldestMessage", "QueueName", aws_sqs_queue.lane.name, { stat = "Maximum", label = "lane" }],
        [local.metrics_namespace, "OldestDeadSeconds", { stat = "Maximum", label = "oldest dead event" }],
      ]
    },
    {
      title = "Sweeper: swept, resumed, failed, cut short; routes given up"
      metrics = [
        for name in ["Swept", "Resumed", "SweepFailed", "SweepCutShort", "GivenUp"] :
        [local.metrics_namespace, name, { stat = "Sum" }]
      ]
    },
    {
      title = "Functions: errors and throttles"
      metrics = concat([
        for name in ["Errors", "Throttles"] : [
          for key, function in local.function_names :
          ["AWS/Lambda", name, "FunctionName", function, { stat = "Sum", label = "${key} ${lower(name)}" }]
        ]
      ]...)
    },
    {
      title = "Ledger: write units, throttled writes"
      metrics = [
        ["AWS/DynamoDB", "ConsumedWriteCapacityUnits", "TableName", aws_dynamodb_table.ledger.name, { stat = "Sum" }],
        ["AWS/DynamoDB", "WriteThrottleEvents", "TableName", aws_dynamodb_table.ledger.name, { stat = "Sum" }],
      ]
    },
  ]
}
