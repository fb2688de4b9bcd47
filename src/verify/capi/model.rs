//! A model: a hardware model and, if one is given, a network on it.

use std::ffi::{CString, c_char};
use std::sync::{Mutex, PoisonError};

use super::guard::{close, guard, needed, object, open, put, text, value};
use crate::error::{Error, Result};
use crate::hardware::Hardware;
use crate::simulate::{BoundLayer, BoundMac, BoundNetwork, ImageState};
use crate::verify::{Design, DesignFiles};

/// A hardware model and a network on it.
pub struct BittrueModel {
    inner: Inner,
    names: Vec<CString>,
    /// Memory of images, a piece for each thread that is at work.
    states: Mutex<Vec<ImageState>>,
}

enum Inner {
    Hardware(Box<Hardware>),
    Design(Box<Design>),
}

/// Shapes and formats of a layer. Unused fields are 0.
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub struct BittrueLayer {
    /// Whether it is a multiply-accumulate layer.
    pub is_mac: i32,
    /// Feature maps that it reads.
    pub inputs: i32,
    /// Channels, rows and columns of the first map that it reads.
    pub input_shape: [i32; 3],
    /// Channels, rows and columns of the map that it writes.
    pub output_shape: [i32; 3],
    /// Kernel rows and columns.
    pub kernel: [i32; 2],
    /// Vertical and horizontal stride.
    pub stride: [i32; 2],
    /// Padding: top, left, bottom, right.
    pub padding: [i32; 4],
    /// Groups.
    pub groups: i32,
    /// Products of one output word.
    pub reduction: i32,
    /// Width of the output words in bits.
    pub output_bits: i32,
    /// Fractional bits of the output words.
    pub output_frac: i32,
    /// Whether the output words are signed.
    pub output_signed: i32,
}

impl BittrueModel {
    fn new(inner: Inner) -> Self {
        let layers = match &inner {
            Inner::Hardware(_) => &[],
            Inner::Design(design) => design.words().layers(),
        };
        let name = |layer: &BoundLayer| CString::new(layer.name()).unwrap_or_default();
        let names = layers.iter().map(name).collect();
        Self { inner, names, states: Mutex::default() }
    }

    /// The hardware model.
    pub(super) fn hardware(&self) -> &Hardware {
        match &self.inner {
            Inner::Hardware(hardware) => hardware,
            Inner::Design(design) => &design.hardware,
        }
    }

    /// The network.
    pub(super) fn words(&self) -> Result<&BoundNetwork> {
        match &self.inner {
            Inner::Design(design) => Ok(design.words()),
            Inner::Hardware(_) => Err(Error::new("model", "was opened without a network")
                .remedy("name a network in bittrue_open")),
        }
    }

    /// A layer.
    pub(super) fn layer(&self, layer: u32) -> Result<&BoundLayer> {
        let layers = self.words()?.layers();
        layers.get(layer as usize).ok_or_else(|| {
            let problem = format_args!("the network has layers 0 to {}", layers.len() - 1);
            Error::new(format_args!("layer {layer}"), problem)
        })
    }

    /// A multiply-accumulate layer.
    pub(super) fn mac(&self, layer: u32) -> Result<&BoundMac> {
        let bound = self.layer(layer)?;
        bound.mac().ok_or_else(|| {
            Error::new(
                format_args!("layer {layer}, `{}`", bound.name()),
                "is no multiply-accumulate layer",
            )
        })
    }

    /// Runs `body` with memory for an image.
    pub(super) fn with_state<T>(
        &self,
        body: impl FnOnce(&BoundNetwork, &mut ImageState) -> Result<T>,
    ) -> Result<T> {
        let words = self.words()?;
        let kept = self.states.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut state = kept.unwrap_or_else(|| words.state());
        let result = body(words, &mut state);
        self.states.lock().unwrap_or_else(PoisonError::into_inner).push(state);
        result
    }
}

/// Opens a hardware model and a network on it, by shipped names or files. `network` may be null or
/// empty, for chains alone; so may `plan`, for the default plan or the network's own quantization.
/// `seed` is that of stochastic rounding and of synthetic weights.
///
/// # Safety
///
/// Texts are null or end in a zero byte; `model` can be written.
#[allow(unsafe_code)]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bittrue_open(
    hardware: *const c_char,
    network: *const c_char,
    plan: *const c_char,
    seed: u64,
    model: *mut *mut BittrueModel,
) -> i32 {
    // SAFETY: the caller's promise.
    let (hardware, network, plan) =
        unsafe { (needed(hardware, "hardware"), text(network, "network"), text(plan, "plan")) };
    let body = || {
        let (hardware, plan) = (hardware?, plan?);
        let inner = match network? {
            None => Inner::Hardware(Box::new(Hardware::open(hardware)?)),
            Some(network) => Inner::Design(Box::new(Design::open(DesignFiles {
                network,
                hardware,
                plan,
                data: None,
                synthetic: None,
                inject: None,
                seed,
            })?)),
        };
        Ok(BittrueModel::new(inner))
    };
    // SAFETY: the caller's promise.
    unsafe { open(model, body) }
}

/// Frees a model. Chains that were opened from it stay.
///
/// # Safety
///
/// `model` is null or a handle that is not used again.
#[allow(unsafe_code)]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bittrue_close(model: *mut BittrueModel) {
    // SAFETY: the caller's promise.
    unsafe { close(model) }
}

/// Number of layers; 0 without a network.
///
/// # Safety
///
/// `model` is null or an open handle.
#[allow(unsafe_code)]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bittrue_layer_count(model: *const BittrueModel) -> i32 {
    // SAFETY: the caller's promise.
    value(|| Ok(unsafe { object(model, "model") }?.names.len() as i32))
}

/// Number of the layer of a name, −1 if there is none.
///
/// # Safety
///
/// `model` is null or an open handle; the text ends in a zero byte.
#[allow(unsafe_code)]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bittrue_layer_find(
    model: *const BittrueModel,
    name: *const c_char,
) -> i32 {
    let mut found = -1;
    guard(|| {
        // SAFETY: the caller's promise.
        let (model, name) = unsafe { (object(model, "model")?, needed(name, "name")?) };
        let layers = model.words()?.layers();
        let position = layers.iter().position(|layer| layer.name() == name);
        found = position.ok_or_else(|| Error::new(name, "no layer has this name"))? as i32;
        Ok(())
    });
    found
}

/// Name of a layer, null if there is none. It lives as long as the model.
///
/// # Safety
///
/// `model` is null or an open handle.
#[allow(unsafe_code)]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bittrue_layer_name(
    model: *const BittrueModel,
    layer: u32,
) -> *const c_char {
    // SAFETY: the caller's promise.
    let model = unsafe { model.as_ref() };
    let name = model.and_then(|model| model.names.get(layer as usize));
    name.map_or(std::ptr::null(), |name| name.as_ptr())
}

/// Shapes and formats of a layer.
///
/// # Safety
///
/// `model` is an open handle; `info` can be written.
#[allow(unsafe_code)]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bittrue_layer_info(
    model: *const BittrueModel,
    layer: u32,
    info: *mut BittrueLayer,
) -> i32 {
    guard(|| {
        // SAFETY: the caller's promise.
        let described = describe(unsafe { object(model, "model") }?, layer)?;
        // SAFETY: the caller's promise.
        unsafe { put(info, described) };
        Ok(())
    })
}

/// Channels, rows and columns of the first map that a layer reads and of the one that it writes;
/// places may be null.
///
/// # Safety
///
/// `model` is an open handle; the places are null or can be written.
#[allow(unsafe_code)]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bittrue_layer_shape(
    model: *const BittrueModel,
    layer: u32,
    input_channels: *mut i32,
    input_rows: *mut i32,
    input_columns: *mut i32,
    output_channels: *mut i32,
    output_rows: *mut i32,
    output_columns: *mut i32,
) -> i32 {
    guard(|| {
        // SAFETY: the caller's promise.
        let info = describe(unsafe { object(model, "model") }?, layer)?;
        let input = [input_channels, input_rows, input_columns];
        let output = [output_channels, output_rows, output_columns];
        let places = input.into_iter().chain(output);
        for (place, size) in places.zip(info.input_shape.into_iter().chain(info.output_shape)) {
            // SAFETY: the caller's promise.
            unsafe { put(place, size) };
        }
        Ok(())
    })
}

fn describe(model: &BittrueModel, index: u32) -> Result<BittrueLayer> {
    let layer = model.layer(index)?;
    let size = |n: usize| i32::try_from(n).unwrap_or(i32::MAX);
    let shape = |s: crate::tensor::Shape| [s.channels, s.height, s.width].map(size);
    let first =
        layer.inputs().first().map(|&input| model.words().map(|w| w.layers()[input].shape()));
    let format = layer.format();
    let described = BittrueLayer {
        inputs: size(layer.inputs().len()),
        input_shape: first.transpose()?.map(shape).unwrap_or_default(),
        output_shape: shape(layer.shape()),
        output_bits: format.bits() as i32,
        output_frac: format.frac(),
        output_signed: format.is_signed().into(),
        ..BittrueLayer::default()
    };
    let Some(mac) = layer.mac() else { return Ok(described) };
    let geometry = mac.kernel().geometry();
    Ok(BittrueLayer {
        is_mac: 1,
        kernel: geometry.window.kernel.map(size),
        stride: geometry.window.stride.map(size),
        padding: geometry.window.padding.map(size),
        groups: size(geometry.groups),
        reduction: size(geometry.reduction()),
        ..described
    })
}
