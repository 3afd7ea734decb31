# What a team decides. What code relies on stands in infra/stack.json instead.

variable "name" {
  description = "Prefix of every resource's name: two inboxes in one account differ in it."
  type        = string
  default     = "webhook-inbox"
  nullable    = false

  validation {
    # Tables have names of 3 letters or more, and buckets, with account and region, of 63
    # or less: NAME-payloads-ACCOUNT-REGION.
    condition     = can(regex("^[a-z][a-z0-9-]{1,24}[a-z0-9]$", var.name))
    error_message = "name must be 3 to 26 lower-case letters, digits and hyphens, from a letter: tables, buckets and functions are called by it."
  }
}

variable "sources" {
  description = "The endpoints by name, one for each address that a provider calls: the key is the last segment of the route, and the name everywhere else."
  nullable    = false
  type = map(object({
    # Which scheme verifies it: a name of `providers` in infra/stack.json.
    provider = string
    # Memory also decides the share of a CPU; null takes infra/stack.json's.
    memory_mb       = optional(number)
    timeout_seconds = optional(number)
    # The most receivers at once, kept aside for this source; null keeps none.
    reserved_concurrency = optional(number)
    # Environments of the receiver that are kept warm, at their own price; none by default.
    provisioned_concurrency = optional(number, 0)
    # What API Gateway lets through to this source, for each method; the rest gets 429.
    # Webhooks come in bursts, which cost nothing to allow; a rate does, as everybody may
    # knock at it.
    throttle = optional(object({
      requests_per_second = optional(number, 25)
      burst               = optional(number, 500)
    }), {})
    # What makes two deliveries one event: `id`, the provider's; or `content`, a hash of
    # the body, where the id is not signed (GitHub). README.md says what each loses.
    dedup = optional(string, "id")
    # The only hooks that are let in, by their numbers (GitHub); none lets in all.
    hook_ids = optional(set(string), [])
    # Overrides of the receiver's own defaults.
    public_base_url = optional(string)
    max_body_bytes  = optional(number)
    retention_days  = optional(number)
    # Refused requests in five minutes that are worth somebody's attention.
    rejected_alarm_threshold = optional(number, 50)
  }))
  default = {
    stripe            = { provider = "stripe" }
    github            = { provider = "github" }
    twilio            = { provider = "twilio" }
    standard_webhooks = { provider = "standard_webhooks" }
  }

  validation {
    condition     = length(var.sources) > 0
    error_message = "sources is empty: name at least one, such as { stripe = { provider = \"stripe\" } }."
  }
  validation {
    condition     = alltrue([for name in keys(var.sources) : can(regex("^[a-z][a-z0-9_]{0,47}$", name))])
    error_message = "Names of sources must be lower-case letters, digits and underscores, at most 48, from a letter: rename ${join(", ", [for name in keys(var.sources) : name if !can(regex("^[a-z][a-z0-9_]{0,47}$", name))])}."
  }
  validation {
    # Lambda and IAM end names at 64 characters.
    condition     = alltrue([for name in keys(var.sources) : length("${var.name}-receiver-${name}") <= 64])
    error_message = "A function is called NAME-receiver-SOURCE, in at most 64 characters: shorten `name` or the source's name."
  }
  validation {
    condition     = alltrue([for source in var.sources : contains(keys(local.stack.providers), source.provider)])
    error_message = "A source has an unknown provider: known are ${join(", ", keys(local.stack.providers))}."
  }
  validation {
    condition     = alltrue([for source in var.sources : contains(["id", "content"], source.dedup)])
    error_message = "dedup must be \"id\" or \"content\"."
  }
  validation {
    condition     = alltrue([for source in var.sources : source.dedup != "content" || !try(local.stack.providers[source.provider].signs_url, false)])
    error_message = "dedup must be \"id\" for a provider that signs its URL (twilio): its id is a hash of all that is signed already."
  }
  validation {
    condition     = alltrue([for source in var.sources : length(source.hook_ids) == 0 || try(local.stack.providers[source.provider].names_hook, false)])
    error_message = "hook_ids is for a provider that says which hook a delivery is of (github)."
  }
  validation {
    # As many fit the receiver's environment, of 4,096 bytes, beside the rest.
    condition     = alltrue(flatten([for source in var.sources : concat([length(source.hook_ids) <= 100], [for id in source.hook_ids : can(regex("^[0-9]{1,20}$", id))])]))
    error_message = "hook_ids must be the hooks' numbers, at most 100 of a source, such as [\"292430182\"]: GitHub shows a hook's in the address of its settings."
  }
  validation {
    # Twilio signs the URL and the parameters without anything between them, so a
    # request for the longer name could be cut as one for the shorter.
    condition = alltrue(flatten([
      for name, source in var.sources : [
        for other, its in var.sources : !can(regex("^${name}[a-z]", other))
        if try(local.stack.providers[source.provider].signs_url && local.stack.providers[its.provider].signs_url, false)
      ]
    ]))
    error_message = "Of two sources whose provider signs its URL (twilio), the name of one is that of the other with a letter behind it: put a digit or an underscore there, or rename one."
  }
  validation {
    condition     = alltrue([for source in var.sources : try(source.memory_mb >= 128 && source.memory_mb <= 10240, source.memory_mb == null)])
    error_message = "memory_mb of a source must be from 128 to 10240, or null for ${local.stack.receiver.memory_mb}."
  }
  validation {
    # The receiver answers within 2.5 s whatever happens; API Gateway waits 30 s.
    condition     = alltrue([for source in var.sources : try(source.timeout_seconds >= 5 && source.timeout_seconds <= 29, source.timeout_seconds == null)])
    error_message = "timeout_seconds of a source must be from 5 to 29, or null for ${local.stack.receiver.timeout_seconds}."
  }
  validation {
    condition     = alltrue([for source in var.sources : try(source.reserved_concurrency >= 1, source.reserved_concurrency == null)])
    error_message = "reserved_concurrency of a source must be at least 1, or null for none: 0 would turn the source off."
  }
  validation {
    # What every account has is 10,000 a second and bursts of 5,000; some regions have less.
    # https://docs.aws.amazon.com/apigateway/latest/developerguide/limits.html
    condition     = alltrue([for source in var.sources : source.throttle.requests_per_second > 0 && source.throttle.requests_per_second <= 10000 && source.throttle.burst >= 1 && source.throttle.burst <= 5000 && floor(source.throttle.burst) == source.throttle.burst])
    error_message = "throttle needs requests_per_second above 0 and at most 10000, and a whole burst from 1 to 5000."
  }
  validation {
    # Lambda keeps 100 for functions that reserve none.
    # https://docs.aws.amazon.com/lambda/latest/dg/configuration-concurrency.html
    condition     = sum(concat([0], [for source in var.sources : coalesce(source.reserved_concurrency, 0)])) <= max(0, var.account_concurrency - 100)
    error_message = "reserved_concurrency of all sources together must leave 100 of account_concurrency (${var.account_concurrency}): reserve less, or ask AWS for more and say so in account_concurrency. A new account may reserve nothing."
  }
  validation {
    # When the table is slow, each receiver waits as long as it may. Then the receivers
    # must leave room for the processor, the sweeper and whatever else runs in the account.
    condition     = sum(concat([0], [for source in var.sources : min(coalesce(source.reserved_concurrency, var.account_concurrency), length(try(local.stack.providers[source.provider].methods, [])) * source.throttle.requests_per_second * local.stack.defaults.request_timeout_ms / 1000)])) <= var.account_concurrency / 2
    error_message = "At their throttles, with a slow table, the sources would take more than half of account_concurrency (${var.account_concurrency}): each request may last ${local.stack.defaults.request_timeout_ms} ms. Lower throttle.requests_per_second (a burst may stay), set reserved_concurrency, or ask AWS for more and say so in account_concurrency."
  }
  validation {
    condition     = alltrue([for source in var.sources : source.provisioned_concurrency >= 0 && floor(source.provisioned_concurrency) == source.provisioned_concurrency && source.provisioned_concurrency <= coalesce(source.reserved_concurrency, source.provisioned_concurrency)])
    error_message = "provisioned_concurrency of a source must be a whole number, and at most its reserved_concurrency where it has one."
  }
  validation {
    condition     = alltrue([for source in var.sources : try(can(regex("^https://[^/?# ]+/?$", source.public_base_url)), false) || source.public_base_url == null])
    error_message = "public_base_url must be https://host without path or query; /webhooks/SOURCE is appended. Leave it out for the address of this API."
  }
  validation {
    condition     = alltrue([for source in var.sources : try(source.max_body_bytes >= 1 && source.max_body_bytes <= local.stack.defaults.max_body_bytes, source.max_body_bytes == null)])
    error_message = "max_body_bytes must be from 1 to ${local.stack.defaults.max_body_bytes}: Lambda takes no larger event."
  }
  validation {
    condition     = alltrue([for source in var.sources : try(source.retention_days >= local.stack.defaults.record_outlives_due_days && source.retention_days <= 3650, source.retention_days == null)])
    error_message = "retention_days must be from ${local.stack.defaults.record_outlives_due_days} to 3650: an event must outlive its dead letter, which is kept for 14 days."
  }
}

variable "account_concurrency" {
  description = "How many functions may run at once in the account and region, all together: Lambda's quota Concurrent executions (L-B99A9384). 1,000 unless AWS has given another; a new account may have 10. What the sources may take is checked against it at plan."
  type        = number
  default     = 1000
  nullable    = false

  validation {
    condition     = var.account_concurrency >= 10
    error_message = "account_concurrency must be Lambda's quota of concurrent executions, 10 or more."
  }
}

variable "packages" {
  description = "Paths of the functions' zips, as `make package` writes them, each with a `bootstrap` inside."
  nullable    = false
  type = object({
    receiver  = string
    processor = string
    sweeper   = string
  })

  validation {
    condition     = alltrue([for zip in values(var.packages) : fileexists(zip)])
    error_message = "A zip is missing: run `make package`, or correct the path. Named are ${join(", ", values(var.packages))}."
  }
}

variable "architecture" {
  description = "What the zips were built for: arm64, which costs a fifth less, or x86_64."
  type        = string
  default     = "arm64"
  nullable    = false

  validation {
    condition     = contains(["arm64", "x86_64"], var.architecture)
    error_message = "architecture must be arm64 or x86_64, as the packages were built."
  }
}

variable "processor" {
  description = "What the processor does and how hard it tries. What is left out is infra/stack.json's. Its time limit cannot be changed here: leases and visibility rest on it."
  default     = {}
  nullable    = false
  type = object({
    memory_mb           = optional(number)
    maximum_concurrency = optional(number)
    # A list of routes, as README.md tells them; without any, nothing is done with events. What
    # their handlers reach, the processor's role may reach (targets.tf).
    routes                  = optional(any)
    retry_delays_seconds    = optional(list(number))
    handler_timeout_seconds = optional(number)
  })

  validation {
    condition     = try(var.processor.memory_mb >= 128 && var.processor.memory_mb <= 10240, var.processor.memory_mb == null)
    error_message = "processor.memory_mb must be from 128 to 10240."
  }
  validation {
    # https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-scaling.html
    condition     = try(var.processor.maximum_concurrency >= 2 && var.processor.maximum_concurrency <= 1000, var.processor.maximum_concurrency == null)
    error_message = "processor.maximum_concurrency must be from 2 to 1000."
  }
  validation {
    condition     = var.processor.routes == null || can([for route in var.processor.routes : [route.id, route.match, route.handler]])
    error_message = "processor.routes must be a list of routes, each with id, match and handler: [{ id = \"billing\", match = \"stripe:*\", handler = \"mirror\" }]."
  }
  validation {
    condition     = alltrue([for route in flatten([var.processor.routes]) : alltrue([for name in try(keys(route), []) : contains(["id", "match", "handler", "with"], name)])])
    error_message = "A route of processor.routes has an attribute besides id, match, handler and with: options of its handler belong into with."
  }
  validation {
    condition     = alltrue([for route in flatten([var.processor.routes]) : can(regex("^[A-Za-z0-9_-]{1,64}$", route.id)) if route != null])
    error_message = "The id of a route must be 1 to 64 letters, digits, - or _."
  }
  validation {
    condition     = try(length(distinct(var.processor.routes[*].id)) == length(var.processor.routes), true)
    error_message = "processor.routes has an id twice, and each event's completion is recorded by it: rename one."
  }
  validation {
    condition     = alltrue([for route in flatten([var.processor.routes]) : can(regex("^((source|provider)/)?[^:/]+:.+$", route.match)) if route != null])
    error_message = "The match of a route must be source:type, such as stripe:invoice.*; * stands for any text, and source/NAME or provider/NAME says which of the two is meant."
  }
  validation {
    condition     = try(length(var.processor.routes) <= 32, true)
    error_message = "processor.routes has more than 32 routes: match more with *."
  }
  validation {
    condition     = alltrue([for route in flatten([var.processor.routes]) : alltrue([for value in try(values(route.with), []) : value != null])])
    error_message = "An option of a route is null: leave it out, since what a handler may do is decided by which options there are."
  }
  validation {
    condition     = var.event_bus || alltrue([for route in flatten([var.processor.routes]) : contains(try(keys(route.with), []), "bus") if try(route.handler, "") == "publish"])
    error_message = "A route with handler publish needs a bus: set event_bus = true, or with = { bus = NAME or ARN }."
  }
  validation {
    condition     = alltrue([for route in flatten([var.processor.routes]) : can(regex("^(arn:[a-z-]+:lambda:[a-z0-9-]+:[0-9]{12}:function:)?[A-Za-z0-9_-]{1,64}(:[A-Za-z0-9$_-]{1,128})?$", route.with.function)) if try(route.handler, "") == "invoke"])
    error_message = "A route with handler invoke needs with = { function = NAME or ARN }, a version or alias after a colon where one is meant."
  }
  validation {
    condition     = alltrue([for route in flatten([var.processor.routes]) : contains(try(keys(route.with), []), "queue_url") != contains(try(keys(route.with), []), "topic_arn") if try(route.handler, "") == "enqueue"])
    error_message = "A route with handler enqueue needs with = { queue_url = … } or with = { topic_arn = … }, exactly one of the two."
  }
  validation {
    condition     = alltrue([for route in flatten([var.processor.routes]) : can(regex("^https://sqs\\.[a-z0-9-]+\\.[a-z.]+/[0-9]{12}/[A-Za-z0-9_-]{1,75}(\\.fifo)?$", route.with.queue_url)) if try(route.handler, "") == "enqueue" && contains(try(keys(route.with), []), "queue_url")])
    error_message = "queue_url of a route must be a queue's URL, https://sqs.REGION.amazonaws.com/ACCOUNT/NAME: its ARN, which the permission names, is made of it."
  }
  validation {
    # The processor would feed itself for ever, or bury what was never tried.
    condition     = alltrue([for route in flatten([var.processor.routes]) : !can(regex("/${var.name}-events(-dlq|-lane)?$", route.with.queue_url)) if try(route.handler, "") == "enqueue"])
    error_message = "queue_url of a route is one of the inbox's own queues: events would go round for ever."
  }
  validation {
    condition     = alltrue([for route in flatten([var.processor.routes]) : can(regex("^arn:[a-z-]+:sns:[a-z0-9-]+:[0-9]{12}:[A-Za-z0-9_-]{1,256}(\\.fifo)?$", route.with.topic_arn)) if try(route.handler, "") == "enqueue" && contains(try(keys(route.with), []), "topic_arn")])
    error_message = "topic_arn of a route must be the ARN of an SNS topic."
  }
  validation {
    # As text it would be refused by the processor.
    condition     = alltrue([for route in flatten([var.processor.routes]) : can(regex("^[0-9]+$", jsonencode(route.with.max_bytes))) && try(route.with.max_bytes >= 65536 && route.with.max_bytes <= (route.handler == "publish" ? 1000000 : 1048576), false) if contains(["publish", "enqueue"], try(route.handler, "")) && contains(try(keys(route.with), []), "max_bytes")])
    error_message = "max_bytes of a route must be a whole number from 65536 to what the service takes: 1048576 with handler enqueue, 1000000 with publish."
  }
  validation {
    condition     = alltrue([for route in flatten([var.processor.routes]) : can(regex("^[0-9]+$", jsonencode(route.with.timeout_seconds))) && try(route.with.timeout_seconds >= 1 && route.with.timeout_seconds <= coalesce(var.processor.handler_timeout_seconds, local.stack.defaults.handler_timeout_seconds), false) if contains(try(keys(route.with), []), "timeout_seconds")])
    error_message = "timeout_seconds of a route must be a whole number from 1 to the time that every handler has: processor.handler_timeout_seconds, ${local.stack.defaults.handler_timeout_seconds} by default."
  }
  validation {
    condition     = alltrue([for route in flatten([var.processor.routes]) : alltrue([for status in try(flatten([route.with.retry.retry_on]), ["none"]) : can(regex("^(4[0-9][0-9]|4xx)$", tostring(status)))]) && try(length(route.with.retry.retry_on) > 0, false) if try(route.handler, "") == "forward" && contains(try(keys(route.with), []), "retry")])
    error_message = "retry of a route with handler forward must be { retry_on = [\"403\", \"404\"] }: statuses from 400 to 499, or \"4xx\" for all of them but 410."
  }
  validation {
    condition     = alltrue([for route in flatten([var.processor.routes]) : can(regex("^https://[^/?#@ ]+([/?][^# ]*)?$", route.with.url)) || (can(regex("^http://[^/?#@ ]+([/?][^# ]*)?$", route.with.url)) && try(route.with.allow_private_addresses, false)) if try(route.handler, "") == "forward"])
    error_message = "A route with handler forward needs with = { url = \"https://…\" }, without user, password and fragment; http:// only with allow_private_addresses = true."
  }
  validation {
    condition     = alltrue([for delay in coalesce(var.processor.retry_delays_seconds, []) : delay >= 0 && delay <= 86400 && floor(delay) == delay])
    error_message = "processor.retry_delays_seconds must be whole numbers from 0 to 86400."
  }
  validation {
    condition     = var.processor.retry_delays_seconds == null || try(length(var.processor.retry_delays_seconds) > 0, false)
    error_message = "processor.retry_delays_seconds is empty, which the processor reads as its default: name at least one wait."
  }
  validation {
    # Each wait in the queue is a receive, and SQS moves a message away after its
    # maximum: the processor refuses to start with more.
    condition     = length([for delay in coalesce(var.processor.retry_delays_seconds, []) : delay if delay <= local.stack.defaults.park_above_seconds]) <= floor(local.stack.queue.max_receive_count / 5)
    error_message = "processor.retry_delays_seconds has too many waits of at most ${local.stack.defaults.park_above_seconds} s, which stay in the queue: at most ${floor(local.stack.queue.max_receive_count / 5)} may. Make some longer."
  }
  validation {
    # 15 s are kept for beginning and for writing the outcome down, as in the
    # processor's config.rs.
    condition     = try(var.processor.handler_timeout_seconds >= 1 && var.processor.handler_timeout_seconds <= local.stack.processor.timeout_seconds - 15, var.processor.handler_timeout_seconds == null)
    error_message = "processor.handler_timeout_seconds must be from 1 to ${local.stack.processor.timeout_seconds - 15}: what became of the event must be written down within the function's ${local.stack.processor.timeout_seconds} s."
  }
}

variable "custom_domain" {
  description = "An address of your own, with TLS 1.2 or later. The certificate (ACM, same region) must be issued. With hosted_zone the record in Route 53 is made too. The API's own address is closed then, unless it is kept for a move."
  default     = null
  type = object({
    name                   = string
    certificate_arn        = string
    hosted_zone            = optional(object({ id = string }))
    keeps_default_endpoint = optional(bool, false)
  })

  validation {
    condition     = var.custom_domain == null || can(regex("^[a-z0-9-]+(\\.[a-z0-9-]+)+$", var.custom_domain.name))
    error_message = "custom_domain.name must be a host name, such as hooks.example.com."
  }
}

variable "customer_key" {
  description = "Encryption by a KMS key of your own instead of AWS's: `create = true` makes one, `arn` names one, whose policy must then hold what the output `kms_key_policy` says."
  default     = {}
  nullable    = false
  type = object({
    create = optional(bool, false)
    arn    = optional(string)
  })

  validation {
    condition     = !(var.customer_key.create && var.customer_key.arn != null)
    error_message = "customer_key: give create = true or an arn, not both."
  }
  validation {
    # Policies want the key itself: an alias's ARN matches no statement.
    condition     = var.customer_key.arn == null || can(regex("^arn:[a-z-]+:kms:[a-z0-9-]+:[0-9]{12}:key/", var.customer_key.arn))
    error_message = "customer_key.arn must be the ARN of the key itself (…:key/…), not an alias."
  }
}

variable "deletion_protection" {
  description = "Whether the tables refuse to be deleted. Turn it off, and apply, before `make destroy`."
  type        = bool
  default     = true
  nullable    = false
}

variable "secret_recovery_days" {
  description = "How long a deleted secret can be restored. 0 deletes at once, for inboxes that come and go."
  type        = number
  default     = 30
  nullable    = false

  validation {
    condition     = var.secret_recovery_days == 0 || (var.secret_recovery_days >= 7 && var.secret_recovery_days <= 30)
    error_message = "secret_recovery_days must be 0 or from 7 to 30, as Secrets Manager has it."
  }
}

variable "log_retention_days" {
  description = "How long logs are kept. They hold no payload, only ids, types and, of API Gateway, callers' addresses."
  type        = number
  default     = 30
  nullable    = false

  validation {
    # https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_PutRetentionPolicy.html
    condition     = contains([1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653], var.log_retention_days)
    error_message = "log_retention_days must be one that CloudWatch knows: 1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731 or more, see PutRetentionPolicy."
  }
}

variable "log_level" {
  description = "What the functions log: RUST_LOG, such as info or inbox_processor=debug."
  type        = string
  default     = "info"
  nullable    = false

  validation {
    condition     = can(regex("^[A-Za-z0-9_=:,-]{1,256}$", var.log_level))
    error_message = "log_level must be 1 to 256 letters, digits, _ = : , and -, as RUST_LOG has them."
  }
}

variable "tracing" {
  description = "Whether Lambda sends traces to X-Ray, at X-Ray's price."
  type        = bool
  default     = false
  nullable    = false
}

variable "alarms" {
  description = "Where alarms go and when. An e-mail address must confirm its subscription; `topic = { arn = … }` uses a topic of yours instead of a new one, which may be made in the same apply."
  default     = {}
  nullable    = false
  type = object({
    emails = optional(set(string), [])
    topic  = optional(object({ arn = string }))
    # Above all waits that stay in the queue by default, or it cries wolf.
    oldest_message_seconds = optional(number)
    # Events that the sweeper had to wake in five minutes.
    swept = optional(number, 100)
  })

  validation {
    condition     = var.alarms.topic == null || length(var.alarms.emails) == 0
    error_message = "alarms.emails subscribe to the topic that is made here: with alarms.topic, subscribe them there."
  }
}

variable "event_bus" {
  description = "Whether to make the EventBridge bus for the handler `publish`. Without rules it costs nothing."
  type        = bool
  default     = true
  nullable    = false
}
