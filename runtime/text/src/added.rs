//! Tokens that are taken out of a text before anything else is done to it.

#[derive(Clone, Debug, Default)]
pub(crate) struct Added {
    /// Texts and ids, the longest first.
    pub(crate) tokens: Vec<(String, u32)>,
}

pub(crate) enum Piece<'a> {
    Text(&'a str),
    Token(u32),
}

impl Added {
    /// One more than the largest id.
    pub(crate) fn size(&self) -> usize {
        self.tokens.iter().map(|(_, id)| *id as usize + 1).max().unwrap_or(0)
    }

    /// The id of a token by its text.
    pub(crate) fn id(&self, token: &str) -> Option<u32> {
        self.tokens.iter().find(|(content, _)| content == token).map(|(_, id)| *id)
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
                let fits = self.tokens.iter().find(|(content, _)| rest[at..].starts_with(content.as_str()));
                fits.map(|(content, id)| (at, content.len(), *id))
            });
            let (at, length, id) = match found {
                Some((at, length, id)) => (at, length, Some(id)),
                None => (rest.len(), 0, None),
            };
            let before = &rest[..at];
            rest = &rest[at + length..];
            if before.is_empty() {
                return id.map(Piece::Token);
            }
            token = id;
            Some(Piece::Text(before))
        })
    }
}
