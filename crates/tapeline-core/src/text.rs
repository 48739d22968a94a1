//! Text cut to a length. It does not know whose text that is, or why there is no room for more of it.

/// The beginning of a text, so many bytes at most, without cutting a character in two.
pub(crate) fn cut(text: &str, bytes: usize) -> &str {
    text.get(..text.floor_char_boundary(bytes)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_cut_between_characters() {
        let cuts = [0, 1, 2, 3, 4, 9].map(|bytes| cut("aé…", bytes));
        assert_eq!(cuts, ["", "a", "a", "aé", "aé", "aé…"]);
    }
}
