//! Evaluating one expression. The library does it all but for `try` and `can`, which
//! look at whether an expression has a value: these are decided first, from within. A
//! `for` is run here, since within it they speak of each item anew.

use hcl::Value;
use hcl::eval::{Context, Evaluate as _};
use hcl::expr::{Expression, ForExpr, Operation, TemplateExpr, TraversalOperator};
use hcl::template::{Element, Template};
use hcl::value::Map;

use crate::functions::in_order;

/// The value, or why there is none.
pub fn evaluate(expression: &Expression, context: &Context<'_>) -> Result<Value, String> {
    match expression {
        Expression::ForExpr(it) => run(it, context),
        // Only what is chosen needs a value.
        Expression::Conditional(it) => match evaluate(&it.cond_expr, context)? {
            Value::Bool(true) => evaluate(&it.true_expr, context),
            Value::Bool(false) => evaluate(&it.false_expr, context),
            other => Err(format!("{other} is neither true nor false")),
        },
        _ => decided(expression, context)?.evaluate(context).map_err(|it| it.to_string()),
    }
}

/// A list, or a map where it has keys.
fn run(it: &ForExpr, context: &Context<'_>) -> Result<Value, String> {
    let collection = in_order(evaluate(&it.collection_expr, context)?);
    // The library is quicker, and refuses what it does not know.
    let quick = ForExpr { collection_expr: collection.clone().into(), ..it.clone() };
    if let Ok(value) = quick.evaluate(context) {
        return Ok(value);
    }
    if it.grouping {
        return Err("a for that groups may not use try or can here".to_owned());
    }
    let all: Vec<(Value, Value)> = match collection {
        Value::Array(items) => {
            items.into_iter().enumerate().map(|(index, item)| (index.into(), item)).collect()
        }
        Value::Object(object) => object.into_iter().map(|(key, item)| (key.into(), item)).collect(),
        other => return Err(format!("{other} is nothing to run over")),
    };
    let (mut list, mut map) = (Vec::new(), Map::new());
    let mut context = context.clone();
    for (key, item) in all {
        if let Some(name) = &it.key_var {
            context.declare_var(name.clone(), key);
        }
        context.declare_var(it.value_var.clone(), item);
        let is_meant =
            it.cond_expr.as_ref().map_or(Ok(Value::Bool(true)), |it| evaluate(it, &context))?;
        if is_meant != Value::Bool(true) {
            continue;
        }
        let value = evaluate(&it.value_expr, &context)?;
        match it.key_expr.as_ref().map(|it| evaluate(it, &context)).transpose()? {
            None => list.push(value),
            Some(Value::String(key)) => {
                if map.insert(key.clone(), value).is_some() {
                    return Err(format!("two items have the key {key:?}"));
                }
            }
            Some(other) => return Err(format!("{other} is no key")),
        }
    }
    Ok(if it.key_expr.is_some() { Value::Object(map) } else { Value::Array(list) })
}

/// The same with nothing in it that the library could not evaluate.
fn decided(expression: &Expression, context: &Context<'_>) -> Result<Expression, String> {
    let again = |inner: &Expression| decided(inner, context);
    Ok(match expression {
        Expression::ForExpr(_) | Expression::Conditional(_) => {
            evaluate(expression, context)?.into()
        }
        Expression::FuncCall(call) => {
            let mut call = (**call).clone();
            let mut values = call.args.iter().map(|it| evaluate(it, context));
            match call.name.name.as_str() {
                "try" => {
                    let found = values.find_map(Result::ok);
                    return found.map(Into::into).ok_or_else(|| format!("{expression}: no value"));
                }
                "can" => return Ok(values.all(|it| it.is_ok()).into()),
                _ => {}
            }
            call.args = call.args.iter().map(again).collect::<Result<_, _>>()?;
            call.into()
        }
        Expression::Array(items) => items.iter().map(again).collect::<Result<Vec<_>, _>>()?.into(),
        Expression::Object(object) => {
            let all = object.iter().map(|(key, value)| Ok((key.clone(), again(value)?)));
            Expression::Object(all.collect::<Result<_, String>>()?)
        }
        Expression::Parenthesis(inner) => Expression::Parenthesis(Box::new(again(inner)?)),
        Expression::Operation(operation) => {
            let mut operation = operation.clone();
            match &mut *operation {
                Operation::Unary(it) => it.expr = again(&it.expr)?,
                Operation::Binary(it) => {
                    it.lhs_expr = again(&it.lhs_expr)?;
                    it.rhs_expr = again(&it.rhs_expr)?;
                }
            }
            Expression::Operation(operation)
        }
        Expression::Traversal(traversal) => {
            let mut traversal = traversal.clone();
            traversal.expr = again(&traversal.expr)?;
            for operator in &mut traversal.operators {
                if let TraversalOperator::Index(index) = operator {
                    *index = again(index)?;
                }
            }
            Expression::Traversal(traversal)
        }
        Expression::TemplateExpr(written) => filled(written, context)?.into(),
        other => other.clone(),
    })
}

/// A text with what stands in it.
fn filled(written: &TemplateExpr, context: &Context<'_>) -> Result<Value, String> {
    // The library is quicker, and refuses what it does not know.
    let fault = match written.evaluate(context) {
        Ok(text) => return Ok(text),
        Err(fault) => fault.to_string(),
    };
    let template = Template::from_expr(written).map_err(|it| it.to_string())?;
    let mut text = String::new();
    for element in template.elements() {
        match element {
            Element::Literal(literal) => text.push_str(literal),
            Element::Interpolation(it) => match evaluate(&it.expr, context)? {
                Value::String(value) => text.push_str(&value),
                value @ (Value::Number(_) | Value::Bool(_)) => text.push_str(&value.to_string()),
                other => return Err(format!("{other} cannot stand within a text")),
            },
            Element::Directive(_) => return Err(fault),
        }
    }
    Ok(text.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(text: &str) -> Result<Value, String> {
        let mut context = Context::new();
        crate::functions::declare(&mut context);
        let routes = hcl::value!([{ id = "a" }, { id = "b", with = { bus = "x" } }]);
        context.declare_var("var", hcl::value!({ routes = routes }));
        evaluate(&text.parse().unwrap(), &context)
    }

    #[test]
    fn what_may_have_no_value_is_decided_for_each_item_of_a_for() {
        for (text, expected) in [
            ("[for it in var.routes : try(it.with.bus, \"none\")]", hcl::value!(["none", "x"])),
            ("[for it in var.routes : it.id if can(it.with)]", hcl::value!(["b"])),
            ("[for key, it in { b = 1, a = 2 } : key]", hcl::value!(["a", "b"])),
            ("jsonencode({ b = \"x&y\", a = 1 })", r#"{"a":1,"b":"x\u0026y"}"#.into()),
            ("{ for i, it in var.routes : it.id => i }", hcl::value!({ a = 0, b = 1 })),
            ("{ for key, it in { a = 1 } : key => it + 1 }", hcl::value!({ a = 2 })),
            (
                "\"rename ${length([for it in var.routes : it.id if !can(it.with)])} of 2\"",
                "rename 1 of 2".into(),
            ),
            ("length([for it in var.routes : it if try(it.with.bus, \"\") == \"x\"])", 1.into()),
        ] {
            assert_eq!(value(text), Ok(expected), "{text}");
        }
        assert!(value("[for it in var.routes : it.with]").is_err());
    }

    #[test]
    fn only_the_side_that_is_chosen_needs_a_value() {
        assert_eq!(value("true ? 1 : var.routes[9].id"), Ok(1.into()));
        assert!(value("false ? 1 : var.routes[9].id").is_err());
    }
}
