//! What a model folder says of its own format.

/// Version of the numerics contract the weights are made for.
pub const NUMERICS_VERSION: u32 = 1;
/// Name of the packed layout in the file's metadata.
pub const LAYOUT: &str = "n16k4";
/// Name of the format in the file's metadata.
pub const FORMAT: &str = "ossicle-int8";
