//! How the axes of ONNX tensors lie on feature maps, and the operators that only move axes.

use super::attributes::Attributes;
use super::graph::{Graph, Inputs, Map, Value};
use super::tensor::Tensor;
use crate::error::{Error, Result};
use crate::network::{FlattenOrder, NodeId};
use crate::tensor::Shape;

/// An axis of a batch of feature maps.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Axis {
    N,
    C,
    H,
    W,
}

use Axis::{C, H, N, W};

/// The axes of a channels-first tensor of `rank` axes.
pub fn canonical(rank: usize) -> Option<Vec<Axis>> {
    Some(match rank {
        2 => vec![N, C],
        3 => vec![N, C, W],
        4 => vec![N, C, H, W],
        _ => return None,
    })
}

/// The place of an axis that counts from the end where negative.
pub fn place(axis: i64, rank: usize) -> Result<usize> {
    let from = if axis < 0 { axis + rank as i64 } else { axis };
    usize::try_from(from)
        .ok()
        .filter(|&axis| axis < rank)
        .ok_or_else(|| Error::new("axis", format_args!("{axis} is no axis of a tensor of {rank}")))
}

impl Map {
    /// Refuses maps whose axes are not channels-first.
    pub fn channels_first(&self) -> Result<()> {
        if canonical(self.axes.len()).as_ref() == Some(&self.axes) {
            return Ok(());
        }
        Err(Error::new("input", format_args!("has its axes in the order {:?}", self.axes))
            .remedy("only batch, channels, height, width is supported here"))
    }
}

/// The length of an axis of one image.
pub fn size(shape: Shape, axis: Axis) -> usize {
    match axis {
        N => 1,
        C => shape.channels,
        H => shape.height,
        W => shape.width,
    }
}

impl Graph {
    /// Sizes of a map's tensor, of one image.
    pub fn dims(&self, map: &Map) -> Vec<usize> {
        map.axes.iter().map(|&axis| size(self.shape(map), axis)).collect()
    }

    /// A node that passes on what it reads: words stay words of the same encoding.
    pub fn passed_on(&mut self, node: NodeId, from: &Map, axes: Vec<Axis>) -> Map {
        if let Some(encoding) = self.encoding(from).filter(|_| from.words.is_some()) {
            let encoding = encoding.clone();
            self.quantization.outputs.insert(node, encoding);
        }
        Map { node, axes, words: from.words }
    }

    pub fn transpose(&mut self, attributes: &Attributes, inputs: Inputs) -> Result<Value> {
        let map = inputs.map(0)?;
        let reversed: Vec<i64> = (0..map.axes.len() as i64).rev().collect();
        let order = attributes.ints("perm").unwrap_or(&reversed);
        let axes: Vec<Axis> = order
            .iter()
            .map(|&a| Ok(map.axes[place(a, map.axes.len())?]))
            .collect::<Result<_>>()?;
        let complete = axes.len() == map.axes.len() && map.axes.iter().all(|a| axes.contains(a));
        if !complete || axes[0] != N {
            return Err(Error::new("attribute `perm`", format_args!("{order:?} moves the batch")));
        }
        Ok(Value::Map(Map { axes, ..map.clone() }))
    }

    pub fn shape_of(&mut self, attributes: &Attributes, inputs: Inputs) -> Result<Value> {
        let dims: Vec<i64> = self.dims(inputs.map(0)?).iter().map(|&size| size as i64).collect();
        let bound = |name: &'static str, default: usize| {
            let index = attributes.int(name, default as i64);
            let index = if index < 0 { index + dims.len() as i64 } else { index };
            index.clamp(0, dims.len() as i64) as usize
        };
        let (start, end) = (bound("start", 0), bound("end", dims.len()));
        let part = dims[start.min(end)..end].to_vec();
        Ok(Value::constant(Tensor::indices(vec![part.len()], part)))
    }

    pub fn dropout(&mut self, attributes: &Attributes, inputs: Inputs) -> Result<Value> {
        let _ = (attributes.float("ratio", 0.5), attributes.int("seed", 0));
        if let Some(training) = inputs.optional(2)?
            && training.tensor.ints()?.contains(&1)
        {
            return Err(Error::new("input 3", "turns training on, only inference is supported"));
        }
        Ok(Value::Map(inputs.map(0)?.clone()))
    }

    pub fn cast(&mut self, attributes: &Attributes, inputs: Inputs) -> Result<Value> {
        let (map, to) = (inputs.map(0)?, attributes.int("to", 1));
        let _ = attributes.int("saturate", 1);
        const FLOAT: i64 = 1;
        if to != FLOAT || map.words.is_some_and(|_| self.encoding(map).is_some()) {
            return Err(Error::new(
                "attribute `to`",
                format_args!("a cast to {to} is not supported"),
            ));
        }
        Ok(Value::Map(Map { words: None, ..map.clone() }))
    }

    /// `Flatten`, `Reshape`, `Squeeze` and `Unsqueeze`, by the sizes that come out.
    pub fn reshape(
        &mut self,
        op: &str,
        name: &str,
        attributes: &Attributes,
        inputs: Inputs,
    ) -> Result<Value> {
        let map = inputs.map(0)?;
        let dims = self.dims(map);
        let listed = |name: &'static str| -> Result<Option<Vec<i64>>> {
            match (attributes.ints(name), inputs.optional(1)?) {
                (Some(axes), _) => Ok(Some(axes.to_vec())),
                (None, Some(axes)) => Ok(Some(axes.tensor.ints()?.to_vec())),
                (None, None) => Ok(None),
            }
        };
        let mut target: Vec<usize> = Vec::new();
        match op {
            "Flatten" => {
                if place(attributes.int("axis", 1), dims.len())? != 1 {
                    return Err(Error::new("attribute `axis`", "only 1 is supported"));
                }
                target = vec![1, dims[1..].iter().product()];
            }
            "Squeeze" => {
                let axes: Vec<usize> = match listed("axes")? {
                    Some(axes) => {
                        axes.iter().map(|&a| place(a, dims.len())).collect::<Result<_>>()?
                    }
                    None => (1..dims.len()).filter(|&axis| dims[axis] == 1).collect(),
                };
                if let Some(&axis) = axes.iter().find(|&&axis| axis == 0 || dims[axis] != 1) {
                    return Err(Error::new("axes", format_args!("axis {axis} cannot be dropped")));
                }
                let kept = (0..dims.len()).filter(|axis| !axes.contains(axis));
                target.extend(kept.clone().map(|axis| dims[axis]));
                let axes: Vec<Axis> = kept.map(|axis| map.axes[axis]).collect();
                if axes.len() > 2 || self.shape(map).pixels() == 1 && axes.contains(&C) {
                    return Ok(Value::Map(Map { axes, ..map.clone() }));
                }
            }
            "Unsqueeze" => {
                let axes = listed("axes")?.unwrap_or_default();
                let rank = dims.len() + axes.len();
                let axes: Vec<usize> =
                    axes.iter().map(|&a| place(a, rank)).collect::<Result<_>>()?;
                let mut rest = dims.iter();
                for axis in 0..rank {
                    let inserted = axes.contains(&axis).then_some(1);
                    target.extend(inserted.or_else(|| rest.next().copied()));
                }
            }
            _ => {
                attributes.only("allowzero", 0)?;
                target = target_sizes(inputs.constant(1)?.tensor.ints()?, &dims)?;
            }
        }
        self.reshaped(name, map, &target)
    }

    /// An output whose elements are in the order of its tensor: channels-last ones are flattened.
    pub fn in_order(&mut self, map: &Map) -> Result<Map> {
        match self.order(map) {
            Some(FlattenOrder::ChannelsFirst) => Ok(map.clone()),
            Some(FlattenOrder::ChannelsLast) => {
                let name = self.unique("output");
                let node = self.builder.flatten(&name, map.node, FlattenOrder::ChannelsLast)?;
                Ok(self.passed_on(node, map, vec![N, C]))
            }
            None => {
                Err(Error::new("output", format_args!("has its axes in the order {:?}", map.axes))
                    .remedy("channels-first and channels-last outputs are supported"))
            }
        }
    }

    /// The axes of a map's tensor that are longer than 1, without the batch.
    fn long_axes(&self, map: &Map) -> Vec<Axis> {
        let shape = self.shape(map);
        map.axes.iter().copied().filter(|&axis| axis != N && size(shape, axis) != 1).collect()
    }

    /// The order of the elements of a map's tensor, if it is one of the two.
    fn order(&self, map: &Map) -> Option<FlattenOrder> {
        let long = self.long_axes(map);
        let sorted =
            |order: [Axis; 3]| order.into_iter().filter(|a| long.contains(a)).eq(long.clone());
        if sorted([C, H, W]) {
            return Some(FlattenOrder::ChannelsFirst);
        }
        sorted([H, W, C]).then_some(FlattenOrder::ChannelsLast)
    }

    /// A map as a tensor of sizes `target`.
    fn reshaped(&mut self, name: &str, map: &Map, target: &[usize]) -> Result<Value> {
        let (dims, shape) = (self.dims(map), self.shape(map));
        let refused = || {
            Error::new("sizes", format_args!("{dims:?} cannot become {target:?}"))
                .remedy("flattening, and adding or dropping axes of size 1, is supported")
        };
        if target == dims {
            return Ok(Value::Map(map.clone()));
        }
        if target.first() != Some(&1)
            || target.iter().product::<usize>() != dims.iter().product::<usize>()
        {
            return Err(refused());
        }
        if target.len() == 2 && shape.pixels() > 1 {
            let order = self.order(map).ok_or_else(refused)?;
            let name = self.unique(name);
            let node = self.builder.flatten(&name, map.node, order)?;
            return Ok(Value::Map(self.passed_on(node, map, vec![N, C])));
        }
        let axes = moved(&self.long_axes(map), shape, target).ok_or_else(refused)?;
        Ok(Value::Map(Map { axes, ..map.clone() }))
    }

    pub fn pad(&mut self, name: &str, attributes: &Attributes, inputs: Inputs) -> Result<Value> {
        let map = inputs.map(0)?;
        let mode = attributes.string("mode", "constant");
        let value = match inputs.optional(2)? {
            Some(value) => value.tensor.floats(),
            None => vec![attributes.float("value", 0.0)],
        };
        let zero = match (map.words, self.encoding(map)) {
            (Some(_), Some(encoding)) => encoding.zero_point(0) as f32,
            _ => 0.0,
        };
        if mode != "constant" || value.iter().any(|&value| value != zero) {
            return Err(Error::new("padding", format_args!("mode {mode}, value {value:?}"))
                .remedy("only constant zeros are supported"));
        }
        let rank = map.axes.len();
        let pads = match (attributes.ints("pads"), inputs.optional(1)?) {
            (Some(pads), _) => pads.to_vec(),
            (None, Some(pads)) => pads.tensor.ints()?.to_vec(),
            (None, None) => Vec::new(),
        };
        let places: Vec<usize> = match inputs.optional(3)? {
            Some(axes) => {
                axes.tensor.ints()?.iter().map(|&a| place(a, rank)).collect::<Result<_>>()?
            }
            None => (0..rank).collect(),
        };
        if pads.len() != 2 * places.len() {
            return Err(Error::new("pads", format_args!("{pads:?} for {} axes", places.len())));
        }
        let mut padding = [0usize; 4];
        for (index, &at) in places.iter().enumerate() {
            for (side, pad) in [pads[index], pads[places.len() + index]].into_iter().enumerate() {
                let slot = match map.axes[at] {
                    H => 2 * side,
                    W => 2 * side + 1,
                    _ if pad == 0 => continue,
                    axis => {
                        return Err(Error::new("pads", format_args!("axis {axis:?} is padded"))
                            .remedy("only height and width can be"));
                    }
                };
                padding[slot] = usize::try_from(pad)
                    .map_err(|_| Error::new("pads", format_args!("{pad} would crop")))?;
            }
        }
        if padding == [0; 4] {
            return Ok(Value::Map(map.clone()));
        }
        if map.words.is_some() && self.encoding(map).is_none() {
            return Err(Error::new("input", "is of words whose zero point nothing states yet")
                .remedy("dequantize it before it is padded"));
        }
        let name = self.unique(name);
        let node = self.builder.pad(&name, map.node, padding)?;
        Ok(Value::Map(self.passed_on(node, map, map.axes.clone())))
    }
}

/// The axes of a tensor of sizes `target` in which only axes of size 1 have come or gone: the long
/// ones in their order, the others where sizes of 1 are, channels first.
fn moved(long: &[Axis], shape: Shape, target: &[usize]) -> Option<Vec<Axis>> {
    let mut rest = long.iter().copied();
    let mut spare = [C, H, W].into_iter().filter(|axis| !long.contains(axis));
    let mut axes = vec![N];
    for &length in target.get(1..)? {
        let axis = if length == 1 { spare.next() } else { rest.next() }?;
        if length != 1 && size(shape, axis) != length {
            return None;
        }
        axes.push(axis);
    }
    rest.next().is_none().then_some(axes)
}

/// Sizes with 0 for the size as it is, and −1 for the one that follows from the others.
fn target_sizes(given: &[i64], dims: &[usize]) -> Result<Vec<usize>> {
    let refused = || Error::new("sizes", format_args!("{given:?} for a tensor of {dims:?}"));
    let total: usize = dims.iter().product();
    let mut sizes = Vec::with_capacity(given.len());
    for (place, &size) in given.iter().enumerate() {
        sizes.push(match size {
            0 => *dims.get(place).ok_or_else(refused)?,
            -1 => 0,
            size => usize::try_from(size).map_err(|_| refused())?,
        });
    }
    // The batch is run image by image: whatever number it is fixed to stands for one.
    if let Some(first) = sizes.first_mut()
        && *first != 0
    {
        *first = 1;
    }
    let open: Vec<usize> = (0..sizes.len()).filter(|&place| given[place] == -1).collect();
    let known = sizes.iter().filter(|&&size| size > 0).try_fold(1usize, |p, &s| p.checked_mul(s));
    match (&open[..], known) {
        ([], Some(known)) if known == total => {}
        (&[place], Some(known)) if known > 0 && total.is_multiple_of(known) => {
            sizes[place] = total / known;
        }
        _ => return Err(refused()),
    }
    Ok(sizes)
}
