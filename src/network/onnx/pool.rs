//! Pooling.

use super::attributes::Attributes;
use super::convolution::{real, window};
use super::graph::{Graph, Inputs, Map, Value};
use super::layout::{Axis, place};
use crate::error::{Error, Result};
use crate::network::{NodeId, PoolKind};
use crate::tensor::Window;

impl Graph {
    pub fn pool(
        &mut self,
        op: &str,
        name: &str,
        attributes: &Attributes,
        inputs: Inputs,
    ) -> Result<Value> {
        let map = inputs.map(0)?;
        if op == "MaxPool" {
            let _ = attributes.int("storage_order", 0);
            let (window, _) = self.pool_window(attributes, map)?;
            let name = self.unique(name);
            let node = self.builder.pool(&name, map.node, PoolKind::Max, window)?;
            return Ok(Value::Map(self.passed_on(node, map, map.axes.clone())));
        }
        let node = self.average_pool(name, attributes, real(map)?)?;
        Ok(self.real(node, map.axes.clone()))
    }

    /// An average pooling over a map.
    pub fn average_pool(
        &mut self,
        name: &str,
        attributes: &Attributes,
        map: &Map,
    ) -> Result<NodeId> {
        let counted = attributes.int("count_include_pad", 0) != 0;
        let (window, extended) = self.pool_window(attributes, map)?;
        let kind = match counted && window.padding != [0; 4] {
            true if extended => {
                return Err(Error::new(
                    "attribute `ceil_mode`",
                    "extends the padding that `count_include_pad` counts",
                )
                .remedy("use one of the two"));
            }
            true => PoolKind::PaddedAverage,
            false => PoolKind::Average,
        };
        let name = self.unique(name);
        self.builder.pool(&name, map.node, kind, window)
    }

    /// The window, and whether rounding up extended its padding.
    fn pool_window(&self, attributes: &Attributes, map: &Map) -> Result<(Window, bool)> {
        map.channels_first()?;
        let spatial = map.axes.len() - 2;
        let given = attributes.ints("kernel_shape").map_or(0, <[i64]>::len);
        if spatial == 0 || given != spatial {
            return Err(Error::new(
                "attribute `kernel_shape`",
                format_args!(
                    "has {given} sizes for {} axes; one or two are supported",
                    map.axes.len()
                ),
            ));
        }
        let kernel = attributes.sizes("kernel_shape", &vec![1; spatial], 1)?;
        let input = self.shape(map);
        let mut window = window(attributes, &kernel, input)?;
        if attributes.string("auto_pad", "NOTSET").starts_with("SAME")
            && crops(&window, [input.height, input.width])
        {
            return Err(Error::new(
                "attribute `auto_pad`",
                "would need padding of less than nothing, which runtimes refuse or take differently",
            )
            .remedy("state `pads`"));
        }
        let ceil = attributes.int("ceil_mode", 0) != 0;
        let before = window.padding;
        if ceil {
            let sizes = [input.height, input.width];
            for (axis, size) in sizes.into_iter().enumerate() {
                extend(&mut window, axis, size);
            }
        }
        Ok((window, window.padding != before))
    }

    pub fn global_pool(&mut self, op: &str, name: &str, inputs: Inputs) -> Result<Value> {
        let map = inputs.map(0)?;
        map.channels_first()?;
        let name = self.unique(name);
        if op == "GlobalMaxPool" {
            let node = self.builder.global_pool(&name, map.node, PoolKind::Max)?;
            return Ok(Value::Map(self.passed_on(node, map, map.axes.clone())));
        }
        let node = self.builder.global_pool(&name, real(map)?.node, PoolKind::Average)?;
        Ok(self.real(node, map.axes.clone()))
    }

    pub fn reduce_mean(
        &mut self,
        name: &str,
        attributes: &Attributes,
        inputs: Inputs,
    ) -> Result<Value> {
        let map = real(inputs.map(0)?)?;
        let rank = map.axes.len();
        let listed = match (attributes.ints("axes"), inputs.optional(1)?) {
            (Some(axes), _) => axes.to_vec(),
            (None, Some(axes)) => axes.tensor.ints()?.to_vec(),
            (None, None) => (0..rank as i64).collect(),
        };
        let keep = attributes.int("keepdims", 1) != 0;
        attributes.only("noop_with_empty_axes", 0)?;
        let places: Vec<usize> = listed.iter().map(|&a| place(a, rank)).collect::<Result<_>>()?;
        let reduced = |axis: Axis| {
            map.axes.iter().position(|&a| a == axis).is_none_or(|at| places.contains(&at))
        };
        let shape = self.shape(map);
        let over_pixels =
            (reduced(Axis::H) || shape.height == 1) && (reduced(Axis::W) || shape.width == 1);
        let others = places.iter().any(|&at| matches!(map.axes[at], Axis::N | Axis::C));
        if !over_pixels || others {
            return Err(Error::new("axes", format_args!("{listed:?}"))
                .remedy("only the mean over all of height and width is supported"));
        }
        let name = self.unique(name);
        let node = self.builder.global_pool(&name, map.node, PoolKind::Average)?;
        let left = |at: &usize| keep || !places.contains(at);
        let axes = (0..rank).filter(left).map(|at| map.axes[at]).collect();
        Ok(self.real(node, axes))
    }
}

/// Whether the windows, as many as strides begin in the map, do not reach its end without padding.
fn crops(window: &Window, sizes: [usize; 2]) -> bool {
    sizes.into_iter().enumerate().any(|(axis, size)| {
        let span = (window.kernel[axis] - 1).saturating_mul(window.dilation[axis]) + 1;
        let steps = size.div_ceil(window.stride[axis]).saturating_sub(1) * window.stride[axis];
        steps.saturating_add(span) < size
    })
}

/// Extends the padding after the map so that the number of outputs rounds up, unless the last window
/// would begin beyond the map and the padding before it.
fn extend(window: &mut Window, axis: usize, size: usize) {
    let [before, after] = [window.padding[axis], window.padding[axis + 2]];
    let (kernel, stride) = (window.kernel[axis], window.stride[axis]);
    let span = (kernel - 1).saturating_mul(window.dilation[axis]) + 1;
    let Some(room) = (size + before + after).checked_sub(span) else { return };
    let mut steps = room.div_ceil(stride);
    if steps * stride >= size + before {
        steps -= 1;
    }
    window.padding[axis + 2] = after.max((steps * stride + span).saturating_sub(size + before));
}
