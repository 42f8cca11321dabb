//! Layers joined: factors and activations into the layer in front of them, and what nobody reads left out.

use ossicle_kernels::activation::Activation;
use ossicle_models::network::Scores;

use super::ir::{Kind, Layer, Part};

/// The layers that are left.
pub(super) struct Fused {
    pub(super) layers: Vec<Layer>,
    /// For each, the layer before fusing whose result it computes.
    pub(super) origins: Vec<usize>,
    pub(super) scores: Scores,
}

/// Joins the layers that `last` needs.
pub(super) fn fuse(mut layers: Vec<Layer>, last: usize) -> Fused {
    let (last, scores) = match &layers[last].kind {
        Kind::Activate(Activation::Sigmoid) => (layers[last].inputs[0].layer, Scores::Sigmoid),
        Kind::Part(Part::Softmax) => (layers[last].inputs[0].layer, Scores::Softmax),
        _ => (last, Scores::Plain),
    };
    let needed = needed(&layers, last);
    let mut readers = vec![0usize; layers.len()];
    readers[last] = 1;
    for (layer, _) in layers.iter().zip(&needed).filter(|&(_, &needed)| needed) {
        layer.inputs.iter().for_each(|input| readers[input.layer] += 1);
    }
    // Where a layer's result is found now; and for each that is left, which result that is.
    let mut home: Vec<usize> = (0..layers.len()).collect();
    let mut origin = home.clone();
    for at in 0..layers.len() {
        let inputs: Vec<usize> = layers[at].inputs.iter().map(|input| home[input.layer]).collect();
        for (input, &home) in layers[at].inputs.iter_mut().zip(&inputs) {
            input.layer = home;
        }
        // A layer that only one reads may take over what that one does.
        let [from] = inputs[..] else { continue };
        if !needed[at] || readers[origin[from]] != 1 {
            continue;
        }
        let taken = match layers[at].kind.clone() {
            Kind::Affine { scale, shift, .. } => layers[from].kind.fold(&scale, &shift),
            Kind::Activate(activation) => layers[from].kind.activate(activation),
            _ => false,
        };
        if taken {
            home[at] = from;
            origin[from] = at;
        }
    }
    let kept: Vec<usize> = (0..layers.len()).filter(|&at| needed[at] && home[at] == at).collect();
    let place = |layer: usize| kept.binary_search(&layer).unwrap_or(0);
    let mut out = vec![];
    for &at in &kept {
        let mut layer = layers[at].clone();
        layer.inputs.iter_mut().for_each(|input| input.layer = place(input.layer));
        out.push(layer);
    }
    Fused { layers: out, origins: kept.iter().map(|&at| origin[at]).collect(), scores }
}

/// Which layers the last one needs; the input always.
fn needed(layers: &[Layer], last: usize) -> Vec<bool> {
    let mut needed = vec![false; layers.len()];
    needed[0] = true;
    needed[last] = true;
    for at in (0..layers.len()).rev().filter(|&at| at <= last) {
        if needed[at] {
            layers[at].inputs.iter().for_each(|input| needed[input.layer] = true);
        }
    }
    needed
}
