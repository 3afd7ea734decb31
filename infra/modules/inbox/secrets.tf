# A container for each source's signing secrets. Values never enter Terraform's
# state: `inbox secret add SOURCE` fills it, and until then the source answers 503.

resource "aws_secretsmanager_secret" "source" {
  for_each = var.sources

  #checkov:skip=CKV2_AWS_57:Providers issue these secrets, so no function of ours can rotate them; `inbox secret` does it with overlap
  name                    = "${var.name}/${each.key}"
  description             = "Signing secrets of webhook source ${each.key} (${each.value.provider}), written by `inbox secret`"
  kms_key_id              = local.customer_key_arn
  recovery_window_in_days = var.secret_recovery_days
}
