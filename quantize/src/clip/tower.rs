//! The towers as ONNX graphs (Radford et al. 2021: pre-norm transformers).

use super::config::{Activation, Blocks, Pooled, TextConfig, Vit};
use super::siglip::HEAD;
use crate::Error;
use crate::onnx::builder::Builder;
use crate::onnx::proto::{attribute, integers};

/// Where the one position that becomes the vector is taken out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Taken {
    /// Before the last block's output projection: what comes after it is computed for that position alone.
    Early(usize),
    /// Not at all: all positions become vectors.
    Never,
}

/// Scores of positions that are not looked at.
const MASKED: f32 = -1e9;

/// One sequence on its way through a tower.
struct Sequence<'a> {
    graph: &'a mut Builder,
    blocks: &'a Blocks,
    positions: usize,
    causal: bool,
}

impl Sequence<'_> {
    /// All blocks; gives the positions that are left.
    fn run(mut self, prefix: &str, mut x: String, taken: Taken) -> Result<(String, usize), Error> {
        if self.causal {
            let n = self.positions;
            let mask: Vec<f32> = (0..n * n).map(|at| if at % n > at / n { MASKED } else { 0.0 }).collect();
            self.graph.constant(&format!("{prefix}.mask"), &[1, 1, n, n], &mask);
        }
        let layers = self.blocks.layers;
        for i in 0..layers {
            let taken = if i + 1 == layers { taken } else { Taken::Never };
            x = self.block(&format!("{prefix}.layers.{i}"), &format!("{prefix}.mask"), &x, taken)?;
        }
        Ok((x, if taken == Taken::Never { self.positions } else { 1 }))
    }

    fn block(&mut self, name: &str, mask: &str, x: &str, taken: Taken) -> Result<String, Error> {
        let Blocks { width, epsilon, .. } = *self.blocks;
        let part = |part: &str| format!("{name}.{part}");
        let normed = self.graph.layer_norm(&part("layer_norm1"), x, width, epsilon)?;
        let mut context = self.attention(&part("self_attn"), mask, &normed)?;
        let mut x = x.to_owned();
        if let Taken::Early(at) = taken {
            context = take(self.graph, &context, at, &part("context_taken"));
            x = take(self.graph, &x, at, &part("taken"));
        }
        let out = self.graph.linear(&part("self_attn.out_proj"), &context, [width, width], true)?;
        let x = self.graph.node("Add", &[&x, &out], &part("attended"), vec![]);
        self.feed_forward(name, "layer_norm2", &x)
    }

    /// `x` and what becomes of its norm.
    fn feed_forward(&mut self, name: &str, norm: &str, x: &str) -> Result<String, Error> {
        let Blocks { width, inner, epsilon, activation, .. } = *self.blocks;
        let part = |part: &str| format!("{name}.{part}");
        let normed = self.graph.layer_norm(&part(norm), x, width, epsilon)?;
        let up = self.graph.linear(&part("mlp.fc1"), &normed, [width, inner], true)?;
        let active = match activation {
            Activation::Gelu => self.graph.gelu(&up, &part("mlp.gelu")),
            Activation::TanhGelu => self.graph.tanh_gelu(&up, &part("mlp.gelu")),
            Activation::QuickGelu => quick_gelu(self.graph, &up, &part("mlp.quick_gelu")),
        };
        let down = self.graph.linear(&part("mlp.fc2"), &active, [inner, width], true)?;
        Ok(self.graph.node("Add", &[x, &down], &part("output"), vec![]))
    }

    /// SigLIP's pooling: what a probe asks all positions, `[1][1][width]`.
    fn pool(mut self, x: &str) -> Result<String, Error> {
        let width = self.blocks.width;
        let context = self.attention(&format!("{HEAD}.attention"), "", x)?;
        let context = take(self.graph, &context, 0, &format!("{HEAD}.context_taken"));
        let x = self.graph.linear(&format!("{HEAD}.attention.out_proj"), &context, [width, width], true)?;
        self.feed_forward(HEAD, "layernorm", &x)
    }

    fn attention(&mut self, name: &str, mask: &str, x: &str) -> Result<String, Error> {
        let (Blocks { width, heads, .. }, n) = (self.blocks, self.positions);
        let (width, heads, head) = (*width, *heads, width / heads);
        let mut parts = vec![];
        for (part, order) in [("q_proj", [0, 2, 1, 3]), ("k_proj", [0, 2, 3, 1]), ("v_proj", [0, 2, 1, 3])] {
            let rows = self.graph.linear(&format!("{name}.{part}"), x, [width, width], true)?;
            let split = self.graph.reshape(&rows, &[1, n, heads, head], &format!("{name}.{part}.split"));
            parts.push(self.graph.transpose(&split, &order, &format!("{name}.{part}.heads")));
        }
        let scale = format!("{name}.scale");
        self.graph.constant(&scale, &[], &[1.0 / (head as f32).sqrt()]);
        let products = self.graph.node("MatMul", &[&parts[0], &parts[1]], &format!("{name}.products"), vec![]);
        let mut scores = self.graph.node("Mul", &[&products, &scale], &format!("{name}.scores"), vec![]);
        if self.causal {
            scores = self.graph.node("Add", &[&scores, mask], &format!("{name}.masked"), vec![]);
        }
        let shares = self.graph.node("Softmax", &[&scores], &format!("{name}.shares"), vec![attribute("axis", -1)]);
        let context = self.graph.node("MatMul", &[&shares, &parts[2]], &format!("{name}.values"), vec![]);
        let joined = self.graph.transpose(&context, &[0, 2, 1, 3], &format!("{name}.joined"));
        Ok(self.graph.reshape(&joined, &[1, n, width], &format!("{name}.context")))
    }
}

/// `x * sigmoid(1.702 x)`
fn quick_gelu(graph: &mut Builder, x: &str, name: &str) -> String {
    graph.constant(&format!("{name}.factor"), &[], &[1.702]);
    let scaled = graph.node("Mul", &[x, &format!("{name}.factor")], &format!("{name}.scaled"), vec![]);
    let gate = graph.node("Sigmoid", &[&scaled], &format!("{name}.gate"), vec![]);
    graph.node("Mul", &[x, &gate], name, vec![])
}

/// One position of `[1][positions][width]`: `[1][1][width]`.
fn take(graph: &mut Builder, x: &str, at: usize, name: &str) -> String {
    graph.integers(&format!("{name}.index"), &[at as i64]);
    graph.node("Gather", &[x, &format!("{name}.index")], name, vec![attribute("axis", 1)])
}

/// Pixels `[1][3][side][side]` to the vector `[1][projection]`, not yet of length 1.
///
/// # Errors
/// A tensor is missing, misshapen or not finite.
pub(super) fn image(graph: &mut Builder, config: &Vit, side: usize, projection: usize) -> Result<Vec<u8>, Error> {
    let Vit { blocks, patch, pooled } = config;
    let (width, grid) = (blocks.width, side / patch);
    let class = *pooled == Pooled::Class;
    let positions = grid * grid + usize::from(class);
    let model = "vision_model";
    let weight = graph.weight(&format!("{model}.embeddings.patch_embedding.weight"), &[width, 3, *patch, *patch])?;
    let strides = integers("strides", &[*patch as i64; 2]);
    let mut inputs = vec!["pixels", &weight];
    let bias = format!("{model}.embeddings.patch_embedding.bias");
    if !class {
        graph.weight(&bias, &[width])?;
        inputs.push(&bias);
    }
    let patches = graph.node("Conv", &inputs, "patches", vec![strides]);
    let rows = graph.reshape(&patches, &[1, width, grid * grid], "patches.flat");
    let mut x = graph.transpose(&rows, &[0, 2, 1], "patches.rows");
    if class {
        let class = graph.take(&format!("{model}.embeddings.class_embedding"), &[width])?;
        graph.constant("class", &[1, 1, width], &class);
        x = graph.node("Concat", &["class", &x], "tokens", vec![attribute("axis", 1)]);
    }
    let place = graph.take(&format!("{model}.embeddings.position_embedding.weight"), &[positions, width])?;
    graph.constant("positions", &[1, positions, width], &place);
    let x = graph.node("Add", &[&x, "positions"], "embeddings", vec![]);
    // As the checkpoints spell it.
    let x = if class { graph.layer_norm(&format!("{model}.pre_layrnorm"), &x, width, blocks.epsilon)? } else { x };
    let sequence = Sequence { graph, blocks, positions, causal: false };
    let (x, _) = sequence.run(&format!("{model}.encoder"), x, if class { Taken::Early(0) } else { Taken::Never })?;
    let x = graph.layer_norm(&format!("{model}.post_layernorm"), &x, width, blocks.epsilon)?;
    let x = match pooled {
        Pooled::Class => graph.linear("visual_projection", &x, [width, projection], false)?,
        Pooled::Probe => Sequence { graph, blocks, positions, causal: false }.pool(&x)?,
    };
    graph.reshape(&x, &[1, projection], "image_embeds");
    Ok(graph.file("image", ("pixels", &[1, 3, side, side]), ("image_embeds", &[1, projection])))
}

/// Embedded tokens, `[1][width][1][tokens]`, to the vectors `[1][1 or tokens][projection]`, not yet of length 1.
///
/// # Errors
/// A tensor is missing, misshapen or not finite.
pub(super) fn text(graph: &mut Builder, config: &TextConfig, tokens: usize, projection: usize, taken: Taken) -> Result<Vec<u8>, Error> {
    let (blocks, width) = (&config.blocks, config.blocks.width);
    let x = graph.reshape("embedded", &[1, width, tokens], "embedded.flat");
    let x = graph.transpose(&x, &[0, 2, 1], "embedded.rows");
    let sequence = Sequence { graph, blocks, positions: tokens, causal: config.causal };
    let (x, count) = sequence.run("text_model.encoder", x, taken)?;
    let x = graph.layer_norm("text_model.final_layer_norm", &x, width, blocks.epsilon)?;
    let x = match config.pad {
        None => graph.linear("text_projection", &x, [width, projection], false)?,
        Some(_) => graph.linear("text_model.head", &x, [width, projection], true)?,
    };
    graph.reshape(&x, &[count, projection], "text_embeds");
    Ok(graph.file("text", ("embedded", &[1, width, 1, tokens]), ("text_embeds", &[count, projection])))
}
