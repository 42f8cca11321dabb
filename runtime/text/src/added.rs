//! Tokens that are taken out of a text before anything else is done to it.

#[derive(Clone, Debug, Default)]
pub(crate) struct Added {
    /// The longest first.
    pub(crate) tokens: Vec<AddedText>,
}

/// A token by its text.
#[derive(Clone, Debug)]
pub(crate) struct AddedText {
    pub(crate) content: String,
    pub(crate) id: u32,
    /// Whether white space in front of it belongs to it, and behind it.
    pub(crate) front: bool,
    pub(crate) behind: bool,
}

pub(crate) enum Piece<'a> {
    Text(&'a str),
    Token(u32),
}

impl Added {
    /// One more than the largest id.
    pub(crate) fn size(&self) -> usize {
        self.tokens.iter().map(|token| token.id as usize + 1).max().unwrap_or(0)
    }

    /// The id of a token by its text.
    pub(crate) fn id(&self, token: &str) -> Option<u32> {
        self.tokens.iter().find(|added| added.content == token).map(|added| added.id)
    }

    /// The text's pieces: the leftmost added token, the longest of those that begin there, and what is between them.
    pub(crate) fn split<'a>(&'a self, text: &'a str) -> impl Iterator<Item = Piece<'a>> {
        let mut rest = text;
        let mut token = None;
        std::iter::from_fn(move || {
            if let Some(id) = token.take() {
                return Some(Piece::Token(id));
            }
            if rest.is_empty() {
                return None;
            }
            let found = rest.char_indices().find_map(|(at, _)| {
                let fits = self.tokens.iter().find(|token| rest[at..].starts_with(token.content.as_str()));
                fits.map(|token| (at, token))
            });
            let (mut before, mut after, id) = match found {
                Some((at, token)) => (&rest[..at], &rest[at + token.content.len()..], Some(token.id)),
                None => (rest, "", None),
            };
            if found.is_some_and(|(_, token)| token.front) {
                before = before.trim_end();
            }
            if found.is_some_and(|(_, token)| token.behind) {
                after = after.trim_start();
            }
            rest = after;
            if before.is_empty() {
                return id.map(Piece::Token);
            }
            token = id;
            Some(Piece::Text(before))
        })
    }
}
