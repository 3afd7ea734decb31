# A function that the inbox invokes. It needs no permission for that: the inbox's role is
# allowed by the route that names the function.

resource "aws_lambda_function" "this" {
  #checkov:skip=CKV_AWS_50:Tracing is the team's choice
  #checkov:skip=CKV_AWS_115:The inbox runs as many at once as its maximum_concurrency allows
  #checkov:skip=CKV_AWS_116:It is invoked and waited for: what fails goes to the inbox's dead-letter queue
  #checkov:skip=CKV_AWS_117:It speaks to a public endpoint, and there is nothing in a VPC for it
  #checkov:skip=CKV_AWS_173:Its environment holds an address
  #checkov:skip=CKV_AWS_272:Packages are built and hashed by the one who deploys them
  function_name = var.name
  description   = "Tells the CRM of payments"
  role          = aws_iam_role.this.arn

  filename         = var.package
  source_code_hash = filebase64sha256(var.package)
  runtime          = "nodejs22.x"
  handler          = "index.handler"
  architectures    = ["arm64"]
  # Below the inbox's handler_timeout_seconds (30), or the inbox gives up first.
  timeout = 20

  environment {
    variables = { CRM_URL = var.crm_url }
  }

  logging_config {
    log_format = "JSON"
    log_group  = aws_cloudwatch_log_group.this.name
  }
}

resource "aws_cloudwatch_log_group" "this" {
  #checkov:skip=CKV_AWS_158:It holds ids only
  #checkov:skip=CKV_AWS_338:How long logs are kept is the team's choice
  name              = "/aws/lambda/${var.name}"
  retention_in_days = 30
}

resource "aws_iam_role" "this" {
  name               = var.name
  assume_role_policy = data.aws_iam_policy_document.assume.json
}

data "aws_iam_policy_document" "assume" {
  statement {
    sid     = "Lambda"
    actions = ["sts:AssumeRole"]

    principals {
      type        = "Service"
      identifiers = ["lambda.amazonaws.com"]
    }
  }
}

resource "aws_iam_role_policy" "this" {
  name   = "log"
  role   = aws_iam_role.this.name
  policy = data.aws_iam_policy_document.this.json
}

data "aws_iam_policy_document" "this" {
  # Streams lie below the group: their ARNs begin with the group's and a colon.
  statement {
    sid       = "Log"
    actions   = ["logs:CreateLogStream", "logs:PutLogEvents"]
    resources = ["${aws_cloudwatch_log_group.this.arn}:*"]
  }
}

output "function_arn" {
  description = "For the route: with = { function = … }."
  value       = aws_lambda_function.this.arn
}
