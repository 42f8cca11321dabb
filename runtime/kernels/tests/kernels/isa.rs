//! Which instruction sets there are.

use ossicle_kernels::simd::{Isa, IsaError};

/// `OSSICLE_EXPECT_ISAS=scalar,neon` (slowest first) fails a machine that lacks one of them, or offers more than the core it stands for: the
/// tests over all instruction sets would otherwise pass by leaving them out.
#[test]
fn this_cpu_offers_what_is_expected_of_it() {
    let Ok(expected) = std::env::var("OSSICLE_EXPECT_ISAS") else {
        eprintln!("SKIPPED: OSSICLE_EXPECT_ISAS does not say what to expect");
        return;
    };
    let available: Vec<_> = Isa::available().map(Isa::name).collect();
    assert_eq!(available.join(","), expected);
    assert_eq!(Isa::detect().name(), *available.last().expect("the scalar one"), "the fastest is chosen");
}

#[test]
fn names_lead_back_and_others_are_refused() {
    for isa in Isa::available() {
        assert_eq!(Isa::from_name(isa.name()), Ok(isa));
    }
    assert_eq!(Isa::from_name("sse9"), Err(IsaError::Unknown));
    assert_eq!(Isa::from_name(""), Err(IsaError::Unknown));
}
