//! What a multiply-accumulate datapath does: the style of its casts and its accumulation order.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// Where a multiply-accumulate chain loses bits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Style {
    /// `acc ← overflow(acc + cast(w · x, product format))`: the product loses bits first.
    ProductCast,
    /// `acc ← cast(acc + w · x, accumulator)`: one cast of the exact sum, each step.
    Fused,
    /// `acc ← acc + w · x` without loss; one cast after the loop.
    Exact,
}

/// An axis of the reduction of one output word.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Axis {
    /// Input channels of the group.
    InputChannel,
    /// Kernel rows.
    KernelRow,
    /// Kernel columns.
    KernelColumn,
}

/// One loop of the accumulation order: all of an axis, or blocks of `tile` of it whose inside is
/// walked by a later loop over the same axis.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct OrderLoop {
    /// The axis walked.
    pub axis: Axis,
    /// Block length, for an outer loop over blocks.
    pub tile: Option<usize>,
}

/// The order in which the products of one output word are accumulated: a loop nest from the
/// outermost to the innermost loop. In files a list such as
/// `["input_channel/16", "kernel_row", "kernel_column", "input_channel"]`.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(try_from = "Vec<String>", into = "Vec<String>")]
pub struct AccumulationOrder(Vec<OrderLoop>);

impl Default for AccumulationOrder {
    /// Input channel, kernel row, kernel column.
    fn default() -> Self {
        let axes = [Axis::InputChannel, Axis::KernelRow, Axis::KernelColumn];
        Self(axes.map(|axis| OrderLoop { axis, tile: None }).to_vec())
    }
}

impl AccumulationOrder {
    /// A loop nest. Each axis has exactly one loop without tile, after all its tiled loops, whose
    /// tiles shrink inwards.
    pub fn new(loops: Vec<OrderLoop>) -> Result<Self> {
        for axis in [Axis::InputChannel, Axis::KernelRow, Axis::KernelColumn] {
            let tiles: Vec<_> = loops.iter().filter(|l| l.axis == axis).map(|l| l.tile).collect();
            let well_formed = match tiles.split_last() {
                Some((None, tiled)) => {
                    tiled.iter().all(|t| t.is_some_and(|t| t > 0))
                        && tiled.windows(2).all(|pair| pair[0] > pair[1])
                }
                _ => false,
            };
            if !well_formed {
                return Err(Error::new(
                    format_args!("accumulation order, axis {axis}"),
                    "needs one loop without tile, after its tiled loops, outer tiles larger",
                )
                .remedy("for example [\"input_channel/16\", \"kernel_row\", \"kernel_column\", \"input_channel\"]"));
            }
        }
        Ok(Self(loops))
    }

    /// The loops from the outermost to the innermost.
    pub fn loops(&self) -> &[OrderLoop] {
        &self.0
    }
}

impl fmt::Display for Axis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Axis::InputChannel => "input_channel",
            Axis::KernelRow => "kernel_row",
            Axis::KernelColumn => "kernel_column",
        })
    }
}

impl FromStr for OrderLoop {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let (name, tile) = match text.split_once('/') {
            Some((name, tile)) => (name, Some(tile.parse().ok())),
            None => (text, None),
        };
        let axis = match name {
            "input_channel" => Some(Axis::InputChannel),
            "kernel_row" => Some(Axis::KernelRow),
            "kernel_column" => Some(Axis::KernelColumn),
            _ => None,
        };
        match (axis, tile) {
            (Some(axis), None) => Ok(Self { axis, tile: None }),
            (Some(axis), Some(Some(tile))) => Ok(Self { axis, tile: Some(tile) }),
            _ => Err(Error::new(format_args!("loop `{text}`"), "not an axis of the reduction")
                .remedy(
                    "write input_channel, kernel_row or kernel_column, with /N for blocks of N",
                )),
        }
    }
}

impl TryFrom<Vec<String>> for AccumulationOrder {
    type Error = Error;

    fn try_from(loops: Vec<String>) -> Result<Self> {
        Self::new(loops.iter().map(|l| l.parse()).collect::<Result<_>>()?)
    }
}

impl From<AccumulationOrder> for Vec<String> {
    fn from(order: AccumulationOrder) -> Self {
        let text = |l: &OrderLoop| match l.tile {
            Some(tile) => format!("{}/{tile}", l.axis),
            None => l.axis.to_string(),
        };
        order.0.iter().map(text).collect()
    }
}
