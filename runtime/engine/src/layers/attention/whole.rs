//! Self-attention of rows that are there as a whole.

use crate::layer::{Fact, Io, Layer, Results};
use crate::layers::conv_next::record_inside;
use crate::layers::sequence::Flow;
use crate::recorder::Record;
use crate::scratch::Need;
use crate::work::{Units, Work};
use crate::{GraphError, Session};
use ossicle_kernels::attention::{CausalCache, HEAD, Keys, Queries, Values, attend_causal, padded};
use ossicle_kernels::simd::LANES;

use super::heads::{HeadSize, PackedValues, Quantized, pack_heads};

/// Which rows a row looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mask {
    /// All of the sequence.
    None,
    /// Itself and those before it. What comes after a row changes none of its bits, so a text may be followed by anything.
    Causal,
}

/// `[rows][3][heads][head]` to `[rows][heads][head]`, of as many rows as the sequence has.
#[derive(Debug)]
pub struct SelfAttention {
    /// The sequence, in one chunk.
    pub flow: Flow,
    /// How rows are divided.
    pub size: HeadSize,
    /// Which rows a row looks at.
    pub mask: Mask,
}

impl SelfAttention {
    fn most(&self) -> usize {
        self.flow.chunk()
    }

    fn unmasked_need(&self) -> Need {
        let (tokens, heads, width) = (self.most(), self.size.heads, self.size.width());
        let queries = Need::default().shared::<i8>(tokens * width).shared::<f32>(tokens * heads);
        let keys = queries.shared::<i8>(padded(tokens) * width).shared::<f32>(padded(tokens) * heads);
        let values = keys.shared::<i8>(padded(tokens) * width).shared::<f32>(width).shared::<i32>(width);
        self.size.attend_need(values.shared::<f32>(self.size.if_narrow(tokens * width)), tokens)
    }

    fn unmasked(&self, session: &Session, io: &mut Io<'_>, tokens: usize) -> Result<(), GraphError> {
        let (size, heads, width, own, most) = (self.size, self.size.heads, self.size.width(), self.size.own(), self.most());
        let x = io.input::<f32>(0)?;
        let (queries, query_scales) = (io.scratch(most * width), io.scratch(most * heads));
        let (keys, key_scales) = (io.scratch(padded(most) * width), io.scratch(padded(most) * heads));
        let packed = &mut io.scratch::<i8>(padded(most) * width)[..padded(tokens) * width];
        let mut values = PackedValues { values: packed, scales: io.scratch(width), sums: io.scratch(width) };
        let wide = io.scratch::<f32>(size.if_narrow(most * width));
        let threads = io.thread_scratch();
        {
            let wide = size.narrow().then_some(&mut *wide);
            let to = Quantized { queries: Some((&mut *queries, &mut *query_scales)), keys: (&mut *keys, &mut *key_scales), values: wide };
            session.pool().each(to.split(session.pool(), tokens, heads)?, |thread, mut part| {
                let mut memory = threads.of(thread);
                let mut rows: [&mut [f32]; 3] = {
                    let mut scratch = memory.take_all();
                    [(); 3].map(|()| scratch.take(size.if_narrow(width)))
                };
                for row in 0..part.rows {
                    let qkv = &x[(part.start + row) * 3 * own..][..3 * own];
                    let [queries, keys, values] = rows.each_mut();
                    let wide = [size.wide(&qkv[..own], queries), size.wide(&qkv[own..2 * own], keys), size.wide(&qkv[2 * own..], values)];
                    part.put(session.isa(), size, row, wide);
                }
            });
        }
        let (x, stride) = if size.narrow() { (&*wide, width) } else { (&x[2 * width..], 3 * width) };
        pack_heads(session, x, stride, tokens, heads, &mut values)?;
        let queries = Queries { values: queries, scales: query_scales, heads };
        let keys = Keys { values: keys, scales: key_scales, tokens, heads };
        let values = Values { values: values.values, scales: values.scales, sums: values.sums };
        size.attend_all(session, &threads, (queries, keys, values), most, &mut io.output::<f32>(0)?[..tokens * own]);
        Ok(())
    }

    fn causal_need(&self) -> Need {
        let (tokens, heads, width) = (self.most(), self.size.heads, self.size.width());
        let keys = Need::default().shared::<i8>(padded(tokens) * width).shared::<f32>(padded(tokens) * heads);
        let values = keys.shared::<i8>(tokens * width).shared::<f32>(tokens * heads).shared::<f32>(self.size.if_narrow(2 * width));
        let own = values.thread::<i8>(width).thread::<f32>(heads).thread::<f32>(padded(tokens));
        own.thread::<f32>(self.size.if_narrow(width))
    }

    fn causal(&self, session: &Session, io: &mut Io<'_>, tokens: usize) -> Result<(), GraphError> {
        let (size, heads, width, own, most) = (self.size, self.size.heads, self.size.width(), self.size.own(), self.most());
        let (isa, x) = (session.isa(), io.input::<f32>(0)?);
        let (keys, key_scales) = (io.scratch(padded(most) * width), io.scratch(padded(most) * heads));
        let (values, value_scales) = (io.scratch(most * width), io.scratch(most * heads));
        // Rows of the last block that there are not.
        let last = tokens / LANES * LANES;
        keys[last * width..padded(tokens) * width].fill(0);
        key_scales[last * heads..padded(tokens) * heads].fill(0.0);
        let mut cache = CausalCache { keys, key_scales, values, value_scales, heads };
        let (key, value) = io.scratch::<f32>(size.if_narrow(2 * width)).split_at_mut(size.if_narrow(width));
        for (token, qkv) in x.chunks_exact(3 * own).take(tokens).enumerate() {
            cache.put(isa, token, size.wide(&qkv[own..2 * own], key), size.wide(&qkv[2 * own..], value));
        }
        let (cache, threads) = (&cache, io.thread_scratch());
        session.pool().for_parts(&mut io.output::<f32>(0)?[..tokens * own], own, 1, |thread, start, out| {
            let mut memory = threads.of(thread);
            let mut scratch = memory.take_all();
            let (values, scales, scores) = (scratch.take::<i8>(width), scratch.take::<f32>(heads), scratch.take::<f32>(padded(most)));
            let wide = scratch.take::<f32>(size.if_narrow(width));
            for (row, out) in out.chunks_exact_mut(own).enumerate() {
                let token = start + row;
                size.quantize_queries(isa, size.wide(&x[3 * token * own..][..own], wide), values, scales);
                let query = Queries { values, scales, heads };
                for (head, out) in out.chunks_exact_mut(size.head).enumerate() {
                    let mut attended = [0.0; HEAD];
                    attend_causal(isa, query, cache, token + 1, head, scores, &mut attended);
                    out.copy_from_slice(&attended[..size.head]);
                }
            }
        });
        Ok(())
    }
}

impl Layer for SelfAttention {
    fn name(&self) -> &'static str {
        match self.mask {
            Mask::None => "SelfAttention",
            Mask::Causal => "CausalAttention",
        }
    }

    fn outputs(&self) -> Vec<Fact> {
        vec![Fact::f32([self.most(), self.size.own()])]
    }

    fn scratch(&self) -> Need {
        match self.mask {
            Mask::None => self.unmasked_need(),
            Mask::Causal => self.causal_need(),
        }
    }

    fn work(&self) -> Work {
        let (tokens, width, heads) = (self.flow.rows(), self.size.width() as f64, self.size.heads);
        let row = match self.mask {
            Mask::None => Units { head: 2.0 * width, pack: width, score: (heads * tokens) as f64, ..Units::default() },
            // Half of all pairs of rows.
            Mask::Causal => Units { head: 3.0 * width, score: (heads * tokens.div_ceil(2)) as f64, ..Units::default() },
        };
        Work::default().and(tokens, row)
    }

    fn run(&self, session: &Session, io: &mut Io<'_>) -> Result<(), GraphError> {
        let tokens = self.flow.rows();
        match self.mask {
            Mask::None => self.unmasked(session, io, tokens),
            Mask::Causal => self.causal(session, io, tokens),
        }
    }

    fn record(&self, results: &Results<'_>, record: &mut Record<'_>) -> Result<(), GraphError> {
        record_inside(&self.flow, results, 0, record)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use ossicle_kernels::simd::Isa;

    use super::*;
    use crate::Options;
    use crate::graph::GraphBuilder;
    use crate::layers::sequence::Sequence;
    use crate::weights::Weights;

    /// Attention of rows `[rows][3][heads][head]` in plain loops.
    fn plain(x: &[f32], size: HeadSize, mask: Mask) -> Vec<f32> {
        let (own, head) = (size.own(), size.head);
        let rows: Vec<&[f32]> = x.chunks_exact(3 * own).collect();
        let mut out = vec![];
        for (r, query) in rows.iter().enumerate() {
            let others = if mask == Mask::Causal { &rows[..=r] } else { &rows[..] };
            for h in 0..size.heads {
                let score = |key: &&[f32]| (0..head).map(|i| query[h * head + i] * key[own + h * head + i]).sum::<f32>();
                let powers: Vec<f32> = others.iter().map(|key| (score(key) / (head as f32).sqrt()).exp()).collect();
                let sum: f32 = powers.iter().sum();
                out.extend(
                    (0..head)
                        .map(|i| others.iter().zip(&powers).map(|(value, power)| value[2 * own + h * head + i] * power).sum::<f32>() / sum),
                );
            }
        }
        out
    }

    fn values(count: usize) -> Vec<f32> {
        let mut state = 7u32;
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as f32 / (1 << 23) as f32 - 1.0
        };
        (0..count).map(|_| next()).collect()
    }

    /// What the layer makes of `x`, whose rows are some of at most 40.
    fn run(x: &[f32], size: HeadSize, mask: Mask, threads: usize) -> Vec<f32> {
        let session = Session::new(&Weights::none(), Options { isa: Isa::detect(), threads });
        let (rows, sequence) = (x.len() / (3 * size.own()), Arc::new(Sequence::default()));
        let mut graph = GraphBuilder::new(&session);
        let input = graph.input::<f32>("x", &[40, 3 * size.own()]).unwrap();
        let layer = SelfAttention { flow: Flow::new(&sequence, 40), size, mask };
        let out = graph.add("attention", layer, &[input]).unwrap();
        let mut runner = graph.finish(&out, 1 << 24).unwrap();
        // What a longer sequence left behind must not show.
        sequence.set(0, 40);
        runner.input_mut::<f32>(0).unwrap().fill(3.0);
        runner.run().unwrap();
        sequence.set(0, rows);
        runner.input_mut::<f32>(0).unwrap()[..x.len()].copy_from_slice(x);
        runner.run().unwrap();
        runner.output::<f32>(0).unwrap()[..rows * size.own()].to_vec()
    }

    #[test]
    fn heads_of_any_size_with_any_mask_are_those_of_plain_loops() {
        for (head, rows, mask) in
            [(64, 21, Mask::None), (32, 21, Mask::None), (16, 33, Mask::None), (64, 37, Mask::Causal), (32, 17, Mask::Causal)]
        {
            let size = HeadSize { heads: 3, head };
            let x = values(rows * 3 * size.own());
            let (ours, wanted) = (run(&x, size, mask, 1), plain(&x, size, mask));
            let far = ours.iter().zip(&wanted).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            assert!(far < 0.02, "{head} {mask:?}: {far}");
            assert_eq!(ours, run(&x, size, mask, 3), "threads change no bit");
        }
    }
}
