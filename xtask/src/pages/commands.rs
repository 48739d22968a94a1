//! A block of shell, cut into what one would type and confirm with Enter.
//!
//! Knows just so much of a shell's grammar as tells where a command ends: quotes, a backslash at the end of a line, and
//! here-documents. What a command means is for the shell.

/// The commands in order, without blank lines and lines of comment.
pub(super) fn split(block: &str) -> Vec<String> {
    let mut commands = Vec::new();
    let mut lines = block.lines();
    while let Some(line) = lines.next() {
        if line.trim().is_empty() || line.trim_start().starts_with('#') {
            continue;
        }
        let mut command = line.to_owned();
        while goes_on(&command) {
            let Some(next) = lines.next() else { break };
            command.push('\n');
            command += next;
        }
        if let Some(end) = here_document(&command) {
            for next in lines.by_ref() {
                command.push('\n');
                command += next;
                if next == end {
                    break;
                }
            }
        }
        commands.push(without_comment(&command).to_owned());
    }
    commands
}

/// True while a quote is open or the last line ends in a backslash.
fn goes_on(command: &str) -> bool {
    let mut quote = None;
    let mut escaped = false;
    for c in command.chars() {
        match (c, quote) {
            _ if escaped => escaped = false,
            ('\\', None | Some('"')) => escaped = true,
            ('\'' | '"', None) => quote = Some(c),
            (c, Some(open)) if c == open => quote = None,
            _ => {}
        }
    }
    quote.is_some() || escaped
}

/// The word that ends the here-document which this command begins.
fn here_document(command: &str) -> Option<String> {
    let (_, after) = command.split_once("<<")?;
    let word = after.split_whitespace().next()?;
    Some(word.trim_matches(['\'', '"']).to_owned())
}

/// A comment to the right of a command of one line.
fn without_comment(command: &str) -> &str {
    let mut pieces = command.match_indices(" #").map(|(at, _)| command.get(..at).unwrap_or(command));
    if command.contains('\n') {
        return command;
    }
    pieces.find(|piece| !goes_on(piece)).unwrap_or(command).trim_end()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_line_is_a_command_but_blank_ones_and_comments() {
        assert_eq!(split("# first\na b   # why\n\nc '# d'\n"), ["a b", "c '# d'"]);
    }

    #[test]
    fn a_command_goes_on_over_quotes_and_backslashes() {
        assert_eq!(split("curl x \\\n  -d '{\n}'\nls\n"), ["curl x \\\n  -d '{\n}'", "ls"]);
        assert_eq!(split("echo \"it's\"\nls\n"), ["echo \"it's\"", "ls"]);
    }

    #[test]
    fn a_here_document_belongs_to_its_command() {
        assert_eq!(split("cat > a <<'EOF'\nit's # x\nEOF\nls\n"), ["cat > a <<'EOF'\nit's # x\nEOF", "ls"]);
    }
}
