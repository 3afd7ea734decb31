//! A variable's value as the module sees it: what the caller gave, or the default, with
//! the defaults of optional attributes filled in.

use hcl::eval::{Context, Evaluate as _};
use hcl::expr::{Expression, FuncCall, ObjectKey};
use hcl::value::Map;
use hcl::{Block, Value};

use crate::functions::in_order;
use crate::module::{attribute, label};

/// Where it has no default and was not given, `<var.packages.receiver>` and the like.
pub(crate) fn value(variable: &Block, given: Option<&Value>, context: &Context<'_>) -> Value {
    let default = attribute(&variable.body, "default").map(|it| &it.expr);
    let kind = attribute(&variable.body, "type").map(|it| &it.expr);
    let value = match (given, default) {
        (Some(given), _) => given.clone(),
        (None, Some(default)) => default.evaluate(context).expect("a default holds no references"),
        (None, None) => return unknown(kind, &format!("var.{}", label(variable, 0))),
    };
    in_order(kind.map_or(value.clone(), |kind| filled(kind, value, context)))
}

fn unknown(kind: Option<&Expression>, name: &str) -> Value {
    let Some(("object", [Expression::Object(attributes)])) = kind.and_then(call) else {
        return format!("<{name}>").into();
    };
    let parts = attributes.iter().map(|(key, kind)| {
        let key = key_name(key);
        let value = unknown(Some(kind), &format!("{name}.{key}"));
        (key, value)
    });
    Value::Object(parts.collect())
}

fn key_name(key: &ObjectKey) -> String {
    match key {
        ObjectKey::Expression(other) => other.to_string(),
        name => name.to_string(),
    }
}

/// `optional(type, default)` within objects, however deep.
fn filled(kind: &Expression, value: Value, context: &Context<'_>) -> Value {
    let Some((name, arguments)) = call(kind) else { return value };
    match (name, value) {
        ("object", Value::Object(given)) => {
            let Some(Expression::Object(attributes)) = arguments.first() else {
                return Value::Object(given);
            };
            let mut complete = Map::new();
            for (key, kind) in attributes {
                let key = key_name(key);
                let given = given.get(&key).filter(|it| !it.is_null()).cloned();
                let (kind, default) = match call(kind) {
                    Some(("optional", [kind, default])) => (kind, default.evaluate(context).ok()),
                    Some(("optional", [kind])) => (kind, None),
                    _ => (kind, None),
                };
                let value = given.or(default).unwrap_or(Value::Null);
                complete.insert(key, filled(kind, value, context));
            }
            Value::Object(complete)
        }
        ("map", Value::Object(given)) => {
            let fill = |(key, value)| (key, filled(&arguments[0], value, context));
            Value::Object(given.into_iter().map(fill).collect())
        }
        ("list" | "set", Value::Array(given)) => {
            Value::Array(given.into_iter().map(|it| filled(&arguments[0], it, context)).collect())
        }
        (_, value) => value,
    }
}

fn call(kind: &Expression) -> Option<(&str, &[Expression])> {
    let Expression::FuncCall(call) = kind else { return None };
    let FuncCall { name, args, .. } = &**call;
    Some((name.name.as_str(), args))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn optional_attributes_get_their_defaults() {
        let body: hcl::Body = hcl::parse(
            r#"variable "sources" {
                 type = map(object({
                   provider = string
                   memory   = optional(number)
                   throttle = optional(object({ rate = optional(number, 100) }), {})
                 }))
               }"#,
        )
        .unwrap();
        let variable = body.blocks().next().unwrap();
        let given = hcl::value!({ stripe = { provider = "stripe" } });
        assert_eq!(
            value(variable, Some(&given), &Context::new()),
            hcl::value!({
                stripe = { provider = "stripe", memory = null, throttle = { rate = 100 } }
            })
        );
    }

    #[test]
    fn what_nobody_gives_stands_for_itself() {
        let text = r#"variable "packages" { type = object({ receiver = string }) }"#;
        let body: hcl::Body = hcl::parse(text).unwrap();
        assert_eq!(
            value(body.blocks().next().unwrap(), None, &Context::new()),
            hcl::value!({ receiver = "<var.packages.receiver>" })
        );
    }
}
