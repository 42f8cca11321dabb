//! MobileCLIP's image towers: FastViT (Vasu et al. 2023) by timm's names, as it was trained or with its branches summed already.
//!
//! Convolutions of several branches, batch normalisations, skips around them and layer scales are linear: each is summed here to the one
//! convolution that it amounts to, in f64.

use crate::Error;
use crate::onnx::builder::Builder;
use crate::onnx::proto::{attribute, integers};

/// Where timm's model is inside of open_clip's.
const TRUNK: &str = "visual.trunk";

/// Added to the variance in each batch normalisation.
const EPSILON: f64 = 1e-5;

/// Values of an attention head.
const HEAD: usize = 32;

/// Channels inside of a feed-forward part, as a multiple of those outside.
const EXPANSION: usize = 3;

/// By how much the last convolution widens.
const LAST: usize = 2;

/// A tower's sizes.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct FastVit {
    /// Blocks of each stage.
    depths: [usize; 4],
    /// Channels of each stage.
    widths: [usize; 4],
}

impl FastVit {
    /// The tower of one of timm's names.
    pub(super) fn named(name: &str) -> Option<Self> {
        let (depths, widths) = match name {
            "fastvit_mci0" => ([2, 6, 10, 2], [64, 128, 256, 512]),
            "fastvit_mci1" => ([4, 12, 20, 4], [64, 128, 256, 512]),
            "fastvit_mci2" => ([4, 12, 24, 4], [80, 160, 320, 640]),
            _ => return None,
        };
        Some(Self { depths, widths })
    }

    /// What it is made of, for people.
    pub(super) fn describe(&self) -> String {
        format!("FastViT, {:?} blocks of {:?} channels", self.depths, self.widths)
    }

    /// How much smaller than the image its last map is.
    pub(super) const REDUCTION: usize = 32;
}

/// A convolution's sizes.
#[derive(Clone, Copy)]
struct Shape {
    inputs: usize,
    outputs: usize,
    groups: usize,
    kernel: usize,
}

impl Shape {
    /// Each channel by itself.
    fn depthwise(channels: usize, kernel: usize) -> Self {
        Self { inputs: channels, outputs: channels, groups: channels, kernel }
    }

    fn pointwise(inputs: usize, outputs: usize) -> Self {
        Self { inputs, outputs, groups: 1, kernel: 1 }
    }

    fn dims(self) -> [usize; 4] {
        [self.outputs, self.inputs / self.groups, self.kernel, self.kernel]
    }

    /// Where the middle of the window is, of output `n` and input `c` of its group.
    fn middle(self, n: usize, c: usize) -> usize {
        ((n * (self.inputs / self.groups) + c) * self.kernel + self.kernel / 2) * self.kernel + self.kernel / 2
    }
}

/// A convolution that others are added to.
struct Sum {
    shape: Shape,
    weight: Vec<f64>,
    bias: Vec<f64>,
}

impl Sum {
    fn zeros(shape: Shape) -> Self {
        Self { weight: vec![0.0; shape.dims().iter().product()], bias: vec![0.0; shape.outputs], shape }
    }

    /// Adds one with a window of another size, in the middle of this one's, each output by a factor, and a bias.
    fn add(&mut self, kernel: usize, weight: &[f64], scale: impl Fn(usize) -> f64, bias: &[f64]) {
        let Shape { inputs, groups, outputs, kernel: wide } = self.shape;
        let (depth, edge) = (inputs / groups, (wide - kernel) / 2);
        for n in 0..outputs {
            for c in 0..depth {
                for y in 0..kernel {
                    for x in 0..kernel {
                        let to = ((n * depth + c) * wide + y + edge) * wide + x + edge;
                        self.weight[to] += scale(n) * weight[((n * depth + c) * kernel + y) * kernel + x];
                    }
                }
            }
            self.bias[n] += bias[n];
        }
    }

    /// Adds its own input, each output by a factor.
    fn add_input(&mut self, scale: impl Fn(usize) -> f64) {
        let depth = self.shape.inputs / self.shape.groups;
        for n in 0..self.shape.outputs {
            self.weight[self.shape.middle(n, n % depth)] += scale(n);
        }
    }

    fn scaled(mut self, by: &[f64]) -> Self {
        let row = self.weight.len() / self.shape.outputs;
        for ((row, bias), by) in self.weight.chunks_exact_mut(row).zip(&mut self.bias).zip(by) {
            row.iter_mut().for_each(|w| *w *= by);
            *bias *= by;
        }
        self
    }
}

fn wide(values: Vec<f32>) -> Vec<f64> {
    values.into_iter().map(f64::from).collect()
}

/// The tower being written down.
struct Tower<'a> {
    graph: &'a mut Builder,
    side: usize,
}

impl Tower<'_> {
    /// A batch normalisation as factors and shifts.
    fn norm(&mut self, name: &str, channels: usize) -> Result<(Vec<f64>, Vec<f64>), Error> {
        let mut figure = |figure: &str| self.graph.take(&format!("{name}.{figure}"), &[channels]).map(wide);
        let (weight, bias, mean, variance) = (figure("weight")?, figure("bias")?, figure("running_mean")?, figure("running_var")?);
        let scale: Vec<f64> = weight.iter().zip(&variance).map(|(w, v)| w / (v + EPSILON).sqrt()).collect();
        let shift = bias.iter().zip(&mean).zip(&scale).map(|((b, m), s)| b - m * s).collect();
        Ok((scale, shift))
    }

    /// Adds a convolution with its batch normalisation.
    fn add_branch(&mut self, name: &str, kernel: usize, sum: &mut Sum) -> Result<(), Error> {
        let dims = Shape { kernel, ..sum.shape }.dims();
        let weight = wide(self.graph.take(&format!("{name}.conv.weight"), &dims)?);
        let (scale, shift) = self.norm(&format!("{name}.bn"), sum.shape.outputs)?;
        sum.add(kernel, &weight, |n| scale[n], &shift);
        Ok(())
    }

    /// A convolution whose branches were summed before, if it is one.
    fn summed(&mut self, name: &str, shape: Shape) -> Result<Option<Sum>, Error> {
        let (weight, bias) = (format!("{name}.reparam_conv.weight"), format!("{name}.reparam_conv.bias"));
        if !self.graph.has(&weight) {
            return Ok(None);
        }
        let (weight, bias) = (wide(self.graph.take(&weight, &shape.dims())?), wide(self.graph.take(&bias, &[shape.outputs])?));
        Ok(Some(Sum { shape, weight, bias }))
    }

    /// MobileOne's block without its activation: windows of full size, one of a single position, and a normalised skip.
    fn branches(&mut self, name: &str, shape: Shape) -> Result<Sum, Error> {
        if let Some(sum) = self.summed(name, shape)? {
            return Ok(sum);
        }
        let mut sum = Sum::zeros(shape);
        for i in 0.. {
            let branch = format!("{name}.conv_kxk.{i}");
            if !self.graph.has(&format!("{branch}.conv.weight")) {
                break;
            }
            self.add_branch(&branch, shape.kernel, &mut sum)?;
        }
        if self.graph.has(&format!("{name}.conv_scale.conv.weight")) {
            self.add_branch(&format!("{name}.conv_scale"), 1, &mut sum)?;
        }
        if self.graph.has(&format!("{name}.identity.weight")) {
            let (scale, shift) = self.norm(&format!("{name}.identity"), shape.outputs)?;
            sum.add_input(|n| scale[n]);
            sum.bias.iter_mut().zip(shift).for_each(|(bias, shift)| *bias += shift);
        }
        Ok(sum)
    }

    /// Writes a convolution down; `stride` halves the map if it is 2.
    fn conv(&mut self, sum: &Sum, x: &str, stride: usize, name: &str) -> String {
        let Shape { kernel, groups, outputs, .. } = sum.shape;
        let (weight, bias) = (format!("{name}.weight"), format!("{name}.bias"));
        let narrow = |values: &[f64]| values.iter().map(|&x| x as f32).collect::<Vec<f32>>();
        self.graph.constant(&weight, &sum.shape.dims(), &narrow(&sum.weight));
        self.graph.constant(&bias, &[outputs], &narrow(&sum.bias));
        let edge = (kernel / 2) as i64;
        let attributes = vec![integers("pads", &[edge; 4]), integers("strides", &[stride as i64; 2]), attribute("group", groups as i64)];
        self.side = self.side.div_ceil(stride);
        self.graph.node("Conv", &[x, &weight, &bias], name, attributes)
    }

    /// A linear layer with a bias on each position, as 1 x 1 convolution.
    fn pointwise(&mut self, name: &str, inputs: usize, outputs: usize) -> Result<Sum, Error> {
        let shape = Shape::pointwise(inputs, outputs);
        let (weight, bias) =
            (self.graph.take(&format!("{name}.weight"), &shape.dims())?, self.graph.take(&format!("{name}.bias"), &[outputs])?);
        Ok(Sum { shape, weight: wide(weight), bias: wide(bias) })
    }

    /// Squeeze and excitation (Hu et al. 2018).
    fn excite(&mut self, name: &str, x: &str, channels: usize, squeezed: usize) -> Result<String, Error> {
        let (down, up) =
            (self.pointwise(&format!("{name}.fc1"), channels, squeezed)?, self.pointwise(&format!("{name}.fc2"), squeezed, channels)?);
        let side = self.side;
        let mean = self.graph.node("GlobalAveragePool", &[x], &format!("{name}.mean"), vec![]);
        let inner = self.conv(&down, &mean, 1, &format!("{name}.fc1"));
        let inner = self.graph.node("Relu", &[&inner], &format!("{name}.relu"), vec![]);
        let gate = self.conv(&up, &inner, 1, &format!("{name}.fc2"));
        let gate = self.graph.node("Sigmoid", &[&gate], &format!("{name}.sigmoid"), vec![]);
        self.side = side;
        Ok(self.graph.node("Mul", &[x, &gate], &format!("{name}.excited"), vec![]))
    }

    fn gelu(&mut self, x: &str) -> String {
        self.graph.gelu(x, &format!("{x}.gelu"))
    }

    /// A layer scale, ones if there is none.
    fn layer_scale(&mut self, name: &str, channels: usize) -> Result<Vec<f64>, Error> {
        let gamma = format!("{name}.gamma");
        if !self.graph.has(&gamma) {
            return Ok(vec![1.0; channels]);
        }
        Ok(wide(self.graph.take(&gamma, &[channels, 1, 1])?))
    }

    /// `x + scale * feed_forward(x)`
    fn feed_forward(&mut self, block: &str, scale: &str, x: &str, channels: usize) -> Result<String, Error> {
        let name = format!("{block}.mlp");
        let mut mixed = Sum::zeros(Shape::depthwise(channels, 7));
        self.add_branch(&format!("{name}.conv"), 7, &mut mixed)?;
        let h = self.conv(&mixed, x, 1, &format!("{name}.conv"));
        let up = self.pointwise(&format!("{name}.fc1"), channels, EXPANSION * channels)?;
        let h = self.conv(&up, &h, 1, &format!("{name}.fc1"));
        let h = self.gelu(&h);
        let scale = self.layer_scale(&format!("{block}.{scale}"), channels)?;
        let down = self.pointwise(&format!("{name}.fc2"), EXPANSION * channels, channels)?.scaled(&scale);
        let h = self.conv(&down, &h, 1, &format!("{name}.fc2"));
        Ok(self.graph.node("Add", &[x, &h], &format!("{name}.output"), vec![]))
    }

    /// `x + scale * (mixer(x) - norm(x))`, one convolution.
    fn mixer(&mut self, block: &str, x: &str, channels: usize) -> Result<String, Error> {
        let (name, shape) = (format!("{block}.token_mixer"), Shape::depthwise(channels, 3));
        let sum = match self.summed(&name, shape)? {
            Some(sum) => sum,
            None => {
                let scale = self.layer_scale(&format!("{name}.layer_scale"), channels)?;
                let minus: Vec<f64> = scale.iter().map(|x| -x).collect();
                let mixer = self.branches(&format!("{name}.mixer"), shape)?.scaled(&scale);
                let norm = self.branches(&format!("{name}.norm"), shape)?.scaled(&minus);
                let mut sum = Sum::zeros(shape);
                sum.add_input(|_| 1.0);
                sum.add(3, &mixer.weight, |_| 1.0, &mixer.bias);
                sum.add(3, &norm.weight, |_| 1.0, &norm.bias);
                sum
            }
        };
        Ok(self.conv(&sum, x, 1, &name))
    }

    /// `x + scale * proj(attention(norm(x)))`
    fn attention(&mut self, block: &str, x: &str, channels: usize) -> Result<String, Error> {
        let (name, n, heads) = (format!("{block}.token_mixer"), self.side * self.side, channels / HEAD);
        let (scale, shift) = self.norm(&format!("{block}.norm"), channels)?;
        let qkv = wide(self.graph.take(&format!("{name}.qkv.weight"), &[3 * channels, channels])?);
        let gamma = self.layer_scale(&format!("{block}.layer_scale_1"), channels)?;
        let proj = wide(self.graph.take(&format!("{name}.proj.weight"), &[channels, channels])?);
        let proj_bias = wide(self.graph.take(&format!("{name}.proj.bias"), &[channels])?);
        let flat = self.graph.reshape(x, &[1, channels, n], &format!("{name}.flat"));
        let rows = self.graph.transpose(&flat, &[0, 2, 1], &format!("{name}.rows"));
        let mut parts = vec![];
        for (i, (part, order)) in [("q", [0, 2, 1, 3]), ("k", [0, 2, 3, 1]), ("v", [0, 2, 1, 3])].into_iter().enumerate() {
            // The norm before it is a factor of its inputs, and a bias.
            let own = &qkv[i * channels * channels..][..channels * channels];
            let turned: Vec<f32> = (0..channels)
                .flat_map(|c| own.iter().skip(c).step_by(channels).map(move |w| (c, w)))
                .map(|(c, w)| (w * scale[c]) as f32)
                .collect();
            let bias: Vec<f32> =
                own.chunks_exact(channels).map(|row| row.iter().zip(&shift).map(|(w, s)| w * s).sum::<f64>() as f32).collect();
            let own = self.rows(&format!("{name}.{part}"), &rows, [channels, channels], &turned, &bias);
            let split = self.graph.reshape(&own, &[1, n, heads, HEAD], &format!("{name}.{part}.split"));
            parts.push(self.graph.transpose(&split, &order, &format!("{name}.{part}.heads")));
        }
        self.graph.constant(&format!("{name}.scale"), &[], &[1.0 / (HEAD as f32).sqrt()]);
        let products = self.graph.node("MatMul", &[&parts[0], &parts[1]], &format!("{name}.products"), vec![]);
        let scores = self.graph.node("Mul", &[&products, &format!("{name}.scale")], &format!("{name}.scores"), vec![]);
        let shares = self.graph.node("Softmax", &[&scores], &format!("{name}.shares"), vec![attribute("axis", -1)]);
        let context = self.graph.node("MatMul", &[&shares, &parts[2]], &format!("{name}.values"), vec![]);
        let joined = self.graph.transpose(&context, &[0, 2, 1, 3], &format!("{name}.joined"));
        let context = self.graph.reshape(&joined, &[1, n, channels], &format!("{name}.context"));
        let turned: Vec<f32> = (0..channels)
            .flat_map(|c| proj.iter().skip(c).step_by(channels))
            .zip(gamma.iter().cycle())
            .map(|(w, g)| (w * g) as f32)
            .collect();
        let bias: Vec<f32> = proj_bias.iter().zip(&gamma).map(|(b, g)| (b * g) as f32).collect();
        let out = self.rows(&format!("{name}.proj"), &context, [channels, channels], &turned, &bias);
        let turned = self.graph.transpose(&out, &[0, 2, 1], &format!("{name}.channels"));
        let map = self.graph.reshape(&turned, &[1, channels, self.side, self.side], &format!("{name}.map"));
        Ok(self.graph.node("Add", &[x, &map], &format!("{name}.output"), vec![]))
    }

    /// A linear layer of these weights, `[inputs][outputs]`.
    fn rows(&mut self, name: &str, x: &str, sizes: [usize; 2], weight: &[f32], bias: &[f32]) -> String {
        self.graph.constant(&format!("{name}.weight"), &sizes, weight);
        self.graph.constant(&format!("{name}.bias"), &sizes[1..], bias);
        let product = self.graph.node("MatMul", &[x, &format!("{name}.weight")], &format!("{name}.product"), vec![]);
        self.graph.node("Add", &[&product, &format!("{name}.bias")], name, vec![])
    }

    /// Half the map, more channels.
    fn downsample(&mut self, stage: &str, x: &str, channels: [usize; 2], excited: bool) -> Result<String, Error> {
        let [inputs, outputs] = channels;
        let name = format!("{stage}.downsample.proj");
        let shape = Shape { inputs, outputs, groups: inputs, kernel: 7 };
        let large = format!("{name}.0");
        let sum = match self.summed(&large, shape)? {
            Some(sum) => sum,
            None => {
                let mut sum = Sum::zeros(shape);
                self.add_branch(&format!("{large}.large_conv"), 7, &mut sum)?;
                self.add_branch(&format!("{large}.small_conv"), 3, &mut sum)?;
                sum
            }
        };
        let mut x = self.conv(&sum, x, 2, &large);
        if excited {
            x = self.excite(&format!("{large}.se"), &x, outputs, outputs / 4)?;
        }
        let x = self.gelu(&x);
        let sum = self.branches(&format!("{name}.1"), Shape::pointwise(outputs, outputs))?;
        let x = self.conv(&sum, &x, 1, &format!("{name}.1"));
        Ok(self.gelu(&x))
    }
}

/// Pixels `[1][3][side][side]` to the vector `[1][projection]`, not yet of length 1.
///
/// # Errors
/// A tensor is missing, misshapen or not finite.
pub(super) fn image(graph: &mut Builder, config: &FastVit, side: usize, projection: usize) -> Result<Vec<u8>, Error> {
    let FastVit { depths, widths } = config;
    let mut tower = Tower { graph, side };
    let mut x = "pixels".to_owned();
    let first = widths[0];
    let stem = [
        (Shape { inputs: 3, outputs: first, groups: 1, kernel: 3 }, 2),
        (Shape::depthwise(first, 3), 2),
        (Shape::pointwise(first, first), 1),
    ];
    for (i, (shape, stride)) in stem.into_iter().enumerate() {
        let name = format!("{TRUNK}.stem.{i}");
        let sum = tower.branches(&name, shape)?;
        x = tower.conv(&sum, &x, stride, &name);
        x = tower.gelu(&x);
    }
    for (i, (&depth, &channels)) in depths.iter().zip(widths).enumerate() {
        let stage = format!("{TRUNK}.stages.{i}");
        if i > 0 {
            x = tower.downsample(&stage, &x, [widths[i - 1], channels], i > 1)?;
        }
        let attends = i == 3;
        if attends {
            let (name, shape) = (format!("{stage}.pos_emb"), Shape::depthwise(channels, 7));
            let sum = match tower.summed(&name, shape)? {
                Some(sum) => sum,
                None => {
                    let (weight, bias) = (format!("{name}.pos_enc.weight"), format!("{name}.pos_enc.bias"));
                    let mut sum = Sum::zeros(shape);
                    let bias = wide(tower.graph.take(&bias, &[channels])?);
                    sum.add(7, &wide(tower.graph.take(&weight, &shape.dims())?), |_| 1.0, &bias);
                    sum.add_input(|_| 1.0);
                    sum
                }
            };
            x = tower.conv(&sum, &x, 1, &name);
        }
        for block in 0..depth {
            let block = format!("{stage}.blocks.{block}");
            x = if attends { tower.attention(&block, &x, channels)? } else { tower.mixer(&block, &x, channels)? };
            x = tower.feed_forward(&block, if attends { "layer_scale_2" } else { "layer_scale" }, &x, channels)?;
        }
    }
    let (last, wider) = (widths[3], LAST * widths[3]);
    let name = format!("{TRUNK}.final_conv");
    let sum = tower.branches(&name, Shape { inputs: last, outputs: wider, groups: last, kernel: 3 })?;
    x = tower.conv(&sum, &x, 1, &name);
    x = tower.excite(&format!("{name}.se"), &x, wider, wider / 16)?;
    x = tower.gelu(&x);
    x = tower.graph.node("GlobalAveragePool", &[&x], "pooled", vec![]);
    x = tower.graph.reshape(&x, &[1, wider], "pooled.row");
    let x = graph.linear(&format!("{TRUNK}.head.fc"), &x, [wider, projection], true)?;
    graph.reshape(&x, &[1, projection], "image_embeds");
    Ok(graph.file("image", ("pixels", &[1, 3, side, side]), ("image_embeds", &[1, projection])))
}
