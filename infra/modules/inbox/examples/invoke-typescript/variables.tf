variable "crm_url" {
  description = "Where payments are told."
  type        = string
  nullable    = false
}

variable "package" {
  description = "The function's zip: `make examples` writes .local/examples/invoke-typescript.zip."
  type        = string
  nullable    = false
}

variable "name" {
  description = "The function's name, for the route, and of what it needs."
  type        = string
  default     = "payments-to-crm"
  nullable    = false
}
