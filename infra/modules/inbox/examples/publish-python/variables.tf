# The first three are outputs of the inbox: `module.inbox.event_bus_name` and so on, or
# `terraform output` where the inbox is deployed on its own.

variable "event_bus_name" {
  description = "The inbox's bus: its output event_bus_name."
  type        = string
  nullable    = false
}

variable "payload_bucket_arn" {
  description = "Where large payloads lie: the inbox's output payload_bucket_arn."
  type        = string
  nullable    = false
}

variable "kms_key_arn" {
  description = "The inbox's output kms_key_arn: the key of the bucket, null without one of yours."
  type        = string
  default     = null
}

variable "package" {
  description = "The subscriber's zip: `make examples` writes .local/examples/publish-python.zip."
  type        = string
  nullable    = false
}

variable "name" {
  description = "Prefix of every resource's name."
  type        = string
  default     = "payments-subscriber"
  nullable    = false
}
