//! Labelled inputs.
