# What the module takes is told and checked there (modules/inbox/variables.tf).
# null leaves the module's default.

variable "environment" {
  description = "Which inbox: part of every name and of the state's key. `make` sets it from ENV."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{0,10}[a-z0-9]$", var.environment))
    error_message = "ENV must be 2 to 12 lower-case letters, digits and hyphens, from a letter, such as dev or prod."
  }
}

variable "region" {
  description = "Where to deploy: part of the state's key. It stands in env/ENV.tfvars, since with another one everything here would be destroyed and made there."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z]{2,}(-[a-z]+)+-[0-9]{1,2}$", var.region))
    error_message = "region must be a region's name, such as eu-central-1."
  }
}

variable "account_id" {
  description = "The account to deploy to, as 12 digits; credentials of another are refused. null takes any."
  type        = string
  default     = null

  validation {
    condition     = var.account_id == null || can(regex("^[0-9]{12}$", var.account_id))
    error_message = "account_id must be 12 digits, in quotes."
  }
}

variable "tags" {
  description = "Tags of every resource."
  type        = map(string)
  default     = {}
  nullable    = false
}

variable "packages_directory" {
  description = "Where `make package` put receiver.zip, processor.zip and sweeper.zip. `make` sets it."
  type        = string
  nullable    = false
}

variable "architecture" {
  description = "What the packages were built for. `make` sets it from ARCH."
  type        = string
  default     = null
}

variable "sources" {
  description = "The endpoints by name, see modules/inbox."
  default     = null
  type = map(object({
    provider             = string
    memory_mb            = optional(number)
    timeout_seconds      = optional(number)
    reserved_concurrency = optional(number)
    # Defaults that are the module's own are written there.
    provisioned_concurrency = optional(number, 0)
    throttle = optional(object({
      requests_per_second = optional(number, 25)
      burst               = optional(number, 500)
    }), {})
    dedup                    = optional(string, "id")
    hook_ids                 = optional(set(string), [])
    public_base_url          = optional(string)
    max_body_bytes           = optional(number)
    retention_days           = optional(number)
    rejected_alarm_threshold = optional(number, 50)
  }))
}

variable "account_concurrency" {
  description = "Lambda's quota of concurrent executions, see modules/inbox."
  type        = number
  default     = null
}

variable "processor" {
  description = "What the processor does and how hard it tries, see modules/inbox."
  default     = null
  type = object({
    memory_mb               = optional(number)
    maximum_concurrency     = optional(number)
    routes                  = optional(any)
    retry_delays_seconds    = optional(list(number))
    handler_timeout_seconds = optional(number)
  })
}

variable "custom_domain" {
  description = "An address of your own, see modules/inbox."
  default     = null
  type = object({
    name                   = string
    certificate_arn        = string
    hosted_zone            = optional(object({ id = string }))
    keeps_default_endpoint = optional(bool, false)
  })
}

variable "customer_key" {
  description = "Encryption by a KMS key of your own, see modules/inbox."
  default     = null
  type = object({
    create = optional(bool, false)
    arn    = optional(string)
  })
}

variable "alarms" {
  description = "Where alarms go and when, see modules/inbox."
  default     = null
  type = object({
    emails                 = optional(set(string), [])
    topic                  = optional(object({ arn = string }))
    oldest_message_seconds = optional(number)
    swept                  = optional(number, 100)
  })
}

variable "deletion_protection" {
  description = "Whether the tables refuse to be deleted."
  type        = bool
  default     = null
}

variable "secret_recovery_days" {
  description = "How long a deleted secret can be restored."
  type        = number
  default     = null
}

variable "log_retention_days" {
  description = "How long logs are kept."
  type        = number
  default     = null
}

variable "log_level" {
  description = "What the functions log."
  type        = string
  default     = null
}

variable "tracing" {
  description = "Whether Lambda sends traces to X-Ray."
  type        = bool
  default     = null
}

variable "event_bus" {
  description = "Whether to make the EventBridge bus."
  type        = bool
  default     = null
}
