//! What a token's vectors can do.

/// Lanes of every vector, on every instruction set; reductions depend on it (numerics contract, rule 3).
pub const LANES: usize = 16;

/// Sixteen lanes of f32 and i32, and the s8 dot products the matrix kernels stand on.
///
/// No operation orders NaN: inputs are finite (numerics contract, rule 7).
#[allow(clippy::wrong_self_convention, reason = "the receiver is the token, not the value converted")]
pub trait Simd: Copy + Send + Sync + 'static {
    /// Sixteen f32.
    type F32: Copy;
    /// Sixteen i32.
    type I32: Copy;
    /// Sixteen booleans.
    type Mask: Copy;
    /// A block of 16 outputs x 4 inputs of s8 weights, ready to be multiplied.
    type Weights: Copy;
    /// Four s8 (or u8) activations, repeated for each of the 16 outputs.
    type Acts: Copy;

    /// What `--isa` calls it.
    const NAME: &'static str;

    /// What [`dot_s8`](Simd::dot_s8) adds to each exact product sum for every unit of the activations' sum: 128 where the instruction wants
    /// unsigned weights (offset by 128), otherwise 0.
    const WEIGHT_OFFSET: i32;

    /// What [`dot_u8`](Simd::dot_u8) lacks for every unit of the weights' sum: 128 where u8 activations are multiplied as `a - 128`.
    const PROB_OFFSET: i32;

    /// Whether sixteen sums of sixteen lanes and what is added to them fit the registers.
    const MANY_REGISTERS: bool = false;

    /// All lanes `x`.
    fn splat(self, x: f32) -> Self::F32;
    /// Loads sixteen values.
    fn load(self, p: &[f32; LANES]) -> Self::F32;
    /// Stores sixteen values.
    fn store(self, v: Self::F32, p: &mut [f32; LANES]);
    /// `a + b`
    fn add(self, a: Self::F32, b: Self::F32) -> Self::F32;
    /// `a - b`
    fn sub(self, a: Self::F32, b: Self::F32) -> Self::F32;
    /// `a * b`
    fn mul(self, a: Self::F32, b: Self::F32) -> Self::F32;
    /// `a / b`
    fn div(self, a: Self::F32, b: Self::F32) -> Self::F32;
    /// `a < b ? a : b`
    fn min(self, a: Self::F32, b: Self::F32) -> Self::F32;
    /// `a > b ? a : b`
    fn max(self, a: Self::F32, b: Self::F32) -> Self::F32;
    /// Square root.
    fn sqrt(self, a: Self::F32) -> Self::F32;
    /// `a * b + c`, rounded once.
    fn fma(self, a: Self::F32, b: Self::F32, c: Self::F32) -> Self::F32;
    /// Magnitude.
    fn abs(self, a: Self::F32) -> Self::F32;
    /// `-a`
    fn neg(self, a: Self::F32) -> Self::F32;
    /// Nearest integral value, ties to even, for `|a| < 2^22`. The sign of a zero result is that of `a`.
    fn round_ties_even(self, a: Self::F32) -> Self::F32;
    /// Nearest integer, ties to even, for `|a| < 2^22`.
    fn to_i32(self, a: Self::F32) -> Self::I32;
    /// Exact up to 2^24, otherwise rounded to nearest even.
    fn from_i32(self, a: Self::I32) -> Self::F32;
    /// `x * 2^n` for an integral `n` in [-126, 127], if the result is normal.
    #[inline(always)]
    fn scale_by_power(self, x: Self::F32, n: Self::F32) -> Self::F32 {
        self.from_bits(self.add_i32(self.bits(x), self.shl_i32::<23>(self.to_i32(n))))
    }
    /// `a < b`
    fn lt(self, a: Self::F32, b: Self::F32) -> Self::Mask;
    /// `m ? a : b`
    fn select(self, m: Self::Mask, a: Self::F32, b: Self::F32) -> Self::F32;
    /// The lanes' sum, folded 8, 4, 2, 1 (numerics contract, rule 3).
    fn reduce_add(self, a: Self::F32) -> f32;
    /// The largest lane.
    fn reduce_max(self, a: Self::F32) -> f32;

    /// All lanes `x`.
    fn splat_i32(self, x: i32) -> Self::I32;
    /// Loads sixteen values.
    fn load_i32(self, p: &[i32; LANES]) -> Self::I32;
    /// Stores sixteen values.
    fn store_i32(self, v: Self::I32, p: &mut [i32; LANES]);
    /// Wrapping sum.
    fn add_i32(self, a: Self::I32, b: Self::I32) -> Self::I32;
    /// Wrapping difference.
    fn sub_i32(self, a: Self::I32, b: Self::I32) -> Self::I32;
    /// Low 32 bits of the product.
    fn mul_i32(self, a: Self::I32, b: Self::I32) -> Self::I32;
    /// `a << N`
    fn shl_i32<const N: u32>(self, a: Self::I32) -> Self::I32;
    /// `a >> N`, keeping the sign.
    fn shr_i32<const N: u32>(self, a: Self::I32) -> Self::I32;
    /// Bitwise and.
    fn and_i32(self, a: Self::I32, b: Self::I32) -> Self::I32;
    /// Bitwise or.
    fn or_i32(self, a: Self::I32, b: Self::I32) -> Self::I32;
    /// The lanes' bits.
    fn bits(self, a: Self::F32) -> Self::I32;
    /// Lanes from their bits.
    fn from_bits(self, a: Self::I32) -> Self::F32;
    /// Stores each lane's low byte.
    fn store_s8(self, v: Self::I32, p: &mut [i8; LANES]);
    /// Stores each lane's low byte.
    fn store_u8(self, v: Self::I32, p: &mut [u8; LANES]);
    /// Stores the values of four vectors, each in [0, 255].
    #[inline(always)]
    fn store_u8x4(self, v: [Self::I32; 4], p: &mut [u8; 4 * LANES]) {
        for (v, p) in v.into_iter().zip(p.as_chunks_mut().0) {
            self.store_u8(v, p);
        }
    }
    /// Stores the values of four vectors, each in [-128, 127].
    #[inline(always)]
    fn store_s8x4(self, v: [Self::I32; 4], p: &mut [i8; 4 * LANES]) {
        for (v, p) in v.into_iter().zip(p.as_chunks_mut().0) {
            self.store_s8(v, p);
        }
    }
    /// Loads sixteen s8, sign-extended.
    fn load_s8(self, p: &[i8; LANES]) -> Self::I32;
    /// Loads sixteen u8.
    fn load_u8(self, p: &[u8; LANES]) -> Self::I32;

    /// Prepares one packed block: `w[4 * n + i]` is output `n`, input `i`; any s8, -128 too.
    fn weights(self, w: &[i8; 64]) -> Self::Weights;
    /// Repeats four s8 activations in [-127, 127].
    fn acts_s8(self, a: [i8; 4]) -> Self::Acts;
    /// `acc[n] + sum_i w[n][i] * a[i]`, plus [`WEIGHT_OFFSET`](Simd::WEIGHT_OFFSET) times `sum_i a[i]`.
    fn dot_s8(self, acc: Self::I32, w: Self::Weights, a: Self::Acts) -> Self::I32;
    /// Prepares one packed block for [`dot_u8`](Simd::dot_u8).
    fn weights_for_u8(self, w: &[i8; 64]) -> Self::Weights;
    /// Repeats four u8 activations.
    fn acts_u8(self, a: [u8; 4]) -> Self::Acts;
    /// `acc[n] + sum_i w[n][i] * (a[i] - PROB_OFFSET)`.
    fn dot_u8(self, acc: Self::I32, w: Self::Weights, a: Self::Acts) -> Self::I32;
    /// Brings four taps of sixteen channels together: `out[4 * c + i] = taps[i][c]`.
    fn interleave(self, taps: [&[u8; LANES]; 4], out: &mut [u8; 64]);
    /// As [`dot_u8`](Simd::dot_u8), each output with activations of its own: `acc[n] + sum_i w[n][i] * (x[4 * n + i] - PROB_OFFSET)`.
    fn filter_u8(self, acc: Self::I32, w: Self::Weights, x: &[u8; 64]) -> Self::I32;

    /// Asks for a block that will be read soon. Changes nothing but time.
    #[inline(always)]
    fn fetch(self, _: &[i8; 64]) {}

    /// The largest of `first` and `f` of all vectors.
    #[inline(always)]
    fn max_of(self, x: &[[f32; LANES]], first: Self::F32, f: impl Fn(Self::F32) -> Self::F32) -> Self::F32 {
        // Several at once: the order is free, and each waits for the one before.
        let mut largest = [first; 4];
        let (fours, rest) = x.as_chunks::<4>();
        for four in fours {
            for (largest, x) in largest.iter_mut().zip(four) {
                *largest = self.max(*largest, f(self.load(x)));
            }
        }
        for x in rest {
            largest[0] = self.max(largest[0], f(self.load(x)));
        }
        self.max(self.max(largest[0], largest[1]), self.max(largest[2], largest[3]))
    }

    /// Loads up to sixteen values; missing lanes are `fill`.
    #[inline(always)]
    fn load_partial(self, p: &[f32], fill: f32) -> Self::F32 {
        match p.first_chunk() {
            Some(full) => self.load(full),
            None => {
                let mut lanes = [fill; LANES];
                lanes[..p.len()].copy_from_slice(p);
                self.load(&lanes)
            }
        }
    }

    /// Stores the first `p.len()` lanes, at most sixteen.
    #[inline(always)]
    fn store_partial(self, v: Self::F32, p: &mut [f32]) {
        match p.first_chunk_mut() {
            Some(full) => self.store(v, full),
            None => {
                let mut lanes = [0.0; LANES];
                self.store(v, &mut lanes);
                let len = p.len();
                p.copy_from_slice(&lanes[..len]);
            }
        }
    }
}
