//! What a pattern matches, the plainest way: recursing as Redis does, in no hurry. A fuzz target uses it too.

/// What `stringmatchlen` of Redis' `src/util.c` does, by plain recursion and without its short cuts.
pub(crate) fn naive(pattern: &[u8], name: &[u8]) -> bool {
    let (Some(&first), Some(&byte)) = (pattern.first(), name.first()) else {
        return pattern.is_empty() && name.is_empty();
    };
    let end = |pattern: &[u8], name: &[u8]| {
        let stars = if name.is_empty() { pattern.iter().take_while(|b| **b == b'*').count() } else { 0 };
        naive(&pattern[stars..], name)
    };
    match first {
        b'*' if pattern.len() == 1 => true,
        b'*' => (0..name.len()).any(|taken| naive(&pattern[1..], &name[taken..])),
        b'?' => end(&pattern[1..], &name[1..]),
        b'[' => {
            let (hit, after) = naive_class(pattern, byte);
            hit && end(&pattern[after..], &name[1..])
        }
        b'\\' if pattern.len() >= 2 => pattern[1] == byte && end(&pattern[2..], &name[1..]),
        _ => first == byte && end(&pattern[1..], &name[1..]),
    }
}

fn naive_class(pattern: &[u8], byte: u8) -> (bool, usize) {
    let mut at = 1;
    let negated = pattern.get(at) == Some(&b'^');
    at += usize::from(negated);
    let mut hit = false;
    loop {
        let left = pattern.len() - at;
        if left >= 2 && pattern[at] == b'\\' {
            at += 1;
            hit |= pattern[at] == byte;
        } else if left == 0 {
            at -= 1;
            break;
        } else if pattern[at] == b']' {
            break;
        } else if left >= 3 && pattern[at + 1] == b'-' {
            let (low, high) = (pattern[at].min(pattern[at + 2]), pattern[at].max(pattern[at + 2]));
            at += 2;
            hit |= low <= byte && byte <= high;
        } else {
            hit |= pattern[at] == byte;
        }
        at += 1;
    }
    (hit != negated, at + 1)
}
