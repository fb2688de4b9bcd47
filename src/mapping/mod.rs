//! How one layer's loops are tiled onto the array and the buffers.
//!
//! A [`Mapping`] is tile sizes, the order of the outer loops, the DRAM traffic that follows, and a
//! [`Schedule`] that turns compute cycles into stalls. It knows shapes and widths, never words:
//! nothing here may depend on the values of a layer.

mod accesses;
mod buffers;
mod catalog;
mod coverage;
mod problem;
mod schedule;
mod search;
mod stream;
mod tile;
mod traffic;

pub use accesses::Accesses;
pub use buffers::Buffers;
pub use catalog::{Catalog, CatalogKey};
pub use coverage::{covered, window_positions};
pub use problem::{LayerProblem, OperandBits};
pub use schedule::Schedule;
pub use search::{Mapping, map};
pub use stream::{Stream, stream};
pub use tile::{Tile, TileLoop};

#[cfg(test)]
pub(crate) mod tests;
