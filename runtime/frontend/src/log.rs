//! Log lines for firmware: through defmt with the feature of that name, otherwise nothing.

#[cfg(feature = "defmt")]
pub(crate) use defmt::{debug, warn};

/// Formats nothing, but uses its arguments.
#[cfg(not(feature = "defmt"))]
macro_rules! nothing {
    ($text:literal $(, $value:expr)* $(,)?) => {{ $(let _ = &$value;)* }};
}

#[cfg(not(feature = "defmt"))]
pub(crate) use {nothing as debug, nothing as warn};
