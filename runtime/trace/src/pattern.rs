//! Which tensors are meant.

/// A name with `*` for any characters, such as `encoder.layers.2.*`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern(String);

impl Pattern {
    /// The pattern of that text; without a `*` it is one name.
    pub fn new(text: &str) -> Self {
        Self(text.to_owned())
    }

    /// Whether it fits an operator's name, or that name with `/` and the part's behind it.
    pub fn matches(&self, op: &str, part: &str) -> bool {
        let whole = || op.bytes().chain((!part.is_empty()).then_some(b'/')).chain(part.bytes());
        fits(self.0.as_bytes(), op.bytes()) || fits(self.0.as_bytes(), whole())
    }
}

fn fits(pattern: &[u8], mut text: impl Iterator<Item = u8> + Clone) -> bool {
    match pattern {
        [] => text.next().is_none(),
        [b'*', rest @ ..] => loop {
            if fits(rest, text.clone()) {
                return true;
            }
            if text.next().is_none() {
                return false;
            }
        },
        [first, rest @ ..] => text.next() == Some(*first) && fits(rest, text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_stars() {
        for (pattern, op, part, expected) in [
            ("encoder.conv", "encoder.conv", "", true),
            ("encoder.conv", "encoder.conv2", "", false),
            ("*.ffn", "encoder.layers.2.ffn", "", true),
            ("encoder.*.self_attn", "encoder.layers.0.self_attn", "", true),
            ("encoder.*.self_attn", "encoder.layers.0.self_attn.qkv", "keys", false),
            ("*/keys", "encoder.layers.0.self_attn.qkv", "keys", true),
            ("*qkv", "encoder.layers.0.self_attn.qkv", "keys", true),
            ("*", "", "", true),
            ("", "x", "", false),
        ] {
            assert_eq!(Pattern::new(pattern).matches(op, part), expected, "{pattern} {op} {part}");
        }
    }
}
