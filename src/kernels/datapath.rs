//! What a multiply-accumulate datapath does: the style of its casts and its accumulation order.

use std::fmt;
use std::ops::Range;
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

    /// The permutation of the reduction that the order defines: for each step the canonical index
    /// `(channel · kh + row) · kw + column`, over `channels` input channels of a group and a
    /// kernel of `kh` × `kw`.
    pub fn reduction(&self, channels: usize, kh: usize, kw: usize) -> Vec<u32> {
        let extents = [channels, kh, kw];
        let mut order = Vec::with_capacity(channels * kh * kw);
        walk(&self.0, extents.map(|n| 0..n), &mut |index| {
            order.push(((index[0] * kh + index[1]) * kw + index[2]) as u32);
        });
        order
    }
}

/// Visits every index of the box `ranges` (by axis) in the order of the nest `loops`.
fn walk(loops: &[OrderLoop], ranges: [Range<usize>; 3], visit: &mut impl FnMut([usize; 3])) {
    let Some((outer, inner)) = loops.split_first() else {
        return visit(ranges.map(|range| range.start));
    };
    let range = ranges[outer.axis as usize].clone();
    let step = outer.tile.unwrap_or(1);
    for start in range.clone().step_by(step) {
        let mut ranges = ranges.clone();
        ranges[outer.axis as usize] = start..range.end.min(start.saturating_add(step));
        walk(inner, ranges, visit);
    }
}

impl fmt::Display for Style {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Style::ProductCast => "product_cast",
            Style::Fused => "fused",
            Style::Exact => "exact",
        })
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

#[cfg(test)]
mod tests {
    use super::*;

    fn order(loops: &[&str]) -> AccumulationOrder {
        AccumulationOrder::try_from(loops.iter().map(|l| l.to_string()).collect::<Vec<_>>())
            .expect("a well-formed nest")
    }

    #[test]
    fn the_default_order_is_the_canonical_one() {
        let steps = AccumulationOrder::default().reduction(3, 2, 4);
        assert_eq!(steps, (0..24).collect::<Vec<_>>());
    }

    #[test]
    fn channels_innermost() {
        let steps = order(&["kernel_row", "kernel_column", "input_channel"]).reduction(2, 1, 3);
        assert_eq!(steps, [0, 3, 1, 4, 2, 5]);
    }

    #[test]
    fn tiles_cover_a_channel_count_that_they_do_not_divide() {
        let tiled = ["input_channel/2", "kernel_row", "kernel_column", "input_channel"];
        assert_eq!(order(&tiled).reduction(3, 1, 2), [0, 2, 1, 3, 4, 5]);
    }

    #[test]
    fn every_nest_is_a_permutation() {
        let nests: [&[&str]; 3] = [
            &["input_channel/4", "input_channel/3", "kernel_column", "input_channel", "kernel_row"],
            &["kernel_column/2", "kernel_row", "input_channel", "kernel_column"],
            &["kernel_row/2", "input_channel/5", "kernel_row", "kernel_column", "input_channel"],
        ];
        for nest in nests {
            let mut steps = order(nest).reduction(7, 3, 5);
            steps.sort_unstable();
            assert_eq!(steps, (0..105).collect::<Vec<_>>());
        }
    }
}
