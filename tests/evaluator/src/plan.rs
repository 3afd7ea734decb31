//! What a module would make, as far as that is known before a deployment.
//!
//! ```text
//! variables ─▶ locals ◀──▶ resources ─▶ outputs       again and again, until nothing
//!                │             │                      changes: Terraform's order is not
//!                └─ stack.json └─ for_each, count,    needed then
//!                                 dynamic blocks
//! ```
//!
//! What only AWS can tell stands as `<aws_sqs_queue.events.arn>`, so that it can be
//! followed to where it comes from.

use std::collections::BTreeMap;

use hcl::Value;
use hcl::eval::Context;
use hcl::structure::{Block, Body, Structure};
use hcl::value::Map;

use crate::expressions::evaluate;
use crate::functions;
use crate::module::{Declared, Mistake, Module, attribute, label};
use crate::schema::{Content, Nesting, oldest};
use crate::variables;

/// Enough for the longest chain of locals and resources, and some.
const PASSES: usize = 16;
/// What says how often and when, not what.
const NO_CONTENT: [&str; 6] =
    ["for_each", "count", "depends_on", "provider", "lifecycle", "provisioner"];

/// One resource or data source as it would be made.
#[derive(Clone, Debug)]
pub struct Instance {
    /// Whether it is a data source.
    pub is_data: bool,
    /// `aws_lambda_function`
    pub kind: String,
    /// `receiver`
    pub name: String,
    /// `["stripe"]`, `[0]`, or nothing.
    pub key: String,
    /// Arguments, and lists of blocks, by name.
    pub values: serde_json::Value,
}

impl Instance {
    /// `aws_lambda_function.receiver["stripe"]`
    #[must_use]
    pub fn address(&self) -> String {
        let prefix = if self.is_data { "data." } else { "" };
        format!("{prefix}{}.{}{}", self.kind, self.name, self.key)
    }

    /// How another one's argument refers to it.
    #[must_use]
    pub fn reference(&self, attribute: &str) -> String {
        format!("<{}.{attribute}>", self.address())
    }
}

/// A module's instances and outputs.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// Every resource and data source.
    pub instances: Vec<Instance>,
    /// Values by name.
    pub outputs: BTreeMap<String, serde_json::Value>,
    /// What could not be evaluated.
    pub mistakes: Vec<Mistake>,
    /// What preconditions say of it, in their own words.
    pub refused: Vec<String>,
}

/// What is known so far.
#[derive(Clone, Default, PartialEq)]
struct Known {
    locals: Map<String, Value>,
    /// By root of an expression: `aws_sqs_queue`, `data`.
    roots: BTreeMap<String, Map<String, Value>>,
}

/// What every expression of a module sees: functions, paths and variables.
#[must_use]
pub fn surroundings(module: &Module, given: &Map<String, Value>) -> Context<'static> {
    let mut base = Context::new();
    functions::declare(&mut base);
    let folder = module.folder.display().to_string();
    base.declare_var("path", hcl::value!({ module = (folder.clone()), root = folder }));
    base.declare_var("terraform", hcl::value!({ workspace = "default" }));
    let mut variables = Map::new();
    for (name, (_, block)) in module.labelled("variable") {
        let value = variables::value(block, given.get(name), &base);
        variables.insert(name.to_owned(), value);
    }
    base.declare_var("var", Value::Object(variables));
    base
}

/// A caller's variables from JSON.
#[must_use]
pub fn given(variables: &serde_json::Value) -> Map<String, Value> {
    match serde_json::from_value(variables.clone()) {
        Ok(Value::Object(given)) => given,
        _ => Map::new(),
    }
}

/// Evaluates a module with what its caller gives it.
#[must_use]
pub fn plan(module: &Module, given: &Map<String, Value>) -> Plan {
    let base = surroundings(module, given);
    let mut known = Known::default();
    for _ in 0..PASSES {
        let mut pass = Pass::new(module, &base, &known);
        pass.run();
        let is_settled = pass.next == known;
        known = pass.next.clone();
        if is_settled {
            return pass.plan;
        }
    }
    panic!("{}: values still change after {PASSES} passes", module.folder.display());
}

struct Pass<'a> {
    module: &'a Module,
    context: Context<'a>,
    next: Known,
    plan: Plan,
}

impl<'a> Pass<'a> {
    fn new(module: &'a Module, base: &Context<'a>, known: &Known) -> Self {
        let mut context = base.clone();
        context.declare_var("local", Value::Object(known.locals.clone()));
        for (root, values) in &known.roots {
            context.declare_var(hcl::Identifier::sanitized(root), Value::Object(values.clone()));
        }
        Self { module, context, next: Known::default(), plan: Plan::default() }
    }

    fn run(&mut self) {
        for (name, (file, expression)) in self.module.locals() {
            match evaluate(expression, &self.context) {
                Ok(value) => {
                    self.next.locals.insert(name.to_owned(), functions::in_order(value));
                }
                Err(reason) => self.plan.mistakes.push(Mistake {
                    file: file.to_owned(),
                    place: format!("local {name}"),
                    reason,
                }),
            }
        }
        for declared in self.module.declared() {
            self.declared(declared);
        }
        for (file, call) in self.module.blocks("module") {
            self.call(file, call);
        }
        for (name, (file, block)) in self.module.labelled("output") {
            let Some(value) = attribute(&block.body, "value") else { continue };
            match evaluate(&value.expr, &self.context) {
                Ok(value) => {
                    self.plan.outputs.insert(name.to_owned(), json(&value));
                }
                Err(reason) => self.plan.mistakes.push(Mistake {
                    file: file.to_owned(),
                    place: format!("output {name}"),
                    reason,
                }),
            }
        }
    }

    /// A module within is planned with what it is given; its instances are not ours.
    fn call(&mut self, file: &str, call: &Block) {
        let name = label(call, 0);
        let called = Module::read(&self.module.folder.join(source(&call.body)));
        let variables = called.labelled("variable");
        let mut given = Map::new();
        for argument in call.body.attributes() {
            match evaluate(&argument.expr, &self.context) {
                Ok(value) if !is_left_to_default(&value, &variables, argument.key.as_str()) => {
                    given.insert(argument.key.to_string(), value);
                }
                Ok(_) => {}
                Err(reason) => {
                    let place = format!("module {name}");
                    self.plan.mistakes.push(Mistake { file: file.to_owned(), place, reason });
                }
            }
        }
        let outputs = plan(&called, &given)
            .outputs
            .into_iter()
            .map(|(name, value)| (name, serde_json::from_value(value).expect("a value")));
        let root = self.next.roots.entry("module".to_owned()).or_default();
        root.insert(name.to_owned(), Value::Object(outputs.collect()));
    }

    fn declared(&mut self, declared: Declared<'_>) {
        let given =
            |name| attribute(declared.body, name).map(|it| evaluate(&it.expr, &self.context));
        let value = match (given("for_each"), given("count")) {
            (Some(Ok(each)), _) => {
                let entries = entries(&each);
                // One for all: it holds everything that is known, and copying that is slow.
                let mut context = self.context.clone();
                let made = entries.into_iter().map(|(key, value)| {
                    context
                        .declare_var("each", hcl::value!({ key = (key.clone()), value = value }));
                    let instance = self.instance(declared, format!("[{key:?}]"), &context);
                    (key, instance)
                });
                Value::Object(made.collect())
            }
            (_, Some(Ok(Value::Number(count)))) => {
                let count = count.as_u64().unwrap_or_default();
                let mut context = self.context.clone();
                let made = (0..count).map(|index| {
                    context.declare_var("count", hcl::value!({ index = index }));
                    self.instance(declared, format!("[{index}]"), &context)
                });
                Value::Array(made.collect())
            }
            (Some(Err(reason)), _) | (_, Some(Err(reason))) => {
                return self.plan.mistakes.push(declared.mistake(reason));
            }
            (_, Some(Ok(other))) => {
                return self.plan.mistakes.push(declared.mistake(format!("count is {other}")));
            }
            (None, None) => {
                let context = std::mem::take(&mut self.context);
                let instance = self.instance(declared, String::new(), &context);
                self.context = context;
                instance
            }
        };
        let root = if declared.is_data { "data" } else { declared.kind };
        let mut at = self.next.roots.entry(root.to_owned()).or_default();
        if declared.is_data {
            let kinds =
                at.entry(declared.kind.to_owned()).or_insert_with(|| Value::Object(Map::new()));
            at = kinds.as_object_mut().expect("a map of data sources");
        }
        at.insert(declared.name.to_owned(), value);
    }

    /// Notes the instance, and gives what expressions see of it.
    fn instance(&mut self, declared: Declared<'_>, key: String, context: &Context<'_>) -> Value {
        let Some(resource) = oldest().find(declared.is_data, declared.kind) else {
            return Value::Null;
        };
        let mut reasons = Vec::new();
        let values = content(declared.body, context, &mut reasons);
        self.preconditions(declared.body, context, &mut reasons);
        self.plan.mistakes.extend(reasons.into_iter().map(|it| declared.mistake(it)));
        let instance = Instance {
            is_data: declared.is_data,
            kind: declared.kind.to_owned(),
            name: declared.name.to_owned(),
            key,
            values: json(&Value::Object(values.clone())),
        };
        let mut seen = values;
        complete(&mut seen, &resource.block, &instance.address());
        self.plan.instances.push(instance);
        Value::Object(seen)
    }

    fn preconditions(&mut self, body: &Body, context: &Context<'_>, reasons: &mut Vec<String>) {
        let lifecycles = body.blocks().filter(|it| it.identifier.as_str() == "lifecycle");
        let conditions = lifecycles.flat_map(|it| it.body.blocks());
        for block in conditions.filter(|it| it.identifier.as_str() == "precondition") {
            match checked(block, context) {
                Ok(None) => {}
                Ok(Some(said)) => self.plan.refused.push(said),
                Err(reason) => reasons.push(format!("precondition: {reason}")),
            }
        }
    }
}

/// What a `validation` or a `precondition` says, where its condition does not hold.
pub fn checked(block: &Block, context: &Context<'_>) -> Result<Option<String>, String> {
    let part = |name: &str| {
        let part = attribute(&block.body, name).ok_or_else(|| format!("no {name}"))?;
        evaluate(&part.expr, context)
    };
    match part("condition")? {
        Value::Bool(true) => Ok(None),
        Value::Bool(false) => match part("error_message")? {
            Value::String(said) => Ok(Some(said)),
            other => Err(format!("error_message is {other}")),
        },
        other => Err(format!("the condition is {other}")),
    }
}

/// null gives a variable its default where it takes no null itself.
/// <https://developer.hashicorp.com/terraform/language/values/variables#disallowing-null-input-values>
fn is_left_to_default(
    value: &Value,
    variables: &BTreeMap<&str, (&str, &Block)>,
    name: &str,
) -> bool {
    let nullable = variables.get(name).and_then(|(_, it)| attribute(&it.body, "nullable"));
    value.is_null() && nullable.is_some_and(|it| it.expr == hcl::Expression::Bool(false))
}

/// What expressions see of what was not given: what the provider fills in stands for
/// itself, the rest is null, and blocks are none.
fn complete(seen: &mut Map<String, Value>, content: &Content, address: &str) {
    for (name, attribute) in &content.attributes {
        let value = seen.entry(name.clone()).or_insert(Value::Null);
        if value.is_null() && attribute.computed {
            *value = format!("<{address}.{name}>").into();
        }
    }
    for (name, nested) in &content.block_types {
        let none = match nested.nesting_mode {
            Nesting::Single => Value::Null,
            Nesting::List | Nesting::Set => Value::Array(vec![]),
        };
        let Value::Array(blocks) = seen.entry(name.clone()).or_insert(none) else { continue };
        for block in blocks.iter_mut().filter_map(Value::as_object_mut) {
            complete(block, &nested.block, &format!("{address}.{name}"));
        }
    }
}

fn content(body: &Body, context: &Context<'_>, reasons: &mut Vec<String>) -> Map<String, Value> {
    let mut values = Map::new();
    for structure in body {
        match structure {
            Structure::Attribute(it) if NO_CONTENT.contains(&it.key.as_str()) => {}
            Structure::Attribute(it) => match evaluate(&it.expr, context) {
                Ok(value) => {
                    values.insert(it.key.to_string(), value);
                }
                Err(reason) => reasons.push(format!("{}: {reason}", it.key)),
            },
            Structure::Block(block) => {
                let name = block.identifier.as_str();
                if NO_CONTENT.contains(&name) {
                    continue;
                }
                let (name, blocks) = if name == "dynamic" {
                    (label(block, 0), dynamic(&block.body, label(block, 0), context, reasons))
                } else {
                    (name, vec![Value::Object(content(&block.body, context, reasons))])
                };
                let list = values.entry(name.to_owned()).or_insert_with(|| Value::Array(vec![]));
                list.as_array_mut().expect("a list of blocks").extend(blocks);
            }
        }
    }
    values
}

fn dynamic(
    body: &Body,
    name: &str,
    context: &Context<'_>,
    reasons: &mut Vec<String>,
) -> Vec<Value> {
    let Some(each) = attribute(body, "for_each") else { return vec![] };
    let each = match evaluate(&each.expr, context) {
        Ok(each) => each,
        Err(reason) => {
            reasons.push(format!("dynamic {name}: {reason}"));
            return vec![];
        }
    };
    let iterator = attribute(body, "iterator").map_or(name.to_owned(), |it| it.expr.to_string());
    let inner = body.blocks().find(|it| it.identifier.as_str() == "content");
    let mut context = context.clone();
    let made = entries(&each).into_iter().filter_map(|(key, value)| {
        let item = hcl::value!({ key = key, value = value });
        context.declare_var(hcl::Identifier::sanitized(&iterator), item);
        Some(Value::Object(content(&inner?.body, &context, reasons)))
    });
    made.collect()
}

/// What `for_each` runs over; in a set, each is its own key.
fn entries(each: &Value) -> Vec<(String, Value)> {
    match each {
        Value::Object(object) => {
            object.iter().map(|(key, value)| (key.clone(), value.clone())).collect()
        }
        Value::Array(items) => {
            let key = |it: &Value| it.as_str().map_or_else(|| it.to_string(), ToOwned::to_owned);
            items.iter().map(|it| (key(it), it.clone())).collect()
        }
        _ => vec![],
    }
}

fn source(call: &Body) -> String {
    attribute(call, "source").map_or_else(String::new, |it| match &it.expr {
        hcl::Expression::String(source) => source.clone(),
        _ => String::new(),
    })
}

fn json(value: &Value) -> serde_json::Value {
    serde_json::to_value(value).expect("a value")
}
