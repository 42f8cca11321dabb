//! The tokens around a text.

#[derive(Clone, Debug, Default)]
pub(crate) struct Template {
    pub(crate) before: Vec<u32>,
    pub(crate) after: Vec<u32>,
}

impl Template {
    pub(crate) fn len(&self) -> usize {
        self.before.len() + self.after.len()
    }

    /// One more than the largest id.
    pub(crate) fn size(&self) -> usize {
        self.before.iter().chain(&self.after).map(|&id| id as usize + 1).max().unwrap_or(0)
    }

    pub(crate) fn around(&self, ids: &[u32]) -> Vec<u32> {
        [&self.before, ids, &self.after].concat()
    }
}
