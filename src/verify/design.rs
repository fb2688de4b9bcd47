//! A network on a hardware model, opened from the same files as a run.

use std::sync::Arc;

use crate::dataset::{self, Dataset};
use crate::error::{Error, Result};
use crate::hardware::Hardware;
use crate::network::{self, Op};
use crate::numeric::Draws;
use crate::quantize::{Plan, QuantizedNetwork, lower, lower_encoded, synthetic, synthetic_words};
use crate::simulate::{BoundNetwork, ImageState, Simulator};
use crate::tensor::Words;
use crate::verify::faults::{FaultSpec, Injector};

/// Names or paths of what a design is made of.
#[derive(Clone, Copy, Debug)]
pub struct DesignFiles<'a> {
    /// Network.
    pub network: &'a str,
    /// Hardware model.
    pub hardware: &'a str,
    /// Plan; the default one, or the network's own quantization.
    pub plan: Option<&'a str>,
    /// Dataset; the network's own.
    pub data: Option<&'a str>,
    /// Fractions of nonzero weights and activations, where operands are synthetic.
    pub synthetic: Option<[f64; 2]>,
    /// What to break, as a file or a text.
    pub inject: Option<&'a str>,
    /// Seed of stochastic rounding and of synthetic operands.
    pub seed: u64,
}

/// A quantized network on a hardware model.
#[derive(Debug)]
pub struct Design {
    /// The accelerator.
    pub hardware: Hardware,
    /// Its file.
    pub hardware_text: String,
    /// Words and cycles of the network on it.
    pub simulator: Simulator,
    /// Name of the network.
    pub network: String,
    /// Name of the plan.
    pub plan: String,
    /// Seed of stochastic rounding and of synthetic operands.
    pub seed: u64,
    /// What is broken on purpose.
    pub faults: Option<FaultSpec>,
    pub(super) injector: Option<Arc<Injector>>,
    operators: Vec<&'static str>,
    source: Source,
}

/// Where the words of an image come from.
#[derive(Debug)]
enum Source {
    Images(Box<Dataset>),
    None,
    /// Fraction of nonzero activations.
    Synthetic(f64),
}

impl Design {
    /// Opens the files, lowers the network and binds it to the datapath.
    ///
    /// # Errors
    /// As `bittrue run`.
    pub fn open(files: DesignFiles) -> Result<Self> {
        let hardware = Hardware::open(files.hardware)?;
        let model = network::open(files.network)?;
        let plan = files.plan.map(Plan::open).transpose()?;
        if let (Some(plan), Some(_)) = (&plan, &model.quantization) {
            let problem = format_args!("is quantized already, plan `{}` is not needed", plan.name);
            return Err(Error::new(files.network, problem)
                .remedy("leave the plan out, or take the float network"));
        }
        let own = model.quantization.is_some();
        let plan = plan.unwrap_or_default();
        let data = files.data.or(model.dataset.as_deref());
        let data = data.map(dataset::open).transpose()?;
        let calibration = data.as_ref().and_then(|data| data.calibration.as_ref());
        let images = |data: Option<dataset::DatasetSource>| match data {
            Some(data) => Source::Images(Box::new(data.test)),
            None => Source::None,
        };
        let faults = files.inject.map(FaultSpec::open).transpose()?;
        let (mut lowered, source) = match (&model.parameters, &model.quantization, files.synthetic)
        {
            (Some(parameters), Some(quantization), None) => {
                (lower_encoded(&model.network, parameters, quantization)?, images(data))
            }
            (Some(parameters), None, None) => {
                (lower(&model.network, parameters, &plan, calibration)?, images(data))
            }
            (_, _, densities) => {
                let [weights, activations] = densities.unwrap_or([1.0, 1.0]);
                let lowered = synthetic(&model.network, &plan, weights, files.seed)?;
                (lowered, Source::Synthetic(activations))
            }
        };
        if let Source::Images(data) = &source {
            let input = model.network.nodes.iter().find(|node| node.op == Op::Input);
            if let Some(input) = input.filter(|input| input.shape != data.shape()) {
                let problem = format_args!(
                    "images are {}, the network `{}` reads {}",
                    data.shape(),
                    model.network.name,
                    input.shape
                );
                return Err(Error::new(data.name(), problem)
                    .remedy("choose a dataset of the network's input shape"));
            }
        }
        let operators = lowered.network.layers.iter().map(|layer| layer.operation.name());
        let operators = operators.collect();
        let (simulator, injector) = match &faults {
            Some(faults) => {
                let broken = break_network(&mut lowered.network, &hardware, faults, files.seed)?;
                (broken.0, Some(broken.1))
            }
            None => (Simulator::new(&lowered.network, &hardware, files.seed)?, None),
        };
        Ok(Self {
            operators,
            simulator,
            faults,
            injector,
            network: model.network.name,
            plan: if own { "the network's own".into() } else { plan.name },
            seed: files.seed,
            hardware_text: Hardware::text(files.hardware)?.1,
            hardware,
            source,
        })
    }

    /// The network, its sites resolved.
    pub fn words(&self) -> &BoundNetwork {
        self.simulator.words()
    }

    /// What layer `index` computes.
    pub fn operator(&self, index: usize) -> &'static str {
        self.operators[index]
    }

    /// Name of the dataset, or `synthetic`.
    pub fn dataset(&self) -> &str {
        match &self.source {
            Source::Images(data) => data.name(),
            Source::None | Source::Synthetic(_) => "synthetic",
        }
    }

    /// Images that there are; no bound where they are synthetic.
    pub fn images(&self) -> Option<usize> {
        match &self.source {
            Source::Images(data) => Some(data.len()),
            Source::None => Some(0),
            Source::Synthetic(_) => None,
        }
    }

    /// Computes the words of all layers for an image into `state` and calls `each` for every layer,
    /// in their order, with the words that its multipliers or else its inputs read, where they are
    /// not those that the layers before it wrote.
    ///
    /// # Errors
    /// If the image cannot be had, or `each` fails.
    pub fn run(
        &self,
        image: usize,
        state: &mut ImageState,
        mut each: impl FnMut(usize, Option<&Words>, &ImageState) -> Result<()>,
    ) -> Result<()> {
        let words = self.words();
        let density = match &self.source {
            Source::Images(data) => {
                let values = data.image(image)?;
                let values = values.as_standard_layout();
                words.quantize_input(values.as_slice().unwrap_or_default(), image, state)?;
                words.run_image(image, state);
                return (0..words.layers().len()).try_for_each(|layer| each(layer, None, state));
            }
            Source::None => {
                return Err(Error::new(&self.network, "names no dataset to run on")
                    .remedy("give one with --data, or run on synthetic operands"));
            }
            Source::Synthetic(density) => *density,
        };
        for (layer, bound) in words.layers().iter().enumerate() {
            let stream = (layer as u64) << 32 | image as u64;
            if let Some(mac) = bound.mac() {
                let read = &words.layers()[bound.inputs()[0]];
                let len = mac.problem().geometry.input.len();
                let draws = Draws::new(self.seed, stream);
                let input = synthetic_words(read.format(), read.range(), len, density, draws)?;
                words.run_layer(layer, &[&input], image, state);
                each(layer, Some(&input), state)?;
                continue;
            }
            let inputs: Vec<Words> =
                bound.inputs().iter().map(|&input| state.words(input).clone()).collect();
            words.run_layer(layer, &inputs.iter().collect::<Vec<_>>(), image, state);
            each(layer, None, state)?;
        }
        Ok(())
    }
}

/// A network with faults on a hardware model; its weights are broken in place.
///
/// # Errors
/// If the plan does not fit the hardware, or a fault hits nothing.
pub fn break_network(
    network: &mut QuantizedNetwork,
    hardware: &Hardware,
    faults: &FaultSpec,
    seed: u64,
) -> Result<(Simulator, Arc<Injector>)> {
    let sound = BoundNetwork::bind(network, &hardware.datapath, seed)?;
    let injector = Arc::new(Injector::new(faults, &sound, seed)?);
    injector.break_weights(network, &hardware.datapath.order);
    let simulator = Simulator::new(network, hardware, seed)?;
    Ok((simulator.disturbed(injector.clone()), injector))
}
