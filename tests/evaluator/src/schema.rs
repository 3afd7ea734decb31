//! What the AWS provider takes and gives: `tests/fixtures/aws_provider.json`, which
//! `make infra-schema` makes from a published package.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use serde::Deserialize;

static SCHEMA: LazyLock<Schema> = LazyLock::new(|| {
    serde_json::from_str(include_str!("../../fixtures/aws_provider.json"))
        .expect("the fixture reads")
});

/// The fixture.
#[must_use]
pub fn schema() -> &'static Schema {
    &SCHEMA
}

/// Resources and data sources by type.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Schema {
    /// Which provider it was made from, and how.
    pub origin: BTreeMap<String, String>,
    /// By type: `aws_sqs_queue`.
    pub resources: BTreeMap<String, Resource>,
    /// By type: `aws_region`.
    pub data: BTreeMap<String, Resource>,
}

impl Schema {
    /// By the type's name; none where the fixture does not know it.
    #[must_use]
    pub fn find(&self, is_data: bool, kind: &str) -> Option<&Resource> {
        if is_data { self.data.get(kind) } else { self.resources.get(kind) }
    }
}

/// One resource or data source.
#[derive(Debug, Deserialize)]
pub struct Resource {
    /// Arguments and blocks.
    #[serde(flatten)]
    pub content: Content,
    /// What can be referred to.
    pub exports: BTreeSet<String>,
}

/// What a resource or a block takes.
#[derive(Debug, Deserialize)]
pub struct Content {
    /// Name and type: `string`, `number`, `boolean`, `map`, `list(string)`, …
    pub arguments: BTreeMap<String, String>,
    /// Arguments and blocks that must be there.
    pub required: BTreeSet<String>,
    /// By name.
    pub blocks: BTreeMap<String, NestedBlock>,
}

/// A block within.
#[derive(Debug, Deserialize)]
pub struct NestedBlock {
    /// Whether it may stand there more than once.
    pub many: bool,
    /// What it takes.
    #[serde(flatten)]
    pub content: Content,
    /// What AWS fills in, besides the arguments.
    #[serde(default)]
    pub computed: Vec<String>,
}
