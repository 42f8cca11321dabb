//! The sentence files that come with the library.

/// A sentence file by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pack {
    /// The name.
    pub name: &'static str,
    /// The file.
    pub text: &'static str,
}

/// All packs.
pub const PACKS: [Pack; 2] =
    [Pack { name: "coffee", text: include_str!("../packs/coffee.yaml") }, Pack { name: "home", text: include_str!("../packs/home.yaml") }];

/// The pack called `name`.
pub fn pack(name: &str) -> Option<Pack> {
    PACKS.into_iter().find(|pack| pack.name == name)
}
