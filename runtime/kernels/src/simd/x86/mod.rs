//! x86-64 vectors.

mod avx2;
mod avx512;

pub use avx2::Avx2;
pub use avx512::Avx512Vnni;

/// Whether this CPU (and its operating system) has all of the features, by run-time detection with `std`, by the compile target without.
macro_rules! has_features {
    ($($feature:tt),*) => {{
        #[cfg(feature = "std")]
        { $(std::arch::is_x86_feature_detected!($feature))&&* }
        #[cfg(not(feature = "std"))]
        { $(cfg!(target_feature = $feature))&&* }
    }};
}
use has_features;
