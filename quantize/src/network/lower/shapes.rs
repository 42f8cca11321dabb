//! Nodes that move elements about.

use ossicle_kernels::conv::Size;
use tract_onnx::pb::NodeProto;

use super::{Lowerer, Refused};
use crate::network::graph::Constant;
use crate::network::ir::{Kind, Value};
use crate::network::node::{int, ints};
use crate::network::view::View;

/// An axis counted from the end as one counted from the start.
pub(super) fn axis_of(axis: i64, rank: usize) -> Result<usize, Refused> {
    let counted = if axis < 0 { axis + rank as i64 } else { axis };
    usize::try_from(counted).ok().filter(|&axis| axis < rank).ok_or_else(|| format!("axis {axis} of {rank}"))
}

impl Lowerer<'_> {
    pub(super) fn reshape(&mut self, node: &NodeProto) -> Result<Value, Refused> {
        let value = self.value(node, 0)?;
        let shape = self.output_shape(node)?;
        let view = value.view.reshaped(&shape);
        let view = view.ok_or_else(|| format!("{:?} to {shape:?} cuts through an axis", value.view.shape()))?;
        Ok(Value { view, ..value })
    }

    pub(super) fn expand(&mut self, node: &NodeProto) -> Result<Value, Refused> {
        let (value, shape) = (self.value(node, 0)?, self.output_shape(node)?);
        if value.view.shape() == shape { Ok(value) } else { Err(format!("{:?} to {shape:?} repeats values", value.view.shape())) }
    }

    pub(super) fn transpose(&mut self, node: &NodeProto) -> Result<Value, Refused> {
        let value = self.value(node, 0)?;
        let rank = value.view.axes.len();
        let order = match ints(node, "perm") {
            Some(order) => order.into_iter().map(|axis| axis_of(axis, rank)).collect::<Result<Vec<_>, _>>()?,
            None => (0..rank).rev().collect(),
        };
        let mut axes = order.clone();
        axes.sort_unstable();
        if !axes.into_iter().eq(0..rank) {
            return Err(format!("perm = {order:?} of {rank} axes"));
        }
        Ok(Value { view: value.view.transposed(&order), ..value })
    }

    pub(super) fn gather(&mut self, node: &NodeProto) -> Result<Value, Refused> {
        let value = self.value(node, 0)?;
        let axis = axis_of(int(node, "axis").unwrap_or(0), value.view.axes.len())?;
        let indices = node.input.get(1).and_then(|name| self.graph.ints(name));
        let size = value.view.shape()[axis];
        let indices = indices.ok_or("its indices have to be constants")?;
        let indices = indices.into_iter().map(|index| axis_of(index, size)).collect::<Result<Vec<_>, _>>()?;
        let (Some(&first), Some(&last)) = (indices.first(), indices.last()) else { return Err("it names no indices".into()) };
        if !indices.iter().copied().eq(first..last + 1) {
            return Err("indices one after another are possible".into());
        }
        let view = value.view.sliced(axis, first..last + 1).ok_or("its axis is not one run")?;
        let view = view.reshaped(&self.output_shape(node)?).ok_or("its output is not what was gathered")?;
        Ok(Value { view, ..value })
    }

    pub(super) fn slice(&mut self, node: &NodeProto) -> Result<Value, Refused> {
        let mut value = self.value(node, 0)?;
        let given = |input: usize, name: &str| match node.input.get(input).filter(|name| !name.is_empty()) {
            Some(tensor) => self.graph.ints(tensor),
            None => ints(node, name),
        };
        let (starts, ends) = (given(1, "starts"), given(2, "ends"));
        let (Some(starts), Some(ends)) = (starts, ends) else { return Err("starts and ends have to be constants".into()) };
        let axes = given(3, "axes").unwrap_or_else(|| (0..starts.len() as i64).collect());
        if given(4, "steps").is_some_and(|steps| steps.iter().any(|&step| step != 1)) {
            return Err("steps other than 1".into());
        }
        let shape = value.view.shape();
        for ((&start, &end), &axis) in starts.iter().zip(&ends).zip(&axes) {
            let axis = axis_of(axis, shape.len())?;
            let size = shape[axis] as i64;
            let clamped = |at: i64| (if at < 0 { at.saturating_add(size) } else { at }).clamp(0, size) as usize;
            let range = clamped(start)..clamped(end);
            if range.is_empty() {
                return Err("it leaves nothing".into());
            }
            value.view = value.view.sliced(axis, range).ok_or("its axis is not one run")?;
        }
        Ok(value)
    }

    pub(super) fn split(&mut self, node: &NodeProto) -> Result<Vec<Value>, Refused> {
        let value = self.value(node, 0)?;
        let axis = axis_of(int(node, "axis").unwrap_or(0), value.view.axes.len())?;
        let mut first = 0;
        let mut parts = vec![];
        for name in &node.output {
            let shape = self.graph.shape(name).ok_or("the shape of an output is not known")?;
            let range = first..first + shape.get(axis).copied().unwrap_or(0);
            first = range.end;
            if range.is_empty() {
                return Err(format!("its part {name:?} holds nothing"));
            }
            if first > value.view.shape()[axis] {
                return Err("its parts are longer than what is split".into());
            }
            let view = value.view.sliced(axis, range).ok_or("its axis is not one run")?;
            parts.push(Value { view, ..value.clone() });
        }
        Ok(parts)
    }

    /// Constant tokens in front of others, or maps by their channels.
    pub(super) fn concat(&mut self, node: &NodeProto) -> Result<Value, Refused> {
        let shape = self.output_shape(node)?;
        let axis = axis_of(int(node, "axis").unwrap_or(0), shape.len())?;
        if node.input.iter().any(|name| self.graph.is_constant(name)) { self.prepend(node, axis) } else { self.join(node, axis) }
    }

    fn prepend(&mut self, node: &NodeProto, axis: usize) -> Result<Value, Refused> {
        let why = "with constants: tokens in front of others are possible";
        let (Some(last), shape) = (node.input.len().checked_sub(1), self.output_shape(node)?) else { return Err(why.into()) };
        let value = self.value(node, last).map_err(|_| why)?;
        let value = self.whole(&value)?;
        let (channels, positions) = (self.layers[value.layer].channels, self.layers[value.layer].positions());
        let tokens_last = value.view.rows() == View::dense(&[positions, channels]).rows() && shape.last() == Some(&channels);
        if axis + 2 != shape.len() || !tokens_last || shape[..axis].iter().any(|&n| n != 1) {
            return Err(why.into());
        }
        let mut tokens = vec![];
        for input in 0..last {
            let Constant { values, dims } = self.constant(node, input).map_err(|_| why)?.ok_or(why)?;
            if dims.last() != Some(&channels) {
                return Err(why.into());
            }
            tokens.extend(values);
        }
        let width = shape[axis];
        if tokens.len() + positions * channels != width * channels {
            return Err(why.into());
        }
        let layer = self.push(node, Kind::Prepend { tokens }, vec![value], Size { height: 1, width }, channels);
        Ok(Value { layer, view: View::dense(&shape), factor: 1.0 })
    }
}
