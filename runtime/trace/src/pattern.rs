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

/// In time that grows with the product of both lengths at most: only the last star is ever tried again.
fn fits(pattern: &[u8], mut text: impl Iterator<Item = u8> + Clone) -> bool {
    let mut at = 0;
    // What stands behind the last star, and the text from where that star was last taken to end.
    let mut star = None;
    loop {
        if pattern.get(at) == Some(&b'*') {
            at += 1;
            star = Some((at, text.clone()));
            continue;
        }
        match text.next() {
            None => return at == pattern.len(),
            Some(byte) if pattern.get(at) == Some(&byte) => at += 1,
            Some(_) => {
                let Some((behind, rest)) = &mut star else { return false };
                rest.next();
                at = *behind;
                text = rest.clone();
            }
        }
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
            ("**", "x", "", true),
            ("x*", "x", "", true),
            ("*ab", "aab", "", true),
            ("*ab*", "aabb", "keys", true),
            ("a*b*c", "a.b.b.c.c", "", true),
            ("a*b*c", "a.b.b.c.d", "", false),
            ("*e/k*", "kernel", "keys", false),
        ] {
            assert_eq!(Pattern::new(pattern).matches(op, part), expected, "{pattern} {op} {part}");
        }
    }

    #[test]
    fn many_stars_end_soon() {
        // Trying every way to part the text between the stars would take for ever.
        let (pattern, text) = ("*a".repeat(40) + "b", "a".repeat(4000));
        assert!(!Pattern::new(&pattern).matches(&text, ""));
        assert!(Pattern::new(&pattern).matches(&(text + "b"), ""));
    }
}
