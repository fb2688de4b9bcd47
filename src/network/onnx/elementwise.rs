//! Activation functions, sums and products, normalization across channels, softmax, concatenation.

use super::attributes::Attributes;
use super::convolution::real;
use super::graph::{Constant, Graph, Inputs, Map, Value};
use super::layout::{Axis, place, size};
use super::tensor::Tensor;
use crate::error::{Error, Result};
use crate::network::{Activation, Lrn, NodeId};
use crate::tensor::Shape;

impl Graph {
    pub fn activation(
        &mut self,
        op: &str,
        name: &str,
        attributes: &Attributes,
        inputs: Inputs,
    ) -> Result<Value> {
        let map = real(inputs.map(0)?)?;
        let function = match op {
            "Relu" => Activation::Relu,
            "LeakyRelu" => Activation::LeakyRelu { slope: attributes.float("alpha", 0.01) },
            "Sigmoid" => Activation::Sigmoid,
            "HardSigmoid" => Activation::HardSigmoid {
                alpha: attributes.float("alpha", 0.2),
                beta: attributes.float("beta", 0.5),
            },
            "HardSwish" => Activation::HardSwish,
            _ => {
                let bound = |index: usize, name: &'static str, default: f32| -> Result<f32> {
                    Ok(match inputs.optional(index)? {
                        Some(bound) => *bound.tensor.floats().first().unwrap_or(&default),
                        None => attributes.float(name, default),
                    })
                };
                let (low, high) = (bound(1, "min", f32::MIN)?, bound(2, "max", f32::MAX)?);
                match (low, high) {
                    (f32::MIN, f32::MAX) => return Ok(Value::Map(map.clone())),
                    (0.0, f32::MAX | f32::INFINITY) => Activation::Relu,
                    (0.0, 6.0) => Activation::Relu6,
                    _ => Activation::Clip { low: low.max(f32::MIN), high: high.min(f32::MAX) },
                }
            }
        };
        let name = self.unique(name);
        let node = self.builder.activation(&name, map.node, function)?;
        Ok(self.real(node, map.axes.clone()))
    }

    /// `Add`, `Sub`, `Mul` and `Div` of two maps, or of a map and a constant by channel or element.
    pub fn arithmetic(&mut self, op: &str, name: &str, inputs: Inputs) -> Result<Value> {
        let constant = |index: usize| match inputs.0.get(index) {
            Some(Some(Value::Constant(constant))) => Some(constant.tensor.clone()),
            _ => None,
        };
        let (map, other, swapped) = match (constant(0), constant(1)) {
            (None, None) => return self.of_maps(op, name, inputs),
            (None, Some(other)) => (inputs.map(0)?, other, false),
            (Some(other), None) => (inputs.map(1)?, other, true),
            (Some(_), Some(_)) => return Err(Error::new("inputs", "are both constant")),
        };
        let map = real(map)?;
        let channels = self.shape(map).channels;
        if let Some(values) = self.by_channel(map, &other) {
            let (ones, zeros) = (vec![1.0; channels], vec![0.0; channels]);
            let negated = |values: &[f32]| values.iter().map(|value| -value).collect();
            let (factor, offset) = match (op, swapped) {
                ("Add", _) => (ones, values),
                ("Sub", false) => (ones, negated(&values)),
                ("Sub", true) => (negated(&ones), values),
                ("Mul", _) => (values, zeros),
                ("Div", false) => (values.iter().map(|value| 1.0 / value).collect(), zeros),
                _ => return Err(divided()),
            };
            return self.affine(name, map, factor, offset);
        }
        let map = map.clone();
        let (op, map, other) = match (op, swapped) {
            ("Sub", false) => ("Add", map, other.mapped(|value| -value)),
            ("Sub", true) => {
                let (negated, zeros) = (vec![-1.0; channels], vec![0.0; channels]);
                let name = format!("{name}_negated");
                match self.affine(&name, &map, negated, zeros)? {
                    Value::Map(map) => ("Add", map, other),
                    Value::Constant(_) => return Err(Error::new("input 2", "is constant")),
                }
            }
            ("Div", false) => ("Mul", map, other.mapped(|value| 1.0 / value)),
            ("Div", true) => return Err(divided()),
            (op, _) => (op, map, other),
        };
        let constant = self.constant_map(name, &map, &other)?;
        self.joined(op, name, &[map, constant])
    }

    /// The values of a constant by channel, if it has one value or one a channel.
    fn by_channel(&self, map: &Map, constant: &Tensor) -> Option<Vec<f32>> {
        let (shape, values) = (self.shape(map), constant.floats());
        let at = map.axes.iter().position(|&axis| axis == Axis::C)?;
        let from_end = map.axes.len() - at;
        let along_channels = constant.dims.len() >= from_end
            && constant.dims.len() <= map.axes.len()
            && constant.dims[constant.dims.len() - from_end] == shape.channels;
        match values.len() {
            1 => Some(vec![values[0]; shape.channels]),
            len if len == shape.channels && along_channels => Some(values),
            _ => None,
        }
    }

    /// A constant of a map's sizes, broadcast where it has fewer, as a node.
    pub fn constant_map(&mut self, name: &str, map: &Map, constant: &Tensor) -> Result<Map> {
        map.channels_first()?;
        let values = broadcast(&self.dims(map), constant)?.floats();
        self.constant_node(name, self.shape(map), map.axes.clone(), values)
    }

    /// A node of constant values, channels first.
    fn constant_node(
        &mut self,
        name: &str,
        shape: Shape,
        axes: Vec<Axis>,
        values: Vec<f32>,
    ) -> Result<Map> {
        let name = self.unique(&format!("{name}_constant"));
        let node = self.builder.constant(&name, shape)?;
        self.parameter(&name, "value", &[shape.channels, shape.height, shape.width], values)?;
        Ok(Map { node, axes, words: None })
    }

    fn of_maps(&mut self, op: &str, name: &str, inputs: Inputs) -> Result<Value> {
        let maps = [real(inputs.map(0)?)?.clone(), real(inputs.map(1)?)?.clone()];
        if !matches!(op, "Add" | "Mul") {
            return Err(Error::new("inputs", format_args!("{op} of two maps is not supported"))
                .remedy("Add and Mul of two maps are"));
        }
        self.joined(op, name, &maps)
    }

    /// The sum of maps and constants, of which one is a map.
    pub fn sum(&mut self, name: &str, inputs: Inputs) -> Result<Value> {
        let given = inputs.0.iter().flatten();
        let first = given.clone().find_map(|value| match value {
            Value::Map(map) => Some(map.clone()),
            Value::Constant(_) => None,
        });
        let Some(first) = first else { return Err(Error::new("inputs", "are all constant")) };
        let maps = given.map(|value| match value {
            Value::Map(map) => Ok(real(map)?.clone()),
            Value::Constant(constant) => self.constant_map(name, &first, &constant.tensor),
        });
        let maps: Vec<Map> = maps.collect::<Result<_>>()?;
        match &maps[..] {
            [map] => Ok(Value::Map(map.clone())),
            _ => self.joined("Add", name, &maps),
        }
    }

    /// The sum or product of maps.
    pub fn joined(&mut self, op: &str, name: &str, maps: &[Map]) -> Result<Value> {
        let spread = |map: &Map| self.shape(map) == Shape::vector(self.shape(map).channels);
        // A vector may lack the axes of pixels only where it is a factor with all of them.
        if maps.iter().any(|map| map.axes != maps[0].axes)
            && !(op == "Mul" && maps.iter().all(|map| map.axes.len() == 4 || spread(map)))
        {
            return Err(Error::new("inputs", "have their axes in different orders"));
        }
        let nodes: Vec<usize> = maps.iter().map(|map| map.node).collect();
        let name = self.unique(name);
        let node = match (op, &nodes[..]) {
            ("Mul", &[a, b]) => self.builder.mul(&name, [a, b])?,
            _ => self.builder.add(&name, &nodes)?,
        };
        let larger = maps.iter().max_by_key(|map| self.shape(map).len()).unwrap_or(&maps[0]);
        Ok(self.real(node, larger.axes.clone()))
    }

    pub fn lrn(&mut self, name: &str, attributes: &Attributes, inputs: Inputs) -> Result<Value> {
        let map = real(inputs.map(0)?)?;
        map.channels_first()?;
        let lrn = Lrn {
            size: usize::try_from(attributes.int("size", 0)).unwrap_or(0),
            alpha: attributes.float("alpha", 1e-4),
            beta: attributes.float("beta", 0.75),
            bias: attributes.float("bias", 1.0),
        };
        let name = self.unique(name);
        let node = self.builder.lrn(&name, map.node, lrn)?;
        Ok(self.real(node, map.axes.clone()))
    }

    pub fn softmax(
        &mut self,
        name: &str,
        attributes: &Attributes,
        map: &Map,
        opset: i64,
    ) -> Result<NodeId> {
        // Before opset 13 the default axis is 1, and the axes from it on are taken together.
        let together = opset < 13;
        let axis = attributes.int("axis", if together { 1 } else { -1 });
        let at = place(axis, map.axes.len())?;
        let shape = self.shape(map);
        let taken = &map.axes[at..if together { map.axes.len() } else { at + 1 }];
        let others = Shape { channels: 1, ..shape };
        let only_channels = taken.iter().all(|&axis| axis == Axis::C || size(others, axis) == 1);
        if !only_channels || taken.contains(&Axis::N) || !taken.contains(&Axis::C) {
            return Err(Error::new("attribute `axis`", format_args!("takes the axes {taken:?}"))
                .remedy("softmax over the channels is supported"));
        }
        let name = self.unique(name);
        self.builder.softmax(&name, map.node)
    }

    pub fn concat(&mut self, name: &str, attributes: &Attributes, inputs: Inputs) -> Result<Value> {
        let given = inputs.0.iter().flatten();
        let first = given.clone().find_map(|value| match value {
            Value::Map(map) => Some(map.clone()),
            Value::Constant(_) => None,
        });
        let Some(first) = first else { return Err(Error::new("inputs", "are all constant")) };
        let maps = given.map(|value| match value {
            Value::Map(map) => Ok(map.clone()),
            Value::Constant(constant) => self.constant_part(name, &first, constant),
        });
        let maps: Vec<Map> = maps.collect::<Result<_>>()?;
        let axis = place(attributes.int("axis", 1), first.axes.len())?;
        let one_kind = maps.iter().all(|map| {
            map.axes == first.axes
                && map.words == first.words
                && (map.words.is_none() || self.encoding(map) == self.encoding(&first))
        });
        if first.axes[axis] != Axis::C || !one_kind {
            return Err(Error::new(
                "inputs",
                "are not joined along their channels, or differ in type",
            )
            .remedy("concatenation along channels of tensors of one type is supported"));
        }
        if maps.len() == 1 {
            return Ok(Value::Map(first));
        }
        let nodes: Vec<usize> = maps.iter().map(|map| map.node).collect();
        let name = self.unique(name);
        let node = self.builder.concat(&name, &nodes)?;
        Ok(Value::Map(self.passed_on(node, &first, first.axes.clone())))
    }

    /// A constant that is joined with a map: the same for every image.
    fn constant_part(&mut self, name: &str, map: &Map, constant: &Constant) -> Result<Map> {
        map.channels_first()?;
        let dims = &constant.tensor.dims;
        if dims.len() != map.axes.len() || dims.first() != Some(&1) {
            return Err(Error::new("constant", format_args!("of sizes {dims:?} for every image"))
                .remedy("a constant of a batch of one can be joined"));
        }
        if map.words.is_some() {
            return Err(Error::new("constant", "of words is joined with a map")
                .remedy("use QLinearConcat, or dequantize before the concatenation"));
        }
        let along = |axis: Axis| map.axes.iter().position(|&a| a == axis).map_or(1, |at| dims[at]);
        let shape = Shape::new(along(Axis::C), along(Axis::H), along(Axis::W));
        self.constant_node(name, shape, map.axes.clone(), constant.tensor.floats())
    }
}

fn divided() -> Error {
    Error::new("input 1", "a constant divided by a map is not supported")
}

/// A constant with the sizes `dims` of a map's tensor.
pub fn broadcast(dims: &[usize], constant: &Tensor) -> Result<Tensor> {
    let missing = dims.len().checked_sub(constant.dims.len());
    let own: Option<Vec<usize>> =
        missing.map(|missing| [vec![1; missing], constant.dims.clone()].concat());
    let own = own.filter(|own| own.iter().zip(dims).all(|(o, d)| o == d || *o == 1));
    let Some(own) = own else {
        return Err(Error::new(
            "constant",
            format_args!("of sizes {:?} for a map of {dims:?}", constant.dims),
        )
        .remedy("a constant has the map's sizes without the batch, or fewer"));
    };
    let index = |element: usize| {
        let (mut rest, mut index, mut stride) = (element, 0, 1);
        for (&own, &dim) in own.iter().zip(dims).rev() {
            index += if own == 1 { 0 } else { rest % dim * stride };
            rest /= dim;
            stride *= own;
        }
        index
    };
    Ok(constant.gathered(dims.to_vec(), (0..dims.iter().product()).map(index)))
}
