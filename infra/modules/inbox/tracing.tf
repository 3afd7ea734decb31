# Optional traces by X-Ray. Lambda sends them with the function's own role.

locals {
  tracing_policies = var.tracing ? [data.aws_iam_policy_document.tracing.json] : []
}

data "aws_iam_policy_document" "tracing" {

  # These actions have no resources to name.
  # https://docs.aws.amazon.com/service-authorization/latest/reference/list_awsx-ray.html
  statement {
    sid       = "Trace"
    actions   = ["xray:PutTraceSegments", "xray:PutTelemetryRecords"]
    resources = ["*"]
  }
}
