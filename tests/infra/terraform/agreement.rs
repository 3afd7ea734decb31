//! Our own evaluator is held to Terraform: for every form, the same resources and data
//! sources, each with the same values, known and unknown alike.
//!
//! Both are brought into one form by the schema's types. There `?` stands for what is not
//! known before an apply: Terraform says so, and our evaluator writes a reference.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use serde_json::{Map, Value as Json, json};
use sha2::Digest as _;

use super::forms::{FORMS, MODULE};
use super::workspace::{End, Workspace, is_there, shown};
use crate::infra;
use crate::module::Module;
use crate::plan::{Plan, plan};
use crate::schema::{Content, Kind, Nesting, oldest};

/// What is not known before an apply.
const UNKNOWN: &str = "?";

#[test]
fn our_evaluator_plans_what_terraform_plans() {
    if !is_there() {
        return;
    }
    let workspace = Workspace::new(End::Oldest);
    workspace.init(MODULE);
    let numbers: Vec<usize> = (0..FORMS.len()).collect();
    let half = numbers.len().div_ceil(2);
    let problems: Vec<String> = std::thread::scope(|scope| {
        let parts = numbers.chunks(half).map(|part| {
            let workspace = &workspace;
            scope.spawn(move || part.iter().flat_map(|it| differences(workspace, *it)).collect())
        });
        let parts: Vec<_> = parts.collect();
        parts.into_iter().flat_map(|it| -> Vec<String> { it.join().unwrap() }).collect()
    });
    assert!(
        problems.is_empty(),
        "tests/evaluator says otherwise than Terraform, which is right:\n{}",
        problems.join("\n")
    );
}

fn differences(workspace: &Workspace, number: usize) -> Vec<String> {
    let (name, form) = FORMS[number];
    let variables = workspace.packages() + form;
    let theirs = by_terraform(workspace, number, &variables);
    let ours = by_us(&variables, &theirs);
    let mut problems = Vec::new();
    let addresses: BTreeSet<&String> = ours.keys().chain(theirs.shown.keys()).collect();
    for address in addresses {
        match (ours.get(address), theirs.shown.get(address)) {
            (Some(ours), Some(theirs)) => compare(ours, theirs, address, &mut problems),
            (Some(_), None) => problems.push(format!("{address}: Terraform does not make it")),
            (None, Some(_)) => problems.push(format!("{address}: only Terraform makes it")),
            (None, None) => {}
        }
    }
    problems.iter().map(|it| format!("{name}: {it}")).collect()
}

fn compare(ours: &Json, theirs: &Json, place: &str, problems: &mut Vec<String>) {
    if let (Json::Object(mine), Json::Object(yours)) = (ours, theirs) {
        let names: BTreeSet<&String> = mine.keys().chain(yours.keys()).collect();
        for name in names {
            let of = |side: &Map<String, Json>| side.get(name).cloned().unwrap_or_default();
            compare(&of(mine), &of(yours), &format!("{place}.{name}"), problems);
        }
    } else if ours != theirs {
        problems.push(format!("{place}: we say {ours}, Terraform {theirs}"));
    }
}

/// A plan of Terraform's.
struct Theirs {
    /// By address, in the common form.
    shown: BTreeMap<String, Json>,
    /// `data.aws_region.this.region`, as our evaluator refers to it.
    known: BTreeMap<String, String>,
}

fn by_terraform(workspace: &Workspace, number: usize, variables: &str) -> Theirs {
    let file = |ending: &str| workspace.path(&format!("form_{number}.{ending}"));
    let (tfvars, out) = (file("tfvars").display().to_string(), file("plan").display().to_string());
    workspace.write(&format!("form_{number}.tfvars"), variables);
    let (var_file, out_file) = (format!("-var-file={tfvars}"), format!("-out={out}"));
    let arguments = ["plan", "-input=false", "-no-color", "-lock=false", &var_file, &out_file];
    let output = workspace.run(MODULE, &arguments);
    let said = shown(&output);
    assert!(
        output.status.success() && !said.contains("Warning:"),
        "{}: Terraform must plan it, without a warning:\n{said}",
        FORMS[number].0
    );
    let output = workspace.run(MODULE, &["show", "-json", &out]);
    let plan: Json = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|_| panic!("terraform show:\n{}", shown(&output)));
    let mut theirs = Theirs { shown: BTreeMap::new(), known: BTreeMap::new() };
    let changes = plan["resource_changes"].as_array().into_iter().flatten();
    for it in changes {
        theirs.take(it, &it["change"]["after"], &it["change"]["after_unknown"]);
    }
    // Data sources that Terraform could read at once.
    let read = plan["prior_state"]["values"]["root_module"]["resources"].as_array();
    for it in read.into_iter().flatten() {
        theirs.take(it, &it["values"], &Json::Null);
    }
    theirs
}

impl Theirs {
    fn take(&mut self, resource: &Json, values: &Json, unknown: &Json) {
        let text = |name: &str| resource[name].as_str().unwrap_or_default();
        let address = text("address").to_owned();
        let is_data = resource["mode"] == "data";
        let content = content(is_data, text("type"));
        for (name, value) in values.as_object().into_iter().flatten() {
            if let Some(value) = value.as_str() {
                self.known.insert(format!("{address}.{name}"), value.to_owned());
            }
        }
        let marked = marked(values, unknown);
        self.shown.insert(address, common(&marked, content, is_data));
    }
}

fn content(is_data: bool, kind: &str) -> &'static Content {
    &oldest().find(is_data, kind).unwrap_or_else(|| panic!("no schema of {kind}")).block
}

/// Values with `?` where they are unknown.
fn marked(values: &Json, unknown: &Json) -> Json {
    match (values, unknown) {
        (_, Json::Bool(true)) => json!(UNKNOWN),
        (Json::Object(values), Json::Object(unknown)) => {
            let names: BTreeSet<&String> = values.keys().chain(unknown.keys()).collect();
            let of =
                |side: &Map<String, Json>, name: &str| side.get(name).cloned().unwrap_or_default();
            let all = names
                .into_iter()
                .map(|name| (name.clone(), marked(&of(values, name), &of(unknown, name))));
            Json::Object(all.collect())
        }
        (Json::Array(values), Json::Array(unknown)) => {
            let of = |side: &[Json], number: usize| side.get(number).cloned().unwrap_or_default();
            let length = values.len().max(unknown.len());
            let all = (0..length).map(|number| marked(&of(values, number), &of(unknown, number)));
            Json::Array(all.collect())
        }
        _ => values.clone(),
    }
}

fn by_us(variables: &str, theirs: &Theirs) -> BTreeMap<String, Json> {
    let module = Module::read(&infra().join("modules/inbox"));
    let given: hcl::Value = hcl::from_str(variables).unwrap();
    let Plan { instances, mistakes, refused, .. } = plan(&module, given.as_object().unwrap());
    assert!(mistakes.is_empty() && refused.is_empty(), "{mistakes:?} {refused:?}");
    let instances = instances.into_iter().map(|it| {
        let content = content(it.is_data, &it.kind);
        let mut values = it.values.clone();
        fill(&mut values, &theirs.known);
        (it.address(), common(&values, content, it.is_data))
    });
    instances.collect()
}

/// Replaces references by what Terraform knows of them, and what still refers to
/// something by `?`.
fn fill(value: &mut Json, known: &BTreeMap<String, String>) {
    match value {
        Json::String(text) if text.starts_with("<hash of ") => {
            let path = text.trim_start_matches("<hash of ").trim_end_matches('>');
            let hash = sha2::Sha256::digest(std::fs::read(path).unwrap());
            *text = base64::engine::general_purpose::STANDARD.encode(hash);
        }
        Json::String(text) => {
            let mut filled = String::new();
            let mut rest = text.as_str();
            while let Some((before, after)) = rest.split_once('<') {
                filled.push_str(before);
                // What only looks like a reference stays.
                let reference = after.split_once('>').filter(|(inner, _)| is_reference(inner));
                let Some((inner, after)) = reference else {
                    filled.push('<');
                    rest = after;
                    continue;
                };
                let Some(value) = known.get(inner) else {
                    UNKNOWN.clone_into(text);
                    return;
                };
                filled.push_str(value);
                rest = after;
            }
            filled.push_str(rest);
            *text = filled;
        }
        Json::Array(items) => items.iter_mut().for_each(|it| fill(it, known)),
        Json::Object(members) => members.values_mut().for_each(|it| fill(it, known)),
        _ => {}
    }
}

fn is_reference(text: &str) -> bool {
    text.starts_with("aws_") || text.starts_with("data.aws_")
}

/// By the schema: nulls and empty lists of blocks are left out, sets are sorted, values
/// are of their types. What the provider fills in is not for us to say: where it is not
/// known it is left out, and of a data source, which may have been read, altogether.
fn common(values: &Json, content: &Content, is_data: bool) -> Json {
    let mut result = Map::new();
    for (name, attribute) in &content.attributes {
        let value = typed(&values[name], &attribute.kind);
        let is_filled_in = attribute.computed && (is_data || value == UNKNOWN);
        if !value.is_null() && !is_filled_in {
            result.insert(name.clone(), value);
        }
    }
    for (name, nested) in &content.block_types {
        let blocks = match &values[name] {
            Json::Array(blocks) => blocks.clone(),
            Json::Null => vec![],
            one => vec![one.clone()],
        };
        let mut blocks: Vec<Json> = blocks
            .iter()
            .map(|it| if it == UNKNOWN { it.clone() } else { common(it, &nested.block, is_data) })
            .collect();
        if nested.nesting_mode == Nesting::Set {
            blocks.sort_by_key(Json::to_string);
        }
        // Objects, so that differences are named by their place.
        let blocks = blocks.into_iter().enumerate().map(|(number, it)| (number.to_string(), it));
        let blocks: Map<String, Json> = blocks.collect();
        if !blocks.is_empty() {
            result.insert(name.clone(), Json::Object(blocks));
        }
    }
    Json::Object(result)
}

fn typed(value: &Json, kind: &Kind) -> Json {
    if value == UNKNOWN {
        return value.clone();
    }
    match (kind, value) {
        (_, Json::Null) => Json::Null,
        (Kind::String, Json::Bool(_) | Json::Number(_)) => json!(value.to_string()),
        (Kind::Number, value) => {
            let number = value.as_f64().or_else(|| value.as_str()?.parse().ok());
            number.map_or(value.clone(), |it| json!(it))
        }
        (Kind::Bool, Json::String(text)) => json!(text == "true"),
        (Kind::List(of) | Kind::Set(of), Json::Array(items)) => {
            let mut items: Vec<Json> = items.iter().map(|it| typed(it, of)).collect();
            // A function such as distinct() knows nothing of a list with something unknown.
            if items.iter().any(|it| it == UNKNOWN) {
                return json!(UNKNOWN);
            }
            if matches!(kind, Kind::Set(_)) {
                items.sort_by_key(Json::to_string);
                items.dedup();
            }
            Json::Array(items)
        }
        (Kind::Map(of), Json::Object(members)) => {
            let all = members.iter().map(|(name, it)| (name.clone(), typed(it, of)));
            Json::Object(all.collect())
        }
        _ => value.clone(),
    }
}
