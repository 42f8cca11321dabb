//! Channels of one map or of several as a map of their own.

use ossicle_models::network::MAX_INPUTS;
use tract_onnx::pb::NodeProto;

use super::{Lowerer, Refused};
use crate::network::ir::{Kind, Layer, Value};
use crate::network::view::View;

/// Some channels of a layer.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Channels {
    layer: usize,
    channels: Vec<usize>,
}

/// What has been joined already: DenseNet's layers each join all before them, and need only add the last.
#[derive(Debug)]
pub(super) struct Joined {
    parts: Vec<Channels>,
    layer: usize,
}

impl Lowerer<'_> {
    /// A value that is some channels of all positions as a layer of its own; none if it is something else.
    pub(super) fn select(&mut self, value: &Value) -> Option<Value> {
        let Layer { channels, ref name, ref op, .. } = self.layers[value.layer];
        let (table, view) = value.view.selected(self.layers[value.layer].positions(), channels)?;
        let (name, op) = (format!("{name}.channels"), op.clone());
        let layer = self.layer_of(vec![Channels { layer: value.layer, channels: table }], &name, &op);
        Some(Value { layer, view, factor: value.factor })
    }

    /// Maps behind one another along the axis of their channels.
    pub(super) fn join(&mut self, node: &NodeProto, axis: usize) -> Result<Value, Refused> {
        let mut parts = vec![];
        let mut views: Vec<Vec<View>> = vec![];
        for input in 0..node.input.len() {
            let value = self.value(node, input)?;
            self.is_layer(&value)?;
            let selected = |of: &Self, value: &Value| {
                let Layer { channels, .. } = of.layers[value.layer];
                value.view.selected(of.layers[value.layer].positions(), channels).filter(|_| value.factor == 1.0)
            };
            let (value, (channels, view)) = match selected(self, &value) {
                Some(selected) => (value, selected),
                None => {
                    let value = self.whole(&value)?;
                    let selected = selected(self, &value).ok_or("of what mixes positions and channels")?;
                    (value, selected)
                }
            };
            let count = channels.len();
            // Where positions are, whatever the number of channels.
            let others = view.axes.iter().enumerate().filter(|&(at, _)| at != axis);
            let others = others.map(|(_, axis)| View { offset: 0, axes: vec![axis.iter().map(|&(n, step)| (n, step / count)).collect()] });
            let others: Vec<View> = others.collect();
            if view.axes.get(axis) != View::dense(&[count]).axes.first() {
                return Err(format!("along axis {axis} of {:?}: maps by their channels are possible", view.shape()));
            }
            views.push(others);
            parts.push(Channels { layer: value.layer, channels });
        }
        let [first, rest @ ..] = &views[..] else { return Err("it has no inputs".into()) };
        if rest.iter().any(|view| view != first) {
            return Err(format!("along axis {axis}: of maps that lie differently"));
        }
        let total: usize = parts.iter().map(|part| part.channels.len()).sum();
        let mut axes: Vec<_> = first.iter().map(|view| view.axes[0].iter().map(|&(n, step)| (n, step * total)).collect()).collect();
        axes.insert(axis, View::dense(&[total]).axes.swap_remove(0));
        let layer = self.layer_of(parts, super::name_of(node), &node.op_type);
        Ok(Value { layer, view: View { offset: 0, axes }, factor: 1.0 })
    }

    /// The layer that has these channels: one that is there, or new ones of up to [`MAX_INPUTS`] inputs each.
    fn layer_of(&mut self, parts: Vec<Channels>, name: &str, op: &str) -> usize {
        let known = self.joined.iter().filter(|known| parts.starts_with(&known.parts)).max_by_key(|known| known.parts.len());
        let (mut layer, mut done) = known.map_or((None, 0), |known| (Some(known.layer), known.parts.len()));
        while done < parts.len() {
            let all = |layer: usize, of: &Self| Channels { layer, channels: (0..of.layers[layer].channels).collect() };
            let mut sources: Vec<Channels> = layer.map(|layer| all(layer, self)).into_iter().collect();
            let more = (MAX_INPUTS - sources.len()).min(parts.len() - done);
            sources.extend_from_slice(&parts[done..done + more]);
            done += more;
            let added = self.push_join(&sources, name, op);
            self.joined.push(Joined { parts: parts[..done].to_vec(), layer: added });
            layer = Some(added);
        }
        layer.unwrap_or(0)
    }

    fn push_join(&mut self, sources: &[Channels], name: &str, op: &str) -> usize {
        let (mut channels, mut before, mut inputs) = (vec![], 0, vec![]);
        for Channels { layer, channels: own } in sources {
            let Layer { channels: width, .. } = self.layers[*layer];
            channels.extend(own.iter().map(|channel| before + channel));
            before += width;
            inputs.push(Value { layer: *layer, view: View::dense(&[self.layers[*layer].positions(), width]), factor: 1.0 });
        }
        let count = channels.len();
        if channels.iter().copied().eq(0..before) {
            channels.clear();
        }
        let size = self.layers[sources[0].layer].size;
        let (name, op) = (name.to_owned(), op.to_owned());
        self.layers.push(Layer { name, op, kind: Kind::Concat { channels }, inputs, size, channels: count });
        self.layers.len() - 1
    }
}
