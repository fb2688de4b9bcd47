//! Multiply-accumulate chains and requantization.

use std::ffi::c_char;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::cast::flags as word_flags;
use super::guard::{array, array_mut, close, guard, needed, object, open, put, value};
use super::model::BittrueModel;
use super::{
    BITTRUE_ACCUMULATOR_OVERFLOW, BITTRUE_ACCUMULATOR_UNDERFLOW, BITTRUE_PRODUCT_OVERFLOW,
    BITTRUE_PRODUCT_UNDERFLOW, raw,
};
use crate::error::{Error, Result};
use crate::files::parse_toml;
use crate::kernels::reference::Accumulated;
use crate::verify::{Chain, ChainSpec};

/// The datapath of one output word.
pub struct BittrueChain {
    chain: Chain,
    pushed: Mutex<Pushed>,
}

/// Operands pushed since the chain began.
#[derive(Default)]
struct Pushed {
    bias: i64,
    operands: Vec<(i64, i64)>,
}

impl BittrueChain {
    fn new(chain: Chain) -> Self {
        Self { chain, pushed: Mutex::default() }
    }

    fn bias(&self, word: i64) -> i64 {
        self.chain.bias().map_or(0, |format| raw(format, word) as i64)
    }

    fn pair(&self, weight: i64, activation: i64) -> (i64, i64) {
        let spec = self.chain.spec();
        (raw(spec.weights, weight) as i64, raw(spec.activations, activation) as i64)
    }

    fn accumulator(&self, word: i64) -> i128 {
        raw(self.chain.spec().accumulator.to(), word)
    }

    fn pushed(&self) -> MutexGuard<'_, Pushed> {
        self.pushed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn result(&self) -> Accumulated {
        let pushed = self.pushed();
        self.chain.accumulate(pushed.bias, &pushed.operands)
    }
}

/// The flags of an accumulator.
pub(super) fn flags(sum: &Accumulated) -> u32 {
    let flag = |set: bool, flag: u32| if set { flag } else { 0 };
    flag(sum.overflowed, BITTRUE_ACCUMULATOR_OVERFLOW)
        | flag(sum.underflowed, BITTRUE_ACCUMULATOR_UNDERFLOW)
        | flag(sum.product_overflowed, BITTRUE_PRODUCT_OVERFLOW)
        | flag(sum.product_underflowed, BITTRUE_PRODUCT_UNDERFLOW)
}

/// Opens the chain that `description`, a TOML text, describes; see `docs/verification.md`. Where it
/// leaves out style or adder tree, they are those of `model`'s hardware, which may be null.
///
/// # Safety
///
/// `model` is null or an open handle; the text ends in a zero byte; `chain` can be written.
#[allow(unsafe_code)]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bittrue_chain_open(
    model: *const BittrueModel,
    description: *const c_char,
    chain: *mut *mut BittrueChain,
) -> i32 {
    // SAFETY: the caller's promise.
    let (model, description) = unsafe { (model.as_ref(), needed(description, "description")) };
    let body = || {
        let spec: ChainSpec = parse_toml("description of a chain", description?)?;
        let datapath = model.map(|model| &model.hardware().datapath);
        Ok(BittrueChain::new(spec.chain(datapath, 0)?))
    };
    // SAFETY: the caller's promise.
    unsafe { open(chain, body) }
}

/// Opens the chain of output channel `channel` of a multiply-accumulate layer.
///
/// # Safety
///
/// `model` is an open handle; `chain` can be written.
#[allow(unsafe_code)]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bittrue_chain_of_layer(
    model: *const BittrueModel,
    layer: u32,
    channel: u32,
    chain: *mut *mut BittrueChain,
) -> i32 {
    // SAFETY: the caller's promise.
    let model = unsafe { object(model, "model") };
    let body = || {
        let mac = model?.mac(layer)?.kernel().mac();
        let channels = mac.geometry.output.channels;
        if channel as usize >= channels {
            let problem = format_args!("the layer has {channels}");
            return Err(Error::new(format_args!("output channel {channel}"), problem));
        }
        Ok(BittrueChain::new(Chain::of_channel(&mac, channel as usize)?))
    };
    // SAFETY: the caller's promise.
    unsafe { open(chain, body) }
}

/// Frees a chain.
///
/// # Safety
///
/// `chain` is null or a handle that is not used again.
#[allow(unsafe_code)]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bittrue_chain_close(chain: *mut BittrueChain) {
    // SAFETY: the caller's promise.
    unsafe { close(chain) }
}

/// Runs a chain over `count` pairs of words in accumulation order. The bias counts if the chain has
/// one. Results are written where their pointers are not null: the accumulator, the output word,
/// flags, and in `partial_sums` what the accumulator holds at the start and after every
/// accumulation: 1 + ⌈count / adder tree⌉ words. In the exact style they are sums without loss,
/// modulo 2^64, at the finer of the binary points of product and accumulator.
///
/// # Safety
///
/// `chain` is an open handle; `weights` and `activations` hold `count` words; the others are null or
/// can be written.
#[allow(unsafe_code)]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bittrue_chain_run(
    chain: *const BittrueChain,
    weights: *const i32,
    activations: *const i32,
    count: u64,
    bias: i64,
    accumulator: *mut i64,
    word: *mut i64,
    flags: *mut u32,
    partial_sums: *mut i64,
) -> i32 {
    guard(|| {
        // SAFETY: the caller's promise.
        let (chain, weights, activations) = unsafe {
            (
                object(chain, "chain")?,
                array(weights, count, "weights")?,
                array(activations, count, "activations")?,
            )
        };
        let pairs = weights.iter().zip(activations);
        let pairs: Vec<_> = pairs.map(|(&w, &x)| chain.pair(w.into(), x.into())).collect();
        let bias = chain.bias(bias);
        let sum = chain.chain.accumulate(bias, &pairs);
        let result = chain.chain.requantize(sum.raw);
        // SAFETY: the caller's promise.
        unsafe {
            put(accumulator, sum.raw as i64);
            put(word, result.raw as i64);
            put(flags, self::flags(&sum) | word_flags(result));
        }
        if !partial_sums.is_null() {
            let steps = 1 + pairs.len().div_ceil(chain.chain.products());
            // SAFETY: not null, so that by the caller's promise it takes a word a step.
            let places = unsafe { array_mut(partial_sums, steps as u64, "partial_sums") }?;
            let mut places = places.iter_mut();
            chain.chain.partial_sums(bias, &pairs, |sum| {
                if let Some(place) = places.next() {
                    *place = sum as i64;
                }
            });
        }
        Ok(())
    })
}

/// The output word of an accumulator. `word` and `flags` may be null.
///
/// # Safety
///
/// `chain` is an open handle; `word` and `flags` are null or can be written.
#[allow(unsafe_code)]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bittrue_requantize_word(
    chain: *const BittrueChain,
    accumulator: i64,
    word: *mut i64,
    flags: *mut u32,
) -> i32 {
    guard(|| {
        // SAFETY: the caller's promise.
        let chain = unsafe { object(chain, "chain") }?;
        let result = chain.chain.requantize(chain.accumulator(accumulator));
        // SAFETY: the caller's promise.
        unsafe {
            put(word, result.raw as i64);
            put(flags, word_flags(result));
        }
        Ok(())
    })
}

/// The output word of an accumulator itself, for expressions. A null handle gives 0.
///
/// # Safety
///
/// `chain` is null or an open handle.
#[allow(unsafe_code)]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bittrue_requantize(chain: *const BittrueChain, accumulator: i64) -> i64 {
    value(|| {
        // SAFETY: the caller's promise.
        let chain = unsafe { object(chain, "chain") }?;
        Ok(chain.chain.requantize(chain.accumulator(accumulator)).raw as i64)
    })
}

/// What the accumulator holds before the first product: the bias, cast. A null handle gives 0.
///
/// # Safety
///
/// `chain` is null or an open handle.
#[allow(unsafe_code)]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bittrue_mac_start(chain: *const BittrueChain, bias: i64) -> i64 {
    value(|| {
        // SAFETY: the caller's promise.
        let chain = unsafe { object(chain, "chain") }?;
        Ok(chain.chain.start(chain.bias(bias)) as i64)
    })
}

/// The accumulator after one more product, each accumulated by itself whatever the adder tree. In
/// the exact style it is the sum without loss, modulo 2^64, at the finer of the binary points of
/// product and accumulator. A null handle gives 0.
///
/// # Safety
///
/// `chain` is null or an open handle.
#[allow(unsafe_code)]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bittrue_mac_step(
    chain: *const BittrueChain,
    accumulator: i64,
    weight: i32,
    activation: i32,
) -> i64 {
    value(|| {
        // SAFETY: the caller's promise.
        let chain = unsafe { object(chain, "chain") }?;
        let pair = chain.pair(weight.into(), activation.into());
        Ok(chain.chain.step(accumulator.into(), &[pair]) as i64)
    })
}

/// The accumulator after the last product: in the exact style its one cast, else itself. A null
/// handle gives 0.
///
/// # Safety
///
/// `chain` is null or an open handle.
#[allow(unsafe_code)]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bittrue_mac_finish(chain: *const BittrueChain, accumulator: i64) -> i64 {
    value(|| {
        // SAFETY: the caller's promise.
        let chain = unsafe { object(chain, "chain") }?;
        Ok(chain.chain.finish(accumulator.into()) as i64)
    })
}

/// Forgets what was pushed and begins with a bias.
///
/// # Safety
///
/// `chain` is null or an open handle.
#[allow(unsafe_code)]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bittrue_chain_begin(chain: *const BittrueChain, bias: i64) {
    value(|| {
        // SAFETY: the caller's promise.
        let chain = unsafe { object(chain, "chain") }?;
        let mut pushed = chain.pushed();
        pushed.bias = chain.bias(bias);
        pushed.operands.clear();
        Ok(())
    })
}

/// Adds a pair to what was pushed, in accumulation order.
///
/// # Safety
///
/// `chain` is null or an open handle.
#[allow(unsafe_code)]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bittrue_chain_push(
    chain: *const BittrueChain,
    weight: i32,
    activation: i32,
) {
    value(|| {
        // SAFETY: the caller's promise.
        let chain = unsafe { object(chain, "chain") }?;
        let pair = chain.pair(weight.into(), activation.into());
        let mut pushed = chain.pushed();
        pushed.operands.try_reserve(1).map_err(|e| Error::new("pushed operands", e))?;
        pushed.operands.push(pair);
        Ok(())
    })
}

/// The accumulator of what was pushed, the adder tree included. A null handle gives 0.
///
/// # Safety
///
/// `chain` is null or an open handle.
#[allow(unsafe_code)]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bittrue_chain_accumulator(chain: *const BittrueChain) -> i64 {
    // SAFETY: the caller's promise.
    value(|| Ok(unsafe { object(chain, "chain") }?.result().raw as i64))
}

/// The output word of what was pushed. A null handle gives 0.
///
/// # Safety
///
/// `chain` is null or an open handle.
#[allow(unsafe_code)]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bittrue_chain_result(chain: *const BittrueChain) -> i64 {
    value(|| -> Result<i64> {
        // SAFETY: the caller's promise.
        let chain = unsafe { object(chain, "chain") }?;
        Ok(chain.chain.requantize(chain.result().raw).raw as i64)
    })
}
