//! What the AWS provider takes and gives, at both ends of what the module allows: the
//! oldest release and the newest one. `make infra-schema` makes the fixtures from
//! published packages, in the form of `terraform providers schema -json`.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::LazyLock;

use serde::Deserialize;

static OLDEST: LazyLock<Schema> =
    LazyLock::new(|| read(include_str!("../../fixtures/aws_provider_oldest.json")));
static NEWEST: LazyLock<Schema> =
    LazyLock::new(|| read(include_str!("../../fixtures/aws_provider_newest.json")));

fn read(text: &str) -> Schema {
    serde_json::from_str(text).expect("the fixture reads")
}

/// Of the oldest provider that the module allows: what it lacks the module cannot use.
#[must_use]
pub fn oldest() -> &'static Schema {
    &OLDEST
}

/// Both ends, the oldest first.
#[must_use]
pub fn schemas() -> [&'static Schema; 2] {
    [&OLDEST, &NEWEST]
}

/// One release of the provider.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Schema {
    origin: BTreeMap<String, String>,
    /// What the provider itself takes.
    pub provider: Resource,
    /// By type: `aws_sqs_queue`.
    pub resource_schemas: BTreeMap<String, Resource>,
    /// By type: `aws_region`.
    pub data_source_schemas: BTreeMap<String, Resource>,
}

impl Schema {
    /// By the type's name; none where the fixture does not know it.
    #[must_use]
    pub fn find(&self, is_data: bool, kind: &str) -> Option<&Resource> {
        let schemas = if is_data { &self.data_source_schemas } else { &self.resource_schemas };
        schemas.get(kind)
    }

    /// The release, such as `6.40.0`.
    #[must_use]
    pub fn version(&self) -> &str {
        let provider = &self.origin["provider"];
        provider.strip_prefix("hashicorp/aws ").expect("the AWS provider")
    }
}

/// One resource or data source, or the provider itself.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Resource {
    /// What it takes and gives.
    pub block: Content,
}

/// What a resource or a block takes and gives.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Content {
    /// By name.
    pub attributes: BTreeMap<String, Attribute>,
    /// By name.
    #[serde(default)]
    pub block_types: BTreeMap<String, NestedBlock>,
}

impl Content {
    /// An attribute that may be given.
    #[must_use]
    pub fn argument(&self, name: &str) -> Option<&Attribute> {
        self.attributes.get(name).filter(|it| it.required || it.optional)
    }

    /// Whether it can be referred to, as attribute or as block.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.attributes.contains_key(name) || self.block_types.contains_key(name)
    }

    /// Arguments and blocks that must be given.
    pub fn required(&self) -> impl Iterator<Item = &str> {
        let attributes = self.attributes.iter().filter(|(_, it)| it.required);
        let blocks = self.block_types.iter().filter(|(_, it)| it.min_items > 0);
        attributes.map(|(name, _)| name.as_str()).chain(blocks.map(|(name, _)| name.as_str()))
    }
}

/// One attribute.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Attribute {
    /// Its type.
    #[serde(rename = "type")]
    pub kind: Kind,
    /// It must be given.
    #[serde(default)]
    pub required: bool,
    /// It may be given.
    #[serde(default)]
    pub optional: bool,
    /// The provider fills it in where it is not given.
    #[serde(default)]
    pub computed: bool,
}

/// A block within.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NestedBlock {
    /// How its occurrences are held.
    pub nesting_mode: Nesting,
    /// How often it must stand there.
    #[serde(default)]
    pub min_items: u32,
    /// None where there may be any number.
    pub max_items: Option<u32>,
    /// What it takes and gives.
    pub block: Content,
}

impl NestedBlock {
    /// Whether it may stand there more than once.
    #[must_use]
    pub fn is_many(&self) -> bool {
        self.nesting_mode != Nesting::Single && self.max_items.is_none_or(|it| it > 1)
    }
}

/// How a block's occurrences are held.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum Nesting {
    /// In order.
    List,
    /// Without order.
    Set,
    /// One at most.
    Single,
}

/// A type, written as Terraform's schemas have it: `"string"`, `["list","string"]`.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(try_from = "serde_json::Value")]
pub enum Kind {
    /// Text.
    String,
    /// Whole or not.
    Number,
    /// True or false.
    Bool,
    /// Any type.
    Dynamic,
    /// Of one type, in order.
    List(Box<Kind>),
    /// Of one type, without order.
    Set(Box<Kind>),
    /// Of one type, by name.
    Map(Box<Kind>),
    /// Of a type each.
    Object(BTreeMap<String, Kind>),
}

impl TryFrom<serde_json::Value> for Kind {
    type Error = String;

    fn try_from(value: serde_json::Value) -> Result<Self, String> {
        let parts: Vec<serde_json::Value> = match value.as_str() {
            Some("string") => return Ok(Self::String),
            Some("number") => return Ok(Self::Number),
            Some("bool") => return Ok(Self::Bool),
            Some("dynamic") => return Ok(Self::Dynamic),
            _ => {
                serde_json::from_value(value.clone()).map_err(|_| format!("{value} is no type"))?
            }
        };
        let [name, of] = parts.as_slice() else { return Err(format!("{value} is no type")) };
        let element = || Self::try_from(of.clone()).map(Box::new);
        match name.as_str() {
            Some("list") => Ok(Self::List(element()?)),
            Some("set") => Ok(Self::Set(element()?)),
            Some("map") => Ok(Self::Map(element()?)),
            Some("object") => {
                let of = of.as_object().ok_or_else(|| format!("{of} are no attributes"))?;
                let of = of.iter().map(|(name, of)| Ok((name.clone(), of.clone().try_into()?)));
                of.collect::<Result<_, String>>().map(Self::Object)
            }
            _ => Err(format!("{value} is no type")),
        }
    }
}

impl Kind {
    /// As it was read.
    #[must_use]
    pub fn json(&self) -> serde_json::Value {
        let of = |name: &str, of: serde_json::Value| serde_json::json!([name, of]);
        match self {
            Self::String => "string".into(),
            Self::Number => "number".into(),
            Self::Bool => "bool".into(),
            Self::Dynamic => "dynamic".into(),
            Self::List(it) => of("list", it.json()),
            Self::Set(it) => of("set", it.json()),
            Self::Map(it) => of("map", it.json()),
            Self::Object(all) => {
                of("object", all.iter().map(|(name, it)| (name.clone(), it.json())).collect())
            }
        }
    }
}

/// As a variable's type is written.
impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::String => f.write_str("string"),
            Self::Number => f.write_str("number"),
            Self::Bool => f.write_str("bool"),
            Self::Dynamic => f.write_str("any"),
            Self::List(of) => write!(f, "list({of})"),
            Self::Set(of) => write!(f, "set({of})"),
            Self::Map(of) => write!(f, "map({of})"),
            Self::Object(_) => f.write_str("object"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_read_as_terraform_writes_them() {
        let kind = |text: &str| {
            let kind = serde_json::from_str::<Kind>(text).ok()?;
            let written = kind.json().to_string();
            assert_eq!(written, text, "and written the same way");
            Some(kind.to_string())
        };
        for (text, shown) in [
            (r#""bool""#, Some("bool")),
            (r#"["set",["map","string"]]"#, Some("set(map(string))")),
            (r#"["list",["object",{"arn":"string"}]]"#, Some("list(object)")),
            (r#""text""#, None),
            (r#"["bag","string"]"#, None),
            (r#"["list"]"#, None),
            (r#"["object",{"arn":"text"}]"#, None),
        ] {
            assert_eq!(kind(text).as_deref(), shown, "{text}");
        }
    }

    /// What the fixtures say of some arguments whose every flag is known from the
    /// provider's documentation: a fixture that was read wrongly would say otherwise.
    #[test]
    fn the_fixtures_say_what_is_required_computed_and_nested() {
        for schema in schemas() {
            let version = schema.version();
            let table = &schema.find(false, "aws_dynamodb_table").unwrap().block;
            let flags = |name: &str| {
                let it = &table.attributes[name];
                (it.required, it.optional, it.computed)
            };
            assert_eq!(flags("name"), (true, false, false), "{version}");
            assert_eq!(flags("billing_mode"), (false, true, false), "{version}");
            assert_eq!(flags("region"), (false, true, true), "{version}");
            assert_eq!(flags("arn"), (false, false, true), "{version}");
            let index = &table.block_types["global_secondary_index"];
            assert_eq!((index.nesting_mode, index.is_many()), (Nesting::Set, true), "{version}");
            let keys = &index.block.block_types["key_schema"];
            let required: Vec<&str> = keys.block.required().collect();
            assert_eq!(required, ["attribute_name", "key_type"], "{version}");
            let ttl = &table.block_types["ttl"];
            assert_eq!((ttl.nesting_mode, ttl.is_many()), (Nesting::List, false), "{version}");
            let region = &schema.provider.block.attributes["region"];
            assert_eq!((&region.kind, region.optional), (&Kind::String, true), "{version}");
        }
    }
}
