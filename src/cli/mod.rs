//! The command line: one file per subcommand. Results go to stdout, progress to stderr.

mod cast;
mod compare;
mod list;
mod output;
mod run;
mod search;
mod sensitivity;
mod show;
mod sparsity;
mod subject;
mod sweep;
mod threads;
mod train;
mod vectors;

use clap::{Parser, Subcommand};

use crate::error::Result;

/// Bit-exact, cycle-approximate simulator for neural-network accelerators.
///
/// Without a subcommand: `bittrue run lenet5`.
#[derive(Parser)]
#[command(name = "bittrue", version, about, max_term_width = 100)]
pub struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Execute a network on a hardware model: accuracy, cycles, traffic, energy.
    Run(run::Args),
    /// List the networks, hardware models, plans and datasets that ship.
    List,
    /// Show a network's layers, the sites of a plan on it, or a hardware model.
    Show(show::Args),
    /// Cast raw words from one fixed-point format to another.
    Cast(cast::Args),
    /// Write golden vectors for RTL verification: the words of every memory of every layer.
    Vectors(vectors::Args),
    /// Compare what a design produced with golden vectors and report the first divergence.
    Compare(compare::Args),
    /// Evaluate a space of designs: hardware models, plans, networks.
    Sweep(sweep::Args),
    /// Vary the words of each layer and of all, and measure what accuracy loses.
    Sensitivity(sensitivity::Args),
    /// Find the cheapest formats for a stated loss of accuracy.
    Search(search::Args),
    /// Find the zeros of a network and what they are worth on a hardware model.
    Sparsity(sparsity::Args),
    /// Train a network in float32 and write its weights.
    Train(train::Args),
}

impl Cli {
    /// Runs the chosen subcommand.
    pub fn run(self) -> Result<()> {
        match self.command {
            Some(Command::Run(args)) => run::run(&args),
            Some(Command::List) => list::run(),
            Some(Command::Show(args)) => show::run(&args),
            Some(Command::Cast(args)) => cast::run(&args),
            Some(Command::Vectors(args)) => vectors::run(&args),
            Some(Command::Compare(args)) => compare::run(&args),
            Some(Command::Sweep(args)) => sweep::run(&args),
            Some(Command::Sensitivity(args)) => sensitivity::run(&args),
            Some(Command::Search(args)) => search::run(&args),
            Some(Command::Sparsity(args)) => sparsity::run(&args),
            Some(Command::Train(args)) => train::run(&args),
            None => Self::parse_from(["bittrue", "run", "lenet5"]).run(),
        }
    }
}
