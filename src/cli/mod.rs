//! One file per subcommand.

pub mod cast;
