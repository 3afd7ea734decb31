//! Evaluating one expression. The library does it all but for `try` and `can`, which
//! look at whether an expression has a value: these are decided first, from within.

use hcl::Value;
use hcl::eval::{Context, Evaluate as _};
use hcl::expr::{Expression, Operation, TraversalOperator};

/// The value, or why there is none.
pub(crate) fn evaluate(expression: &Expression, context: &Context<'_>) -> Result<Value, String> {
    decided(expression, context).evaluate(context).map_err(|it| it.to_string())
}

fn decided(expression: &Expression, context: &Context<'_>) -> Expression {
    let again = |inner: &Expression| decided(inner, context);
    match expression {
        Expression::FuncCall(call) => {
            let mut call = (**call).clone();
            let mut values = call.args.iter().map(|it| evaluate(it, context));
            match call.name.name.as_str() {
                "try" => {
                    if let Some(value) = values.find_map(Result::ok) {
                        return value.into();
                    }
                }
                "can" => return values.all(|it| it.is_ok()).into(),
                _ => {}
            }
            call.args = call.args.iter().map(again).collect();
            call.into()
        }
        Expression::Array(items) => items.iter().map(again).collect::<Vec<_>>().into(),
        Expression::Object(object) => {
            let all = object.iter().map(|(key, value)| (key.clone(), again(value)));
            Expression::Object(all.collect())
        }
        Expression::Parenthesis(inner) => Expression::Parenthesis(Box::new(again(inner))),
        Expression::Conditional(it) => {
            let mut it = it.clone();
            for part in [&mut it.cond_expr, &mut it.true_expr, &mut it.false_expr] {
                *part = again(part);
            }
            Expression::Conditional(it)
        }
        Expression::Operation(operation) => {
            let mut operation = operation.clone();
            match &mut *operation {
                Operation::Unary(it) => it.expr = again(&it.expr),
                Operation::Binary(it) => {
                    it.lhs_expr = again(&it.lhs_expr);
                    it.rhs_expr = again(&it.rhs_expr);
                }
            }
            Expression::Operation(operation)
        }
        Expression::Traversal(traversal) => {
            let mut traversal = traversal.clone();
            traversal.expr = again(&traversal.expr);
            for operator in &mut traversal.operators {
                if let TraversalOperator::Index(index) = operator {
                    *index = again(index);
                }
            }
            Expression::Traversal(traversal)
        }
        other => other.clone(),
    }
}
