//! Element by element product of two maps, one of which may be a vector by channel.

use ndarray::Axis;

use super::{Maps, MapsMut};

/// `y = a · b`, a vector's elements taken for every pixel of their channel.
pub fn forward(inputs: &[Maps], mut output: MapsMut) {
    let shape = output.raw_dim();
    let of = |input: &Maps| input.broadcast(shape).map(|map| map.to_owned());
    let both = of(&inputs[0]).zip(of(&inputs[1])).expect("shapes were checked");
    output.assign(&both.0);
    output *= &both.1;
}

/// `da = dy · b`, summed over the pixels where `a` is the vector.
pub fn backward(other: Maps, gradient: Maps, mut input_gradient: MapsMut) {
    let other = other.broadcast(gradient.raw_dim()).expect("shapes were checked");
    let product = &gradient * &other;
    if product.dim() == input_gradient.dim() {
        input_gradient += &product;
    } else {
        input_gradient +=
            &product.sum_axis(Axis(3)).sum_axis(Axis(2)).insert_axis(Axis(2)).insert_axis(Axis(3));
    }
}
