//! Small functions of several layers.

/// `out + x`, value by value.
pub fn add(out: &mut [f32], x: &[f32]) {
    for (out, x) in out.iter_mut().zip(x) {
        *out += x;
    }
}

/// Whatever is not above zero is +0.
pub fn relu(x: &mut [f32]) {
    for x in x {
        *x = if *x > 0.0 { *x } else { 0.0 };
    }
}

/// What is below zero times `slope`.
pub fn leaky_relu(x: &mut [f32], slope: f32) {
    for x in x {
        *x = if *x > 0.0 { *x } else { slope * *x };
    }
}
