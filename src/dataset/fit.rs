//! Whether a network can read a dataset.

use crate::dataset::Dataset;
use crate::error::{Error, Result};
use crate::network::{Network, Op};

impl Dataset {
    /// Refuses a network that cannot read the images, or does not know the classes of the labels.
    ///
    /// # Errors
    /// If shapes or classes differ.
    pub fn check(&self, network: &Network) -> Result<()> {
        let input = network.nodes.iter().find(|node| node.op == Op::Input);
        if let Some(input) = input.filter(|input| input.shape != self.shape()) {
            let problem = format_args!(
                "images are {}, the network `{}` reads {}",
                self.shape(),
                network.name,
                input.shape
            );
            return Err(Error::new(self.name(), problem)
                .remedy("choose a dataset of the network's input shape"));
        }
        match network.nodes.last() {
            Some(output) if output.shape.len() < self.classes() => Err(Error::new(
                self.name(),
                format_args!(
                    "labels are of {} classes, the network `{}` scores {}",
                    self.classes(),
                    network.name,
                    output.shape.len()
                ),
            )
            .remedy("choose a dataset of the network's classes; labels count from 0")),
            _ => Ok(()),
        }
    }
}
