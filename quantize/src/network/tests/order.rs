//! Patterns whose tensors lie in another order than the runtime's layers have it: refused, or computed as ONNX says.

use ossicle_models::network::Scores;

use super::{Kind, Toy, attribute, check, integers, kinds};
use crate::onnx::proto::Message;

fn axis(axis: i64) -> Vec<Message> {
    vec![attribute("axis", axis)]
}

fn perm(order: &[i64]) -> Vec<Message> {
    vec![integers("perm", order)]
}

/// Eight tokens of 32 channels from 4 x 4 patches of 8 x 16.
fn tokens() -> Toy {
    let mut toy = Toy::new(&[1, 3, 8, 16]);
    let (w, shape) = (toy.weights("w", &[32, 3, 4, 4]), toy.integers("patches", &[1, 32, 8]));
    toy.then("Conv", &[&w], "conv", vec![integers("strides", &[4, 4])]);
    toy.then("Reshape", &[&shape], "flat", vec![]);
    toy.then("Transpose", &[], "tokens", perm(&[0, 2, 1]));
    toy
}

/// Two heads of 16 values; the scores are queries times keys, or keys times queries, transposed, which is the same.
fn attention(transposed: bool) -> Toy {
    let mut toy = tokens();
    let (heads, joined) = (toy.integers("heads", &[1, 8, 2, 16]), toy.integers("joined", &[1, 8, 32]));
    let (rows, columns): (&[i64], &[i64]) = (&[0, 2, 1, 3], &[0, 2, 3, 1]);
    let (queries, keys) = if transposed { (columns, rows) } else { (rows, columns) };
    for (name, order) in [("queries", queries), ("keys", keys), ("values", rows)] {
        let w = toy.weights(&format!("{name}.w"), &[32, 32]);
        toy.put("MatMul", &["tokens", &w], &format!("{name}.flat"), vec![]);
        toy.then("Reshape", &[&heads], &format!("{name}.heads"), vec![]);
        toy.then("Transpose", &[], name, perm(order));
    }
    if transposed {
        toy.put("MatMul", &["keys", "queries"], "products", vec![]);
        toy.then("Transpose", &[], "scores", perm(&[0, 1, 3, 2]));
    } else {
        toy.put("MatMul", &["queries", "keys"], "scores", vec![]);
    }
    let scale = toy.constant("scale", &[], &[0.01]);
    toy.then("Mul", &[&scale], "scaled", vec![]);
    toy.then("Softmax", &[], "probabilities", axis(-1));
    toy.then("MatMul", &["values"], "weighted", vec![]);
    toy.then("Transpose", &[], "turned", perm(rows));
    toy.then("Reshape", &[&joined], "context", vec![]);
    let w = toy.weights("mixed.w", &[32, 32]);
    toy.then("MatMul", &[&w], "mixed", vec![]);
    classify(&mut toy, 32);
    toy
}

/// The mean of the tokens, and three classes.
fn classify(toy: &mut Toy, channels: i64) {
    toy.then("ReduceMean", &[], "pooled", vec![integers("axes", &[1]), attribute("keepdims", 0)]);
    let w = toy.weights("classes", &[channels, 3]);
    toy.then("MatMul", &[&w], "classified", vec![]);
}

#[test]
fn transposed_scores_are_no_attention() {
    let (folder, network) = attention(false).read();
    let network = network.unwrap();
    assert!(kinds(&network).iter().any(|kind| matches!(kind, Kind::Attention { heads: 2, causal: false, .. })));
    check(&folder.0, &network);
    let line = attention(true).refused();
    assert!(line.contains("node \"weighted\" (MatMul)") && line.contains("queries times keys as it comes"), "{line}");
}

/// Layer normalisation spelled out, over 16 channels of as many tokens, what is divided turned round or not.
fn norm(turned: [bool; 2]) -> Toy {
    let mut toy = Toy::new(&[1, 3, 8, 8]);
    let (w, shape) = (toy.weights("w", &[16, 3, 2, 2]), toy.integers("patches", &[1, 16, 16]));
    toy.then("Conv", &[&w], "conv", vec![integers("strides", &[2, 2])]);
    toy.then("Reshape", &[&shape], "flat", vec![]);
    toy.then("Transpose", &[], "tokens", perm(&[0, 2, 1]));
    toy.then("ReduceMean", &[], "mean", vec![integers("axes", &[-1])]);
    toy.put("Sub", &["tokens", "mean"], "centred", vec![]);
    toy.then("Mul", &["centred"], "square", vec![]);
    toy.then("ReduceMean", &[], "variance", vec![integers("axes", &[-1])]);
    let epsilon = toy.constant("epsilon", &[], &[1e-5]);
    toy.then("Add", &[&epsilon], "plus", vec![]);
    toy.then("Sqrt", &[], "deviation", vec![]);
    let names = [("centred", turned[0]), ("deviation", turned[1])].map(|(name, turned)| {
        if turned { toy.put("Transpose", &[name], &format!("{name}.turned"), perm(&[0, 2, 1])) } else { name.to_owned() }
    });
    toy.put("Div", &[&names[0], &names[1]], "normed", vec![]);
    classify(&mut toy, 16);
    toy
}

#[test]
fn a_deviation_of_other_rows_is_no_layer_norm() {
    let (folder, network) = norm([false; 2]).read();
    let network = network.unwrap();
    assert!(kinds(&network).iter().any(|kind| matches!(kind, Kind::Norm { .. })));
    check(&folder.0, &network);
    for turned in [[true, true], [true, false], [false, true]] {
        let line = norm(turned).refused();
        assert!(line.contains("node \"normed\" (Div)") && line.contains("in another order"), "{turned:?}: {line}");
    }
}

#[test]
fn a_variance_that_is_scaled_is_no_layer_norm() {
    let mut toy = tokens();
    toy.then("ReduceMean", &[], "mean", vec![integers("axes", &[-1])]);
    toy.put("Sub", &["tokens", "mean"], "centred", vec![]);
    toy.then("Mul", &["centred"], "square", vec![]);
    toy.then("ReduceMean", &[], "variance", vec![integers("axes", &[-1])]);
    // As for the variance of a sample: 32 / 31.
    let (unbiased, epsilon) = (toy.constant("unbiased", &[], &[1.032]), toy.constant("epsilon", &[], &[1e-5]));
    toy.then("Mul", &[&unbiased], "scaled", vec![]);
    toy.then("Add", &[&epsilon], "plus", vec![]);
    toy.then("Sqrt", &[], "deviation", vec![]);
    toy.put("Div", &["centred", "deviation"], "normed", vec![]);
    classify(&mut toy, 32);
    assert!(toy.refused().contains("node \"plus\" (Add)"));
}

#[test]
fn a_mean_of_other_rows_is_not_taken_away() {
    let mut toy = tokens();
    // As many tokens as channels, so that only the order tells.
    let w = toy.weights("narrow", &[32, 8]);
    let tokens = toy.then("MatMul", &[&w], "square_map", vec![]);
    toy.then("ReduceMean", &[], "mean", vec![integers("axes", &[-1])]);
    let mean = toy.then("Transpose", &[], "mean.turned", perm(&[0, 2, 1]));
    toy.put("Sub", &[&tokens, &mean], "centred", vec![]);
    classify(&mut toy, 8);
    assert!(toy.refused().contains("(Sub)"));
}

#[test]
fn a_bias_for_each_row_is_refused() {
    let gemm = |dims: &[i64]| {
        let mut toy = Toy::new(&[1, 3, 8, 8]);
        let (w, shape) = (toy.weights("w", &[16, 3, 4, 4]), toy.integers("patches", &[16, 4]));
        toy.then("Conv", &[&w], "conv", vec![integers("strides", &[4, 4])]);
        toy.then("Reshape", &[&shape], "flat", vec![]);
        toy.then("Transpose", &[], "tokens", perm(&[1, 0]));
        let (w, b) = (toy.weights("g", &[16, 4]), toy.constant("bias", dims, &[5.0, -5.0, 1.0, 0.0]));
        toy.then("Gemm", &[&w, &b], "gemm", vec![]);
        toy.then("ReduceMean", &[], "pooled", vec![integers("axes", &[0])]);
        let w = toy.weights("classes", &[4, 3]);
        toy.then("MatMul", &[&w], "classified", vec![]);
        toy
    };
    for dims in [&[4][..], &[1, 4]] {
        let (folder, network) = gemm(dims).read();
        check(&folder.0, &network.unwrap());
    }
    let line = gemm(&[4, 1]).refused();
    assert!(line.contains("node \"gemm\" (Gemm): a bias of [4, 1] for 4 outputs"), "{line}");
}

/// Three scores as a map of one position, `[1, 3, 1, 1]`.
fn scores(opset: i64) -> Toy {
    let mut toy = Toy::new(&[1, 3, 8, 8]);
    toy.opset = opset;
    toy.then("GlobalAveragePool", &[], "pool", vec![]);
    let w = toy.weights("w", &[3, 3, 1, 1]);
    toy.then("Conv", &[&w], "conv", vec![]);
    toy
}

#[test]
fn softmax_is_over_all_scores() {
    // Without an axis it was over everything behind the batch, before opset 13; since then it is over the last axis, here a single value.
    for (opset, attributes, fits) in
        [(17, axis(1), true), (11, vec![], true), (11, axis(1), true), (17, axis(3), false), (17, vec![], false), (11, axis(3), false)]
    {
        let mut toy = scores(opset);
        toy.then("Softmax", &[], "p", attributes);
        if fits {
            let (folder, network) = toy.read();
            let network = network.unwrap();
            assert_eq!(network.scores(), Scores::Softmax);
            check(&folder.0, &network);
        } else {
            let line = toy.refused();
            assert!(line.contains("node \"p\" (Softmax): over axis 3 of [1, 3, 1, 1]"), "opset {opset}: {line}");
        }
    }
    // Over tokens and channels at once.
    let mut toy = tokens();
    toy.opset = 11;
    toy.then("Softmax", &[], "p", vec![]);
    classify(&mut toy, 32);
    assert!(toy.refused().contains("node \"p\" (Softmax): over axis 1 of 3"));
}

#[test]
fn what_stands_behind_the_last_softmax_is_refused() {
    for (op, wanted) in [("Neg", "a softmax times -1"), ("Mul", "a softmax times 100")] {
        let mut toy = scores(17);
        toy.then("Flatten", &[], "flat", vec![]);
        toy.then("Softmax", &[], "p", axis(-1));
        let factor = toy.constant("factor", &[], &[100.0]);
        let factors = [factor.as_str()];
        toy.then(op, if op == "Mul" { &factors } else { &[] }, "y", vec![]);
        let line = toy.refused();
        assert!(line.contains(wanted), "{line}");
    }
}
