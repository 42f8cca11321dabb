//! A deterministic automaton over a model's tokens.

/// A state of a [`TokenAutomaton`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct State(pub(crate) u32);

impl State {
    /// The state's number, below [`TokenAutomaton::len`].
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// A token that may come next, and the state it leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arc {
    /// The token.
    pub token: u32,
    /// Where it leads.
    pub to: State,
}

/// Where text tokens lead that have no arc of their own, inside a free-text slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct AnyText {
    /// After a token of [`TextClass::Word`].
    pub word: Option<State>,
    /// After a token of [`TextClass::Piece`].
    pub piece: Option<State>,
}

/// What a token is to free text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TextClass {
    /// A space and the beginning of a word: free text begins with it.
    Word,
    /// The rest of a word, or a sign within or between words.
    Piece,
    /// No part of free text.
    Other,
}

/// Where a state has no free text.
pub(crate) const NO_TEXT: u32 = u32::MAX;

/// The texts of a grammar as token sequences: deterministic, each text in the tokenizer's own pieces, so that a text has one path.
///
/// Inside free text the tokenizer's rules are not enforced. Nothing here allocates after it is built; a state's arcs are one slice.
#[derive(Clone, Debug)]
pub struct TokenAutomaton {
    pub(crate) start: State,
    /// Where each state's arcs begin; one more than states.
    pub(crate) offsets: Vec<u32>,
    pub(crate) arcs: Vec<Arc>,
    pub(crate) accepting: Vec<bool>,
    /// For each state the place of its free text, or [`NO_TEXT`].
    pub(crate) text_of: Vec<u32>,
    pub(crate) texts: Vec<AnyText>,
    pub(crate) classes: Vec<TextClass>,
}

impl TokenAutomaton {
    /// The state before the first token of text.
    pub fn start(&self) -> State {
        self.start
    }

    /// The tokens that may come next, in rising order, none twice.
    ///
    /// # Panics
    /// If the state is another automaton's and its number is too large here.
    pub fn arcs(&self, state: State) -> &[Arc] {
        &self.arcs[self.offsets[state.index()] as usize..self.offsets[state.index() + 1] as usize]
    }

    /// Whether the text may end here.
    pub fn accepts(&self, state: State) -> bool {
        self.accepting[state.index()]
    }

    /// Inside free text: where tokens lead that are not among [`arcs`](Self::arcs). A slot's limit is part of the states, so that a path
    /// leaves free text by itself.
    pub fn any_text(&self, state: State) -> Option<AnyText> {
        self.texts.get(self.text_of[state.index()] as usize).copied()
    }

    /// What a token is to free text.
    pub fn text_class(&self, token: u32) -> TextClass {
        self.classes.get(token as usize).copied().unwrap_or(TextClass::Other)
    }

    /// The state after `token`, if it may come next.
    pub fn next(&self, state: State, token: u32) -> Option<State> {
        let arcs = self.arcs(state);
        if let Ok(i) = arcs.binary_search_by_key(&token, |arc| arc.token) {
            return Some(arcs[i].to);
        }
        let text = self.any_text(state)?;
        match self.text_class(token) {
            TextClass::Word => text.word,
            TextClass::Piece => text.piece,
            TextClass::Other => None,
        }
    }

    /// States.
    pub fn len(&self) -> usize {
        self.accepting.len()
    }

    /// Whether there is no state; never true of a compiled grammar.
    pub fn is_empty(&self) -> bool {
        self.accepting.is_empty()
    }

    /// Arcs of all states together.
    pub fn arc_count(&self) -> usize {
        self.arcs.len()
    }

    /// Bytes of memory held.
    pub fn bytes(&self) -> usize {
        self.arcs.len() * size_of::<Arc>()
            + self.offsets.len() * size_of::<u32>()
            + self.accepting.len()
            + self.text_of.len() * size_of::<u32>()
            + self.texts.len() * size_of::<AnyText>()
            + self.classes.len()
    }
}
