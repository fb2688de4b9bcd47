//! Layers that the host computes: a float operator on the values of words.

use ndarray::{Array4, ArrayView4};

use crate::kernels::LayerDraws;
use crate::network::{NodeId, ops};
use crate::simulate::words::{BoundNetwork, ImageState, input};
use crate::tensor::Shape;

impl BoundNetwork {
    /// Computes node `node` of the host's network on the values of the layer's inputs.
    pub(super) fn run_host(
        &self,
        index: usize,
        node: NodeId,
        quantized: bool,
        image: usize,
        state: &mut ImageState,
    ) {
        let Some(host) = &self.host else { return };
        let layer = &self.layers[index];
        let map = |shape: Shape, values: Vec<f32>| {
            let Shape { channels, height, width } = shape;
            Array4::from_shape_vec((1, channels, height, width), values)
                .expect("a layer has as many values as its shape")
        };
        let inputs: Vec<Array4<f32>> = (layer.inputs.iter())
            .map(|&read| map(self.layers[read].shape, self.values(read, state)))
            .collect();
        let views: Vec<ArrayView4<f32>> = inputs.iter().map(|input| input.view()).collect();
        let mut output = map(layer.shape, vec![0.0; layer.shape.len()]);
        ops::forward(&host.network, node, &host.parameters, &views, output.view_mut());
        let values = output.into_raw_vec_and_offset().0;
        let slot = &mut state.layers[index];
        if quantized {
            let draws = LayerDraws::new(self.seed, index, image);
            input::quantize(layer, &values, &mut slot.stages[0], draws, &mut slot.events.output);
            self.written(index, image, slot, &mut state.magnitudes);
        } else {
            slot.values = values;
        }
    }
}
