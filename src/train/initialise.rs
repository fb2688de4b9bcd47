//! Initial weights.

use ndarray::ArrayD;

use super::random::{Purpose, Random};
use crate::network::{Network, Parameters};

/// Weights of variance 2 / K with K the reduction length of one output (He et al. 2015, "Delving
/// deep into rectifiers", section 2.2, equation 10), uniform on ±√(6 / K); zero biases; batch
/// normalizations that change nothing.
pub fn initialise(network: &Network, seed: u64) -> Parameters {
    let shapes = network.parameter_shapes();
    let initial = |(index, (name, shape)): (usize, (String, Vec<usize>))| {
        let values = match shape.split_first() {
            Some((_, reduction @ [_, ..])) => {
                let bound = (6.0 / reduction.iter().product::<usize>() as f32).sqrt();
                let mut random = Random::new(seed, Purpose::Weights(index as u64), 0);
                ArrayD::from_shape_simple_fn(shape, || bound * random.signed_unit())
            }
            _ if name.ends_with(".weight") || name.ends_with(".running_var") => ArrayD::ones(shape),
            _ => ArrayD::zeros(shape),
        };
        (name, values)
    };
    shapes.into_iter().enumerate().map(initial).collect()
}
