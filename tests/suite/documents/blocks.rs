//! The fenced blocks of a Markdown document.

use std::path::Path;

use inbox_local::paths;

/// The documents that speak to users, from the top of the clone.
pub(super) const DOCUMENTS: [&str; 4] = [
    "README.md",
    "infra/README.md",
    "infra/modules/inbox/examples/invoke-typescript/README.md",
    "infra/modules/inbox/examples/publish-python/README.md",
];

/// A fenced block.
#[derive(Clone, Debug)]
pub(super) struct Block {
    /// Document and line of its first line, for messages.
    pub(super) place: String,
    /// What stands behind the fence.
    pub(super) language: String,
    /// Its lines.
    pub(super) text: String,
}

/// A document's text.
pub(super) fn read(document: &str) -> String {
    let path = paths::workspace_root().join(Path::new(document));
    std::fs::read_to_string(&path).unwrap_or_else(|fault| panic!("{document}: {fault}"))
}

/// Every block of every document in this language.
pub(super) fn in_language(language: &str) -> Vec<Block> {
    let all = DOCUMENTS.iter().flat_map(|document| blocks(document, &read(document)));
    all.filter(|block| block.language == language).collect()
}

/// The blocks of one document.
pub(super) fn blocks(document: &str, text: &str) -> Vec<Block> {
    let mut found = Vec::new();
    let mut open: Option<Block> = None;
    for (number, line) in text.lines().enumerate() {
        match (line.strip_prefix("```"), open.take()) {
            (Some(language), None) => {
                let place = format!("{document}:{}", number + 2);
                open = Some(Block { place, language: language.to_owned(), text: String::new() });
            }
            (Some(_), Some(block)) => found.push(block),
            (None, Some(mut block)) => {
                block.text.push_str(line);
                block.text.push('\n');
                open = Some(block);
            }
            (None, None) => {}
        }
    }
    assert!(open.is_none(), "{document}: a fenced block has no end");
    found
}
