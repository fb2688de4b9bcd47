//! Counts × tables: energy.
