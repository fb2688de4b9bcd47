//! Arithmetic on shapes, done while reading: short lists of integers.

use super::operators::{options, table};
use super::{Reader, Site, at};
use crate::error::{Error, Result};

/// Most integers of a list.
const MAX_INTEGERS: usize = 16;

impl Reader<'_> {
    /// The integers that input `position` of an operator holds, constant or computed from shapes.
    pub(super) fn integers(&self, op: &Site, position: usize) -> Result<Vec<i64>> {
        let index = op.operator.inputs.iter().nth(position).unwrap_or(-1);
        if let Some(sizes) = self.sizes.get(&index) {
            return Ok(sizes.clone());
        }
        let tensor = self.tensor(op, position)?;
        let integers = tensor.integers().map_err(|e| e.within(at("input", position)))?;
        if integers.len() > MAX_INTEGERS {
            return Err(Error::new(
                at("input", position),
                format_args!("has {} integers, at most {MAX_INTEGERS} expected", integers.len()),
            ));
        }
        Ok(integers.collect())
    }

    /// The sizes of a tensor.
    pub(super) fn shape_of(&mut self, op: &Site) -> Result<()> {
        let tensor = self.tensor(op, 0)?;
        self.give(op, tensor.shape.iter().map(|&size| size as i64).collect())
    }

    /// Elements of a list, from `begin` to before `end`.
    pub(super) fn strided_slice(&mut self, op: &Site) -> Result<()> {
        let options = options(op, table::STRIDED_SLICE)?;
        let list = self.integers(op, 0)?;
        let bounds = [self.integers(op, 1)?, self.integers(op, 2)?, self.integers(op, 3)?];
        let masks = (0..5).map(|slot| options.size(slot, 0)).collect::<Result<Vec<_>>>()?;
        let ([begin, end, step], [from_start, to_end, 0, 0, single]) =
            (bounds.each_ref().map(|bound| &bound[..]), masks[..].try_into().unwrap_or([1; 5]))
        else {
            return Err(Error::new("options", "an ellipsis or a new axis"));
        };
        let (&[begin], &[end], &[1]) = (begin, end, step) else {
            return Err(Error::new("bounds", format_args!("{begin:?}, {end:?}, {step:?}"))
                .remedy("a part of a list of sizes, with step 1, can be computed"));
        };
        let length = list.len() as i64;
        let place = |bound: i64| (if bound < 0 { bound + length } else { bound }).clamp(0, length);
        let first = if from_start & 1 == 1 { 0 } else { place(begin) };
        let last = match (single & 1, to_end & 1) {
            (1, _) => first + 1,
            (_, 1) => length,
            _ => place(end),
        };
        let part = list.get(first as usize..last.max(first) as usize);
        let part = part.ok_or_else(|| Error::new("bounds", format_args!("{begin} of {length}")))?;
        self.give(op, part.to_vec())
    }

    /// Single integers as a list.
    pub(super) fn pack(&mut self, op: &Site) -> Result<()> {
        if options(op, table::PACK)?.size(1, 0)? != 0 {
            return Err(Error::new("axis", "a list of sizes has only axis 0"));
        }
        let count = op.operator.inputs.len();
        if count > MAX_INTEGERS {
            return Err(Error::new("inputs", format_args!("{count}, more than {MAX_INTEGERS}")));
        }
        let mut list = Vec::with_capacity(count);
        for position in 0..count {
            match self.integers(op, position)?[..] {
                [integer] => list.push(integer),
                _ => return Err(Error::new(at("input", position), "is not one integer")),
            }
        }
        self.give(op, list)
    }

    fn give(&mut self, op: &Site, sizes: Vec<i64>) -> Result<()> {
        let index = op.operator.outputs.iter().next();
        let index = index.ok_or_else(|| Error::new("outputs", "there is none"))?;
        self.sizes.insert(index, sizes);
        Ok(())
    }
}
