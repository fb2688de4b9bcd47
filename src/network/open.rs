//! Finding a network: by shipped name, as a TOML topology, as a TFLite model, or as a SCALE-Sim
//! CSV file.

use std::path::Path;

use crate::error::{Error, Result};
use crate::network::{
    Network, Parameters, Quantization, Topology, onnx, scalesim, tflite, topology, weights,
};

/// A network with its weights, if it has any, and the dataset that it is made for.
#[derive(Clone, Debug)]
pub struct Model {
    /// The graph.
    pub network: Network,
    /// Trained parameters.
    pub parameters: Option<Parameters>,
    /// Name or path of its dataset.
    pub dataset: Option<String>,
    /// The quantization that its file states.
    pub quantization: Option<Quantization>,
}

/// A network that ships with the project.
struct Shipped {
    name: &'static str,
    topology: &'static str,
    weights: Option<&'static [u8]>,
}

/// The files `topologies/<name>.toml` and, if there are weights, `topologies/<name>.safetensors`.
macro_rules! shipped {
    ($name:literal) => {
        Shipped {
            name: $name,
            topology: include_str!(concat!("../../topologies/", $name, ".toml")),
            weights: None,
        }
    };
    ($name:literal, weights) => {
        Shipped {
            weights: Some(include_bytes!(concat!("../../topologies/", $name, ".safetensors"))),
            ..shipped!($name)
        }
    };
}

const SHIPPED: &[Shipped] = &[
    shipped!("lenet5", weights),
    shipped!("lenet_caffe", weights),
    shipped!("fcnet"),
    shipped!("cifarnet"),
    shipped!("alexnet"),
    shipped!("overfeat"),
    shipped!("vgg_a"),
    shipped!("vgg16"),
    shipped!("vgg19"),
    shipped!("inception_v1"),
    shipped!("inception_v2"),
    shipped!("inception_v3"),
    shipped!("inception_v4"),
    shipped!("inception_resnet_v2"),
    shipped!("resnet_v1_14"),
    shipped!("resnet_v1_20"),
    shipped!("resnet_v1_50"),
    shipped!("resnet_v1_101"),
    shipped!("resnet_v1_152"),
    shipped!("resnet_v1_200"),
    shipped!("resnet_v2_50"),
    shipped!("resnet_v2_101"),
    shipped!("resnet_v2_152"),
    shipped!("resnet_v2_200"),
    shipped!("squeezenet1_1"),
    shipped!("mobilenet_v1"),
    shipped!("mobilenet_v2"),
    shipped!("efficientnet_lite0"),
];

/// Names of the networks that ship with the project.
pub fn shipped() -> impl Iterator<Item = &'static str> {
    SHIPPED.iter().map(|shipped| shipped.name)
}

/// Opens a shipped network by name, a topology `.toml` with the weights that it names, a model
/// `.onnx` or `.tflite`, or a SCALE-Sim topology `.csv`, which has no weights.
///
/// # Errors
/// If there is no such network, or a file is malformed; the error names the file.
pub fn open(name_or_path: &str) -> Result<Model> {
    if let Some(shipped) = SHIPPED.iter().find(|shipped| shipped.name == name_or_path) {
        let Topology { network, dataset, .. } = topology::parse(shipped.name, shipped.topology)?;
        let weights = shipped.weights.map(|bytes| weights::parse(shipped.name, bytes, &network));
        let parameters = weights.transpose()?;
        return Ok(Model { network, parameters, dataset, quantization: None });
    }
    let path = Path::new(name_or_path);
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("toml") => {
            let Topology { network, weights: file, dataset } = topology::read(path)?;
            let folder = path.parent().unwrap_or(Path::new(""));
            let parameters =
                file.map(|file| weights::read(&folder.join(file), &network)).transpose()?;
            Ok(Model { network, parameters, dataset, quantization: None })
        }
        Some("tflite") => tflite::read(path),
        Some("csv") => {
            let network = scalesim::read(path)?;
            Ok(Model { network, parameters: None, dataset: None, quantization: None })
        }
        Some("onnx") => onnx::read(path),
        _ => {
            let names: Vec<_> = shipped().collect();
            Err(Error::new(name_or_path, "there is no such network").remedy(format_args!(
                "name a shipped network ({}), a topology .toml, a model .onnx or .tflite, or a \
                 SCALE-Sim .csv",
                names.join(", ")
            )))
        }
    }
}
