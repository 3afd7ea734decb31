//! A Terraform module as it is written: the `.tf` files of one folder.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use hcl::expr::Expression;
use hcl::structure::{Attribute, Block, Body};

/// Something in the files that is wrong, named so that it can be found.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mistake {
    /// `modules/inbox/queue.tf`
    pub file: String,
    /// `resource aws_sqs_queue.events`
    pub place: String,
    /// What is wrong there.
    pub reason: String,
}

impl std::fmt::Display for Mistake {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}: {}", self.file, self.place, self.reason)
    }
}

/// One module.
#[derive(Clone, Debug)]
pub struct Module {
    /// Its folder, which `path.module` gives.
    pub folder: PathBuf,
    /// Name and content of each file.
    pub files: Vec<(String, Body)>,
}

/// `resource "aws_sqs_queue" "events" {…}` or `data …`.
#[derive(Clone, Copy, Debug)]
pub struct Declared<'a> {
    /// The file it stands in.
    pub file: &'a str,
    /// Whether it is a data source.
    pub is_data: bool,
    /// `aws_sqs_queue`
    pub kind: &'a str,
    /// `events`
    pub name: &'a str,
    /// What stands between its braces.
    pub body: &'a Body,
}

impl Declared<'_> {
    /// How expressions name it: `aws_sqs_queue.events`, `data.aws_region.current`.
    #[must_use]
    pub fn address(&self) -> String {
        let prefix = if self.is_data { "data." } else { "" };
        format!("{prefix}{}.{}", self.kind, self.name)
    }

    /// A mistake in it.
    pub fn mistake(&self, reason: impl Into<String>) -> Mistake {
        let kind = if self.is_data { "" } else { "resource " };
        Mistake {
            file: self.file.to_owned(),
            place: format!("{kind}{}", self.address()),
            reason: reason.into(),
        }
    }
}

impl Module {
    /// Reads every `.tf` file of a folder.
    #[must_use]
    pub fn read(folder: &Path) -> Self {
        let mut paths: Vec<PathBuf> = std::fs::read_dir(folder)
            .unwrap_or_else(|fault| panic!("{}: {fault}", folder.display()))
            .map(|entry| entry.expect("a readable folder").path())
            .filter(|path| path.extension().is_some_and(|it| it == "tf"))
            .collect();
        paths.sort();
        let files = paths.iter().map(|path| {
            let name = path.file_name().expect("a file").to_string_lossy().into_owned();
            let text = std::fs::read_to_string(path).expect("a text file");
            (name, text)
        });
        Self::parse(folder, files)
    }

    /// A module from texts, for tests; the folder is where `file` looks.
    pub fn parse(
        folder: &Path,
        files: impl IntoIterator<Item = (impl Into<String>, impl AsRef<str>)>,
    ) -> Self {
        let files = files.into_iter().map(|(name, text)| {
            let name = name.into();
            let body = hcl::parse(text.as_ref()).unwrap_or_else(|fault| panic!("{name}: {fault}"));
            (name, body)
        });
        Self { folder: folder.to_path_buf(), files: files.collect() }
    }

    /// Top-level blocks of one kind, with their files.
    pub fn blocks<'a>(&'a self, identifier: &'a str) -> impl Iterator<Item = (&'a str, &'a Block)> {
        self.files.iter().flat_map(move |(file, body)| {
            let blocks = body.blocks().filter(move |block| block.identifier.as_str() == identifier);
            blocks.map(move |block| (file.as_str(), block))
        })
    }

    /// Blocks with one label by that label: `variable`, `output`, `module`.
    #[must_use]
    pub fn labelled<'a>(&'a self, identifier: &'a str) -> BTreeMap<&'a str, (&'a str, &'a Block)> {
        self.blocks(identifier).map(|(file, block)| (label(block, 0), (file, block))).collect()
    }

    /// Every local value.
    #[must_use]
    pub fn locals(&self) -> BTreeMap<&str, (&str, &Expression)> {
        let all = self.blocks("locals").flat_map(|(file, block)| {
            block.body.attributes().map(move |it| (it.key.as_str(), (file, &it.expr)))
        });
        all.collect()
    }

    /// Every resource and data source.
    #[must_use]
    pub fn declared(&self) -> Vec<Declared<'_>> {
        let of = |identifier: &'static str| {
            self.blocks(identifier).map(move |(file, block)| Declared {
                file,
                is_data: identifier == "data",
                kind: label(block, 0),
                name: label(block, 1),
                body: &block.body,
            })
        };
        of("resource").chain(of("data")).collect()
    }
}

/// A block's label by position, or nothing.
#[must_use]
pub fn label(block: &Block, position: usize) -> &str {
    block.labels.get(position).map_or("", |label| label.as_str())
}

/// An attribute of a body by name.
#[must_use]
pub fn attribute<'a>(body: &'a Body, name: &str) -> Option<&'a Attribute> {
    body.attributes().find(|it| it.key.as_str() == name)
}
