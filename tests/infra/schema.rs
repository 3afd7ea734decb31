//! What the AWS provider takes and gives: `tests/fixtures/aws_provider.json`, which
//! `make infra-schema` makes from a published package.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use serde::Deserialize;

static SCHEMA: LazyLock<Schema> = LazyLock::new(|| {
    serde_json::from_str(include_str!("../fixtures/aws_provider.json")).expect("the fixture reads")
});

/// The fixture.
pub(crate) fn schema() -> &'static Schema {
    &SCHEMA
}

/// Resources and data sources by type.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Schema {
    pub(crate) origin: BTreeMap<String, String>,
    pub(crate) resources: BTreeMap<String, Resource>,
    pub(crate) data: BTreeMap<String, Resource>,
}

impl Schema {
    /// By the type's name; none where the fixture does not know it.
    pub(crate) fn find(&self, is_data: bool, kind: &str) -> Option<&Resource> {
        if is_data { self.data.get(kind) } else { self.resources.get(kind) }
    }
}

/// One resource or data source.
#[derive(Debug, Deserialize)]
pub(crate) struct Resource {
    #[serde(flatten)]
    pub(crate) content: Content,
    /// What can be referred to.
    pub(crate) exports: BTreeSet<String>,
}

/// What a resource or a block takes.
#[derive(Debug, Deserialize)]
pub(crate) struct Content {
    /// Name and type: `string`, `number`, `boolean`, `map`, `list(string)`, …
    pub(crate) arguments: BTreeMap<String, String>,
    /// Arguments and blocks that must be there.
    pub(crate) required: BTreeSet<String>,
    pub(crate) blocks: BTreeMap<String, NestedBlock>,
}

/// A block within.
#[derive(Debug, Deserialize)]
pub(crate) struct NestedBlock {
    /// Whether it may stand there more than once.
    pub(crate) many: bool,
    #[serde(flatten)]
    pub(crate) content: Content,
    /// What AWS fills in, besides the arguments.
    #[serde(default)]
    pub(crate) computed: Vec<String>,
}
