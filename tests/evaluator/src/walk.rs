//! Walking over expressions: what an expression refers to.
//!
//! `aws_sqs_queue.events[each.key].arn` is one reference with the path
//! `aws_sqs_queue`, `events`, `arn`: indexes and splats select among instances of one
//! thing and are walked on their own.

use hcl::expr::{Expression, ObjectKey, Operation, TraversalOperator};
use hcl::structure::{Body, Structure};
use hcl::template::{Directive, Element, Template};

/// `var.sources`, `aws_sqs_queue.events.arn`: the names, in order.
pub type Path = Vec<String>;

/// Every reference in a body, nested blocks and all, that is not to a variable of a
/// `for` or of a `dynamic` block around it.
#[must_use]
pub fn references_of_body(body: &Body) -> Vec<Path> {
    let mut walk = Walk::default();
    walk.body(body);
    walk.found
}

/// Every reference in an expression that is not to a variable of a `for` around it.
#[must_use]
pub fn references(expression: &Expression) -> Vec<Path> {
    let mut walk = Walk::default();
    walk.expression(expression);
    walk.found
}

#[derive(Default)]
struct Walk {
    found: Vec<Path>,
    scope: Vec<String>,
}

impl Walk {
    fn body(&mut self, body: &Body) {
        for structure in body {
            match structure {
                // What stands there are names of arguments, not references.
                Structure::Attribute(it) if it.key.as_str() == "ignore_changes" => {}
                Structure::Attribute(it) => self.expression(&it.expr),
                Structure::Block(block) if block.identifier.as_str() == "dynamic" => {
                    let iterator = block.body.attributes().find(|it| it.key.as_str() == "iterator");
                    let name = match iterator.map(|it| &it.expr) {
                        Some(Expression::Variable(name)) => name.to_string(),
                        _ => block.labels.first().map_or("", |label| label.as_str()).to_owned(),
                    };
                    let outside =
                        block.body.attributes().filter(|it| it.key.as_str() != "iterator");
                    outside.for_each(|it| self.expression(&it.expr));
                    self.within([name], |walk| {
                        block.body.blocks().for_each(|inner| walk.body(&inner.body));
                    });
                }
                Structure::Block(block) => self.body(&block.body),
            }
        }
    }

    fn within(&mut self, names: impl IntoIterator<Item = String>, walk: impl FnOnce(&mut Self)) {
        let depth = self.scope.len();
        self.scope.extend(names);
        walk(self);
        self.scope.truncate(depth);
    }

    fn found(&mut self, path: Path) {
        if !self.scope.contains(&path[0]) {
            self.found.push(path);
        }
    }

    fn expression(&mut self, expression: &Expression) {
        match expression {
            Expression::Array(items) => items.iter().for_each(|item| self.expression(item)),
            Expression::Object(object) => {
                for (key, value) in object {
                    if let ObjectKey::Expression(key) = key {
                        self.expression(key);
                    }
                    self.expression(value);
                }
            }
            Expression::TemplateExpr(template) => {
                self.template(
                    &Template::from_expr(template).expect("a parsed file's templates parse"),
                );
            }
            Expression::Variable(name) => self.found(vec![name.to_string()]),
            Expression::Traversal(traversal) => {
                let mut path = Path::new();
                if let Expression::Variable(root) = &traversal.expr {
                    path.push(root.to_string());
                } else {
                    self.expression(&traversal.expr);
                }
                for operator in &traversal.operators {
                    match operator {
                        TraversalOperator::GetAttr(name) => path.push(name.to_string()),
                        TraversalOperator::Index(index) => self.expression(index),
                        _ => {}
                    }
                }
                if matches!(traversal.expr, Expression::Variable(_)) {
                    self.found(path);
                }
            }
            Expression::FuncCall(call) => call.args.iter().for_each(|it| self.expression(it)),
            Expression::Parenthesis(inner) => self.expression(inner),
            Expression::Conditional(it) => {
                for it in [&it.cond_expr, &it.true_expr, &it.false_expr] {
                    self.expression(it);
                }
            }
            Expression::Operation(operation) => match &**operation {
                Operation::Unary(it) => self.expression(&it.expr),
                Operation::Binary(it) => {
                    self.expression(&it.lhs_expr);
                    self.expression(&it.rhs_expr);
                }
            },
            Expression::ForExpr(it) => {
                self.expression(&it.collection_expr);
                let names = it.key_var.iter().chain([&it.value_var]).map(ToString::to_string);
                self.within(names, |walk| {
                    let inner = it.key_expr.iter().chain(&it.cond_expr).chain([&it.value_expr]);
                    inner.for_each(|it| walk.expression(it));
                });
            }
            _ => {}
        }
    }

    fn template(&mut self, template: &Template) {
        for element in template.elements() {
            match element {
                Element::Literal(_) => {}
                Element::Interpolation(it) => self.expression(&it.expr),
                Element::Directive(directive) => match &**directive {
                    Directive::If(it) => {
                        self.expression(&it.cond_expr);
                        self.template(&it.true_template);
                        it.false_template.iter().for_each(|it| self.template(it));
                    }
                    Directive::For(it) => {
                        self.expression(&it.collection_expr);
                        let names = it.key_var.iter().chain([&it.value_var]);
                        let names: Vec<_> = names.map(ToString::to_string).collect();
                        self.within(names, |walk| walk.template(&it.template));
                    }
                },
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(expression: &str) -> Vec<String> {
        let parsed = expression.parse().expect("an expression");
        references(&parsed).iter().map(|path| path.join(".")).collect()
    }

    #[test]
    fn references_are_found_wherever_they_stand() {
        for (expression, expected) in [
            ("var.a", &["var.a"][..]),
            ("aws_sqs_queue.events[each.key].arn", &["each.key", "aws_sqs_queue.events.arn"]),
            ("aws_kms_key.this[*].arn", &["aws_kms_key.this.arn"]),
            (r#""${var.a}-%{ if local.b }${local.c}%{ endif }""#, &["var.a", "local.b", "local.c"]),
            ("{ (var.a) = f(local.b, !var.c) }", &["var.a", "local.b", "var.c"]),
            ("var.a ? [local.b] : (var.c + 1)", &["var.a", "local.b", "var.c"]),
        ] {
            assert_eq!(paths(expression), expected, "{expression}");
        }
    }

    #[test]
    fn variables_of_a_for_are_no_references() {
        assert_eq!(
            paths("{ for k, v in var.a : k => v.x + local.b if k != local.c }"),
            ["var.a", "local.c", "local.b"]
        );
        let body: Body = hcl::parse(
            r#"dynamic "statement" {
                 for_each = var.a
                 content { actions = [statement.value, local.b] }
               }"#,
        )
        .expect("a body");
        let found = references_of_body(&body);
        assert_eq!(found, [vec!["var", "a"], vec!["local", "b"]]);
    }
}
