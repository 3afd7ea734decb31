//! Holds every reference against what there is: variables, locals, resources and their
//! attributes, modules and their outputs. What is declared and never used is a mistake
//! too.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use hcl::expr::Expression;
use hcl::structure::BlockLabel;

use crate::module::{Mistake, Module, attribute};
use crate::schema::{Schema, schemas};
use crate::walk::{self, references, references_of_body};

/// Names that Terraform gives.
const BUILT_IN: [&str; 5] = ["each", "count", "self", "path", "terraform"];
/// What a call of a module takes besides the module's variables.
const CALL_ARGUMENTS: [&str; 6] =
    ["source", "version", "providers", "count", "for_each", "depends_on"];
/// Types and keywords that look like references.
const KEYWORDS: [&str; 7] = ["string", "number", "bool", "any", "null", "true", "false"];

/// Every mistake in one module. `read_module` gives the modules that it calls.
pub(crate) fn mistakes(module: &Module, read_module: &dyn Fn(&Path) -> Module) -> Vec<Mistake> {
    let mut check = Check { module, read_module, found: Vec::new(), used: BTreeSet::new() };
    check.references();
    check.doubles();
    check.calls();
    check.unused();
    check.cycles();
    check.found
}

struct Check<'a> {
    module: &'a Module,
    read_module: &'a dyn Fn(&Path) -> Module,
    found: Vec<Mistake>,
    /// `var.name`, `local.name`
    used: BTreeSet<String>,
}

impl Check<'_> {
    fn wrong(&mut self, file: &str, place: &str, reason: String) {
        self.found.push(Mistake { file: file.to_owned(), place: place.to_owned(), reason });
    }

    fn references(&mut self) {
        for (file, body) in &self.module.files {
            for block in body.blocks() {
                let labels: Vec<&str> = block.labels.iter().map(BlockLabel::as_str).collect();
                let place = format!("{} {}", block.identifier.as_str(), labels.join("."));
                let place = place.trim();
                let mut block = block.body.clone();
                if place.starts_with("variable ") {
                    // A type is written with the same letters as references are.
                    block = block
                        .into_iter()
                        .filter(|it| it.as_attribute().is_none_or(|it| it.key.as_str() != "type"))
                        .collect();
                }
                if place.starts_with("module ") {
                    block = block
                        .into_iter()
                        .filter(|it| {
                            it.as_attribute().is_none_or(|it| it.key.as_str() != "providers")
                        })
                        .collect();
                }
                for path in references_of_body(&block) {
                    self.used.insert(path.iter().take(2).cloned().collect::<Vec<_>>().join("."));
                    // A variable that only its own validation reads is read by nobody.
                    if let Some(reason) = self.dangling(&path) {
                        self.wrong(file, place, reason);
                    }
                }
            }
        }
    }

    /// Why a reference leads nowhere.
    fn dangling(&self, path: &walk::Path) -> Option<String> {
        let written = path.join(".");
        let name = path.get(1).map_or("", String::as_str);
        match path[0].as_str() {
            root if BUILT_IN.contains(&root) || KEYWORDS.contains(&root) => None,
            "var" => (!self.module.labelled("variable").contains_key(name))
                .then(|| format!("there is no variable {name}")),
            "local" => (!self.module.locals().contains_key(name))
                .then(|| format!("there is no local value {name}")),
            "module" => {
                let calls = self.module.labelled("module");
                let Some((_, call)) = calls.get(name) else {
                    return Some(format!("there is no module {name}"));
                };
                let output = path.get(2)?;
                let called = self.called(&call.body)?;
                (!called.labelled("output").contains_key(output.as_str()))
                    .then(|| format!("module {name} has no output {output}"))
            }
            "data" => self.attribute(true, path.get(1)?, path.get(2)?, path.get(3), &written),
            kind => self.attribute(false, kind, path.get(1)?, path.get(2), &written),
        }
    }

    fn attribute(
        &self,
        is_data: bool,
        kind: &str,
        name: &str,
        attribute: Option<&String>,
        written: &str,
    ) -> Option<String> {
        let declared = self.module.declared();
        let is_meant = |it: &&crate::module::Declared<'_>| {
            it.is_data == is_data && it.kind == kind && it.name == name
        };
        if !declared.iter().any(|it| is_meant(&it)) {
            return Some(format!("{written} refers to nothing"));
        }
        let attribute = attribute?;
        let lacks = |schema: &&Schema| {
            schema.find(is_data, kind).is_some_and(|it| !it.block.has(attribute))
        };
        let first = schemas().into_iter().find(lacks)?;
        Some(format!("{kind} has no attribute {attribute} in provider {}", first.version()))
    }

    /// The module that a call names, where it is one of ours.
    fn called(&self, call: &hcl::Body) -> Option<Module> {
        match attribute(call, "source").map(|it| &it.expr) {
            Some(Expression::String(source)) if source.starts_with('.') => {
                Some((self.read_module)(&self.module.folder.join(source)))
            }
            _ => None,
        }
    }

    fn calls(&mut self) {
        for (file, call) in self.module.blocks("module") {
            let Some(called) = self.called(&call.body) else { continue };
            let place = format!("module {}", crate::module::label(call, 0));
            let variables = called.labelled("variable");
            let given: BTreeSet<&str> = call.body.attributes().map(|it| it.key.as_str()).collect();
            for name in given.iter().filter(|name| !CALL_ARGUMENTS.contains(*name)) {
                if !variables.contains_key(*name) {
                    self.wrong(file, &place, format!("the module has no variable {name}"));
                }
            }
            for (name, (_, variable)) in &variables {
                if attribute(&variable.body, "default").is_none() && !given.contains(name) {
                    self.wrong(file, &place, format!("the module needs {name}"));
                }
            }
        }
    }

    fn unused(&mut self) {
        for (name, (file, block)) in self.module.labelled("variable") {
            let own = references_of_body(&block.body);
            let own_uses = own
                .iter()
                .filter(|path| path[0] == "var" && path.get(1).is_some_and(|it| it == name));
            let is_read = self.uses(&["var", name]) > own_uses.count();
            if !is_read {
                self.wrong(file, &format!("variable {name}"), "nothing reads it".to_owned());
            }
        }
        for (name, (file, _)) in self.module.locals() {
            if !self.used.contains(&format!("local.{name}")) {
                self.wrong(file, &format!("local {name}"), "nothing reads it".to_owned());
            }
        }
        for declared in self.module.declared() {
            let used = format!("data.{}", declared.kind);
            let is_read = self.uses(&["data", declared.kind, declared.name]) > 0;
            if declared.is_data && !(self.used.contains(&used) && is_read) {
                self.found.push(declared.mistake("nothing reads it"));
            }
        }
    }

    /// What is declared twice: Terraform refuses it, and a map keeps but the last.
    fn doubles(&mut self) {
        let mut seen = BTreeSet::new();
        for (file, body) in &self.module.files {
            let mut names = Vec::new();
            for block in body.blocks() {
                let labels: Vec<&str> = block.labels.iter().map(BlockLabel::as_str).collect();
                match block.identifier.as_str() {
                    "locals" => names.extend(
                        block.body.attributes().map(|it| format!("local {}", it.key.as_str())),
                    ),
                    "terraform" | "provider" | "import" | "moved" | "removed" => {}
                    kind => names.push(format!("{kind} {}", labels.join("."))),
                }
            }
            for name in names {
                if !seen.insert(name.clone()) {
                    self.found.push(Mistake {
                        file: file.clone(),
                        place: name,
                        reason: "declared twice".to_owned(),
                    });
                }
            }
        }
    }

    /// What needs itself before it can be made, however far round.
    fn cycles(&mut self) {
        let mut needs: BTreeMap<String, (&str, Vec<walk::Path>)> = BTreeMap::new();
        for (name, (file, expression)) in self.module.locals() {
            needs.insert(format!("local.{name}"), (file, references(expression)));
        }
        for declared in self.module.declared() {
            let paths = references_of_body(declared.body);
            needs.insert(declared.address(), (declared.file, paths));
        }
        let next = |node: &str| -> Vec<String> {
            let paths = needs.get(node).map_or(&[][..], |(_, paths)| paths);
            let nodes = paths.iter().map(|path| {
                let parts = if path[0] == "data" { 3 } else { 2 };
                path.iter().take(parts).cloned().collect::<Vec<_>>().join(".")
            });
            nodes.filter(|it| needs.contains_key(it)).collect()
        };
        let mut done = BTreeSet::new();
        for (node, (file, _)) in &needs {
            let mut seen = BTreeSet::new();
            let mut left = next(node);
            while let Some(at) = left.pop() {
                if seen.insert(at.clone()) && !done.contains(&at) {
                    left.extend(next(&at));
                }
            }
            // Once told, not again from every member of the circle.
            if seen.contains(node) && seen.iter().all(|it| !done.contains(it)) {
                self.found.push(Mistake {
                    file: (*file).to_owned(),
                    place: node.clone(),
                    reason: "needs itself, by way of others".to_owned(),
                });
            }
            done.insert(node.clone());
        }
    }

    /// How often something is referred to in the whole module.
    fn uses(&self, path: &[&str]) -> usize {
        let bodies = self.module.files.iter().map(|(_, body)| body);
        let all = bodies.flat_map(references_of_body);
        all.filter(|it| it.len() >= path.len() && it.iter().zip(path).all(|(a, b)| a == b)).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reasons(text: &str) -> Vec<String> {
        let module = Module::parse(Path::new("root"), [("main.tf", text)]);
        let child = |folder: &Path| {
            assert_eq!(folder, Path::new("root/./child"));
            let text = r#"
              variable "name" {}
              variable "size" { default = var.name }
              output "url" { value = var.size }
            "#;
            Module::parse(folder, [("main.tf", text)])
        };
        mistakes(&module, &child).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn references_that_lead_nowhere_are_named() {
        for (value, reason) in [
            ("var.nothing", "there is no variable nothing"),
            ("local.nothing", "there is no local value nothing"),
            ("aws_sqs_queue.other.arn", "aws_sqs_queue.other.arn refers to nothing"),
            ("aws_sqs_queue.events.urn", "aws_sqs_queue has no attribute urn in provider 6.40.0"),
            (
                "aws_sqs_queue.events[0].urn",
                "aws_sqs_queue has no attribute urn in provider 6.40.0",
            ),
            ("data.aws_region.other.region", "data.aws_region.other.region refers to nothing"),
            ("module.other.url", "there is no module other"),
            ("module.child.uri", "module child has no output uri"),
            ("\"a ${var.nothing} b\"", "there is no variable nothing"),
        ] {
            let found = reasons(&format!(
                r#"resource "aws_sqs_queue" "events" {{}}
                   module "child" {{
                     source = "./child"
                     name   = "x"
                   }}
                   output "o" {{ value = {value} }}"#
            ));
            assert_eq!(found, [format!("main.tf: output o: {reason}")], "{value}");
        }
    }

    #[test]
    fn what_a_module_does_not_take_or_does_not_get_is_named() {
        assert_eq!(
            reasons("module \"child\" {\n source = \"./child\"\n nmae = 1\n }"),
            [
                "main.tf: module child: the module has no variable nmae",
                "main.tf: module child: the module needs name",
            ]
        );
    }

    #[test]
    fn what_nothing_reads_is_named() {
        assert_eq!(
            reasons(
                r#"variable "a" {
                     type = string
                     validation {
                       condition     = var.a != ""
                       error_message = "a is empty"
                     }
                   }
                   locals { b = 1 }
                   data "aws_region" "here" {}"#
            ),
            [
                "main.tf: variable a: nothing reads it",
                "main.tf: local b: nothing reads it",
                "main.tf: data.aws_region.here: nothing reads it",
            ]
        );
    }

    #[test]
    fn what_is_declared_twice_is_named() {
        assert_eq!(
            reasons(
                r#"locals { a = 1 }
                   locals { a = 2 }
                   resource "aws_sqs_queue" "a" {}
                   resource "aws_sqs_queue" "a" {}
                   output "o" { value = local.a }"#
            ),
            [
                "main.tf: local a: declared twice",
                "main.tf: resource aws_sqs_queue.a: declared twice",
            ]
        );
    }

    #[test]
    fn what_needs_itself_is_named() {
        assert_eq!(
            reasons(
                r#"locals { arn = "${aws_sqs_queue.a.arn}/x" }
                   resource "aws_sqs_queue" "a" { policy = data.aws_region.b.id }
                   data "aws_region" "b" { region = local.arn }
                   output "o" { value = local.arn }"#
            ),
            ["main.tf: aws_sqs_queue.a: needs itself, by way of others"]
        );
    }

    #[test]
    fn what_is_there_is_no_mistake() {
        let fine = r#"
          variable "names" { type = map(object({ size = optional(number, 1) })) }
          locals { sizes = { for name, it in var.names : name => it.size } }
          resource "aws_sqs_queue" "events" {
            for_each = local.sizes
            name     = "${each.key}-${path.module}"
            lifecycle { ignore_changes = [tags] }
          }
          data "aws_region" "here" {}
          output "all" { value = [aws_sqs_queue.events["a"].arn, data.aws_region.here.region] }
        "#;
        assert_eq!(reasons(fine), [""; 0]);
    }
}
