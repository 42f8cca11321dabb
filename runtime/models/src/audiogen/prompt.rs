//! The description: its rows to keys and values, once.

use std::sync::Arc;

use ossicle_engine::layer::{Fact, Io, Layer, Results};
use ossicle_engine::layers::{RowBuffers, pack_heads, put_keys};
use ossicle_engine::recorder::Record;
use ossicle_engine::scratch::Need;
use ossicle_engine::session::ROWS;
use ossicle_engine::weights::LinearSpan;
use ossicle_engine::work::{Units, Work};
use ossicle_engine::{GraphError, Session};
use ossicle_kernels::attention::{HEAD, padded, unpack_values};
use ossicle_kernels::linear::Finish;
use ossicle_kernels::simd::LANES;
use ossicle_trace::Values;

use super::store::Store;

/// A linear layer of rows, `[rows][inputs]` to `[rows][outputs]`.
#[derive(Debug)]
pub(super) struct Project {
    pub(super) layer: LinearSpan,
    pub(super) rows: usize,
    pub(super) outputs: usize,
}

impl Layer for Project {
    fn name(&self) -> &'static str {
        "Project"
    }

    fn outputs(&self) -> Vec<Fact> {
        vec![Fact::f32([self.rows, self.outputs])]
    }

    fn scratch(&self) -> Need {
        RowBuffers::need(Need::default(), self.rows, self.layer.depth())
    }

    fn work(&self) -> Work {
        let row = Units { quantize: self.layer.depth() as f64, ..Units::default() };
        Work::product(self.rows, self.layer.depth(), self.outputs).and(self.rows, row)
    }

    fn run(&self, session: &Session, io: &mut Io<'_>) -> Result<(), GraphError> {
        let (x, depth) = (io.input::<f32>(0)?, self.layer.depth());
        let layer = session.weights().linear(&self.layer);
        session.for_rows(&io.thread_scratch(), io.output::<f32>(0)?, self.outputs, |scratch, start, out| {
            let mut buffers = RowBuffers::take(scratch, self.rows, depth);
            let rows = buffers.quantize(session, &x[start * depth..], out.len() / self.outputs, depth, depth);
            session.linear(&rows, &layer, Finish::Store, out);
        });
        Ok(())
    }
}

/// One layer's keys and values of the description into the store; hands the rows on.
#[derive(Debug)]
pub(super) struct TextKeysValues {
    pub(super) layer: LinearSpan,
    pub(super) store: Arc<Store>,
    pub(super) index: usize,
    pub(super) rows: usize,
    pub(super) heads: usize,
}

impl Layer for TextKeysValues {
    fn name(&self) -> &'static str {
        "TextKeysValues"
    }

    fn outputs(&self) -> Vec<Fact> {
        vec![Fact::f32([self.rows, self.heads * HEAD])]
    }

    fn in_place(&self) -> Option<usize> {
        Some(0)
    }

    fn scratch(&self) -> Need {
        let width = self.heads * HEAD;
        RowBuffers::need(Need::default().shared::<f32>(self.rows * 2 * width), self.rows, width)
    }

    fn work(&self) -> Work {
        let width = self.heads * HEAD;
        let row = Units { quantize: width as f64, head: width as f64, pack: width as f64, ..Units::default() };
        Work::product(self.rows, width, 2 * width).and(self.rows, row)
    }

    fn run(&self, session: &Session, io: &mut Io<'_>) -> Result<(), GraphError> {
        let (heads, width, isa) = (self.heads, self.heads * HEAD, session.isa());
        let wide = io.scratch::<f32>(self.rows * 2 * width);
        let x = io.output::<f32>(0)?;
        let layer = session.weights().linear(&self.layer);
        let x = &*x;
        session.for_rows(&io.thread_scratch(), wide, 2 * width, |scratch, start, out| {
            let mut buffers = RowBuffers::take(scratch, self.rows.min(ROWS), width);
            let rows = buffers.quantize(session, &x[start * width..], out.len() / (2 * width), width, width);
            session.linear(&rows, &layer, Finish::Store, out);
        });
        let mut cross = self.store.cross(self.index);
        let cross = &mut *cross;
        // What a longer description left behind the last row.
        cross.keys[(padded(self.rows) - LANES) * width..padded(self.rows) * width].fill(0);
        for (row, keys) in wide.chunks_exact(2 * width).enumerate() {
            put_keys(isa, &keys[..width], row, heads, &mut cross.keys, &mut cross.key_scales);
        }
        let values = &mut cross.values[..padded(self.rows) * width];
        let (scales, sums) = (&mut cross.value_scales, &mut cross.value_sums);
        pack_heads(isa, session.pool(), &wide[width..], 2 * width, self.rows, heads, values, scales, sums)
    }

    fn record(&self, _: &Results<'_>, record: &mut Record<'_>) -> Result<(), GraphError> {
        let cross = self.store.cross(self.index);
        let (rows, heads, bytes) = (self.rows, self.heads, padded(self.rows) * HEAD);
        record.keys(&cross.keys, &cross.key_scales, 0, rows, heads);
        record.gather_i8("values", &[rows, heads, HEAD], |out| {
            for (head, values) in cross.values.chunks_exact(bytes).take(heads).enumerate() {
                unpack_values(values, rows, heads * HEAD, &mut out[head * HEAD..]);
            }
        });
        record.tensor("value_scales", &[heads, HEAD], Values::F32(&cross.value_scales));
        Ok(())
    }
}
