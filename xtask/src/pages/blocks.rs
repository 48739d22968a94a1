//! A page's fenced blocks, as they stand in its Markdown: language, text, line, and whether one answers the one above.
//!
//! Knows Markdown's fences and nothing of what is in them.

/// One fenced block.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Block {
    /// The first word after the fence: `sh`, `rust`; empty where there is none.
    pub(super) language: String,
    pub(super) text: String,
    /// Of the opening fence, counted from 1.
    pub(super) line: usize,
    /// Nothing but blank lines stands between this block and the one before.
    pub(super) follows: bool,
}

impl Block {
    /// The file that a first line such as `# fx.toml` or `// price.mjs` names.
    pub(super) fn file_name(&self) -> Option<&str> {
        let first = self.text.lines().next()?;
        let name = first.strip_prefix("# ").or_else(|| first.strip_prefix("// "))?;
        let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
        (name.contains('.') && !name.starts_with('.') && name.chars().all(is_name)).then_some(name)
    }
}

/// All blocks of a page, from top to bottom; one that is not closed runs to the end.
pub(super) fn read(page: &str) -> Vec<Block> {
    let mut blocks: Vec<Block> = Vec::new();
    let mut open: Option<(&str, usize, Block)> = None;
    let mut only_blank = false;
    for (at, line) in page.lines().enumerate() {
        let bare = line.trim_start();
        match &mut open {
            Some((mark, ..)) if bare.trim_end() == *mark => {
                blocks.extend(open.take().map(|(.., block)| block));
                only_blank = true;
            }
            Some((_, indent, block)) => {
                // A block in a list is indented as far as its fence.
                let blanks = line.len() - bare.len();
                block.text += line.get(blanks.min(*indent)..).unwrap_or_default();
                block.text.push('\n');
            }
            None => {
                let Some(mark) = ["```", "~~~"].into_iter().find(|mark| bare.starts_with(mark)) else {
                    only_blank &= bare.is_empty();
                    continue;
                };
                let info = bare.trim_start_matches(['`', '~']);
                let language = info.split([' ', ',']).next().unwrap_or_default().to_owned();
                let block = Block { language, text: String::new(), line: at + 1, follows: only_blank };
                open = Some((mark, line.len() - bare.len(), block));
            }
        }
    }
    blocks.extend(open.map(|(.., block)| block));
    blocks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_has_its_language_text_and_line() {
        let [first, second] =
            read("a\n```sh\nx\n\ny\n```\nwords\n```rust,no_run\nz\n```\n").try_into().unwrap();
        assert_eq!((first.language.as_str(), first.text.as_str(), first.line), ("sh", "x\n\ny\n", 2));
        assert_eq!((second.language.as_str(), second.line, second.follows), ("rust", 8, false));
    }

    #[test]
    fn a_block_answers_the_one_above_only_if_nothing_is_said_between() {
        let follows = |page: &str| read(page).last().unwrap().follows;
        assert!(follows("```sh\nx\n```\n\n```json\n{}\n```\n"));
        assert!(!follows("```sh\nx\n```\nIt says:\n```json\n{}\n```\n"));
        assert!(!follows("```json\n{}\n```\n"));
    }

    #[test]
    fn a_block_in_a_list_loses_the_lists_indent_and_one_left_open_is_still_seen() {
        assert_eq!(read("- a\n  ```sh\n  x\n    y\n  ```\n").first().unwrap().text, "x\n  y\n");
        assert_eq!(read("```sh\nx\n").first().unwrap().text, "x\n");
    }

    #[test]
    fn the_first_comment_may_name_the_file() {
        let name = |text: &str| {
            read(&format!("```py\n{text}\n```\n")).first().unwrap().file_name().map(str::to_owned)
        };
        assert_eq!(name("# price.py\nx"), Some("price.py".to_owned()));
        assert_eq!(name("// price.mjs"), Some("price.mjs".to_owned()));
        assert_eq!(name("# a comment. And more"), None);
        assert_eq!(name("# ../price.py"), None);
        assert_eq!(name("import json"), None);
    }
}
