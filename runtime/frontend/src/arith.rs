//! One arithmetic for one frame in plain f32 and for sixteen frames in the lanes of a vector.

use ossicle_kernels::simd::{LANES, Simd};

/// Values that are added, subtracted and multiplied, each operation rounded by itself.
pub(crate) trait Arith: Copy {
    /// A value in registers.
    type V: Copy;
    /// A value in memory.
    type Cell: Copy;

    fn splat(self, x: f32) -> Self::V;
    fn load(self, cell: &Self::Cell) -> Self::V;
    fn store(self, v: Self::V, cell: &mut Self::Cell);
    fn add(self, a: Self::V, b: Self::V) -> Self::V;
    fn sub(self, a: Self::V, b: Self::V) -> Self::V;
    fn mul(self, a: Self::V, b: Self::V) -> Self::V;
}

/// One frame.
#[derive(Clone, Copy)]
pub(crate) struct One;

impl Arith for One {
    type V = f32;
    type Cell = f32;

    #[inline(always)]
    fn splat(self, x: f32) -> f32 {
        x
    }
    #[inline(always)]
    fn load(self, cell: &f32) -> f32 {
        *cell
    }
    #[inline(always)]
    fn store(self, v: f32, cell: &mut f32) {
        *cell = v;
    }
    #[inline(always)]
    fn add(self, a: f32, b: f32) -> f32 {
        a + b
    }
    #[inline(always)]
    fn sub(self, a: f32, b: f32) -> f32 {
        a - b
    }
    #[inline(always)]
    fn mul(self, a: f32, b: f32) -> f32 {
        a * b
    }
}

/// Sixteen values in memory, aligned so that no vector load crosses a cache line.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
pub(crate) struct Lanes(pub(crate) [f32; LANES]);

/// Sixteen frames, one per lane.
#[derive(Clone, Copy)]
pub(crate) struct Wide<S>(pub(crate) S);

impl<S: Simd> Arith for Wide<S> {
    type V = S::F32;
    type Cell = Lanes;

    #[inline(always)]
    fn splat(self, x: f32) -> S::F32 {
        self.0.splat(x)
    }
    #[inline(always)]
    fn load(self, cell: &Lanes) -> S::F32 {
        self.0.load(&cell.0)
    }
    #[inline(always)]
    fn store(self, v: S::F32, cell: &mut Lanes) {
        self.0.store(v, &mut cell.0);
    }
    #[inline(always)]
    fn add(self, a: S::F32, b: S::F32) -> S::F32 {
        self.0.add(a, b)
    }
    #[inline(always)]
    fn sub(self, a: S::F32, b: S::F32) -> S::F32 {
        self.0.sub(a, b)
    }
    #[inline(always)]
    fn mul(self, a: S::F32, b: S::F32) -> S::F32 {
        self.0.mul(a, b)
    }
}
