//! Whole output words and whole layers. Feature maps are channels-last: the word of (channel, row,
//! column) is at (row · columns + column) · channels + channel.

use super::cast::flags as word_flags;
use super::chain::flags as sum_flags;
use super::guard::{array, array_mut, guard, object, put};
use super::model::BittrueModel;
use super::raw;
use crate::error::{Error, Result};
use crate::numeric::Format;
use crate::tensor::Words;
use crate::verify::output_word;

/// The words that C gives as bits.
fn words<T: Copy + Into<i64>>(format: Format, given: &[T]) -> Words {
    Words::from_raw(format, given.iter().map(|&word| raw(format, word.into()) as i64))
}

fn check_len(argument: &str, found: u64, expected: usize) -> Result<()> {
    if found == expected as u64 {
        return Ok(());
    }
    let problem = format_args!("holds {found} words, the map has {expected}");
    Err(Error::new(format_args!("argument `{argument}`"), problem))
}

/// One output word of a multiply-accumulate layer, from the `count` words that enter its multipliers.
/// `image` numbers the draws of stochastic rounding. Quantizers that follow the cast (tables, sparse
/// ones) are left out: run the layer for those. `accumulator`, `word` and `flags` may be null.
///
/// # Safety
///
/// `model` is an open handle; `input` holds `count` words; the others are null or can be written.
#[allow(unsafe_code)]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bittrue_output_word(
    model: *const BittrueModel,
    layer: u32,
    image: u64,
    input: *const i64,
    count: u64,
    channel: u32,
    row: u32,
    column: u32,
    accumulator: *mut i64,
    word: *mut i64,
    flags: *mut u32,
) -> i32 {
    guard(|| {
        // SAFETY: the caller's promise.
        let (model, input) = unsafe { (object(model, "model")?, array(input, count, "input")?) };
        let mac = model.mac(layer)?;
        let geometry = mac.kernel().geometry();
        check_len("input", count, geometry.input.len())?;
        let [channel, row, column] = [channel, row, column].map(|n| n as usize);
        let shape = geometry.output;
        if channel >= shape.channels || row >= shape.height || column >= shape.width {
            let place = format_args!("channel {channel}, row {row}, column {column}");
            return Err(Error::new(place, format_args!("the layer writes {shape}")));
        }
        let words = words(mac.spec().activations, input);
        let draws = model.words()?.draws(layer as usize, image as usize);
        let pixel = row * shape.width + column;
        let (sum, result) = output_word(&mac.kernel().mac(), &words, pixel, channel, draws);
        // SAFETY: the caller's promise.
        unsafe {
            put(accumulator, sum.raw as i64);
            put(word, result.raw as i64);
            put(flags, sum_flags(&sum) | word_flags(result));
        }
        Ok(())
    })
}

/// Runs a layer: `inputs` points at `count` maps of `lengths` words each, those that the layer
/// reads; its words go to `output`, of `length` words. `image` numbers the draws of stochastic
/// rounding.
///
/// # Safety
///
/// `model` is an open handle; `inputs` and `lengths` hold `count` elements, and the maps as many
/// words as `lengths` says; `output` takes `length` words.
#[allow(unsafe_code)]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bittrue_layer_run(
    model: *const BittrueModel,
    layer: u32,
    image: u64,
    inputs: *const *const i64,
    lengths: *const u64,
    count: u64,
    output: *mut i64,
    length: u64,
) -> i32 {
    // SAFETY: the caller's promise.
    unsafe { run(model, layer, image, inputs, lengths, count, output, length) }
}

/// As `bittrue_layer_run` for a layer that reads one map. Flat, so that a testbench can import it with
/// arrays of its own lengths.
///
/// # Safety
///
/// `model` is an open handle; `input` holds `count` words and `output` takes `length`.
#[allow(unsafe_code)]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bittrue_layer_map(
    model: *const BittrueModel,
    layer: u32,
    image: u64,
    input: *const i64,
    count: u64,
    output: *mut i64,
    length: u64,
) -> i32 {
    // SAFETY: the caller's promise; one map is an array of one.
    unsafe { run(model, layer, image, &input, &count, 1, output, length) }
}

/// As `bittrue_layer_run`, with words of 32 bits.
///
/// # Safety
///
/// As `bittrue_layer_run`.
#[allow(unsafe_code)]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bittrue_layer_run32(
    model: *const BittrueModel,
    layer: u32,
    image: u64,
    inputs: *const *const i32,
    lengths: *const u64,
    count: u64,
    output: *mut i32,
    length: u64,
) -> i32 {
    // SAFETY: the caller's promise.
    unsafe { run(model, layer, image, inputs, lengths, count, output, length) }
}

/// A native word of the interface.
trait Native: Copy + Into<i64> {
    fn low(word: i64) -> Self;
}

impl Native for i64 {
    fn low(word: i64) -> Self {
        word
    }
}

impl Native for i32 {
    fn low(word: i64) -> Self {
        word as Self
    }
}

/// # Safety
///
/// As [`bittrue_layer_run`].
#[allow(unsafe_code)]
#[allow(clippy::too_many_arguments)]
unsafe fn run<T: Native>(
    model: *const BittrueModel,
    layer: u32,
    image: u64,
    inputs: *const *const T,
    lengths: *const u64,
    count: u64,
    output: *mut T,
    length: u64,
) -> i32 {
    guard(|| {
        // SAFETY: the caller's promise.
        let (model, inputs, lengths, output) = unsafe {
            (
                object(model, "model")?,
                array(inputs, count, "inputs")?,
                array(lengths, count, "lengths")?,
                array_mut(output, length, "output")?,
            )
        };
        let bound = model.layer(layer)?;
        if bound.inputs().is_empty() || !bound.runs_alone() {
            return Err(Error::new(
                format_args!("layer {layer}, `{}`", bound.name()),
                "is not computed from words of other layers",
            ));
        }
        if bound.inputs().len() as u64 != count {
            let problem =
                format_args!("{count} maps are given, the layer reads {}", bound.inputs().len());
            return Err(Error::new("argument `inputs`", problem));
        }
        check_len("output", length, bound.shape().len())?;
        let mut maps = Vec::with_capacity(inputs.len());
        for ((&map, &len), &read) in inputs.iter().zip(lengths).zip(bound.inputs()) {
            let read = model.layer(read as u32)?;
            check_len("inputs", len, read.shape().len())?;
            // SAFETY: the caller's promise.
            maps.push(words(read.format(), unsafe { array(map, len, "inputs") }?));
        }
        let maps: Vec<&Words> = maps.iter().collect();
        model.with_state(|network, state| {
            network.run_layer(layer as usize, &maps, image as usize, state);
            let written = state.words(layer as usize);
            for (index, place) in output.iter_mut().enumerate() {
                *place = T::low(written.get(index));
            }
            Ok(())
        })
    })
}
