//! Completing a quantized network from a datapath, and refusing what does not fit.

use crate::error::{Error, Result};
use crate::hardware::Datapath;
use crate::kernels::Epilogue;
use crate::kernels::elementwise::LARGEST_SHIFT;
use crate::kernels::maps::table_len;
use crate::kernels::pool::{Average, Pool};
use crate::network::FlattenOrder;
use crate::numeric::Format;
use crate::quantize::{Layer, Operation, Output, QuantizedNetwork, WordMap};
use crate::simulate::words::mac::{fits, requantizers};
use crate::simulate::words::{BoundLayer, BoundMac, BoundNetwork, Step, epilogue};
use crate::tensor::{Shape, Window};

/// Widest operand in bits; every layer's words may become one.
const OPERAND_BITS: u32 = 32;

impl BoundNetwork {
    /// Binds `network` to `datapath`; `seed` is that of stochastic rounding. An error names the
    /// layer and the site, what was found, what is allowed and what to do.
    pub fn bind(network: &QuantizedNetwork, datapath: &Datapath, seed: u64) -> Result<Self> {
        let mut layers: Vec<BoundLayer> = Vec::with_capacity(network.layers.len());
        for layer in &network.layers {
            let bound = bind_layer(layer, &layers, datapath)
                .map_err(|e| e.within(format_args!("layer `{}`", layer.name)))?;
            layers.push(bound);
        }
        if !layers.iter().any(|layer| matches!(layer.step, Step::Input)) {
            return Err(Error::new(format_args!("network `{}`", network.name), "has no input"));
        }
        Ok(Self {
            name: network.name.clone(),
            layers,
            host: network.host.clone(),
            takes_words: network.takes_words,
            gives_words: network.gives_words,
            seed,
            disturbance: None,
        })
    }
}

fn bind_layer(layer: &Layer, earlier: &[BoundLayer], datapath: &Datapath) -> Result<BoundLayer> {
    let inputs: Option<Vec<&BoundLayer>> = layer.inputs.iter().map(|&i| earlier.get(i)).collect();
    let inputs = inputs.ok_or_else(|| Error::new("inputs", "not all are earlier layers"))?;
    check_output(&layer.output)?;
    let stored = layer.output.affine.as_ref().map(|affine| affine.stored);
    let widest = match &layer.operation {
        Operation::Input | Operation::Host { .. } => None,
        // Accumulators that are the output themselves.
        Operation::Mac(mac) if stored.is_some() && mac.rescale.is_none() => None,
        Operation::AveragePool { rescale: None, average: Average::Sum, .. } => None,
        _ => Some(datapath.bits.output),
    };
    if let Some(widest) = widest {
        fits("output", stored.unwrap_or(layer.output.cast.to()), widest)?;
        fits("output", stored.unwrap_or(layer.output.format()), widest)?;
    }
    let step = bind_step(layer, &inputs, datapath)?;
    check_points(layer, &step, &inputs)?;
    Ok(BoundLayer {
        name: layer.name.clone(),
        inputs: layer.inputs.clone(),
        shape: layer.shape,
        step,
        epilogue: step_epilogue(layer, datapath)?,
        maps: layer.output.maps.clone(),
        format: layer.output.format(),
        affine: layer.output.affine.clone(),
    })
}

fn bind_step(layer: &Layer, inputs: &[&BoundLayer], datapath: &Datapath) -> Result<Step> {
    let count = |allowed: bool, expected: &str| {
        let found = inputs.len();
        let problem = format_args!("reads {found} maps, {expected} were expected");
        if allowed { Ok(()) } else { Err(Error::new("inputs", problem)) }
    };
    let shape_is = |expected: Option<Shape>| match expected {
        Some(expected) if expected == layer.shape => Ok(()),
        Some(expected) => Err(Error::new(
            "shape",
            format_args!("{} where the inputs give {expected}", layer.shape),
        )),
        None => Err(Error::new("shape", "the window is larger than the padded input")),
    };
    let [first, ..] = inputs else {
        return match &layer.operation {
            Operation::Constant(words) if words.len() == layer.shape.len() => {
                Ok(Step::Constant(words.clone()))
            }
            operation => {
                count(matches!(operation, Operation::Input), "one or more")?;
                Ok(Step::Input)
            }
        };
    };
    let host = |layer: &BoundLayer| matches!(layer.step, Step::Host(_, false));
    if !matches!(layer.operation, Operation::Host { .. })
        && let Some(values) = inputs.iter().find(|&&input| host(input))
    {
        return Err(Error::new(
            "inputs",
            format_args!("`{}` is computed by the host in float and has no words", values.name),
        )
        .remedy("let it be the last layer, or quantize its output"));
    }
    match &layer.operation {
        Operation::Input | Operation::Constant(_) => count(false, "none")?,
        Operation::Add(_) | Operation::Concat(_) | Operation::Host { .. } => {}
        Operation::Mul(_) => count(inputs.len() == 2, "two")?,
        _ => count(inputs.len() == 1, "one")?,
    }
    let pool = |window: &Window| {
        let degenerate = window.kernel.contains(&0) || window.stride.contains(&0);
        let output = if degenerate { None } else { window.output(first.shape) };
        shape_is(output.map(|[rows, columns]| Shape::new(first.shape.channels, rows, columns)))?;
        let (input, output, window) = (first.shape, layer.shape, *window);
        Ok(Pool { input, output, window, epilogue: step_epilogue(layer, datapath)? })
    };
    match &layer.operation {
        Operation::Mac(mac) => {
            shape_is(Some(mac.geometry.output))?;
            if first.shape != mac.geometry.input {
                return Err(Error::new(
                    "shape",
                    format_args!("reads {}, {} arrives", mac.geometry.input, first.shape),
                ));
            }
            let bound = BoundMac::bind(mac, &layer.output, first, datapath)?;
            Ok(Step::Mac(Box::new(bound)))
        }
        Operation::Activation => {
            shape_is(Some(first.shape))?;
            Ok(Step::Activation)
        }
        Operation::MaxPool(window) => Ok(Step::MaxPool(pool(window)?)),
        Operation::AveragePool { window, average, .. } => {
            Ok(Step::AveragePool(pool(window)?, *average))
        }
        Operation::Add(sum) => {
            inputs.iter().try_for_each(|input| shape_is(Some(input.shape)))?;
            if let Some(sum) = sum {
                count(sum.inputs() == inputs.len(), "as many as scales")?;
            }
            Ok(Step::Add(sum.clone()))
        }
        Operation::Mul(_) => {
            let fits =
                |shape: Shape| shape == layer.shape || shape == Shape::vector(layer.shape.channels);
            if let Some(input) = inputs.iter().find(|input| !fits(input.shape)) {
                shape_is(Some(input.shape))?;
            }
            Ok(Step::Mul)
        }
        Operation::Concat(tables) => {
            let channels = inputs.iter().map(|input| input.shape.channels).sum();
            let of = |input: &BoundLayer| Shape { channels, ..input.shape };
            inputs.iter().try_for_each(|input| shape_is(Some(of(input))))?;
            for (table, input) in tables.iter().zip(inputs) {
                if let Some(table) = table {
                    check_table(table, input.format, layer.output.cast.to())?;
                }
            }
            Ok(Step::Concat(tables.clone()))
        }
        Operation::Pad(padding) => {
            let window = Window { padding: *padding, ..Window::POINT };
            let output = window.output(first.shape);
            shape_is(output.map(|[h, w]| Shape::new(first.shape.channels, h, w)))?;
            Ok(Step::Pad(first.shape, *padding))
        }
        Operation::Flatten(order) => {
            if layer.shape.len() != first.shape.len() || *order == FlattenOrder::ChannelsFirst {
                shape_is(Some(Shape::vector(first.shape.len())))?;
            }
            Ok(Step::Flatten(first.shape, *order))
        }
        Operation::Softmax(softmax) => {
            shape_is(Some(first.shape))?;
            Ok(Step::Softmax(softmax.clone()))
        }
        Operation::Host { node, quantized } => Ok(Step::Host(*node, *quantized)),
        Operation::Input | Operation::Constant(_) => Ok(Step::Input),
    }
}

/// The epilogue of a layer's output site, with its requantizer where one takes the cast's place.
fn step_epilogue(layer: &Layer, datapath: &Datapath) -> Result<Epilogue> {
    let rescale = match &layer.operation {
        Operation::AveragePool { rescale, .. } | Operation::Mul(rescale) => rescale,
        _ => &None,
    };
    let requantizers = match rescale {
        Some(rescale) => requantizers(rescale, 1, 0, &layer.output, datapath)?,
        None => Vec::new(),
    };
    Ok(epilogue(&layer.output).of_channel(&requantizers, 0))
}

/// Checks that a table has a word of `to` for each word of `from`.
fn check_table(words: &[i64], from: Format, to: Format) -> Result<()> {
    let complete = words.len() as i128 == table_len(from);
    if complete && words.iter().all(|&word| to.contains(word.into())) {
        return Ok(());
    }
    Err(Error::new(
        "output",
        format_args!(
            "a table from {from} to {to} has {} entries, one word of {to} for each of {} was \
             expected",
            words.len(),
            table_len(from)
        ),
    ))
}

/// Checks the cast's width, the clamp and the maps of an `output` site.
fn check_output(output: &Output) -> Result<()> {
    let mut format = output.cast.to();
    fits_operand(format)?;
    if let Some(clamp) = output.clamp {
        let ordered = clamp.low <= clamp.high;
        if !(ordered && format.contains(clamp.low.into()) && format.contains(clamp.high.into())) {
            return Err(Error::new(
                "output",
                format_args!("the clamp {}..={} is no range of {format}", clamp.low, clamp.high),
            ));
        }
    }
    for map in &output.maps {
        match map {
            WordMap::Table { words, format: to } => {
                fits_operand(*to)?;
                check_table(words, format, *to)?;
                format = *to;
            }
            WordMap::NOfM { m: 0, .. } => {
                return Err(Error::new("output", "groups of 0 channels, at least 1 was expected"));
            }
            WordMap::TopK { .. } | WordMap::NOfM { .. } => {}
        }
    }
    Ok(())
}

fn fits_operand(format: Format) -> Result<()> {
    if format.bits() <= OPERAND_BITS {
        return Ok(());
    }
    Err(Error::new("output", format_args!("{format}, words have {OPERAND_BITS} bits at most"))
        .remedy("choose a narrower format in the plan"))
}

/// Sums and averages are aligned exactly: their binary points must not lie too far apart.
fn check_points(layer: &Layer, step: &Step, inputs: &[&BoundLayer]) -> Result<()> {
    let points: Vec<i32> = inputs.iter().map(|input| input.format.frac()).collect();
    let (Some(&low), Some(&high)) = (points.iter().min(), points.iter().max()) else {
        return Ok(());
    };
    let to = layer.output.cast.to().frac();
    let far = match step {
        Step::Add(None) => high - low > LARGEST_SHIFT,
        Step::AveragePool(..) => (high - to).abs() > LARGEST_SHIFT,
        _ => false,
    };
    if !far {
        return Ok(());
    }
    Err(Error::new(
        "output",
        format_args!("binary points of the words are more than {LARGEST_SHIFT} bits apart"),
    )
    .remedy("choose formats with closer binary points in the plan"))
}
