//! How much a layer computes, in units whose costs can be measured for a core.

use std::ops::AddAssign;

use ossicle_kernels::attention::HEAD;
use ossicle_kernels::simd::LANES;

use crate::session::FEW;

/// Makes a struct of f64 from its fields, with the operations that go field by field.
macro_rules! units {
    ($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq)]
        pub struct $name {
            $($(#[$field_doc])* pub $field: f64,)*
        }

        impl AddAssign for $name {
            fn add_assign(&mut self, other: Self) {
                $(self.$field += other.$field;)*
            }
        }

        impl $name {
            /// So many times each.
            #[must_use]
            pub fn times(self, count: f64) -> Self {
                Self { $($field: count * self.$field,)* }
            }
        }
    };
}

units! {
    /// Units of work. What they are worth differs from core to core.
    Units {
        /// 8-bit multiplications of several rows with the same weights.
        mac,
        /// 8-bit multiplications of one row, which waits for the weights.
        vector_mac,
        /// Multiplications of f32.
        float_mac,
        /// The same in filters that each have one channel.
        filter_mac,
        /// Results of products written.
        store,
        /// Values of an activation function.
        gelu,
        /// Values quantised.
        quantize,
        /// Values normalised and quantised.
        normalize,
        /// Values of queries, keys and cached values quantised by heads.
        head,
        /// Values of attention packed.
        pack,
        /// Scores of many queries, softmax and weighted values included.
        score,
        /// As `score`, of one query.
        vector_score,
        /// Scores over the text so far.
        causal_score,
    }
}

/// The work of a layer, or of a graph's layers together.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Work {
    /// What is split over the threads.
    pub shared: Units,
    /// What one thread does.
    pub alone: Units,
    /// Weights, keys and values read.
    pub bytes: f64,
}

impl AddAssign for Work {
    fn add_assign(&mut self, other: Self) {
        self.shared += other.shared;
        self.alone += other.alone;
        self.bytes += other.bytes;
    }
}

impl Work {
    /// A product of `rows` rows of `depth` values with weights for `outputs` outputs.
    ///
    /// Up to four rows are split over the threads by their outputs, many rows are split by rows, those between are not split.
    pub fn product(rows: usize, depth: usize, outputs: usize) -> Self {
        let (count, weights) = (rows as f64, depth as f64 * outputs as f64);
        let mut work = Self { bytes: weights, ..Self::default() };
        let few = Units { vector_mac: weights, mac: (count - 1.0) * weights, ..Units::default() };
        if rows <= FEW {
            work.shared = few;
        } else if rows <= LANES {
            work.alone = few;
        } else {
            work.shared = Units { mac: count * weights, store: count * outputs as f64, ..Units::default() };
        }
        work
    }

    /// And what is done to each of `rows` rows besides products.
    #[must_use]
    pub fn and(mut self, rows: usize, row: Units) -> Self {
        let part = if rows > LANES { &mut self.shared } else { &mut self.alone };
        *part += row.times(rows as f64);
        self
    }

    /// The sum of two.
    #[must_use]
    pub fn plus(mut self, other: Self) -> Self {
        self += other;
        self
    }

    /// Multiplications of 8 bits and of f32, attention's included: a score takes twice the values of a head.
    pub fn multiplications(&self) -> f64 {
        let of = |units: &Units| {
            let scores = units.score + units.vector_score + units.causal_score;
            units.mac + units.vector_mac + units.float_mac + units.filter_mac + 2.0 * HEAD as f64 * scores
        };
        of(&self.shared) + of(&self.alone)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_decide_who_works() {
        let [one, two, few, many] = [1, 2, 5, 40].map(|rows| Work::product(rows, 10, 20));
        assert_eq!((one.shared.vector_mac, one.alone), (200.0, Units::default()));
        assert_eq!((two.shared.vector_mac, two.shared.mac, two.alone), (200.0, 200.0, Units::default()));
        assert_eq!((few.alone.vector_mac, few.alone.mac, few.shared), (200.0, 800.0, Units::default()));
        assert_eq!((many.shared.mac, many.shared.store, many.bytes), (8000.0, 800.0, 200.0));
        let row = Units { quantize: 10.0, ..Units::default() };
        assert_eq!(many.and(40, row).shared.quantize, 400.0);
        assert_eq!(one.and(1, row).plus(few).multiplications(), 200.0 + 1000.0);
    }
}
